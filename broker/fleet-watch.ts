/** Tells those who follow the fleet over HTTP which rows have changed, and how moves get on: each while somebody does. */
import { toJsonText } from '../shared/protocol/json-text.ts'
import type { MovesView } from '../shared/protocol/views.ts'
import type { ChangedRows, RowsFrom } from './core/views/changed-rows.ts'
import type { LiveEvents } from './core/views/live-events.ts'

export interface FleetSources {
  nodeCount(): number
  readonly nodesFrom: RowsFrom
  areMovesUnderWay(): boolean
  moves(): MovesView
}

const LOOK_MS = 1000
/** In one event: a reader is never given more than it may have waiting. */
const ROWS_MAX = 50

export class FleetWatch {
  readonly #live: LiveEvents
  readonly #rows: ChangedRows
  readonly #sources: FleetSources
  readonly #timer: NodeJS.Timeout
  #wereMoves = false

  constructor(live: LiveEvents, rows: ChangedRows, sources: FleetSources) {
    this.#live = live
    this.#rows = rows
    this.#sources = sources
    this.#timer = setInterval(() => this.look(performance.now()), LOOK_MS)
    this.#timer.unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** `nowMs` is monotonic. */
  look(nowMs: number): void {
    this.#lookAtNodes(nowMs)
    this.#lookAtMoves()
  }

  #lookAtNodes(nowMs: number): void {
    if (!this.#live.isFollowed('nodes')) {
      this.#rows.forget()
      return
    }
    const changed = this.#rows.take(nowMs, this.#sources.nodeCount(), this.#sources.nodesFrom)
    for (let at = 0; at < changed.length; at += ROWS_MAX) {
      this.#live.is('nodes', toJsonText({ nodes: changed.slice(at, at + ROWS_MAX) }))
    }
  }

  /** Once more when none is left, so that this is seen. */
  #lookAtMoves(): void {
    const are = this.#sources.areMovesUnderWay()
    if (this.#live.isFollowed('moves') && (are || this.#wereMoves)) {
      this.#live.is('moves', toJsonText(this.#sources.moves()))
    }
    this.#wereMoves = are
  }
}
