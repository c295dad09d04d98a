/**
 * Who is logged in by a browser (security.md, 9). A session lives twelve hours, and one hour without a request; so many
 * are kept, where there is no more room of each user the same, those used last, and none outlives the gateway: whoever is asked again only loses time. A session says who
 * it is, never what he may do: that is read anew each time.
 *
 * Sessions are known by the SHA-256 of what the browser shows. Times are monotonic ms.
 */

export interface WebSession {
  readonly user: string
  /** By which he logged in, in place of a password: the session is worth what the token is. */
  readonly token?: string
}

export interface WebSessionBounds {
  readonly sessionsMax: number
  readonly lifeMs: number
  readonly idleMs: number
}

export const WEB_SESSION_BOUNDS: WebSessionBounds = {
  sessionsMax: 256,
  lifeMs: 12 * 3_600_000,
  idleMs: 3_600_000,
}

interface Kept {
  readonly session: WebSession
  readonly untilMs: number
  idleUntilMs: number
}

export class WebSessions {
  readonly #bounds: WebSessionBounds
  /** The least recently used first. */
  readonly #kept = new Map<string, Kept>()

  constructor(bounds: WebSessionBounds = WEB_SESSION_BOUNDS) {
    this.#bounds = bounds
  }

  get size(): number {
    return this.#kept.size
  }

  /** Returns the one that had to make room: of the user who has most, the one that was not used for longest. */
  begin(nowMs: number, id: string, session: WebSession): string | undefined {
    const { sessionsMax, lifeMs, idleMs } = this.#bounds
    this.#kept.set(id, { session, untilMs: nowMs + lifeMs, idleUntilMs: nowMs + idleMs })
    if (this.#kept.size <= sessionsMax) return undefined
    const oldest = this.#oldestOfMost()
    this.#kept.delete(oldest)
    return oldest
  }

  #oldestOfMost(): string {
    const oldest = new Map<string, { readonly id: string; count: number }>()
    for (const [id, { session }] of this.#kept) {
      const own = oldest.get(session.user) ?? { id, count: 0 }
      own.count += 1
      oldest.set(session.user, own)
    }
    return [...oldest.values()].reduce((most, own) => (own.count > most.count ? own : most)).id
  }

  /** It is used now; nothing if it is over, or none. */
  use(nowMs: number, id: string): WebSession | undefined {
    const kept = this.#kept.get(id)
    if (kept === undefined) return undefined
    this.#kept.delete(id)
    if (isOver(nowMs, kept)) return undefined
    kept.idleUntilMs = nowMs + this.#bounds.idleMs
    this.#kept.set(id, kept)
    return kept.session
  }

  /** False if it was none. */
  end(id: string): boolean {
    return this.#kept.delete(id)
  }

  /** Ends all of a user, and returns which. */
  endOf(user: string): string[] {
    return this.#endEach(({ session }) => session.user === user)
  }

  /** Ends those whose time is over, and returns which. */
  endOver(nowMs: number): string[] {
    return this.#endEach((kept) => isOver(nowMs, kept))
  }

  #endEach(isMeant: (kept: Kept) => boolean): string[] {
    const ids = [...this.#kept].filter(([, kept]) => isMeant(kept)).map(([id]) => id)
    for (const id of ids) this.#kept.delete(id)
    return ids
  }
}

function isOver(nowMs: number, { untilMs, idleUntilMs }: Kept): boolean {
  return nowMs >= Math.min(untilMs, idleUntilMs)
}
