/**
 * How many tasks a user submits: so many a second, and after a silence five seconds' worth at once (security.md, 10). Of
 * users it remembers the latest; one that is forgotten begins with a full measure.
 */
import type { UserPrincipal } from '../../shared/protocol/access.ts'

const PER_SECOND = 200
const BURST_SECONDS = 5
const USERS_MAX = 1024

interface Measure {
  tokens: number
  atMs: number
}

export class SubmissionRates {
  readonly #measures = new Map<string, Measure>()

  /** Takes one, and returns 0; or takes nothing, and returns in how many ms there will be one. */
  take(nowMs: number, { name, grant }: UserPrincipal): number {
    const perSecond = grant?.tasksPerSecond ?? PER_SECOND
    const most = Math.max(1, perSecond * BURST_SECONDS)
    const { tokens, atMs } = this.#measures.get(name) ?? { tokens: most, atMs: nowMs }
    const now = Math.min(most, tokens + ((nowMs - atMs) / 1000) * perSecond)
    const isThere = now >= 1
    this.#measures.delete(name)
    this.#measures.set(name, { tokens: isThere ? now - 1 : now, atMs: nowMs })
    if (this.#measures.size > USERS_MAX) {
      const [oldest] = this.#measures.keys()
      this.#measures.delete(oldest!)
    }
    return isThere ? 0 : ((1 - now) * 1000) / perSecond
  }
}
