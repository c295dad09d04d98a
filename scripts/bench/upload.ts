/**
 * What a large file costs the gateway's memory: uploaded, sent again when all of it is known, and downloaded by a reader
 * who takes nothing for a while. A field of 4096 × 4096 f32, 64 MiB, on two agents. With `--held`, garbage is collected
 * before each look, so that what is left is in use.
 */
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { npyHead } from '../../shared/grid/npy.ts'
import { benchOptions, misused } from './bench-options.ts'
import { type Command, cpuSecondsOf, PROBED, probe, withProcesses } from './bench-processes.ts'
import { footprintOf } from './footprint.ts'
import { fillGrid, type GridFleet, startGridFleet } from './grid-fleet.ts'
import { judged, report } from './measure.ts'
import { unitSetup } from './unit-command.ts'

const MIB = 1024 * 1024
const SAMPLE_MS = 50
const REST_MS = 5000
/** How long the slow reader takes nothing. */
const STALL_MS = 5000
const UPLOAD_GOAL_MIB = 8
const READER_GOAL_MIB = 4

const { flags } = benchOptions({ side: 4096, held: false })
const { side } = flags
if (side < 256 || side % 16 !== 0) {
  misused('--side: a multiple of 16 from 256 on')
}
const bytes = 4 * side * side

/** `used`: objects and buffers together, garbage among them unless it was collected. */
type Figures = Record<'anonymous' | 'heap' | 'used', number>

const { flags: nodeFlags, environment } = unitSetup('gateway')
const command: Command = {
  path: process.execPath,
  argv: [...nodeFlags, ...(flags.held ? ['--expose-gc'] : []), ...PROBED],
  environment,
}

async function figuresOf({ child, pid }: GridFleet): Promise<Figures> {
  const { heapUsed, heapTotal, external } = (await probe(child)).memory
  const { anonymous } = footprintOf(pid)
  return { anonymous, heap: heapTotal, used: heapUsed + external }
}

/** The greatest of each while it works. */
async function most(fleet: GridFleet, work: Promise<unknown>): Promise<Figures> {
  let isOver = false
  const done = work.finally(() => {
    isOver = true
  })
  const peak: Figures = { anonymous: 0, heap: 0, used: 0 }
  while (!isOver) {
    const now = await figuresOf(fleet)
    for (const name of Object.keys(peak) as (keyof Figures)[]) {
      peak[name] = Math.max(peak[name], now[name])
    }
    await sleep(SAMPLE_MS)
  }
  await done
  return peak
}

async function upload({ base }: GridFleet, id: string, file: Buffer): Promise<void> {
  const response = await fetch(`${base}/api/grid/value?id=${id}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/x-npy' },
    body: file as Uint8Array<ArrayBuffer>,
  })
  const text = await response.text()
  if (response.status !== 200) throw new Error(`upload: ${response.status} ${text}`)
}

/** Takes a part, then nothing for a while, then the rest. */
async function download({ base }: GridFleet, form: 'npy' | 'csv', stallMs: number): Promise<void> {
  const { hostname, port } = new URL(base)
  const socket = connect(Number(port), hostname)
  socket.write(
    `GET /api/grid/value.${form} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`,
  )
  let taken = 0
  let hasStalled = stallMs === 0
  socket.on('data', (chunk: Buffer) => {
    taken += chunk.length
    if (hasStalled || taken < bytes / 8) return
    hasStalled = true
    socket.pause()
    setTimeout(() => socket.resume(), stallMs)
  })
  await once(socket, 'close')
  if (form === 'npy' && taken < bytes) throw new Error(`download: ${taken} of ${bytes} bytes`)
}

function fileOf(seed: number): Buffer {
  const cells = Float32Array.from({ length: side * side }, (_, at) => (at * seed) % 997)
  return Buffer.concat([npyHead('f32', side, side), Buffer.from(cells.buffer)])
}

const rows: string[][] = [
  [
    ...['What', 's', 'CPU gateway, s', 'Anonymous, MiB', 'more', 'V8 heap'],
    ...['objects and buffers', 'more', 'Goal', 'Verdict'],
  ],
]

async function measure(
  what: string,
  fleet: GridFleet,
  work: () => Promise<unknown>,
  goal?: number,
): Promise<void> {
  await sleep(REST_MS)
  const before = await figuresOf(fleet)
  const [startMs, startCpu] = [performance.now(), cpuSecondsOf(fleet.pid)]
  const peak = await most(fleet, work())
  const seconds = (performance.now() - startMs) / 1000
  const more = (name: keyof Figures): number => (peak[name] - before[name]) / MIB
  const growth = (name: keyof Figures): string => `${inMib(before[name])} → ${inMib(peak[name])}`
  rows.push([
    ...[what, seconds.toFixed(1), (cpuSecondsOf(fleet.pid) - startCpu).toFixed(1)],
    ...[growth('anonymous'), more('anonymous').toFixed(1), growth('heap')],
    ...[growth('used'), more('used').toFixed(1)],
    ...(goal === undefined ? [] : judged(more(flags.held ? 'used' : 'anonymous'), goal)),
  ])
}

function inMib(value: number): string {
  return (value / MIB).toFixed(1)
}

await withProcesses(async (processes) => {
  const setup = { name: 'upload', side, type: 'f32', agents: 2, replicas: 1 }
  const fleet = await startGridFleet(setup, processes, command)
  await fillGrid(setup, fleet.base)
  const file = fileOf(7)
  await measure('upload, the first', fleet, () => upload(fleet, 'first', file), UPLOAD_GOAL_MIB)
  await measure('sent again', fleet, () => upload(fleet, 'first', file), UPLOAD_GOAL_MIB)
  const other = fileOf(11)
  await measure('another file', fleet, () => upload(fleet, 'second', other), UPLOAD_GOAL_MIB)
  await measure('download, npy', fleet, () => download(fleet, 'npy', 0))
  for (const form of ['npy', 'csv'] as const) {
    const work = (): Promise<void> => download(fleet, form, STALL_MS)
    await measure(`${form}, a reader who stops`, fleet, work, READER_GOAL_MIB)
  }
})
report(rows, `${inMib(bytes)} MiB of numbers.`)
