/** Programs that a benchmark starts beside itself: awaited until they are ready, ended by their ids. */
import { type ChildProcess, type Serializable, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

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
/** The `obelisk` command, as it was built. */
export const PROGRAM = fileURLToPath(new URL('../obelisk.js', import.meta.url))

export interface Started {
  readonly child: ChildProcess
  readonly pid: number
  /** As its line that begins with `ready` says them. */
  readonly ports: readonly number[]
}

/** Runs a benchmark; what it started ends with it. */
export async function withProcesses<T>(
  work: (processes: BenchProcesses) => Promise<T>,
): Promise<T> {
  const processes = new BenchProcesses()
  try {
    return await work(processes)
  } finally {
    await processes.close()
  }
}

export class BenchProcesses {
  readonly directory = mkdtempSync(join(tmpdir(), 'obelisk-bench-'))
  readonly #children: ChildProcess[] = []

  /** Starts a script with Node, or a command; resolves once it is ready. */
  async start(name: string, argv: readonly string[], command: Command = NODE): Promise<Started> {
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
      const [ready] = /^ready .*$/m.exec(readFileSync(log, 'utf8')) ?? []
      if (ready !== undefined) {
        const ports = [...ready.matchAll(/=\S+:(\d+)/g)].map(([, port]) => Number(port))
        return { child, pid: child.pid!, ports }
      }
      await sleep(20)
    }
    throw new Error(`${name} is not ready:\n${readFileSync(log, 'utf8')}`)
  }

  /** Starts a script that stands beside this one. */
  async startBeside(name: string, ...words: readonly unknown[]): Promise<Started> {
    const script = fileURLToPath(new URL(`${name}.js`, import.meta.url))
    return await this.start([name, ...words].join('-'), [script, ...words.map(String)])
  }

  async close(): Promise<void> {
    for (const child of this.#children.toReversed()) await end(child)
    rmSync(this.directory, { recursive: true, force: true })
  }
}

export async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill(signal)
  await exited
}

/** What a program answers over the channel to it. */
export async function ask<T>(child: ChildProcess, question: Serializable): Promise<T> {
  const answer = once(child, 'message') as Promise<[T]>
  child.send(question)
  return (await answer)[0]
}

/** CPU seconds that processes have taken so far, all threads. */
export function cpuSecondsOf(...pids: readonly number[]): number {
  const ticks = pids.map((pid) => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name, in parentheses, may have spaces.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return Number(fields[11]) + Number(fields[12])
  })
  return ticks.reduce((sum, one) => sum + one, 0) / TICKS_A_SECOND
}
