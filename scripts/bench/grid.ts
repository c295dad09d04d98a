/**
 * What tasks over a whole grid cost, submitted over HTTP, to the end of the task and the last byte of its CBOR: the time,
 * the CPU time of gateway and agents, how many copies a write had, and what the slices take of the disk.
 *
 * `write`: 8192 × 8192 LSUs of f64 on four agents, two replicas; first with one value everywhere, then with a pattern that
 * leaves no tile one value. `small` and `large`: overviews of 1024 × 1024 f32 on three agents, and of 8192 × 8192 u8 on a
 * single one. `near`: a step of diffusion over 1024 × 1024 f64 on four agents, two replicas: each cell reads four neighbours.
 */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { Region } from '../../shared/grid/geometry.ts'
import { npyHead } from '../../shared/grid/npy.ts'
import { databasePath } from '../../shared/runtime/lmdb.ts'
import type { Task, TaskResult } from '../client/connect.ts'
import { type BenchGateway, type Cost, startFullGrid, startGridFleet } from './bench-gateway.ts'
import { benchOptions, chosenOf, misused, wordsOf } from './bench-options.ts'
import { withProcesses } from './bench-processes.ts'
import { footprintOf } from './footprint.ts'
import { formatMs, judged, median, quantile, report } from './measure.ts'

const MIB = 1024 * 1024
const WARM_UPS = 3

const flags = benchOptions({
  ...{ only: 'write,small,large,near', runs: 5, side: 8192, pattern: true },
  ...{ 'agent-flags': '=--cpu-prof', 'gateway-flags': '=--cpu-prof' },
} as const)
const { side, runs } = flags
if (side % 16 !== 0) misused('--side: a multiple of 16')
const nodeFlags = {
  agentFlags: wordsOf(flags['agent-flags']),
  nodeFlags: wordsOf(flags['gateway-flags']),
}

interface Measured {
  readonly what: string
  readonly goalMs?: number | undefined
  readonly tasks: readonly Task[]
  readonly warmUps?: number
  /** What its result is, in a word; throws where that is wrong. */
  readonly resultOf: (result: TaskResult) => string
}

async function measure(gateway: BenchGateway, measured: Measured): Promise<string[]> {
  const { what, goalMs, tasks, warmUps = 0, resultOf } = measured
  const costs: Cost<string>[] = []
  let anonymous = 0
  for (const task of tasks) {
    costs.push(await gateway.cost(async () => resultOf(await gateway.run(task))))
    const pids = [gateway.pid, ...gateway.agents.map(({ pid }) => pid)]
    anonymous = Math.max(anonymous, ...pids.map((pid) => footprintOf(pid).anonymous))
  }
  costs.splice(0, warmUps)
  const walls = costs.map(({ wallMs }) => wallMs)
  const mean = (of: (cost: Cost<unknown>) => number): string =>
    formatMs(costs.reduce((sum, cost) => sum + of(cost), 0) / costs.length)
  // Blocks that the slices take.
  const files = gateway.agents.map(({ data }) => statSync(join(databasePath(data), 'data.mdb')))
  const bytes = files.reduce((sum, { blocks }) => sum + blocks * 512, 0)
  return [
    ...[what, ...[0, 0.5, 1].map((share) => formatMs(quantile(walls, share)))],
    ...[mean(({ gatewayMs }) => gatewayMs), mean(({ agentsMs }) => agentsMs)],
    [...new Set(costs.map(({ value }) => value))].join(', '),
    ...[(bytes / 1e6).toFixed(1), (anonymous / MIB).toFixed(1), ...judged(median(walls), goalMs)],
  ]
}

/** Another number in each LSU of a tile, row after row, as a file of numpy. */
function* patternOf(): Generator<Uint8Array> {
  yield npyHead('f64', side, side)
  for (let y = 0; y < side; y++) {
    yield new Uint8Array(
      Float64Array.from({ length: side }, (_, x) => (x % 16) + 16 * (y % 16)).buffer,
    )
  }
}

async function* measureWrites(gateway: BenchGateway): AsyncGenerator<string[]> {
  const resultOf = ({ copies }: TaskResult): string => `${copies} copies`
  const write = (what: string, goalMs: number, ...tasks: readonly Task[]): Promise<string[]> =>
    measure(gateway, { what, goalMs, tasks, resultOf })
  const scale = (value: number): Task => ({ op: 'scale', args: { fields: { value } } })
  const scales = Array.from({ length: runs }, (_, value) => scale(value))
  const adds = new Array<Task>(runs).fill({ op: 'add', args: { field: 'value', value: 1 } })
  // Until the fleet has settled no tile is born.
  await gateway.run({ ...scale(0.5), region: { x: 0, y: 0, w: 16, h: 16 } })
  yield await write('`scale`, all tiles new', 1000, scale(1.5))
  yield await write('`scale` again', 1000, ...scales)
  yield await write('`add`, each tile one value', 1000, ...adds)
  if (!flags.pattern) return
  await gateway.upload('pattern', Readable.toWeb(Readable.from(patternOf())) as ReadableStream)
  yield await write('`add`, no tile one value', 5000, ...adds)
}

