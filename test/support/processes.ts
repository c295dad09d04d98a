/**
 * Gateways and agents as child processes of a test: started, signalled and awaited as a user
 * would, and ended by their ids when the test is over. What they wrote is shown when it failed.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { packagedProgram } from './packaged-programs.ts'
import { shortDirectory } from './short-directory.ts'
import { tapLines } from './tap-output.ts'

const ROOT = new URL('../../', import.meta.url)
export const PROGRAM = await packagedProgram()

/** Far beyond what anything here takes, for machines that do much else at the same time. */
export const LIMIT_MS = 120_000
const LINES_SHOWN = 40
/** Of a test that restarts much, the last. */
const RUNS_SHOWN = 15

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** Asks again and again until there is an answer; fails after `limitMs` and says what was awaited. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  limitMs = LIMIT_MS,
): Promise<T> {
  const untilMs = performance.now() + limitMs
  // Soon at first, and more rarely the longer it takes: asking costs those who are waited for.
  for (let pauseMs = 2; ; pauseMs = Math.min(40, pauseMs * 1.2)) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer
    if (performance.now() > untilMs) throw new Error(`not within ${limitMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}

/**
 * Between two turns of a load that goes on for a whole test: it should be under way at every moment, not take
 * the machine from those who start and are waited for.
 */
export async function loadPause(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 25))
}

/** Fails, saying what was awaited, when `promise` takes longer than `limitMs`. */
export async function within<T>(what: string, promise: Promise<T>, limitMs = LIMIT_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${limitMs} ms: ${what}`)), limitMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Ours, but for what would set up the programs from outside of the test. */
const ENVIRONMENT: NodeJS.ProcessEnv = {
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('OBELISK_')),
  ),
  OBELISK_CONFIG: '/dev/null',
  // Where nobody has logged in.
  XDG_CONFIG_HOME: '/nonexistent',
}

type Variables = Readonly<Record<string, string>>

/** One process; it may have ended. */
export class Run {
  readonly name: string
  readonly exited: Promise<Exit>
  readonly #child: ChildProcess
  #stdout = ''
  #stderr = ''
  #exit: Exit | undefined

  constructor(name: string, command: string, argv: readonly string[], variables: Variables = {}) {
    this.name = name
    this.#child = spawn(command, [...argv], {
      cwd: ROOT.pathname,
      env: { ...ENVIRONMENT, ...variables },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child.stdout!.on('data', (chunk: Buffer) => {
      this.#stdout += chunk
    })
    this.#child.stderr!.on('data', (chunk: Buffer) => {
      this.#stderr += chunk
    })
    this.exited = new Promise((resolve, reject) => {
      this.#child.once('error', reject)
      // `close` comes after the last byte of both streams.
      this.#child.once('close', (code, signal) => {
        this.#exit = { code, signal }
        resolve(this.#exit)
      })
    })
    // Whoever awaits it sees the failure; nobody has to.
    this.exited.catch(() => {})
  }

  get pid(): number {
    return this.#child.pid!
  }

  get hasExited(): boolean {
    return this.#exit !== undefined
  }

  get stdout(): string {
    return this.#stdout
  }

  get stderr(): string {
    return this.#stderr
  }

  /** The first line of stderr that begins with `start`. */
  async line(start: string, limitMs = LIMIT_MS): Promise<string> {
    const what = `${this.name} says "${start}"`
    const look = (): string | undefined => {
      const found = this.#stderr.split('\n').find((line) => line.startsWith(start))
      if (found !== undefined) return found
      if (this.#exit === undefined) return undefined
      throw new Error(
        `${this.name} ended with ${JSON.stringify(this.#exit)}:\n${tapLines(this.#stderr)}`,
      )
    }
    return await eventually(what, look, limitMs)
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#exit === undefined) this.#child.kill(signal)
  }

  /** Sends the signal and waits for the end. */
  async end(signal: NodeJS.Signals): Promise<Exit> {
    this.signal(signal)
    return await within(`the end of ${this.name}`, this.exited)
  }

  /** At once, frozen or not. */
  async kill(): Promise<void> {
    await this.end('SIGKILL')
  }
}

/** A gateway that can be started again on the same ports and directory. */
export class Gateway {
  readonly port: number
  readonly httpPort: number
  readonly directory: string
  readonly #start: (argv: readonly string[]) => Run
  readonly #argv: readonly string[]
  run: Run

  constructor(
    at: { port: number; httpPort: number; directory: string },
    argv: readonly string[],
    start: (argv: readonly string[]) => Run,
  ) {
    this.port = at.port
    this.httpPort = at.httpPort
    this.directory = at.directory
    this.#argv = argv
    this.#start = start
    this.run = this.#begin()
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`
  }

  get http(): string {
    return `http://127.0.0.1:${this.httpPort}`
  }

  async ready(limitMs = LIMIT_MS): Promise<this> {
    await this.run.line('ready ', limitMs)
    return this
  }

  /** After its end: the same again, which may not be ready yet. */
  start(): void {
    this.run = this.#begin()
  }

  /** After its end: the same again. */
  async restart(): Promise<void> {
    this.start()
    await this.ready()
  }

  #begin(): Run {
    const { port, httpPort, directory } = this
    const own = ['--port', `${port}`, '--http-port', `${httpPort}`, '--data', directory]
    return this.#start(['gateway', ...own, ...this.#argv])
  }
}

