/**
 * What an overview of the grid costs, asked as a task over HTTP: to the last byte of its CBOR, and the CPU time of
 * gateway and agents. A grid of 1024 × 1024 f32 on three agents, and one of 8192 × 8192 u8 on a single one.
 */
import type { Region } from '../../shared/grid/geometry.ts'
import { type BenchGateway, type Cost, type GridSetup, startFullGrid } from './bench-gateway.ts'
import { benchOptions, chosenOf } from './bench-options.ts'
import { withProcesses } from './bench-processes.ts'
import { formatMs, judged, quantile, report } from './measure.ts'

const WARM_UPS = 3

const { runs, only } = benchOptions({ runs: 20, only: 'small,large' })

interface Look {
  readonly what: string
  readonly step: number
  readonly region?: Region
  readonly goalMs?: number
}

const SETUPS: readonly (GridSetup & { readonly looks: readonly Look[] })[] = [
  {
    ...{ name: 'small', side: 1024, type: 'f32', agents: 3, replicas: 2 },
    looks: [
      { what: '1024² f32, to 512²', step: 2, goalMs: 250 },
      { what: '1024² f32, to 256²', step: 4 },
      { what: '1024² f32, to 64² (a tile each)', step: 16 },
      { what: '1024² f32, to 16²', step: 64 },
      { what: '256² of it, each cell', step: 1, region: { x: 128, y: 128, w: 256, h: 256 } },
    ],
  },
  {
    ...{ name: 'large', side: 8192, type: 'u8', agents: 1, replicas: 1 },
    looks: [
      { what: '8192² u8 on one agent, to 512²', step: 16, goalMs: 1500 },
      { what: '8192² u8 on one agent, to 128²', step: 64 },
    ],
  },
]
const chosen = chosenOf(
  SETUPS.map(({ name }) => name),
  only,
)

async function measureLook(gateway: BenchGateway, side: number, look: Look): Promise<string[]> {
  const { what, step, region = { x: 0, y: 0, w: side, h: side }, goalMs } = look
  const task = { op: 'overview', region, args: { field: 'value', step } }
  const costs: Cost<Float32Array>[] = []
  for (let count = 0; count < WARM_UPS + runs; count++) {
    const cost = await gateway.cost(async () => {
      const { value } = await gateway.run(task)
      return new Float32Array(new Uint8Array(value.mean).buffer)
    })
    const means = cost.value
    if (means.length !== (region.w / step) * (region.h / step))
      throw new Error('squares are missing')
    if (means[0] !== 1 + Math.floor((4 * region.y) / side)) throw new Error('a mean is wrong')
    if (count >= WARM_UPS) costs.push(cost)
  }
  const walls = costs.map(({ wallMs }) => wallMs)
  const each = (of: (cost: Cost<unknown>) => number): string =>
    formatMs(costs.reduce((sum, cost) => sum + of(cost), 0) / runs)
  return [
    what,
    ...[0, 0.5, 0.99].map((share) => formatMs(quantile(walls, share))),
    ...[each(({ gatewayMs }) => gatewayMs), each(({ agentsMs }) => agentsMs)],
    `${Math.ceil(costs[0]!.value.byteLength / 1024)}`,
    ...judged(quantile(walls, 0.5), goalMs),
  ]
}

const rows: string[][] = [
  ['What', 'least', 'p50', 'p99', 'CPU gateway', 'CPU agents', 'KiB', 'Goal', 'Verdict'],
]
await withProcesses(async (processes) => {
  for (const { looks, ...setup } of SETUPS.filter(({ name }) => chosen.includes(name))) {
    const gateway = await startFullGrid(processes, setup)
    for (const look of looks) rows.push(await measureLook(gateway, setup.side, look))
  }
})
report(rows, `Milliseconds, ${runs} runs.`)
