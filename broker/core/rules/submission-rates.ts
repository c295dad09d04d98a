/**
 * How many tasks a user submits: so many a second, and after a silence five seconds' worth at once (security.md, 10). Of
 * users it remembers the latest; one that is forgotten begins with a full measure.
 */
import { LatestMap } from '../../../shared/core/latest-map.ts'
import { TokenBucket } from '../../../shared/core/token-bucket.ts'
import type { UserPrincipal } from '../../../shared/protocol/access.ts'

const PER_SECOND = 200
const BURST_SECONDS = 5
const USERS_MAX = 1024

export class SubmissionRates {
  readonly #buckets = new LatestMap<string, TokenBucket>(USERS_MAX)

  /** Takes one, and returns 0; or takes nothing, and returns in how many ms there will be one. */
  take(nowMs: number, { name, grant }: UserPrincipal): number {
    const perSecond = grant?.tasksPerSecond ?? PER_SECOND
    const rate = { perSecond, most: Math.max(1, perSecond * BURST_SECONDS) }
    const bucket = this.#buckets.get(name) ?? new TokenBucket(rate, nowMs)
    this.#buckets.set(name, bucket)
    const waitMs = bucket.waitMs(nowMs, 1, rate)
    if (waitMs === 0) bucket.take(1)
    return waitMs
  }
}
