/**
 * Simulated time: it stands still while something runs, and jumps to the next thing that is due. Things
 * due at the same moment happen in the order in which they were asked for.
 */
export interface Appointment {
  readonly atMs: number
  readonly order: number
  readonly act: () => void
  isCancelled: boolean
}

export class SimulatedClock {
  /** Latest first, so that the next one is taken from the end. */
  readonly #appointments: Appointment[] = []
  #nowMs = 0
  #orders = 0

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
    let low = 0
    let high = this.#appointments.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#appointments[middle]!.atMs > appointment.atMs) low = middle + 1
      else high = middle
    }
    this.#appointments.splice(low, 0, appointment)
    return appointment
  }

  after(waitMs: number, act: () => void): Appointment {
    return this.at(this.#nowMs + waitMs, act)
  }

  /** Lets time pass up to `untilMs`, or until `isDone` says so after some event. */
  run(untilMs: number, isDone: () => boolean = () => false): void {
    for (;;) {
      const next = this.#appointments.at(-1)
      if (next === undefined || next.atMs > untilMs) break
      this.#appointments.pop()
      if (next.isCancelled) continue
      this.#nowMs = next.atMs
      next.act()
      if (isDone()) return
    }
    this.#nowMs = Math.max(this.#nowMs, untilMs)
  }
}
