/**
 * Readings of a copy that a ledger was restored from: those that no write had taken up, and those of writes that may
 * not have come to all boards. The boards may have later ones. So each says up to which sequence its tile may have
 * come: it is taken in again where the newest copy of the tile that any node shows stands no further, and is dropped
 * where that does. A tile that nobody shows keeps its own waiting, until it comes late or begins anew.
 */
import { tileOf } from '../../../shared/operations/named-lsus.ts'
import type { CopiedCell } from '../ledger-records.ts'
import type { CoordinatorContext } from './coordinator-context.ts'

export interface Held {
  readonly key: string
  readonly field: number
  readonly id: number
  readonly cell: CopiedCell
}

export interface Judged {
  readonly taken: number
  /** Than what the boards have. */
  readonly older: number
}

export class CopiedReadings {
  readonly #context: CoordinatorContext
  /** By tile, then by key. */
  readonly #tiles = new Map<number, Map<string, Held>>()
  /** Judged to count, and not taken in yet. */
  readonly #counting: Held[] = []
  #size = 0

  constructor(context: CoordinatorContext) {
    this.#context = context
  }

  get size(): number {
    return this.#size
  }

  hold(held: Held): void {
    const tile = tileOf(held.id, this.#context.options.grid.geometry)
    const others = this.#tiles.get(tile) ?? new Map<string, Held>()
    this.#tiles.set(tile, others.set(held.key, held))
    this.#size += 1
  }

  /** A later reading of that cell has come; whether one was held. */
  replace(key: string, tile: number): boolean {
    const wasHeld = this.#tiles.get(tile)?.delete(key) ?? false
    if (wasHeld) this.#size -= 1
    return wasHeld
  }

  /** It is known how far each of these tiles has come. */
  judge(ats: ReadonlyMap<number, number>): Judged {
    let [taken, older] = [0, 0]
    for (const [tile, cells] of this.#tiles) {
      const at = ats.get(tile)
      if (at === undefined) continue
      this.#tiles.delete(tile)
      this.#size -= cells.size
      for (const held of cells.values()) {
        const { key, cell } = held
        const counts = at <= cell.upTo
        const value = counts ? cell.value : undefined
        this.#context.persist({ table: 'cell', key, value })
        if (!counts) older += 1
        else {
          taken += 1
          this.#counting.push(held)
        }
      }
    }
    return { taken, older }
  }
  /** What counts, since the last call. */
  takeCounting(): Held[] {
    return this.#counting.splice(0)
  }
}
