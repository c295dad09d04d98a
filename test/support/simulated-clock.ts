/**
 * Simulated time: it stands still while something runs, and jumps to the next thing that is due. Things
 * due at the same moment happen in the order in which they were asked for. What waits for promises runs
 * until nothing of it can go on, before the next thing happens: so a seed gives the same run.
 */
import type { Random } from '../../shared/core/random.ts'

export interface Appointment {
  readonly atMs: number
  readonly order: number
  readonly act: () => void
  isCancelled: boolean
}

export class SimulatedClock {
  /** A binary heap: a large fleet has a million of them. */
  readonly #heap: Appointment[] = []
  #nowMs = 0
  #orders = 0
  #isStirred = false
  #failure: { readonly error: unknown } | undefined

  get nowMs(): number {
    return this.#nowMs
  }

  at(atMs: number, act: () => void): Appointment {
    this.#orders += 1
    const appointment = {
      atMs: Math.max(atMs, this.#nowMs),
      order: this.#orders,
      act,
      isCancelled: false,
    }
    this.#push(appointment)
    return appointment
  }

  after(waitMs: number, act: () => void): Appointment {
    return this.at(this.#nowMs + waitMs, act)
  }

  /** Again and again up to `untilMs`, so often in the mean. */
  keepDoing(act: () => void, random: Random, everyMs: number, untilMs: number): void {
    const waitMs = random.between(0, 2 * everyMs)
    if (this.#nowMs + waitMs > untilMs) return
    this.after(waitMs, () => {
      act()
      this.keepDoing(act, random, everyMs, untilMs)
    })
  }

  /** Promises were kept, or work began that waits for some. */
  stir(): void {
    this.#isStirred = true
  }

  /** Ends the run, from where nobody hears a throw. The first one counts. */
  fail(error: unknown): void {
    this.#failure ??= { error }
  }

  /** Lets time pass up to `untilMs`, or until `isDone` says so after some event. */
  async run(untilMs: number, isDone: () => boolean = () => false): Promise<void> {
    await this.#settle()
    for (;;) {
      const next = this.#heap[0]
      if (next === undefined || next.atMs > untilMs) break
      this.#pop()
      if (next.isCancelled) continue
      this.#nowMs = next.atMs
      next.act()
      if (this.#isStirred) await this.#settle()
      if (this.#failure !== undefined) throw this.#failure.error
      if (isDone()) return
    }
    this.#nowMs = Math.max(this.#nowMs, untilMs)
  }

  async #settle(): Promise<void> {
    this.#isStirred = false
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
  }

  #push(appointment: Appointment): void {
    const heap = this.#heap
    let at = heap.push(appointment) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (isBefore(heap[parent]!, appointment)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = appointment
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (isBefore(last, heap[child]!)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}

function isBefore(a: Appointment, b: Appointment): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}
