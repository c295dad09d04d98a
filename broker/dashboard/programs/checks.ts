/**
 * A text that somebody types, and what the gateway says of it. It is asked once typing pauses, one text at a time; what
 * comes of a text that is not the newest any more is told to nobody.
 */

/** Runs it once typing has paused; returns what keeps it from that. */
export type Later = (run: () => void) => () => void

const PAUSE_MS = 400

const paused: Later = (run) => {
  const timer = setTimeout(run, PAUSE_MS)
  return () => clearTimeout(timer)
}

export interface ChecksOptions<T> {
  /** Resolves with what is wrong as well. */
  ask(text: string): Promise<T>
  told(text: string, outcome: T): void
  readonly later?: Later
}

export class Checks<T> {
  readonly #options: ChecksOptions<T>
  readonly #later: Later
  #newest = ''
  #asked: string | undefined
  /** It paused while another was asked. */
  #isDue = false
  #cancel: () => void = () => {}

  constructor(options: ChecksOptions<T>) {
    this.#options = options
    this.#later = options.later ?? paused
  }

  type(text: string): void {
    this.#newest = text
    this.#isDue = false
    this.#cancel()
    this.#cancel = this.#later(() => this.#go())
  }

  /** Nothing is asked or told any more. */
  stop(): void {
    this.#cancel()
    this.#isDue = false
    this.#options.told = () => {}
  }

  #go(): void {
    if (this.#asked === undefined) void this.#ask(this.#newest)
    else this.#isDue = this.#asked !== this.#newest
  }

  async #ask(text: string): Promise<void> {
    this.#asked = text
    const outcome = await this.#options.ask(text)
    this.#asked = undefined
    if (text === this.#newest) this.#options.told(text, outcome)
    if (!this.#isDue) return
    this.#isDue = false
    this.#go()
  }
}
