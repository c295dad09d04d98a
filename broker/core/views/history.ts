/**
 * How nodes were doing in the last day: a few figures of each, in memory alone, so that a chart need not begin empty.
 * Two levels: each 10 s of an hour, and the mean of each minute of a day. All nodes share one time, counted in ticks of
 * 10 s of a monotonic clock; a tick that brought nothing is a gap (NaN), and so is all before the start of the gateway.
 *
 * The more nodes there are, the shorter their rings (history-rings.ts), so that all together take `bytesMax` at most:
 * first the fine level goes, then the coarse one gets shorter. A node gets its new shape with its next tick.
 */
import type { NodeId } from '../../../shared/core/ids.ts'
import {
  HISTORY_METRICS,
  type HistoryMetric,
  type HistorySpan,
} from '../../../shared/protocol/history.ts'
import { MINUTE_TICKS, minuteOf, NodeRings, type RingShape } from './history-rings.ts'

export const TICK_MS = 10_000
const FINE_TICKS = 360
/** Not any length: a fleet that grows node by node would have all rings made anew each time. */
const COARSE_MINUTES = [1440, 720, 360, 180, 120, 90, 64, 32, 16, 8, 4, 2, 1]
const HOUR_MINUTES = 60
const NODES_A_SLICE = 2
const POINT_BYTES = HISTORY_METRICS.length * Float32Array.BYTES_PER_ELEMENT

export interface HistoryQuery {
  readonly nodes: readonly NodeId[]
  readonly metrics: readonly HistoryMetric[]
  readonly span: HistorySpan
  /** In each column, at most. */
  readonly points: number
}

export interface HistoryView {
  /** When the last point ends, Unix ms. */
  readonly ts: number
  /** Each point is the mean of so long a time. */
  readonly stepSeconds: number
  readonly points: number
  /** Those of which there is anything, in the order in which they were asked for. */
  readonly nodes: readonly HistoryRow[]
}

export interface HistoryRow {
  readonly id: NodeId
  /** One for each metric that was asked for, in that order; the oldest point first, and NaN for a gap. */
  readonly columns: readonly Float32Array[]
}

export class History {
  readonly #bytesMax: number
  readonly #nodes = new Map<NodeId, NodeRings>()
  #shape: RingShape = { fine: 0, coarse: 0 }
  #tick = -1
  #ts = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** A tick begins, over this many nodes; false if it has been there. `nowMs` is monotonic, `ts` Unix ms. */
  begin({ nowMs, ts }: { nowMs: number; ts: number }, count: number): boolean {
    const tick = Math.floor(nowMs / TICK_MS)
    if (tick <= this.#tick) return false
    this.#tick = tick
    this.#ts = ts
    this.#shape = shapeFor(this.#bytesMax, count)
    return true
  }

  /** What is known of a node at this tick, by `HISTORY_METRICS`; NaN is a figure that is not known. */
  record(id: NodeId, figures: readonly number[]): void {
    const { fine, coarse } = this.#shape
    const known = this.#nodes.get(id)
    const isAsNow = known?.shape.fine === fine && known.shape.coarse === coarse
    const rings = isAsNow
      ? known
      : (known?.reshaped(this.#shape) ?? new NodeRings(HISTORY_METRICS.length, this.#shape))
    rings.record(this.#tick, figures)
    this.#nodes.set(id, rings)
  }

  /** The tick is over: strangers are forgotten. */
  end(isKnown: (id: NodeId) => boolean): void {
    for (const id of this.#nodes.keys()) if (!isKnown(id)) this.#nodes.delete(id)
  }

  /** What the rings take. */
  get bytes(): number {
    return [...this.#nodes.values()].reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** In slices, since there may be many: others have turns between them. */
  *read({ nodes, metrics, span, points }: HistoryQuery): Generator<void, HistoryView> {
    const { fine, coarse } = this.#shape
    const isFine = span === '1h' && fine > 0
    const kept = isFine ? fine : Math.min(coarse, span === '1h' ? HOUR_MINUTES : coarse)
    const last = isFine ? this.#tick : minuteOf(this.#tick)
    const many = Math.max(1, Math.ceil(kept / points))
    // Means begin at whole steps of time: else all points would move with each tick.
    const count = Math.floor(kept / many)
    const first = (Math.floor(last / many) - count + 1) * many
    const columnOf = (rings: NodeRings, name: HistoryMetric): Float32Array => {
      const metric = HISTORY_METRICS.indexOf(name)
      return Float32Array.from({ length: count }, (_, at) =>
        meanOf(first + at * many, many, (when) =>
          isFine ? rings.fineAt(metric, when) : rings.coarseAt(metric, when),
        ),
      )
    }
    const stepSeconds = (many * (isFine ? 1 : MINUTE_TICKS) * TICK_MS) / 1000
    const head = { ts: this.#ts, stepSeconds, points: count }
    const rows: HistoryRow[] = []
    for (const [at, id] of nodes.entries()) {
      if (at > 0 && at % NODES_A_SLICE === 0) yield
      const rings = this.#nodes.get(id)
      if (rings === undefined) continue
      rows.push({ id, columns: metrics.map((name) => columnOf(rings, name)) })
    }
    return { ...head, nodes: rows }
  }
}

/** The longest rings that so many nodes can have. */
function shapeFor(bytesMax: number, count: number): RingShape {
  const points = bytesMax / (Math.max(1, count) * POINT_BYTES)
  const [longest] = COARSE_MINUTES
  if (points >= FINE_TICKS + longest!) return { fine: FINE_TICKS, coarse: longest! }
  return { fine: 0, coarse: COARSE_MINUTES.find((minutes) => minutes <= points) ?? 0 }
}

function meanOf(first: number, many: number, at: (when: number) => number): number {
  let [sum, count] = [0, 0]
  for (let when = first; when < first + many; when++) {
    const value = at(when)
    if (Number.isNaN(value)) continue
    sum += value
    count += 1
  }
  return sum / count
}
