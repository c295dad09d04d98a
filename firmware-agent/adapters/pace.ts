/** Cuts long work into slices, so that messages are taken and sent between them. */
import type { Clock } from '../../shared/runtime/clock.ts'

export class Pace {
  readonly #sliceMs: number
  readonly #clock: Clock
  #endMs: number

  constructor(sliceMs: number, clock: Clock) {
    this.#sliceMs = sliceMs
    this.#clock = clock
    this.#endMs = clock.monotonicMs + sliceMs
  }

  /** Whether the slice is used up and `rest` is due. */
  get isDue(): boolean {
    return this.#clock.monotonicMs >= this.#endMs
  }

  get nowMs(): number {
    return this.#clock.monotonicMs
  }

  async rest(): Promise<void> {
    await this.#clock.turn()
    this.begin()
  }

  begin(): void {
    this.#endMs = this.#clock.monotonicMs + this.#sliceMs
  }
}
