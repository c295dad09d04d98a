/**
 * What an overview of the grid costs, asked as a task over HTTP: to the last byte of its CBOR, and the CPU time of
 * gateway and agents. A grid of 1024 × 1024 f32 on three agents, and one of 8192 × 8192 u8 on a single one.
 */
import type { Region } from '../../shared/grid/geometry.ts'
import { benchOptions, misused } from './bench-options.ts'
import { cpuSecondsOf, withProcesses } from './bench-processes.ts'
import { fillGrid, type GridFleet, type GridSetup, runTask, startGridFleet } from './grid-fleet.ts'
import { formatMs, judged, median, quantile, report } from './measure.ts'

const WARM_UPS = 3

const { flags } = benchOptions({ runs: 20, only: 'small,large' })
const { runs } = flags

interface Look {
  readonly what: string
  readonly step: number
  readonly region?: Region
  readonly goalMs?: number
}

interface Setup extends GridSetup {
  readonly looks: readonly Look[]
}

const PIECE = { x: 128, y: 128, w: 256, h: 256 }
const SETUPS: readonly Setup[] = [
  {
    name: 'small',
    side: 1024,
    type: 'f32',
    agents: 3,
    replicas: 2,
    looks: [
      { what: '1024² f32, to 512²', step: 2, goalMs: 250 },
      { what: '1024² f32, to 256²', step: 4 },
      { what: '1024² f32, to 64² (a tile each)', step: 16 },
      { what: '1024² f32, to 16²', step: 64 },
      { what: '256² of it, each cell', step: 1, region: PIECE },
    ],
  },
  {
    name: 'large',
    side: 8192,
    type: 'u8',
    agents: 1,
    replicas: 1,
    looks: [
      { what: '8192² u8 on one agent, to 512²', step: 16, goalMs: 1500 },
      { what: '8192² u8 on one agent, to 128²', step: 64 },
    ],
  },
]
const chosen = SETUPS.filter(
  ({ name }) => flags.only === undefined || flags.only.split(',').includes(name),
)
if (chosen.length === 0) misused('--only: small, large')

async function measureLook(fleet: GridFleet, side: number, look: Look): Promise<string[]> {
  const { step, goalMs } = look
  const region = look.region ?? { x: 0, y: 0, w: side, h: side }
  const walls: number[] = []
  let [gatewaySeconds, agentSeconds, size] = [0, 0, 0]
  for (let count = 0; count < WARM_UPS + runs; count++) {
    if (count === WARM_UPS) {
      gatewaySeconds = cpuSecondsOf(fleet.pid)
      agentSeconds = cpuSecondsOf(...fleet.agents)
    }
    const startMs = performance.now()
    const { value, bytes } = await runTask(fleet.base, {
      op: 'overview',
      region,
      args: { field: 'value', step },
    })
    if (count >= WARM_UPS) walls.push(performance.now() - startMs)
    size = bytes
    const means = new Float32Array(new Uint8Array(value.mean as Uint8Array).buffer)
    if (means.length !== (region.w / step) * (region.h / step))
      throw new Error('squares are missing')
    if (means[0] !== 1 + Math.floor((4 * region.y) / side)) throw new Error('a mean is wrong')
  }
  const each = (seconds: number, pids: readonly number[]): string =>
    formatMs(((cpuSecondsOf(...pids) - seconds) * 1000) / runs)
  const wall = median(walls)
  return [
    look.what,
    ...[formatMs(quantile(walls, 0)), formatMs(wall), formatMs(quantile(walls, 0.99))],
    ...[each(gatewaySeconds, [fleet.pid]), each(agentSeconds, fleet.agents)],
    `${Math.ceil(size / 1024)}`,
    ...(goalMs === undefined ? [] : judged(wall, goalMs)),
  ]
}

const rows: string[][] = [
  ['What', 'least', 'p50', 'p99', 'CPU gateway', 'CPU agents', 'KiB', 'Goal', 'Verdict'],
]
await withProcesses(async (processes) => {
  for (const setup of chosen) {
    const fleet = await startGridFleet(setup, processes)
    await fillGrid(setup, fleet.base)
    for (const look of setup.looks) rows.push(await measureLook(fleet, setup.side, look))
  }
})
report(rows, `Milliseconds, ${runs} runs.`)
