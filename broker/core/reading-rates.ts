/**
 * How many messages with readings are taken: so many a second in all and of each client, with a burst (token buckets).
 * A client that brings those of many is bounded as all are.
 * What waits for its acknowledgement may borrow: it is taken, and acknowledged when the debt is paid, so that a client
 * that keeps some of them in flight slows down by itself. A message of many cells counts as several.
 */

const ALL = { perSecond: 4000, most: 4000 }
const EACH = { perSecond: 200, most: 500 }
/** One that would wait longer is refused. */
const DEBT_MS_MAX = 5000
/** Cells that count as one message. */
const CELLS_EACH = 100
/** The latest; one that is forgotten begins with a full measure. */
const CLIENTS_MAX = 10_000

interface Measure {
  tokens: number
  atMs: number
}

export class ReadingRates {
  readonly #all: Measure = { tokens: ALL.most, atMs: 0 }
  readonly #clients = new Map<string, Measure>()

  /** Takes a message, and returns how many ms its acknowledgement is to wait; or takes nothing. */
  take(
    nowMs: number,
    message: {
      readonly client: string
      readonly isOfMany?: boolean
      readonly cells: number
      readonly mayWait: boolean
    },
  ): number | undefined {
    const { client, isOfMany, cells, mayWait } = message
    fill(this.#all, ALL, nowMs)
    const own = isOfMany ? undefined : this.#measureOf(client, nowMs)
    const count = Math.max(1, Math.ceil(cells / CELLS_EACH))
    const ownDebtMs = own === undefined ? 0 : debtOf(own, EACH, count)
    const debtMs = Math.max(debtOf(this.#all, ALL, count), ownDebtMs)
    if (debtMs > (mayWait ? DEBT_MS_MAX : 0)) return undefined
    this.#all.tokens -= count
    if (own !== undefined) own.tokens -= count
    return debtMs
  }

  #measureOf(client: string, nowMs: number): Measure {
    const own = this.#clients.get(client) ?? { tokens: EACH.most, atMs: nowMs }
    this.#clients.delete(client)
    this.#clients.set(client, own)
    if (this.#clients.size > CLIENTS_MAX) {
      const [oldest] = this.#clients.keys()
      this.#clients.delete(oldest!)
    }
    fill(own, EACH, nowMs)
    return own
  }
}

function fill(measure: Measure, { perSecond, most }: typeof ALL, nowMs: number): void {
  measure.tokens = Math.min(most, measure.tokens + ((nowMs - measure.atMs) / 1000) * perSecond)
  measure.atMs = nowMs
}

/** Until it is paid, once so many are taken. */
function debtOf({ tokens }: Measure, { perSecond }: typeof ALL, count: number): number {
  return (Math.max(0, count - tokens) * 1000) / perSecond
}
