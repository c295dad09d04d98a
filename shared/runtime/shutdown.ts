/**
 * An orderly end: at the first SIGTERM or SIGINT what was opened is closed, the last opened first,
 * within one deadline for all; a second signal ends the process at once. `exit` is called exactly
 * once, in every case.
 */
import { EXIT_DONE, EXIT_FAILED } from './errors.ts'
import type { Logger } from './logger.ts'

export interface ShutdownOptions {
  /** For all closers together; below the TimeoutStopSec of the unit. */
  readonly deadlineMs: number
  /** Hears of the end when it begins. */
  readonly onBegin?: (reason: string) => void
}

/** What is needed of `process`. */
export interface SignalSource {
  on(signal: 'SIGTERM' | 'SIGINT', listener: () => void): unknown
  off(signal: 'SIGTERM' | 'SIGINT', listener: () => void): unknown
}

type Close = () => Promise<void> | void

const SIGNAL_NUMBERS = { SIGINT: 2, SIGTERM: 15 } as const
type Signal = keyof typeof SIGNAL_NUMBERS

export class Shutdown {
  readonly #options: ShutdownOptions
  readonly #exit: (code: number) => void
  readonly #log: Logger
  readonly #closers: { name: string; close: Close }[] = []
  #state: 'open' | 'closing' | 'ended' = 'open'
  #resolve: (code: number) => void = () => {}

  /** Resolves with the exit code, just before `exit` is called. */
  readonly ended: Promise<number>

  constructor(options: ShutdownOptions, exit: (code: number) => void, log: Logger) {
    this.#options = options
    this.#exit = exit
    this.#log = log
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  get isClosing(): boolean {
    return this.#state !== 'open'
  }

  /** Registers what to close; the last one registered is closed first. */
  add(name: string, close: Close): void {
    this.#closers.push({ name, close })
  }

  /** Obeys the signals of `source` until the returned function is called. */
  listen(source: SignalSource): () => void {
    const listeners = (Object.keys(SIGNAL_NUMBERS) as Signal[]).map((signal) => ({
      signal,
      listener: () => this.#onSignal(signal),
    }))
    for (const { signal, listener } of listeners) source.on(signal, listener)
    return () => {
      for (const { signal, listener } of listeners) source.off(signal, listener)
    }
  }

  /** Starts the end from inside; later calls change nothing. Never rejects. */
  async begin(reason: string, exitCode: number = EXIT_DONE): Promise<void> {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    this.#log.info({ reason }, 'stopping')
    this.#options.onBegin?.(reason)
    const timer = setTimeout(() => {
      this.#log.error({ deadlineMs: this.#options.deadlineMs }, 'not closed in time, ending anyway')
      this.#end(exitCode === EXIT_DONE ? EXIT_FAILED : exitCode)
    }, this.#options.deadlineMs)
    let code = exitCode
    for (let closer = this.#closers.pop(); closer; closer = this.#closers.pop()) {
      try {
        await closer.close()
      } catch (error) {
        this.#log.error({ err: error, part: closer.name }, 'did not close well')
        if (code === EXIT_DONE) code = EXIT_FAILED
      }
    }
    clearTimeout(timer)
    this.#end(code)
  }

  #onSignal(signal: Signal): void {
    if (this.#state === 'open') {
      void this.begin(signal)
      return
    }
    this.#log.warn({ signal }, 'second signal, ending at once')
    this.#end(128 + SIGNAL_NUMBERS[signal])
  }

  #end(code: number): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.#resolve(code)
    this.#exit(code)
  }
}
