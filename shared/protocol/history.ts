/**
 * What `GET /api/history` can be asked for (docs/protocol.md, History): figures of nodes over the last hour or day, which
 * the gateway keeps and a page draws. Both must name them alike.
 */

/** Of telemetry; `memory_percent` is what is used, `behind` the entries that the node has not acknowledged. */
export const HISTORY_METRICS = [
  'cpu_percent',
  'memory_percent',
  'temp_celsius',
  'broker_rtt_ms',
  'loop_busy_percent',
  'behind',
] as const
export type HistoryMetric = (typeof HISTORY_METRICS)[number]

export const HISTORY_SPANS = ['1h', '24h'] as const
export type HistorySpan = (typeof HISTORY_SPANS)[number]

export const HISTORY_NODES_MAX = 100
export const HISTORY_POINTS_MAX = 360
