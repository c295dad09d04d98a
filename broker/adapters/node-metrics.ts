/** How nodes are, as Prometheus text: one line a figure and node, and none for what nobody knows. */
import type { TelemetryNumber } from '../../shared/protocol/telemetry.ts'
import type { NodeView } from '../../shared/protocol/views.ts'
import { slicesOf } from './turns.ts'

/** A figure of nodes, undefined where nobody knows it. `ts` is Unix ms. */
interface NodeMetric {
  readonly name: string
  readonly help: string
  of(node: NodeView, ts: number): number | undefined
}

const PERCENT = 100
const MS = 1000

/** What a node says of itself, divided by what makes it the unit of the name. */
const told =
  (name: TelemetryNumber, by = 1): NodeMetric['of'] =>
  ({ telemetry }) => {
    const value = telemetry?.[name]
    return typeof value === 'number' ? value / by : undefined
  }

/** A name that ends in `_total` only grows, as long as the board is up. */
const TOLD_METRICS: readonly NodeMetric[] = [
  { name: 'cpu_ratio', help: 'Processors that are busy.', of: told('cpu_percent', PERCENT) },
  { name: 'load1', help: 'Load of the last minute.', of: told('load1') },
  { name: 'memory_total_bytes', help: 'Memory of the board.', of: told('mem_total_bytes') },
  { name: 'memory_available_bytes', help: 'Memory to be had.', of: told('mem_available_bytes') },
  { name: 'agent_rss_bytes', help: 'Memory of the agent.', of: told('rss_bytes') },
  { name: 'temperature_celsius', help: 'Of the processor.', of: told('temp_celsius') },
  { name: 'disk_free_bytes', help: 'Where its slice is.', of: told('disk_free_bytes') },
  { name: 'network_receive_bytes_total', help: 'Of the board.', of: told('net_rx_bytes') },
  { name: 'network_transmit_bytes_total', help: 'Of the board.', of: told('net_tx_bytes') },
  { name: 'loop_busy_ratio', help: 'Of the agent.', of: told('loop_busy_percent', PERCENT) },
  { name: 'round_trip_seconds', help: 'Of its heartbeat.', of: told('broker_rtt_ms', MS) },
  { name: 'clock_offset_seconds', help: 'To this clock.', of: told('clock_offset_ms', MS) },
  { name: 'uptime_seconds', help: 'Of the board.', of: told('uptime_seconds') },
  { name: 'store_bytes', help: 'Size of its slice.', of: told('store_bytes') },
  {
    name: 'store_written_bytes_total',
    help: 'Written to its disk.',
    of: told('store_written_bytes_total'),
  },
  {
    name: 'heard_age_seconds',
    help: 'Since its last word.',
    of: ({ heard_ts: heard }, ts) =>
      heard === undefined ? undefined : Math.max(0, ts - heard) / MS,
  },
]

/** What the gateway itself knows of every node. */
const FLEET_METRICS: readonly NodeMetric[] = [
  { name: 'up', help: 'Whether it is alive.', of: ({ state }) => (state === 'alive' ? 1 : 0) },
  {
    name: 'tiles',
    help: 'Tiles of the grid that are its part, written or not.',
    of: ({ tiles }) => tiles,
  },
  {
    name: 'behind_entries',
    help: 'Entries of its stream that it has not acknowledged.',
    of: ({ stream }) => stream && stream.head - stream.acked,
  },
  {
    name: 'answers_shed',
    help: 'Answers that it gave up for want of room, since its start.',
    of: ({ answers_shed: shed = 0 }) => shed,
  },
]

/** Nodes whose lines are made in one go. */
const SLICE_NODES = 500

/**
 * Of each node what the gateway knows of it, and of the first `toldMax` what they told of themselves, in slices. `ts` is
 * Unix ms.
 */
export function* nodeMetrics(
  nodes: readonly NodeView[],
  { toldMax, ts }: { readonly toldMax: number; readonly ts: number },
): Generator<void, string> {
  const texts: string[] = []
  for (const metric of FLEET_METRICS) texts.push(yield* textOf(metric, nodes, ts))
  const shown = nodes.slice(0, toldMax)
  for (const metric of TOLD_METRICS) texts.push(yield* textOf(metric, shown, ts))
  return `\n${texts.join('\n')}`
}

function* textOf(
  { name, help, of }: NodeMetric,
  nodes: readonly NodeView[],
  ts: number,
): Generator<void, string> {
  const full = `obelisk_node_${name}`
  const type = name.endsWith('_total') ? 'counter' : 'gauge'
  const texts = [`# HELP ${full} ${help}\n# TYPE ${full} ${type}\n`]
  for (const slice of slicesOf(nodes, SLICE_NODES)) {
    const lines = slice.flatMap((node) => {
      const value = of(node, ts)
      // An id has nothing that a label would have to escape.
      return value === undefined ? [] : [`${full}{node="${node.id}"} ${value}\n`]
    })
    // Not with `+=`: V8 would copy all the pieces at the end, in one go.
    texts.push(lines.join(''))
    yield
  }
  return texts.join('')
}
