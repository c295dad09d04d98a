/**
 * Lines of what does not wait for whoever reads them. While he is too slow they are held up to a bound, and then left
 * out until he has read those; how many there were is said.
 */
import { count } from '../../shared/core/count.ts'
import type { Streams } from './streams.ts'

const HELD_BYTES_MAX = 8 * 1024 * 1024
/** What each of them takes beside its text, at most. */
const LINE_BYTES = 256

export class LiveLines {
  readonly #streams: Streams
  readonly #noun: string
  #state: 'flows' | 'held' | 'full' = 'flows'
  #heldBytes = 0
  #leftOut = 0

  /** `noun` is what each of them is, for one. */
  constructor(streams: Streams, noun: string) {
    this.#streams = streams
    this.#noun = noun
  }

  /** False if it was left out. */
  print(line: string): boolean {
    const bytes = Buffer.byteLength(line) + LINE_BYTES
    if (this.#state !== 'flows' && this.#heldBytes + bytes > HELD_BYTES_MAX) this.#state = 'full'
    if (this.#state === 'full') {
      this.#leftOut += 1
      return false
    }
    const isTaken = this.#streams.stdout.write(`${line}\n`) !== false
    if (this.#state === 'held') this.#heldBytes += bytes
    else if (!isTaken) this.#hold(bytes)
    return true
  }

  /** Says what was not said yet. */
  end(): void {
    if (this.#leftOut === 0) return
    const left = count(this.#leftOut, this.#noun)
    this.#streams.stderr.write(`left out, as they were not read in time: ${left}\n`)
    this.#leftOut = 0
  }

  #hold(bytes: number): void {
    const { stdout } = this.#streams
    if (stdout.once === undefined) return
    this.#state = 'held'
    this.#heldBytes = bytes
    stdout.once('drain', () => {
      this.#state = 'flows'
      this.end()
    })
  }
}
