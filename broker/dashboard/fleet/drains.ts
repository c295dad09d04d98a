/** How far nodes are emptied: what each held when that was first seen, and what it holds now. */
import type { Moves, NodeRow } from '../answers.ts'

export interface DrainProgress {
  readonly moved: number
  readonly total: number
  /** Why it does not get on, if it does not. */
  readonly stalledFor?: string
  /** Of all that moves; absent while nothing does. */
  readonly etaSeconds?: number
}

export class Drains {
  readonly #totals = new Map<string, number>()

  /** Of each node that is being emptied. `moves` are newer than the rows, if only one is. */
  look(rows: readonly NodeRow[], moves: Moves | undefined): ReadonlyMap<string, DrainProgress> {
    const draining = rows.filter((row) => row.draining && row.state !== 'left')
    const ids = new Set(draining.map(({ id }) => id))
    for (const id of this.#totals.keys()) if (!ids.has(id)) this.#totals.delete(id)
    return new Map(draining.map((row) => [row.id, this.#progressOf(row, moves, ids.size === 1)]))
  }

  #progressOf(row: NodeRow, moves: Moves | undefined, isAlone: boolean): DrainProgress {
    const { open = [], planned_tiles: planned = 0 } = moves ?? {}
    const isAll = isAlone && open.length > 0 && open.every(({ reason }) => reason === 'drain')
    const left = isAll ? Math.min(row.tiles, planned + open.length) : row.tiles
    const total = Math.max(this.#totals.get(row.id) ?? 0, row.tiles)
    this.#totals.set(row.id, total)
    const stall = moves?.stalled.find(({ node }) => node === row.id)
    return {
      moved: total - left,
      total,
      ...(stall && { stalledFor: stall.message }),
      ...(moves?.eta_seconds !== undefined && { etaSeconds: moves.eta_seconds }),
    }
  }
}

const REASONS: ReadonlyMap<string, string> = new Map([
  ['paced', 'one after the other'],
  ['doubting', 'the gateway doubts its view of the fleet'],
  ['unsettled', 'the fleet has just changed'],
])

/** `804 wait: target full`. */
export function waitingWords({ waiting }: Moves): string[] {
  return Object.entries(waiting).map(([reason, count]) => {
    return `${count} wait: ${REASONS.get(reason) ?? reason.replaceAll('-', ' ')}`
  })
}
