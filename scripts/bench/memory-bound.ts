/**
 * A memory cgroup of its own with a hard bound, of version 1 or 2, and a program inside from its first page on:
 * with a copy of Node that nobody else has in memory, since pages of files are charged to whoever read them first.
 */
import { execFileSync } from 'node:child_process'
import {
  accessSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Command } from './bench-processes.ts'

const V1 = '/sys/fs/cgroup/memory'
const V2 = '/sys/fs/cgroup'

interface Names {
  readonly root: string
  readonly limit: string
  readonly peak: string
}

const NAMES_V1: Names = {
  root: V1,
  limit: 'memory.limit_in_bytes',
  peak: 'memory.max_usage_in_bytes',
}
const NAMES_V2: Names = { root: V2, limit: 'memory.max', peak: 'memory.peak' }

export interface MemoryUse {
  readonly peakBytes: number
  /** How often the bound was met and something had to be given back first. */
  readonly timesAtBound: number
  readonly kills: number
}

export class MemoryBound {
  readonly #names: Names
  readonly #path: string

  /** Throws with the reason why there can be none here. */
  constructor(bytes: number) {
    this.#names = namesHere()
    this.#path = join(this.#names.root, `obelisk-memory-${process.pid}`)
    mkdirSync(this.#path)
    writeFileSync(join(this.#path, this.#names.limit), String(bytes))
  }

  /** The same command inside, with a copy of its program in `directory`. */
  around({ path, argv, environment }: Command, directory: string): Command {
    const copy = join(directory, 'program')
    copyFileSync(path, copy)
    // Without a block to copy, this only drops what is cached of the file.
    const drop = [`of=${copy}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none']
    execFileSync('dd', drop, { stdio: ['ignore', 'ignore', 'inherit'] })
    const enter = `echo $$ > ${join(this.#path, 'cgroup.procs')} && exec "$0" "$@"`
    return { path: '/bin/sh', argv: ['-c', enter, copy, ...argv], environment }
  }

  use(): MemoryUse {
    const read = (name: string): string => readFileSync(join(this.#path, name), 'utf8')
    const count = (text: string, name: string): number => {
      return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)![1])
    }
    const peakBytes = Number(read(this.#names.peak))
    if (this.#names === NAMES_V1) {
      const kills = count(read('memory.oom_control'), 'oom_kill')
      return { peakBytes, timesAtBound: Number(read('memory.failcnt')), kills }
    }
    const events = read('memory.events')
    return { peakBytes, timesAtBound: count(events, 'max'), kills: count(events, 'oom_kill') }
  }

  /** Once nothing runs inside. */
  remove(): void {
    rmdirSync(this.#path)
  }
}

function namesHere(): Names {
  const names = existsSync(join(V1, NAMES_V1.limit)) ? NAMES_V1 : NAMES_V2
  if (names === NAMES_V2) {
    const file = join(V2, 'cgroup.subtree_control')
    if (!existsSync(file) || !readFileSync(file, 'utf8').split(/\s+/).includes('memory')) {
      throw new Error('no memory cgroup is on here')
    }
  }
  try {
    accessSync(names.root, constants.W_OK)
  } catch (error) {
    throw new Error(`${names.root} cannot be written to: run this as root`, { cause: error })
  }
  return names
}
