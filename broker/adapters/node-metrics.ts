/** What nodes told of themselves last, as Prometheus text: one line a figure and node, and none for what a board cannot tell. */
import type { TelemetryNumber } from '../../shared/protocol/telemetry.ts'
import type { NodeView } from '../../shared/protocol/views.ts'

interface NodeMetric {
  readonly name: string
  readonly help: string
  readonly of: TelemetryNumber
  /** What it is divided by for the unit of the name. */
  readonly by?: number
}

const PERCENT = 100
const MS = 1000

/** A name that ends in `_total` only grows, as long as the board is up. */
const NODE_METRICS: readonly NodeMetric[] = [
  { name: 'cpu_ratio', help: 'Processors that are busy.', of: 'cpu_percent', by: PERCENT },
  { name: 'load1', help: 'Load of the last minute.', of: 'load1' },
  { name: 'memory_total_bytes', help: 'Memory of the board.', of: 'mem_total_bytes' },
  { name: 'memory_available_bytes', help: 'Memory to be had.', of: 'mem_available_bytes' },
  { name: 'agent_rss_bytes', help: 'Memory of the agent.', of: 'rss_bytes' },
  { name: 'temperature_celsius', help: 'Of the processor.', of: 'temp_celsius' },
  { name: 'disk_free_bytes', help: 'Where its slice is.', of: 'disk_free_bytes' },
  { name: 'network_receive_bytes_total', help: 'Of the board.', of: 'net_rx_bytes' },
  { name: 'network_transmit_bytes_total', help: 'Of the board.', of: 'net_tx_bytes' },
  { name: 'loop_busy_ratio', help: 'Of the agent.', of: 'loop_busy_percent', by: PERCENT },
  { name: 'round_trip_seconds', help: 'Of its heartbeat.', of: 'broker_rtt_ms', by: MS },
  { name: 'clock_offset_seconds', help: 'To this clock.', of: 'clock_offset_ms', by: MS },
  { name: 'uptime_seconds', help: 'Of the board.', of: 'uptime_seconds' },
  { name: 'store_bytes', help: 'Size of its slice.', of: 'store_bytes' },
  {
    name: 'store_written_bytes_total',
    help: 'Written to its disk.',
    of: 'store_written_bytes_total',
  },
]

/** `ts` is Unix ms. */
export function renderNodeMetrics(nodes: readonly NodeView[], ts: number): string {
  const texts = NODE_METRICS.map(({ name, help, of, by = 1 }) =>
    metricText(name, help, nodes, ({ telemetry }) => {
      const value = telemetry?.[of]
      return typeof value === 'number' ? value / by : undefined
    }),
  )
  const age = metricText('heard_age_seconds', 'Since its last word.', nodes, ({ heard_ts }) =>
    heard_ts === undefined ? undefined : Math.max(0, ts - heard_ts) / MS,
  )
  return `\n${[...texts, age].join('\n')}`
}

function metricText(
  name: string,
  help: string,
  nodes: readonly NodeView[],
  figureOf: (node: NodeView) => number | undefined,
): string {
  const full = `obelisk_node_${name}`
  const type = name.endsWith('_total') ? 'counter' : 'gauge'
  let text = `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n`
  for (const node of nodes) {
    const value = figureOf(node)
    // An id has nothing that a label would have to escape.
    if (value !== undefined) text += `${full}{node="${node.id}"} ${value}\n`
  }
  return text
}
