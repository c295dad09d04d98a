/**
 * How many messages with readings are taken: so many a second, which those who bring any share evenly, whoever they are
 * (generalized processor sharing: Parekh and Gallager, IEEE/ACM Transactions on Networking 1(3), 1993). Who is alone has
 * all of it, and what one does not want the others have. What a message costs before anything is known of it is to parse
 * it: a large one counts as several.
 *
 * The model is a line that moves on as those who are ahead of it are given their share. What somebody brings puts his
 * end further ahead; who has come to his end is forgotten. What the line comes to within a second is taken at once.
 * Beyond it, what waits for its acknowledgement may borrow: it is acknowledged when the debt is paid, so that whoever
 * keeps some of them in flight slows down by himself.
 */

const PER_SECOND = 4000
const AHEAD_MS = 1000
/** One that would wait longer is refused. */
const DEBT_MS_MAX = 5000
/** Bytes that count as one message. */
const BYTES_EACH = 1024
/** The line moves on no more often. */
const STEP_MS = 5

export class ReadingRates {
  /** Of those who are ahead of it, as places on the line. */
  readonly #ends = new Map<string, number>()
  #line = 0
  #atMs = Number.NEGATIVE_INFINITY

  /** Takes a message, and returns how many ms its acknowledgement is to wait; or takes nothing. */
  take(
    nowMs: number,
    message: { readonly by: string; readonly bytes: number; readonly mayWait: boolean },
  ): number | undefined {
    const { by, bytes, mayWait } = message
    if (nowMs - this.#atMs >= STEP_MS) this.#moveOn(nowMs)
    const end = (this.#ends.get(by) ?? this.#line) + Math.max(1, Math.ceil(bytes / BYTES_EACH))
    const debtMs = this.#msUntil(by, end) - AHEAD_MS
    if (debtMs > (mayWait ? DEBT_MS_MAX : 0)) return undefined
    this.#ends.set(by, end)
    return Math.max(0, debtMs)
  }

  /** When the line comes there, if nobody brings anything any more. */
  #msUntil(by: string, end: number): number {
    let toGive = end - this.#line
    for (const [other, itsEnd] of this.#ends) {
      if (other !== by) toGive += Math.min(itsEnd, end) - this.#line
    }
    return (toGive * 1000) / PER_SECOND
  }

  #moveOn(nowMs: number): void {
    let given = ((nowMs - this.#atMs) * PER_SECOND) / 1000
    this.#atMs = nowMs
    for (const [by, end] of [...this.#ends].sort(([, a], [, b]) => a - b)) {
      const sharers = this.#ends.size
      if ((end - this.#line) * sharers > given) {
        this.#line += given / sharers
        return
      }
      given -= (end - this.#line) * sharers
      this.#line = end
      this.#ends.delete(by)
    }
  }
}
