import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** Something went wrong in, or with, a process of the fleet. */
export class FleetError extends Error {
  readonly process: FleetProcess

  constructor(process: FleetProcess, message: string) {
    super(message)
    this.process = process
  }
}

export interface FleetProcessOptions {
  readonly name: string
  /** The `obelisk` script. */
  readonly entry: string
  readonly environment: NodeJS.ProcessEnv
}

const LINES_KEPT = 15
const READY_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 10_000

/** One process of the fleet: begun, ended by its id, begun again. Its last words are kept. */
export class FleetProcess {
  readonly #options: FleetProcessOptions
  readonly #onLost: (error: FleetError) => void
  readonly #lines: string[] = []
  #child: ChildProcess | undefined
  #exited: Promise<void> = Promise.resolve()
  #isEnding = false

  /** `onLost` is told when the process ends and nobody asked it to. */
  constructor(options: FleetProcessOptions, onLost: (error: FleetError) => void) {
    this.#options = options
    this.#onLost = onLost
  }

  get name(): string {
    return this.#options.name
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  get lastLines(): readonly string[] {
    return this.#lines
  }

  /** Resolves with the line that says it serves. */
  async start(argv: readonly string[]): Promise<string> {
    const { name, entry, environment } = this.#options
    this.#isEnding = false
    // A group of its own: Ctrl-C in the terminal reaches the demo alone, which ends the others.
    const child = spawn(process.execPath, [entry, ...argv], {
      env: environment,
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    })
    this.#child = child
    this.#exited = new Promise((resolve) => {
      child.once('exit', () => resolve())
      child.once('error', () => resolve())
    })
    let timer: NodeJS.Timeout | undefined
    try {
      return await new Promise<string>((resolve, reject) => {
        const fail = (reason: string): void => reject(new FleetError(this, `${name} ${reason}`))
        timer = setTimeout(() => fail('did not get ready in time'), READY_TIMEOUT_MS)
        createInterface({ input: child.stderr! }).on('line', (line) => {
          this.#keep(line)
          if (line.startsWith('ready ')) resolve(line)
        })
        child.once('error', (error) => fail(`did not start: ${error.message}`))
        // 'close' comes once its last lines were read too.
        child.once('close', (code, signal) => {
          const reason = `ended by itself (${signal ?? `exit code ${code}`})`
          fail(reason)
          if (this.#child !== child) return
          this.#child = undefined
          if (!this.#isEnding) this.#onLost(new FleetError(this, `${name} ${reason}`))
        })
      })
    } finally {
      clearTimeout(timer)
    }
  }

  #keep(line: string): void {
    this.#lines.push(line)
    if (this.#lines.length > LINES_KEPT) this.#lines.shift()
  }

  /** SIGSTOP: it keeps what it has been given, and answers nothing. */
  freeze(): void {
    this.#child?.kill('SIGSTOP')
  }

  /** SIGKILL: no goodbye, no flush. */
  kill(): void {
    this.#isEnding = true
    this.#child?.kill('SIGKILL')
  }

  get exited(): Promise<void> {
    return this.#exited
  }

  /** SIGTERM, and SIGKILL for one that does not obey. */
  async stop(): Promise<void> {
    this.#isEnding = true
    const child = this.#child
    if (child === undefined) return
    child.kill('SIGTERM')
    // One that is frozen hears nothing else.
    child.kill('SIGCONT')
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await this.#exited
    clearTimeout(timer)
  }
}
