/**
 * How many messages with readings are taken: so many a second, which those who bring any share evenly, whoever they are
 * (generalized processor sharing: Parekh and Gallager, IEEE/ACM Transactions on Networking 1(3), 1993). Who is alone has
 * all of it, and what one does not want the others have. What a message costs before anything is known of it is to parse
 * it: a large one counts as several.
 *
 * The model is a line that moves on, message by message, whenever each of those who are ahead of it can be given one.
 * What somebody brings puts his end further ahead; who has come to his end is forgotten. What the line comes to within a
 * second is taken at once. Beyond it, what waits for its acknowledgement may borrow: it is acknowledged when the debt is
 * paid, so that whoever keeps some of them in flight slows down by himself. To take one costs the same, however many
 * there are: how many ends stand where is kept as sums.
 */
import { PrefixSums } from './prefix-sums.ts'

const PER_SECOND = 4000
const AHEAD_MS = 1000
/** One that would wait longer is refused. */
const DEBT_MS_MAX = 5000
/** Bytes that count as one message. */
const BYTES_EACH = 1024
/** Nobody's end is further ahead. */
const AHEAD_MAX = ((AHEAD_MS + DEBT_MS_MAX) * PER_SECOND) / 1000
/** Places of the line that are in use at a time are fewer: they come round. */
const PLACES = 32_768

export class ReadingRates {
  /** Of those who are ahead of the line. */
  readonly #ends = new Map<string, number>()
  readonly #namesByEnd = new Map<number, Set<string>>()
  /** How many ends stand at each place, and the places of all that do. */
  readonly #endsAt = new PrefixSums(PLACES)
  readonly #placesAt = new PrefixSums(PLACES)
  #line = 0
  /** What there was for those ahead since the line moved last, in messages. */
  #given = 0
  #atMs = Number.NEGATIVE_INFINITY

  /** Takes a message, and returns how many ms its acknowledgement is to wait; or takes nothing. */
  take(
    nowMs: number,
    message: { readonly by: string; readonly bytes: number; readonly mayWait: boolean },
  ): number | undefined {
    const { by, bytes, mayWait } = message
    this.#moveOn(nowMs)
    const before = this.#ends.get(by) ?? this.#line
    const end = before + Math.max(1, Math.ceil(bytes / BYTES_EACH))
    if (end - this.#line > AHEAD_MAX) return undefined
    // If nobody brings anything any more.
    const toGive = this.#wantedUpTo(end) + (end - before) - this.#given
    const debtMs = (toGive * 1000) / PER_SECOND - AHEAD_MS
    if (debtMs > (mayWait ? DEBT_MS_MAX : 0)) return undefined
    this.#remove(by, before)
    this.#add(by, end)
    return Math.max(0, debtMs)
  }

  #moveOn(nowMs: number): void {
    this.#given += ((nowMs - this.#atMs) * PER_SECOND) / 1000
    this.#atMs = nowMs
    while (this.#ends.size > 0 && this.#given >= this.#ends.size) {
      this.#given -= this.#ends.size
      this.#line += 1
      for (const by of this.#namesByEnd.get(this.#line) ?? []) this.#remove(by, this.#line)
    }
    // What nobody wants is not saved up.
    if (this.#ends.size === 0) this.#given = 0
  }

  /** What those who are ahead of the line are to be given until it comes to `end`. */
  #wantedUpTo(end: number): number {
    const first = this.#line % PLACES
    const last = first + end - this.#line
    const inRound = Math.min(last, PLACES - 1)
    let ends = this.#endsAt.upTo(inRound) - this.#endsAt.upTo(first)
    let places = this.#placesAt.upTo(inRound) - this.#placesAt.upTo(first)
    if (last >= PLACES) {
      const endsBeyond = this.#endsAt.upTo(last - PLACES)
      ends += endsBeyond
      places += this.#placesAt.upTo(last - PLACES) + endsBeyond * PLACES
    }
    return places - ends * first + (this.#ends.size - ends) * (last - first)
  }

  #add(by: string, end: number): void {
    this.#ends.set(by, end)
    const names = this.#namesByEnd.get(end) ?? new Set()
    this.#namesByEnd.set(end, names.add(by))
    this.#count(end, 1)
  }

  #remove(by: string, end: number): void {
    if (!this.#ends.delete(by)) return
    const names = this.#namesByEnd.get(end)!
    names.delete(by)
    if (names.size === 0) this.#namesByEnd.delete(end)
    this.#count(end, -1)
  }

  #count(end: number, by: 1 | -1): void {
    const place = end % PLACES
    this.#endsAt.add(place, by)
    this.#placesAt.add(place, by * place)
  }
}