/** An agent that can be started again on the same directory. */
export class Agent {
  readonly id: string
  readonly directory: string
  readonly #begin: () => Run
  run: Run

  constructor(id: string, directory: string, begin: () => Run) {
    this.id = id
    this.directory = directory
    this.#begin = begin
    this.run = begin()
  }

  async ready(limitMs = LIMIT_MS): Promise<this> {
    await this.run.line('ready ', limitMs)
    return this
  }

  /** After its end: the same again, which may not be ready yet. */
  start(): void {
    this.run = this.#begin()
  }

  /** After its end: the same again. */
  async restart(): Promise<void> {
    this.start()
    await this.ready()
  }
}

/** Of all tests of this file: a test that is ended from outside has no teardown. */
const running = new Set<Run>()

/** Calls `act` when this process ends, also when it is ended by a signal that can be heard. */
export function beforeTheEnd(act: () => void): void {
  process.once('exit', act)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      act()
      process.kill(process.pid, signal)
    })
  }
}

beforeTheEnd(() => {
  for (const run of running) run.signal('SIGKILL')
})

/** All processes of one test, and the directory that they live in. */
export class Fleet {
  readonly directory: string
  readonly #runs: Run[] = []
  /** Nothing of it runs any more. */
  hasEnded = false

  constructor(t: Test) {
    this.directory = shortDirectory()
    t.teardown(async () => {
      await Promise.all(this.#runs.map((run) => run.kill()))
      this.hasEnded = true
      if (!t.passing()) for (const run of this.#runs.slice(-RUNS_SHOWN)) t.comment(endOf(run))
      rmSync(this.directory, { recursive: true, force: true })
    })
  }

  /** Runs `obelisk` with these arguments. */
  start(argv: readonly string[]): Run {
    return this.#track(new Run(`obelisk ${argv[0]}`, process.execPath, commandLine(argv)))
  }

  /** Runs another program in the checkout, with these environment variables besides ours. */
  command(program: string, argv: readonly string[], variables: Variables = {}): Run {
    return this.#track(new Run(program, program, argv, variables))
  }

  /** A gateway that is ready, on ports that stay its own when it starts again. */
  async gateway(...argv: readonly string[]): Promise<Gateway> {
    return await this.gatewayBy((all) => this.start(all), ...argv)
  }

  /** One whose process is begun in another way. */
  async gatewayBy(
    start: (argv: readonly string[]) => Run,
    ...argv: readonly string[]
  ): Promise<Gateway> {
    const at = {
      port: await freePort(),
      httpPort: await freePort(),
      directory: join(this.directory, 'gateway'),
    }
    return await new Gateway(at, argv, start).ready()
  }

  /** An agent that is admitted. */
  async agent(id: string, url: string, ...argv: readonly string[]): Promise<Agent> {
    return await this.launch(id, url, ...argv).ready()
  }

  async agents(ids: readonly string[], url: string, ...argv: readonly string[]): Promise<Agent[]> {
    return await Promise.all(ids.map((id) => this.agent(id, url, ...argv)))
  }

  /** An agent that may have to wait for its gateway. */
  launch(id: string, url: string, ...argv: readonly string[]): Agent {
    const directory = join(this.directory, id)
    const all = ['agent', '--id', id, '--url', url, '--data', directory, ...argv]
    return new Agent(id, directory, () => this.start(all))
  }

  #track(run: Run): Run {
    this.#runs.push(run)
    running.add(run)
    void run.exited.finally(() => running.delete(run)).catch(() => {})
    return run
  }
}

/** A gateway or an agent by itself, as its unit starts it, without `obelisk`, which takes as long to read. */
function commandLine(argv: readonly string[]): readonly string[] {
  const [name = '', ...rest] = argv
  const alone = join(dirname(PROGRAM), `${name}.mjs`)
  const isWord = rest[0] !== undefined && !rest[0].startsWith('-')
  const isAlone = ['gateway', 'agent'].includes(name) && !isWord && existsSync(alone)
  return isAlone ? [alone, ...rest] : [PROGRAM, ...argv]
}

function endOf({ name, pid, stderr }: Run): string {
  return `${name} (${pid}):\n${tapLines(stderr).split('\n').slice(-LINES_SHOWN).join('\n')}`
}

const givenPorts = new Set<number>()
/** Each job of test/run.ts has its own: another one's gateway that was killed gets its port back. */
const [JOB, JOBS] = (process.env.TEST_JOB ?? '0/1').split('/').map(Number) as [number, number]
const PORTS = Math.floor(20_000 / JOBS)

/**
 * A port that nobody listens on, below those that the system gives to outgoing connections: one of
 * these could take the place of a gateway that is being started again.
 */
export async function freePort(): Promise<number> {
  return await eventually('a free port', async () => {
    const port = 12_000 + JOB * PORTS + Math.floor(Math.random() * PORTS)
    if (givenPorts.has(port) || (await isAnswered(port)) || !(await canListen(port)))
      return undefined
    givenPorts.add(port)
    return port
  })
}

/** Whether somebody listens on a port. */
export async function isAnswered(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

async function canListen(port: number): Promise<boolean> {
  const server = createServer()
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return true
  } catch {
    return false
  } finally {
    await new Promise((resolve) => server.close(resolve))
  }
}
