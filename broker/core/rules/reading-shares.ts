/**
 * Whose cells wait, and for how many there is room. A user may have three times as many as are left free (the dynamic
 * thresholds of Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998): alone three quarters of all. So
 * whoever comes later finds room, however many there are.
 */
import { ownerNameOf } from '../../../shared/protocol/access.ts'
import type { Submitter } from '../events.ts'

export const PENDING_MAX = 65_536
const TIMES_FREE = 3

export class ReadingShares {
  readonly #counts = new Map<string, number>()
  #size = 0

  get size(): number {
    return this.#size
  }

  hasRoom(by: string, more: number): boolean {
    const count = (this.#counts.get(by) ?? 0) + more
    return more === 0 || count <= TIMES_FREE * (PENDING_MAX - this.#size - more)
  }

  /** Nobody knows whose it is when it comes from before a start. */
  add(by: string | undefined): void {
    this.#size += 1
    this.#count(by, 1)
  }

  remove(by: string | undefined): void {
    this.#size -= 1
    this.#count(by, -1)
  }

  #count(by: string | undefined, change: 1 | -1): void {
    if (by === undefined) return
    const count = (this.#counts.get(by) ?? 0) + change
    if (count === 0) this.#counts.delete(by)
    else this.#counts.set(by, count)
  }
}

/** Whose share it is: the user's, by however many clients; where nobody is asked who he is, the client's. */
export function sharerOf({ user, client }: Submitter): string {
  return user === undefined ? client : ownerNameOf(user)
}
