/**
 * What is dear to make, and asked for by anybody: it is made at most once in an interval. Who asks sooner
 * waits for the next one, which all who asked for the same share; so nobody gets one from before he asked.
 */
export interface PacedOptions {
  readonly intervalMs: number
  /** Different ones that wait; beyond, none is taken. */
  readonly waitingMax: number
}

interface Waiting {
  readonly make: () => unknown
  readonly made: Promise<unknown>
  readonly resolve: (made: unknown) => void
}

export class Paced {
  readonly #options: PacedOptions
  readonly #waiting = new Map<string, Waiting>()
  #isResting = false

  constructor(options: PacedOptions) {
    this.#options = options
  }

  /** Nothing if too many different ones wait. `make` may throw, or be asynchronous. */
  get<T>(key: string, make: () => T | Promise<T>): Promise<T> | undefined {
    let waiting = this.#waiting.get(key)
    if (waiting === undefined) {
      if (this.#waiting.size >= this.#options.waitingMax) return undefined
      waiting = newWaiting(make)
      this.#waiting.set(key, waiting)
      if (!this.#isResting) this.#makeNext()
    }
    return waiting.made as Promise<T>
  }

  #makeNext(): void {
    const [next] = this.#waiting
    this.#isResting = next !== undefined
    if (next === undefined) return
    const [key, { make, resolve }] = next
    this.#waiting.delete(key)
    setTimeout(() => this.#makeNext(), this.#options.intervalMs).unref()
    resolve(new Promise((done) => done(make())))
  }
}

function newWaiting(make: () => unknown): Waiting {
  let resolve: (made: unknown) => void = () => {}
  const made = new Promise<unknown>((settle) => {
    resolve = settle
  })
  return { make, made, resolve }
}
