/**
 * Work in the order that it came, one piece a turn of the event loop: sockets, timers and everybody else
 * have theirs between two pieces, however many wait.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'

export class Turns {
  #waiting: (() => void)[] = []
  #isRunning = false

  get waitingCount(): number {
    return this.#waiting.length
  }

  /** Resolves when it is this one's turn. */
  next(): Promise<void> {
    return new Promise((resolve) => this.take(resolve))
  }

  take(work: () => void): void {
    this.#waiting.push(work)
    if (this.#isRunning) return
    this.#isRunning = true
    setImmediate(() => this.#run())
  }

  #run(): void {
    const work = this.#waiting.shift()!
    if (this.#waiting.length > 0) setImmediate(() => this.#run())
    else this.#isRunning = false
    work()
  }
}

/** The event loop goes round between two slices. */
export async function inTurns<T>(slices: Generator<void, T>): Promise<T> {
  for (;;) {
    const slice = slices.next()
    if (slice.done === true) return slice.value
    await nextTurn()
  }
}

export function* slicesOf<T>(rows: readonly T[], length: number): Generator<readonly T[]> {
  for (let from = 0; from < rows.length; from += length) yield rows.slice(from, from + length)
}
