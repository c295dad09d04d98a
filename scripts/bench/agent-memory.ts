/**
 * One agent with a gateway for itself and 64 MB of slice: its memory when idle, at work and afterwards; and its disk.
 * With the default bound of its store, 64 MiB, new tiles would stop at 54.5 MB, to leave room for rewrites and the
 * outbox: it gets a higher one.
 */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { BenchGateway } from './bench-gateway.ts'
import type { BenchProcesses, Command } from './bench-processes.ts'
import { type AddressWindow, type Footprints, footprintOf, sampleFootprints } from './footprint.ts'
import { formatTable, judged } from './measure.ts'

export interface AgentMemoryOptions {
  /** What it is started with, but for its options. */
  readonly command: Command
  /** The built `obelisk`, for the gateway, where this does not run from beside it. */
  readonly gatewayProgram?: string
  /** Of each of both medians. */
  readonly seconds: number
  /** How often all is written and scanned again. */
  readonly rounds: number
  readonly window?: AddressWindow
}

export interface AgentMemory {
  readonly idle: Footprints
  readonly atWork: Footprints
  readonly after: Footprints
  readonly workSeconds: number
  /** Of the store's file: its length, and its blocks of the disk. */
  readonly storeBytes: number
  readonly diskBytes: number
}

const WIDTH = 1024
const HEIGHT = 500
const LSUS = WIDTH * HEIGHT
/** With 15 of them a tile of 16 × 16 LSUs takes eight pages of the disk, and all tiles 65.5 MB. */
const FIELDS = Array.from({ length: 15 }, (_, index) => `f${index}`)
/** Rows of one `put`: its values stay below the 1 MiB that a submission may have. */
const PUT_ROWS = 50
const SLICE_BYTES_MAX = 80 * 1024 * 1024
/** After its first heartbeats and telemetry. */
const WARM_UP_MS = 15_000

export async function measureAgent(
  processes: BenchProcesses,
  { command, gatewayProgram, seconds, rounds, window }: AgentMemoryOptions,
): Promise<AgentMemory> {
  const gateway = await BenchGateway.start(processes, {
    ...{ program: gatewayProgram, grid: `${WIDTH}x${HEIGHT}`, replicas: 1 },
    flags: ['--fields', FIELDS.map((name) => `${name}:f64`).join(',')],
  })
  const room = `--slice-bytes-max=${SLICE_BYTES_MAX}`
  const { pid, data } = await gateway.startAgent('agent', command, room)
  const look = () => footprintOf(pid, window)
  const rest = async (): Promise<Footprints> => {
    await sleep(WARM_UP_MS)
    return await sampleFootprints(look, (samples) => samples === seconds)
  }

  const idle = await rest()
  let isWorked = false
  const startMs = performance.now()
  const working = writeAndScan(gateway, rounds).finally(() => {
    isWorked = true
  })
  const isOver = (samples: number): boolean => isWorked && samples > 0
  const [atWork] = await Promise.all([sampleFootprints(look, isOver), working])
  const workSeconds = (performance.now() - startMs) / 1000
  const after = await rest()
  const names = readdirSync(data, { recursive: true, encoding: 'utf8' })
  const store = names.find((name) => name.endsWith('/data.mdb'))!
  const { size, blocks } = statSync(join(data, store))
  return { idle, atWork, after, workSeconds, storeBytes: size, diskBytes: blocks * 512 }
}

/** Every LSU in every way, and as often as `rounds` says. */
async function writeAndScan(gateway: BenchGateway, rounds: number): Promise<void> {
  const fields = Object.fromEntries(FIELDS.map((name, index) => [name, 1.5 + index]))
  await gateway.run({ op: 'scale', args: { fields } })
  for (let y = 0; y < HEIGHT; y += PUT_ROWS) {
    const values = Array.from({ length: WIDTH * PUT_ROWS }, (_, index) => ((index + y) % 1000) / 8)
    const region = { x: 0, y, w: WIDTH, h: PUT_ROWS }
    await gateway.run({ op: 'put', region, args: { field: 'f0', values } })
  }
  for (let count = 0; count < rounds; count++) {
    await gateway.run({ op: 'add', args: { field: 'f0', value: count } })
    const { value } = await gateway.run({ op: 'stat', args: { field: 'f0', bins: 64 } })
    if (value.count !== LSUS) throw new Error('stat missed LSUs')
  }
  await gateway.run({ op: 'get', region: { x: 0, y: 0, w: 128, h: 128 }, args: {} })
}

/** A table of Markdown with the goals and whether they are met; MB are of 10^6. */
export function describeAgentMemory(memory: AgentMemory): string {
  const { idle, atWork, after, workSeconds, diskBytes, storeBytes } = memory
  const megabytes = (what: string, bytes: number, goal?: number): string[] => {
    return [what, `${(bytes / 1e6).toFixed(1)} MB`, ...judged(bytes / 1e6, goal, `${goal} MB`)]
  }
  const perLsu = (what: string, bytes: number, goal: number): string[] => {
    const each = bytes / LSUS
    return [what, `${each.toFixed(0)} B`, ...judged(each, goal, `${goal} B`)]
  }
  return formatTable([
    ['What', 'value', 'Goal', 'Verdict'],
    megabytes('idle: Rss', idle.rss, 55),
    megabytes('idle: Anonymous', idle.anonymous, 15),
    megabytes('at work: greatest Anonymous', atWork.anonymousMax),
    megabytes('after work: Anonymous', after.anonymous, 25),
    megabytes('after work: Rss, with mapped pages of the store', after.rss),
    perLsu('after work: Rss an LSU', after.rss, 1900),
    perLsu('disk an LSU', diskBytes, 800),
    megabytes('file of the store', storeBytes),
    [`${LSUS} LSUs written and scanned in`, `${workSeconds.toFixed(1)} s`],
  ])
}
