/**
 * Simulated time: it stands still while something runs, and jumps to the next thing that is due. Things
 * due at the same moment happen in the order in which they were asked for. What waits for promises runs
 * until nothing of it can go on, before the next thing happens: so a seed gives the same run.
 */
import type { Random } from '../../shared/core/random.ts'
import { TimeHeap } from '../../shared/core/time-heap.ts'

export interface Appointment {
  readonly atMs: number
  act(): void
  isCancelled: boolean
}

export class SimulatedClock {
  /** By whole millisecond: a large fleet has a million of them, and one heap of all would be jumped about in. */
  readonly #later = new Map<number, Appointment[]>()
  /** Those milliseconds. */
  readonly #heap = new TimeHeap<{ readonly atMs: number }>()
  /** Of the present one, in order, and how many of them are over. */
  #present: Appointment[] = []
  #presentMs = -1
  #over = 0
  #nowMs = 0
  #isStirred = false
  #failure: { readonly error: unknown } | undefined

  get nowMs(): number {
    return this.#nowMs
  }

  at(atMs: number, act: () => void): Appointment {
    const appointment = { atMs: Math.max(atMs, this.#nowMs), act, isCancelled: false }
    this.keep(appointment)
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
      const next = this.#next(untilMs)
      if (next === undefined || next.atMs > untilMs) break
      this.#over += 1
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

  /** Nothing of a millisecond after `untilMs` is begun. */
  #next(untilMs: number): Appointment | undefined {
    while (this.#over === this.#present.length) {
      const nextMs = this.#heap.first?.atMs
      if (nextMs === undefined || nextMs > untilMs) return undefined
      this.#heap.pop()
      this.#presentMs = nextMs
      this.#present = this.#later.get(nextMs)!.sort(compare)
      this.#later.delete(nextMs)
      this.#over = 0
    }
    return this.#present[this.#over]
  }

  /** One that somebody has made, and that is not in the past. */
  keep(appointment: Appointment): void {
    const wholeMs = Math.floor(appointment.atMs)
    if (wholeMs === this.#presentMs) {
      let at = this.#present.length
      // It was asked for last: behind all of the same moment.
      while (at > this.#over && this.#present[at - 1]!.atMs > appointment.atMs) at -= 1
      this.#present.splice(at, 0, appointment)
      return
    }
    const others = this.#later.get(wholeMs)
    if (others !== undefined) {
      others.push(appointment)
      return
    }
    this.#later.set(wholeMs, [appointment])
    this.#heap.push({ atMs: wholeMs })
  }
}

/** Those of one moment stay in the order in which they were asked for: `sort` is stable. */
function compare(a: Appointment, b: Appointment): number {
  return a.atMs - b.atMs
}