async function measureOverview(
  gateway: BenchGateway,
  what: string,
  step: number,
  region: Region,
  goalMs?: number,
): Promise<string[]> {
  const task = { op: 'overview', region, args: { field: 'value', step } }
  const tasks = new Array<Task>(WARM_UPS + runs).fill(task)
  const resultOf = ({ value }: TaskResult): string => {
    const means = new Float32Array(new Uint8Array(value.mean).buffer)
    if (means.length !== (region.w / step) * (region.h / step))
      throw new Error('squares are missing')
    // Of the first of the four bands.
    if (means[0] !== 1) throw new Error('a mean is wrong')
    return `${means.byteLength / 1024} KiB`
  }
  return await measure(gateway, { what, goalMs, tasks, warmUps: WARM_UPS, resultOf })
}

async function* measureSmall(gateway: BenchGateway): AsyncGenerator<string[]> {
  const all = { x: 0, y: 0, w: 1024, h: 1024 }
  yield await measureOverview(gateway, '1024² f32, to 512²', 2, all, 250)
  yield await measureOverview(gateway, '1024² f32, to 256²', 4, all)
  yield await measureOverview(gateway, '1024² f32, to 64² (a tile each)', 16, all)
  yield await measureOverview(gateway, '1024² f32, to 16²', 64, all)
  const piece = { x: 128, y: 128, w: 256, h: 256 }
  yield await measureOverview(gateway, '256² of it, each cell', 1, piece)
}

async function* measureLarge(gateway: BenchGateway): AsyncGenerator<string[]> {
  const all = { x: 0, y: 0, w: 8192, h: 8192 }
  yield await measureOverview(gateway, '8192² u8 on one agent, to 512²', 16, all, 1500)
  yield await measureOverview(gateway, '8192² u8 on one agent, to 128²', 64, all)
}

/** A band of equal cells stays as it is, but for those at its ends: what all come to is known. */
const DIFFUSION = `let left = coalesce(value[-1, 0], value)
let right = coalesce(value[1, 0], value)
let up = coalesce(value[0, -1], value)
let down = coalesce(value[0, 1], value)
value = value + 0.2 * (left + right + up + down - 4 * value)`

async function* measureNear(gateway: BenchGateway): AsyncGenerator<string[]> {
  const resultOf = ({ copies }: TaskResult): string => `${copies} copies`
  for (const steps of [1, 4]) {
    const args = { source: DIFFUSION, steps }
    const tasks = new Array<Task>(WARM_UPS + runs).fill({ op: 'program', args })
    const what = `diffusion, ${steps === 1 ? 'a step' : `${steps} steps at a time`}`
    const goalMs = steps === 1 ? 1000 : undefined
    yield await measure(gateway, { what, goalMs, tasks, warmUps: WARM_UPS, resultOf })
  }
  const { value } = await gateway.run({ op: 'stat', args: { field: 'value' } })
  if (Math.abs(value.mean - 2.5) > 1e-9) throw new Error(`heat went: ${value.mean}`)
}

const PARTS = {
  write: {
    setup: { ...nodeFlags, name: 'whole', side, type: 'f64', agents: 4, replicas: 2 },
    ...{ start: startGridFleet, measureAll: measureWrites },
  },
  small: {
    setup: { ...nodeFlags, name: 'small', side: 1024, type: 'f32', agents: 3, replicas: 2 },
    ...{ start: startFullGrid, measureAll: measureSmall },
  },
  large: {
    setup: { ...nodeFlags, name: 'large', side: 8192, type: 'u8', agents: 1, replicas: 1 },
    ...{ start: startFullGrid, measureAll: measureLarge },
  },
  near: {
    setup: { ...nodeFlags, name: 'near', side: 1024, type: 'f64', agents: 4, replicas: 2 },
    ...{ start: startFullGrid, measureAll: measureNear },
  },
}

const rows: string[][] = [
  [
    ...['What', 'least', 'p50', 'most', 'CPU gateway', 'CPU agents', 'result', 'disk, MB'],
    ...['most Anonymous, MiB', 'Goal', 'Verdict'],
  ],
]
for (const part of chosenOf(['write', 'small', 'large', 'near'], flags.only)) {
  const { setup, start, measureAll } = PARTS[part]
  await withProcesses(async (processes) => {
    for await (const row of measureAll(await start(processes, setup))) rows.push(row)
  })
}
report(rows, `Milliseconds, ${runs} runs; writes of ${side} × ${side} LSUs.`)
