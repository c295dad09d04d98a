/**
 * Which rows of the nodes are told of anew to those who watch the fleet. A row whose state changed goes at once; one of
 * which only figures changed rests for a while before it goes again. So many rows go in a window; those beyond
 * it go in later ones, those whose state changed first.
 *
 * A large fleet is looked at piece by piece, in turn: nothing here costs more than one piece.
 */
import type { NodeId } from '../../../shared/core/ids.ts'
import type { NodeView } from '../../../shared/protocol/views.ts'

export interface ChangedRowsOptions {
  /** Rows in any time of `windowMs`. */
  readonly rowsMax: number
  readonly windowMs: number
  /** So long a row whose figures alone change rests. */
  readonly restMs: number
  /** Rows that are looked at each time. */
  readonly pieceMax: number
}

/** The rows of these places, in an order that stays. */
export type RowsFrom = (first: number, count: number) => readonly NodeView[]

export type ChangedRow = NodeView | { readonly id: NodeId; readonly removed: true }

interface Told {
  readonly state: string
  readonly figures: string
  readonly atMs: number
}

/** They change with every heartbeat, or with time alone: no reason to tell of a row at once. */
const FIGURES: readonly string[] = [
  ...['telemetry', 'heard_ts', 'stream', 'behind', 'tiles', 'tiles_written', 'answers_shed'],
  ...['rate', 'eta_seconds'],
]
/** They grow by themselves. */
const LEFT_OUT: readonly string[] = ['phi', 'probation_seconds']

export class ChangedRows {
  readonly #options: ChangedRowsOptions
  readonly #told = new Map<NodeId, Told>()
  /** When how many rows went. */
  #gone: { readonly atMs: number; readonly rows: number }[] = []
  #place = 0
  /** Seen on the round that goes on. */
  readonly #seen = new Set<NodeId>()

  constructor(options: ChangedRowsOptions) {
    this.#options = options
  }

  /** Nobody watches: what comes next is told as if it were new. */
  forget(): void {
    this.#told.clear()
    this.#seen.clear()
    this.#place = 0
  }

  /** Looks at the next piece of `total` rows; the rows that are to be told now. */
  take(nowMs: number, total: number, rowsFrom: RowsFrom): ChangedRow[] {
    const { rowsMax, windowMs, pieceMax } = this.#options
    this.#gone = this.#gone.filter(({ atMs }) => nowMs - atMs < windowMs)
    const room = rowsMax - this.#gone.reduce((sum, { rows }) => sum + rows, 0)
    if (this.#place >= total) this.#place = 0
    const rows = rowsFrom(this.#place, pieceMax)
    this.#place += pieceMax
    const isRoundOver = this.#place >= total
    const found = this.#changed(nowMs, rows, room)
    for (const { row, told } of found) this.#told.set(row.id, told)
    const removed = isRoundOver ? this.#endRound(room - found.length) : []
    const taken = found.length + removed.length
    if (taken > 0) this.#gone.push({ atMs: nowMs, rows: taken })
    return [...found.map(({ row }) => row), ...removed]
  }

  #changed(nowMs: number, rows: readonly NodeView[], room: number) {
    const urgent: { readonly row: NodeView; readonly told: Told }[] = []
    const rested: typeof urgent = []
    for (const row of rows) {
      this.#seen.add(row.id)
      const told = { ...faceOf(row), atMs: nowMs }
      const before = this.#told.get(row.id)
      if (before?.state !== told.state) urgent.push({ row, told })
      else if (before.figures !== told.figures && nowMs - before.atMs >= this.#options.restMs) {
        rested.push({ row, told })
      }
    }
    // Some room stays for states that change soon: figures always do.
    const forFigures = Math.max(0, room - urgent.length - this.#options.rowsMax / 4)
    return [...urgent.slice(0, room), ...rested.slice(0, forFigures)]
  }

  /** Who was told of and is in no row of a whole round is gone. */
  #endRound(room: number): ChangedRow[] {
    const gone = [...this.#told.keys()].filter((id) => !this.#seen.has(id)).slice(0, room)
    for (const id of gone) this.#told.delete(id)
    this.#seen.clear()
    return gone.map((id) => ({ id, removed: true }))
  }
}

function faceOf(row: NodeView): Pick<Told, 'state' | 'figures'> {
  const state: unknown[] = []
  const figures: unknown[] = []
  for (const [key, value] of Object.entries(row)) {
    if (LEFT_OUT.includes(key)) continue
    const { seq } = (key === 'telemetry' ? value : {}) as { seq?: number }
    if (FIGURES.includes(key)) figures.push(seq ?? value)
    else state.push(key, value)
  }
  return { state: JSON.stringify(state), figures: JSON.stringify(figures) }
}
