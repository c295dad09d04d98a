/** Has the figures of all nodes recorded, every 10 s, some hundred nodes a turn of the event loop. */
import type { NodeId } from '../shared/core/ids.ts'
import type { NodeView } from '../shared/protocol/views.ts'
import type { Clock } from '../shared/runtime/clock.ts'
import { type History, TICK_MS } from './core/views/history.ts'

export interface HistorySources {
  readonly clock: Clock
  nodeCount(): number
  /** In an order that stays, with their last telemetry. */
  nodesFrom(first: number, count: number): readonly NodeView[]
  isKnown(node: NodeId): boolean
}

/** In one turn. */
const PIECE = 200

export class HistoryWatch {
  readonly #history: History
  readonly #sources: HistorySources
  readonly #timer: NodeJS.Timeout

  constructor(history: History, sources: HistorySources) {
    this.#history = history
    this.#sources = sources
    this.#timer = setInterval(() => void this.look(), TICK_MS)
    this.#timer.unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  async look(): Promise<void> {
    const { clock, nodeCount, nodesFrom, isKnown } = this.#sources
    const { monotonicMs: nowMs, wallMs: ts } = clock.now()
    if (!this.#history.begin({ nowMs, ts }, nodeCount())) return
    for (let first = 0; first < nodeCount(); first += PIECE) {
      if (first > 0) await new Promise(setImmediate)
      for (const node of nodesFrom(first, PIECE)) {
        if (node.state !== 'left') this.#history.record(node.id, figuresOf(node))
      }
    }
    this.#history.end(isKnown)
  }
}

/** In the order of `HISTORY_METRICS`. Of a node that is not heard of nothing is known. */
function figuresOf({ state, telemetry = {}, stream }: NodeView): number[] {
  const isHeard = state === 'alive'
  const figure = (name: string): number => {
    const value = telemetry[name]
    return isHeard && typeof value === 'number' ? value : Number.NaN
  }
  const used = 1 - figure('mem_available_bytes') / figure('mem_total_bytes')
  return [
    figure('cpu_percent'),
    100 * used,
    figure('temp_celsius'),
    figure('broker_rtt_ms'),
    figure('loop_busy_percent'),
    stream === undefined ? Number.NaN : stream.head - stream.acked,
  ]
}
