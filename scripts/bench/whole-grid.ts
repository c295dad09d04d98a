/**
 * How long a write of the whole grid takes: 8192 × 8192 LSUs of one f64 field in tiles of 16 × 16 on four agents of this
 * machine, two replicas, each with the flags of its unit. Submitted over HTTP, to the end of the task; how many copies
 * it had then, and what the slices take of the disk. First with one value everywhere, then with a pattern that leaves no
 * tile one value.
 */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { npyHead } from '../../shared/grid/npy.ts'
import { databasePath } from '../../shared/runtime/lmdb.ts'
import type { Task } from '../client/connect.ts'
import { type BenchGateway, type Cost, startGridFleet } from './bench-gateway.ts'
import { benchOptions, misused, wordsOf } from './bench-options.ts'
import { withProcesses } from './bench-processes.ts'
import { footprintOf } from './footprint.ts'
import { judged, median, report } from './measure.ts'

const MIB = 1024 * 1024

const flags = benchOptions({
  ...{ side: 8192, runs: 5, pattern: true },
  ...{ 'agent-flags': '=--cpu-prof', 'gateway-flags': '=--cpu-prof' },
} as const)
const { side, runs } = flags
if (side % 16 !== 0) misused('--side: a multiple of 16')

/** Another number in each LSU of a tile, row after row, as a file of numpy. */
function* patternOf(): Generator<Uint8Array> {
  yield npyHead('f64', side, side)
  for (let y = 0; y < side; y++) {
    yield new Uint8Array(
      Float64Array.from({ length: side }, (_, x) => (x % 16) + 16 * (y % 16)).buffer,
    )
  }
}

/** Of the process that has most. */
function anonymousMax({ pid, agents }: BenchGateway): number {
  return Math.max(
    ...[pid, ...agents.map((agent) => agent.pid)].map((one) => footprintOf(one).anonymous),
  )
}

async function measure(
  gateway: BenchGateway,
  what: string,
  goal: number,
  tasks: readonly Task[],
): Promise<string[]> {
  const costs: Cost<number | undefined>[] = []
  let anonymous = 0
  for (const task of tasks) {
    costs.push(await gateway.cost(async () => (await gateway.run(task)).copies))
    anonymous = Math.max(anonymous, anonymousMax(gateway))
  }
  const walls = costs.map(({ wallMs }) => wallMs / 1000)
  const cpu = (of: (cost: Cost<unknown>) => number): string => {
    return (median(costs.map(of)) / 1000).toFixed(2)
  }
  // Blocks that the slices take.
  const files = gateway.agents.map(({ data }) => statSync(join(databasePath(data), 'data.mdb')))
  const bytes = files.reduce((sum, { blocks }) => sum + blocks * 512, 0)
  return [
    ...[what, median(walls).toFixed(2), ...judged(median(walls), goal)],
    ...[Math.max(...walls).toFixed(2), [...new Set(costs.map(({ value }) => value))].join(', ')],
    ...[cpu(({ gatewayMs }) => gatewayMs), cpu(({ agentsMs }) => agentsMs)],
    ...[(bytes / 1e6).toFixed(1), (anonymous / MIB).toFixed(1)],
  ]
}

const rows: string[][] = [
  [
    ...['What', 's', 'Goal', 'Verdict', 'worst s', 'copies', 'CPU gateway, s', 'CPU agents, s'],
    ...['disk, MB', 'most Anonymous, MiB'],
  ],
]
await withProcesses(async (processes) => {
  const gateway = await startGridFleet(processes, {
    ...{ name: 'whole', side, type: 'f64', agents: 4, replicas: 2 },
    agentFlags: wordsOf(flags['agent-flags']),
    nodeFlags: wordsOf(flags['gateway-flags']),
  })
  const first = { x: 0, y: 0, w: 16, h: 16 }
  // Until the fleet has settled no tile is born.
  await gateway.run({ op: 'scale', region: first, args: { fields: { value: 0.5 } } })
  const scale = (value: number): Task => ({ op: 'scale', args: { fields: { value } } })
  const scales = Array.from({ length: runs }, (_, value) => scale(value))
  const adds = new Array<Task>(runs).fill({ op: 'add', args: { field: 'value', value: 1 } })
  rows.push(await measure(gateway, '`scale`, all tiles new', 1, [scale(1.5)]))
  rows.push(await measure(gateway, '`scale` again', 1, scales))
  rows.push(await measure(gateway, '`add`, each tile one value', 1, adds))
  if (!flags.pattern) return
  await gateway.upload('pattern', Readable.toWeb(Readable.from(patternOf())) as ReadableStream)
  rows.push(await measure(gateway, '`add`, no tile one value', 5, adds))
})
report(rows, `${side} × ${side} LSUs, 4 agents, 2 replicas.`)
