/**
 * How many messages with readings are taken: so many a second in all and of each client, with a burst (token buckets).
 * A client that brings those of many is bounded as all are.
 * What waits for its acknowledgement may borrow: it is taken, and acknowledged when the debt is paid, so that a client
 * that keeps some of them in flight slows down by itself. A message of many cells counts as several.
 */
import { LatestMap } from '../../shared/core/latest-map.ts'
import { TokenBucket } from '../../shared/core/token-bucket.ts'

const ALL = { perSecond: 4000, most: 4000 }
const EACH = { perSecond: 200, most: 500 }
/** One that would wait longer is refused. */
const DEBT_MS_MAX = 5000
/** Cells that count as one message. */
const CELLS_EACH = 100
/** The latest; one that is forgotten begins with a full measure. */
const CLIENTS_MAX = 10_000

export class ReadingRates {
  readonly #all = new TokenBucket(ALL, 0)
  readonly #clients = new LatestMap<string, TokenBucket>(CLIENTS_MAX)

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
    const buckets = isOfMany ? [this.#all] : [this.#all, this.#bucketOf(client, nowMs)]
    const count = Math.max(1, Math.ceil(cells / CELLS_EACH))
    const debtMs = Math.max(...buckets.map((bucket) => bucket.waitMs(nowMs, count)))
    if (debtMs > (mayWait ? DEBT_MS_MAX : 0)) return undefined
    for (const bucket of buckets) bucket.take(count)
    return debtMs
  }

  #bucketOf(client: string, nowMs: number): TokenBucket {
    const bucket = this.#clients.get(client) ?? new TokenBucket(EACH, nowMs)
    this.#clients.set(client, bucket)
    return bucket
  }
}
