/** Cuts long computing into slices, so that messages are taken and sent between them. */
import { setImmediate } from 'node:timers/promises'

export class Pace {
  readonly #sliceMs: number
  #endMs: number

  constructor(sliceMs: number) {
    this.#sliceMs = sliceMs
    this.#endMs = performance.now() + sliceMs
  }

  /** Whether the slice is used up and `rest` is due. */
  get isDue(): boolean {
    return performance.now() >= this.#endMs
  }

  async rest(): Promise<void> {
    await setImmediate()
    this.#endMs = performance.now() + this.#sliceMs
  }
}
