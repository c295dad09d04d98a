/** A pool of places, of which one who is known by a name has half at most: nobody keeps all others out. */
import { identityOf, type Principal } from '../../shared/protocol/access.ts'

/** What one identity may have of a pool. Where nobody is asked who he is, all are one. */
export function shareOf(poolMax: number, { kind }: Principal): number {
  return kind === 'user' ? Math.ceil(poolMax / 2) : poolMax
}

export class Places {
  readonly #max: number
  #taken = 0
  readonly #takenBy = new Map<string, number>()

  constructor(max: number) {
    this.#max = max
  }

  hasRoom(who: Principal): boolean {
    const own = this.#takenBy.get(identityOf(who)) ?? 0
    return this.#taken < this.#max && own < shareOf(this.#max, who)
  }

  /** Takes one; the returned function gives it back, once. */
  take(who: Principal): () => void {
    const identity = identityOf(who)
    this.#count(identity, 1)
    let isTaken = true
    return () => {
      if (isTaken) this.#count(identity, -1)
      isTaken = false
    }
  }

  #count(identity: string, more: number): void {
    this.#taken += more
    const own = (this.#takenBy.get(identity) ?? 0) + more
    if (own === 0) this.#takenBy.delete(identity)
    else this.#takenBy.set(identity, own)
  }
}
