/** Programs that a benchmark starts beside itself: awaited until they are ready, ended by their ids. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Node alone takes seconds to start under emulation. */
const READY_LIMIT_MS = 120_000
/** Of the times in /proc/<pid>/stat. */
const TICKS_A_SECOND = 100

/** What stands before the words of a program. */
export interface Command {
  readonly path: string
  readonly argv: readonly string[]
  /** Beside our own variables. */
  readonly environment: Readonly<Record<string, string>>
}

export const NODE: Command = { path: process.execPath, argv: [], environment: {} }

export class BenchProcesses {
  readonly directory = mkdtempSync(join(tmpdir(), 'obelisk-bench-'))
  readonly #children: ChildProcess[] = []

  /** Starts a script with Node, or a command; resolves with its line that begins with `ready`. */
  async start(
    name: string,
    argv: readonly string[],
    command: Command = NODE,
  ): Promise<{ child: ChildProcess; ready: string }> {
    const log = join(this.directory, `${name}.log`)
    // To a file: a pipe would make a program that says much wait for us.
    const file = openSync(log, 'w')
    const variables = Object.entries(command.environment).map((pair) => pair.join('='))
    // It becomes the program, with the same id.
    const words = [...variables, command.path, ...command.argv, ...argv]
    const child = spawn('/usr/bin/env', words, { stdio: ['ignore', 'ignore', file, 'ipc'] })
    closeSync(file)
    this.#children.push(child)
    const untilMs = performance.now() + READY_LIMIT_MS
    while (performance.now() < untilMs && child.exitCode === null) {
      const ready = /^ready .*$/m.exec(readFileSync(log, 'utf8'))
      if (ready !== null) return { child, ready: ready[0] }
      await sleep(20)
    }
    throw new Error(`${name} is not ready:\n${readFileSync(log, 'utf8')}`)
  }

  /** Runs a script with Node to its end, which is to be a good one. */
  async finish(argv: readonly string[]): Promise<void> {
    const child = spawn(NODE.path, argv, { stdio: ['ignore', 'ignore', 'inherit'] })
    const [code] = await once(child, 'exit')
    if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code}`)
  }

  async close(): Promise<void> {
    for (const child of this.#children.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    }
    rmSync(this.directory, { recursive: true, force: true })
  }
}

/** Seconds that the main thread of a process was ready to run, and another had the core. */
export function waitedSecondsOf(pid: number): number {
  const [, waitedNs] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')
  return Number(waitedNs) / 1e9
}

/** CPU seconds that processes have taken so far, all threads. */
export function cpuSecondsOf(...pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuSecondsOfOne(pid), 0)
}

function cpuSecondsOfOne(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name, in parentheses, may have spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND
}
