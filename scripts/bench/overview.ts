/**
 * What an overview of the grid costs, asked as a task over HTTP: to the last byte of its CBOR, and the CPU time of
 * gateway and agents. A grid of 1024 × 1024 f32 on three agents, and one of 8192 × 8192 u8 on a single one. After
 * `npm run build`: `node dist/scripts/bench/overview.js [--runs 20] [--only small,large]`.
 */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Region } from '../../shared/grid/geometry.ts'
import { decodeCbor } from '../../shared/protocol/cbor.ts'
import { benchOptions, misused } from './bench-options.ts'
import { BenchProcesses, cpuSecondsOf } from './bench-processes.ts'
import { describeMachine, formatMs, formatTable, median, quantile } from './measure.ts'
import { agentCommand, unitSetup } from './unit-command.ts'

const PROGRAM = fileURLToPath(new URL('../obelisk.js', import.meta.url))
const RESULT_LIMITS = { bytesMax: 64 * 1024 * 1024, depthMax: 8, itemsMax: 1000 }
const WARM_UPS = 3

const { values: flags } = benchOptions('overview.js [--runs 20] [--only small,large]', {
  options: { runs: { type: 'string', default: '20' }, only: { type: 'string', default: '' } },
})
const runs = Number(flags.runs)
if (!Number.isInteger(runs) || runs < 1) misused('--runs: a whole number above 0')

interface Look {
  readonly what: string
  readonly step: number
  readonly region?: Region
  readonly goalMs?: number
}

interface Setup {
  readonly name: string
  readonly side: number
  readonly type: string
  readonly agents: number
  readonly replicas: number
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
  ({ name }) => flags.only === '' || flags.only.split(',').includes(name),
)
if (chosen.length === 0) misused('--only: small, large')

interface Fleet {
  readonly base: string
  readonly gateway: number
  readonly agents: readonly number[]
}

async function startFleet(setup: Setup, processes: BenchProcesses): Promise<Fleet> {
  const { name, side, type, replicas } = setup
  const { child, ready } = await processes.start(
    `${name}-gateway`,
    [PROGRAM, 'gateway', '--port', '0', '--http-port', '0', '--log-level', 'warn'].concat([
      ...['--data', join(processes.directory, `${name}-gateway`), '--replicas', String(replicas)],
      ...['--grid', `${side}x${side}`, '--tile', '16', '--fields', `value:${type}`],
    ]),
  )
  const [, port, http] = /mqtt=\S+:(\d+) http=(\S+)/.exec(ready)!
  const command = agentCommand(unitSetup('agent'), PROGRAM, undefined)
  const agents: number[] = []
  for (let count = 1; count <= setup.agents; count++) {
    const id = `${name}-${count}`
    const data = ['--data', join(processes.directory, id), '--slice-bytes-max', String(2 ** 30)]
    const argv = ['--id', id, '--url', `mqtt://127.0.0.1:${port}`, ...data, '--log-level', 'warn']
    agents.push((await processes.start(id, argv, command)).child.pid!)
  }
  return { base: `http://${http}`, gateway: child.pid!, agents }
}

/** Submits a task, waits for its end and returns its value and the bytes of its result. */
async function run(
  base: string,
  task: Record<string, unknown>,
): Promise<{ value: Record<string, unknown>; bytes: number }> {
  const response = await fetch(`${base}/process?wait=60s`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/cbor' },
    body: JSON.stringify({ ...task, deadline_ms: 600_000 }),
  })
  const body = new Uint8Array(await response.arrayBuffer())
  const decoded = response.status === 200 ? decodeCbor(body, RESULT_LIMITS) : undefined
  if (decoded?.ok !== true) throw new Error(`${task.op}: ${response.status}`)
  const { state, value } = decoded.value as { state: string; value?: Record<string, unknown> }
  if (state !== 'completed' || value === undefined) throw new Error(`${task.op}: ${state}`)
  return { value, bytes: body.length }
}

/** Every tile is written; what a square must show then is known. */
async function fill({ side }: Setup, base: string): Promise<void> {
  const rows = side / 4
  for (let y = 0; y < side; y += rows) {
    const region = { x: 0, y, w: side, h: rows }
    await run(base, { op: 'set', region, args: { fields: { value: 1 + y / rows } } })
  }
}

async function measureLook(fleet: Fleet, side: number, look: Look): Promise<string[]> {
  const { step, goalMs } = look
  const region = look.region ?? { x: 0, y: 0, w: side, h: side }
  const walls: number[] = []
  const spent = (pids: readonly number[]): number =>
    pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0)
  let [gatewaySeconds, agentSeconds, size] = [0, 0, 0]
  for (let count = 0; count < WARM_UPS + runs; count++) {
    if (count === WARM_UPS) {
      gatewaySeconds = spent([fleet.gateway])
      agentSeconds = spent(fleet.agents)
    }
    const startMs = performance.now()
    const { value, bytes } = await run(fleet.base, {
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
    formatMs(((spent(pids) - seconds) * 1000) / runs)
  const wall = median(walls)
  const verdict = goalMs === undefined ? [] : [`≤ ${goalMs}`, wall <= goalMs ? 'holds' : 'missed']
  return [
    look.what,
    ...[formatMs(quantile(walls, 0)), formatMs(wall), formatMs(quantile(walls, 0.99))],
    ...[each(gatewaySeconds, [fleet.gateway]), each(agentSeconds, fleet.agents)],
    `${Math.ceil(size / 1024)}`,
    ...verdict,
  ]
}

const rows: string[][] = [
  ['What', 'least', 'p50', 'p99', 'CPU gateway', 'CPU agents', 'KiB', 'Goal', 'Verdict'],
]
const processes = new BenchProcesses()
try {
  for (const setup of chosen) {
    const fleet = await startFleet(setup, processes)
    await fill(setup, fleet.base)
    for (const look of setup.looks) rows.push(await measureLook(fleet, setup.side, look))
  }
} finally {
  await processes.close()
}
process.stdout.write(`${describeMachine()}\nMilliseconds, ${runs} runs.\n${formatTable(rows)}\n`)
