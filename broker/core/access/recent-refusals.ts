/**
 * The last things that were not let in, for whoever looks: of the same kind, from the same, one entry with a count. What
 * counts as proof is the security log; this is only nearer at hand, and begins anew with the gateway.
 */
import { LatestMap } from '../../../shared/core/latest-map.ts'
import { meaningOf, type SecurityEvent } from '../../../shared/protocol/security-events.ts'

export interface RefusalView {
  /** The last time, Unix ms. */
  readonly ts: number
  readonly event: string
  readonly who: string
  readonly source?: string
  readonly via: string
  readonly code?: string
  readonly count: number
}

const KEPT = 20

export class RecentRefusals {
  /** The oldest first. */
  readonly #kept = new LatestMap<string, RefusalView>(KEPT)

  /** Of what is told, what is no refusal is left out. */
  take(ts: number, { event, who, source, via, code }: SecurityEvent): void {
    if (meaningOf(event).level === 'info') return
    const key = [event, who, source, via, code].join(' ')
    const count = (this.#kept.get(key)?.count ?? 0) + 1
    const named = { ...(source ? { source } : {}), ...(code ? { code } : {}) }
    this.#kept.set(key, { ts, event, who, ...named, via, count })
  }

  /** The newest first. */
  view(): readonly RefusalView[] {
    return [...this.#kept.values()].reverse()
  }
}
