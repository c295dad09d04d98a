/**
 * How long a large fleet's answers over HTTP stop the gateway: a built one with 1,000 nodes that beat and send telemetry,
 * and 65,536 written tiles. Each answer is asked for again and again; between two looks at a timer of 1 ms lies the longest
 * stop.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { NodeId } from '../../shared/core/ids.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import { HISTORY_NODES_MAX } from '../../shared/protocol/history.ts'
import { TELEMETRY_NUMBERS, type Telemetry } from '../../shared/protocol/telemetry.ts'
import { BenchGateway } from './bench-gateway.ts'
import { benchOptions } from './bench-options.ts'
import { withProcesses } from './bench-processes.ts'
import { beginBeats, connectAll, HEARTBEAT_MS, LightNode, nodeNames } from './light-node.ts'
import { formatMs, judged, median, report } from './measure.ts'
import type { Probed } from './probe.ts'

const SIDE = 4096
const GEOMETRY = new Geometry({ width: SIDE, height: SIDE, tile: 16 })
/** Of the history: telemetry comes as often. */
const HISTORY_TICK_MS = 10_000
const SETTLE_MS = 3000
const GOAL_MS = 10

const flags = benchOptions({ nodes: 1000, runs: 20, ticks: 2, only: 'nodes' })
const { nodes: count, runs, only = '' } = flags
const ids = nodeNames(count)
const some = ids.slice(0, HISTORY_NODES_MAX)

/** What is asked for, and as what. */
const ANSWERS: readonly (readonly [what: string, path: string, accept?: string])[] = [
  ['nothing', ''],
  ['all nodes', '/api/nodes'],
  ['a hundred nodes in an order', '/api/nodes?sort=-cpu&limit=100'],
  ['who holds what', '/api/ring?holders=true'],
  ['the tiles', '/api/ring/tiles'],
  ['an hour of some nodes, CBOR', `/api/history?nodes=${some}&span=1h`, 'application/cbor'],
  ['a day of some nodes, CBOR', `/api/history?nodes=${some}&span=24h`, 'application/cbor'],
  ['a node that is to join', '/api/ring/plan?join=node-new'],
  ['metrics', '/metrics'],
]

function telemetryOf(node: NodeId, seq: number): Telemetry {
  const numbers = TELEMETRY_NUMBERS.map((name, at) => [name, (seq * 7919 + at * 104_729) % 9973])
  return { ...Object.fromEntries(numbers), node } as Telemetry
}

async function measure(
  gateway: BenchGateway,
  [what, path, accept = '*/*']: (typeof ANSWERS)[number],
): Promise<string[]> {
  const stops: Probed[] = []
  let bytes = 0
  await gateway.probe()
  const { gatewayMs } = await gateway.cost(async () => {
    for (let run = 0; run < runs; run++) {
      if (path === '') await sleep(200)
      else {
        const response = await fetch(`${gateway.base}${path}`, { headers: { accept } })
        bytes = (await response.arrayBuffer()).byteLength
        if (response.status !== 200) throw new Error(`${what}: ${response.status}`)
      }
      stops.push(await gateway.probe())
    }
  })
  const own = stops.map(({ ownMs }) => ownMs)
  return [
    ...[what, (bytes / 1000).toFixed(0), formatMs(Math.max(...stops.map(({ maxMs }) => maxMs)))],
    ...[formatMs(median(own)), formatMs(Math.max(...own)), formatMs(gatewayMs / runs)],
    ...judged(median(own), GOAL_MS),
  ]
}

const rows = [
  ['What', 'KB', 'longest stop', 'own, p50', 'own, most', 'CPU each', 'Goal: own', 'Verdict'],
]
await withProcesses(async (processes) => {
  const gateway = await BenchGateway.start(processes, { grid: `${SIDE}x${SIDE}` })
  const { port } = gateway
  const nodes = ids.map((id) => new LightNode({ id, port, geometry: GEOMETRY }))
  const beats = beginBeats(nodes, (node, beat) => {
    // Every fifth beat is ten seconds after that before.
    const isDue = Math.floor(beat / count) % (HISTORY_TICK_MS / HEARTBEAT_MS) === 0
    if (isDue) node.report(telemetryOf(node.id, beat))
  })
  try {
    await connectAll(nodes)
    await gateway.run({ op: 'scale', args: { fields: { value: 1 } } })
    await sleep(flags.ticks * HISTORY_TICK_MS + SETTLE_MS)
    for (const answer of ANSWERS) {
      if (answer[0].includes(only)) rows.push(await measure(gateway, answer))
    }
  } finally {
    clearInterval(beats)
  }
})
report(rows, `${count} nodes, ${GEOMETRY.tiles} tiles; milliseconds.`)
