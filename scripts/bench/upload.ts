/**
 * What a large file costs the gateway's memory: uploaded, sent again when all of it is known, and downloaded by a reader
 * who takes nothing for a while. A field of 4096 × 4096 f32, 64 MiB, on two agents. With `--held`, garbage is collected
 * before each look, so that what is left is in use.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { npyHead } from '../../shared/grid/npy.ts'
import { type BenchGateway, startFullGrid } from './bench-gateway.ts'
import { benchOptions, misused } from './bench-options.ts'
import { withProcesses } from './bench-processes.ts'
import { footprintOf } from './footprint.ts'
import { judged, report } from './measure.ts'

const MIB = 1024 * 1024
const SAMPLE_MS = 50
const REST_MS = 5000
/** How long the slow reader takes nothing. */
const STALL_MS = 5000
const UPLOAD_GOAL_MIB = 8
const READER_GOAL_MIB = 4

const { side, held } = benchOptions({ side: 4096, held: false })
if (side < 256 || side % 16 !== 0) misused('--side: a multiple of 16 from 256 on')
const bytes = 4 * side * side

/** MiB. `used`: objects and buffers together, garbage among them unless it was collected. */
type Figures = Record<'anonymous' | 'used', number>

async function figuresOf(gateway: BenchGateway): Promise<Figures> {
  const { heapUsed, external } = (await gateway.probe()).memory
  const { anonymous } = footprintOf(gateway.pid)
  return { anonymous: anonymous / MIB, used: (heapUsed + external) / MIB }
}

/** The greatest of each while it works. */
async function most(gateway: BenchGateway, work: Promise<unknown>): Promise<Figures> {
  let isOver = false
  const done = work.finally(() => {
    isOver = true
  })
  const peak: Figures = { anonymous: 0, used: 0 }
  while (!isOver) {
    const now = await figuresOf(gateway)
    peak.anonymous = Math.max(peak.anonymous, now.anonymous)
    peak.used = Math.max(peak.used, now.used)
    await sleep(SAMPLE_MS)
  }
  await done
  return peak
}

/** Takes a part, then nothing for a while, then the rest. */
async function download({ base }: BenchGateway, form: string, stallMs: number): Promise<void> {
  const { body } = await fetch(`${base}/api/grid/value.${form}`)
  let taken = 0
  let hasStalled = stallMs === 0
  for await (const chunk of body!) {
    taken += chunk.length
    if (hasStalled || taken < bytes / 8) continue
    hasStalled = true
    await sleep(stallMs)
  }
  if (form === 'npy' && taken < bytes) throw new Error(`download: ${taken} of ${bytes} bytes`)
}

function fileOf(seed: number): Buffer<ArrayBuffer> {
  const cells = Float32Array.from({ length: side * side }, (_, at) => (at * seed) % 997)
  return Buffer.concat([npyHead('f32', side, side), Buffer.from(cells.buffer)])
}

async function measure(
  gateway: BenchGateway,
  what: string,
  work: () => Promise<unknown>,
  goal?: number,
): Promise<string[]> {
  await sleep(REST_MS)
  const before = await figuresOf(gateway)
  const { wallMs, gatewayMs, value: peak } = await gateway.cost(() => most(gateway, work()))
  const growth = (name: keyof Figures): string =>
    `${before[name].toFixed(1)} → ${peak[name].toFixed(1)}`
  const more = (name: keyof Figures): number => peak[name] - before[name]
  return [
    ...[what, (wallMs / 1000).toFixed(1), (gatewayMs / 1000).toFixed(1)],
    ...[growth('anonymous'), more('anonymous').toFixed(1), growth('used'), more('used').toFixed(1)],
    ...judged(more(held ? 'used' : 'anonymous'), goal),
  ]
}

const rows: string[][] = [
  [
    ...['What', 's', 'CPU gateway, s', 'Anonymous, MiB', 'more', 'objects and buffers', 'more'],
    ...['Goal', 'Verdict'],
  ],
]
await withProcesses(async (processes) => {
  const nodeFlags = held ? ['--expose-gc'] : []
  const setup = { name: 'upload', side, type: 'f32', agents: 2, replicas: 1, nodeFlags }
  const gateway = await startFullGrid(processes, setup)
  const [file, other] = [fileOf(7), fileOf(11)]
  for (const [what, id, body] of [
    ['upload, the first', 'first', file],
    ['sent again', 'first', file],
    ['another file', 'second', other],
  ] as const) {
    rows.push(await measure(gateway, what, () => gateway.upload(id, body), UPLOAD_GOAL_MIB))
  }
  rows.push(await measure(gateway, 'download, npy', () => download(gateway, 'npy', 0)))
  for (const form of ['npy', 'csv']) {
    const work = (): Promise<void> => download(gateway, form, STALL_MS)
    rows.push(await measure(gateway, `${form}, a reader who stops`, work, READER_GOAL_MIB))
  }
})
report(rows, `${(bytes / MIB).toFixed(1)} MiB of numbers.`)
