/**
 * The moves that are under way: one tile each, to one node. Only the table; moves.ts drives them, and
 * writes.ts asks here who is to get a write besides the holders.
 *
 *   copying ─▶ catching-up ─▶ gone: the node is a holder, and the old copy is dropped
 *
 * While a tile is copied, the gateway keeps the writes that touch it; with the adoption they go into the
 * stream of the target, and from then on it gets every write as the holders do. Invariant: at most one
 * move a tile.
 */

/** Why a tile moves: a copy is missing, a node is emptied, or the ring has it elsewhere. */
export type MoveReason = 'repair' | 'drain' | 'balance'

export interface Move {
  readonly id: number
  readonly tile: number
  readonly reason: MoveReason
  /** Index of the member that is to hold the tile. */
  readonly to: number
  /** Whose copy is dropped for it; nobody's when there are too few. */
  from: number | undefined
  stage: 'copying' | 'catching-up'
  /** Who was asked for the page. */
  source: number | undefined
  /** Why it does not go on at this moment. */
  waitsFor: string | undefined
  attempts: number
  readonly startedMs: number
  /** While copying: sequences of the writes that touched the tile since the copy was asked for. */
  missed: number[]
  /** While catching up: where in the target's stream it adopts the page, and where it has caught up. */
  adopted: number
  catchUp: number
}

/** Of a move that is over; why it was given up, if it was. */
export interface MoveEnd {
  readonly tile: number
  readonly reason?: string
}

const NONE: readonly MoveEnd[] = []

export class MoveTable {
  readonly #byTile = new Map<number, Move>()
  readonly #ends: MoveEnd[] = []

  get size(): number {
    return this.#byTile.size
  }

  get all(): Move[] {
    return [...this.#byTile.values()]
  }

  of(tile: number): Move | undefined {
    return this.#byTile.get(tile)
  }

  add(move: Move): void {
    this.#byTile.set(move.tile, move)
  }

  end({ tile }: Move, reason?: string): void {
    this.#byTile.delete(tile)
    this.#ends.push(reason === undefined ? { tile } : { tile, reason })
  }

  /** Those that ended since the last call. */
  takeEnds(): readonly MoveEnd[] {
    return this.#ends.length === 0 ? NONE : this.#ends.splice(0)
  }

  /** The member that gets every write to a tile as its holders do, to be one of them. */
  joining(tile: number): number | undefined {
    const move = this.#byTile.get(tile)
    return move?.stage === 'catching-up' ? move.to : undefined
  }
}
