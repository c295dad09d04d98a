/** Programs that a benchmark starts beside itself: awaited until they are ready, ended by their ids. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Delay, Probed } from './probe.ts'

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
/** What Node is started with for a program that can be asked by `probe`. */
export const PROBED = ['--import', fileURLToPath(new URL('probe.js', import.meta.url))]

/** A gateway on free ports of this machine. */
export interface Gateway {
  readonly child: ChildProcess
  readonly pid: number
  readonly data: string
  readonly port: number
  readonly httpPort: number
  /** Of its HTTP, without a slash at its end. */
  readonly base: string
}

export interface GatewayWishes {
  /** Also of its folder. */
  readonly name?: string
  readonly flags: readonly string[]
  readonly command?: Command
  readonly program?: string
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

  async startGateway(wishes: GatewayWishes): Promise<Gateway> {
    const { name = 'gateway', flags, command, program = PROGRAM } = wishes
    const data = join(this.directory, name)
    const ports = ['--port', '0', '--http-port', '0', '--data', data]
    const { child, ready } = await this.start(
      name,
      [program, 'gateway', ...ports, ...flags],
      command,
    )
    const [port, httpPort] = [...ready.matchAll(/=\S+:(\d+)/g)].map(([, text]) => Number(text))
    if (port === undefined || httpPort === undefined) throw new Error(`not as expected: ${ready}`)
    const base = `http://127.0.0.1:${httpPort}`
    return { child, pid: child.pid!, data, port, httpPort, base }
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

/** Of a program that was started with PROBED. */
export async function probe(child: ChildProcess): Promise<Probed> {
  const answer = once(child, 'message') as Promise<[Probed]>
  child.send('probe')
  const [probed] = await answer
  return probed
}

/** As `probe`, of a gateway that has much to do: when it answers, what is garbage is given back. */
export async function delayOf(child: ChildProcess): Promise<Delay> {
  const answer = once(child, 'message') as Promise<[Delay]>
  child.send('delay')
  const [delay] = await answer
  return delay
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
