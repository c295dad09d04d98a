import type { Output } from '../commands/streams.ts'

const STEP_MS = 200

/** How far a long step is: a line that is written over on a terminal, one line elsewhere. */
export class Progress {
  readonly #output: Output
  readonly #label: string
  #shownMs = 0
  #text = ''

  constructor(label: string, output: Output) {
    this.#label = label
    this.#output = output
  }

  step(done: number, total: number): void {
    const percent = total === 0 ? 100 : Math.floor((100 * done) / total)
    this.#text = `${this.#label}: ${percent} % of ${Math.ceil(total / 1e6)} MB`
    const nowMs = performance.now()
    if (!this.#output.isTTY || nowMs - this.#shownMs < STEP_MS) return
    this.#shownMs = nowMs
    this.#output.write(`\r${this.#text}\u001b[K`)
  }

  end(): void {
    this.#output.write(this.#output.isTTY ? `\r${this.#text}\u001b[K\n` : `${this.#text}\n`)
  }
}
