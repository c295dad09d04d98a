/**
 * How fast an agent applies entries durably, beside a plain loop that writes the same page bytes to
 * LMDB in the same transactions, in alternating rounds of one run. Also: how long the loop is blocked, and
 * what a telemetry sample costs.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { DeviceMetrics } from '../../firmware-agent/adapters/device-metrics.ts'
import { OperationRunner } from '../../firmware-agent/adapters/operation-runner.ts'
import { SliceStore } from '../../firmware-agent/adapters/slice-store.ts'
import { Random } from '../../shared/core/random.ts'
import { bytesOfColumn } from '../../shared/grid/fields.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import { createLayout } from '../../shared/grid/page-layout.ts'
import { findOperation } from '../../shared/operations/catalog.ts'
import { packTiles } from '../../shared/operations/columns.ts'
import {
  PART_BYTES_MAX,
  type Wire,
  type WriteOperation,
} from '../../shared/operations/operation.ts'
import { decodeDown, type Entry, encodeMessage } from '../../shared/protocol/messages.ts'
import { databasePath, openDatabase } from '../../shared/runtime/lmdb.ts'
import { benchOptions } from './bench-options.ts'
import { inMs, median, quantile, report } from './measure.ts'

const GRID = { width: 800, height: 640, tile: 16, fields: 'value:f64' }
const FIELDS = [{ name: 'value', type: 'f64' }] as const
const ROUNDS = 15
const PAGES_BYTES_MAX = 1024 * 1024
const geometry = new Geometry(GRID)
const layout = createLayout(FIELDS, GRID.tile ** 2)

/**
 * The entries of one task over the whole grid on one node, cut as the gateway cuts them and decoded
 * as they arrive. `args` are in their normal form.
 */
function entriesOf(op: string, args: Wire): Entry[] {
  const operation = findOperation(op) as WriteOperation
  const context = { geometry, fields: FIELDS }
  const all = geometry.tilesOf(geometry.whole)
  const perTile = operation.argumentBytesPerTile(args, context, all)
  const byArguments = perTile === 0 ? Number.POSITIVE_INFINITY : PART_BYTES_MAX / perTile
  const tilesMax = Math.floor(Math.min(byArguments, PAGES_BYTES_MAX / layout.bytes))
  const entries: Entry[] = []
  for (let at = 0; at < all.length; at += tilesMax) {
    const tiles = all.subarray(at, at + tilesMax)
    entries.push({
      position: 0,
      seq: 0,
      chain: new Uint8Array(8),
      op,
      region: [0, 0, GRID.width, GRID.height],
      args: operation.cut(args, geometry.whole, tiles, context),
      tiles: packTiles(tiles),
      body: new Uint8Array(8),
    })
  }
  return entries.map((entry) => {
    const message = { t: 'entries' as const, session: 1, confirmed: 0, entries: [entry] }
    const { buffer, byteOffset, byteLength } = encodeMessage(message)
    const decoded = decodeDown(Buffer.from(buffer, byteOffset, byteLength))
    if (!decoded.ok || decoded.message.t !== 'entries') throw new Error('not decodable')
    return decoded.message.entries[0]!
  })
}

interface Timing {
  readonly ms: number
  readonly blockMs: number
}

async function timed(run: () => Promise<unknown>): Promise<Timing> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const startMs = performance.now()
  await run()
  const ms = performance.now() - startMs
  delay.disable()
  return { ms, blockMs: delay.max / 1e6 }
}

benchOptions({})
const base = mkdtempSync(join(tmpdir(), 'obelisk-bench-'))
const onFatal = (error: Error): void => {
  throw error
}
const limits = { sliceBytesMax: 64 * 1024 * 1024, outboxBytesMax: 4 * 1024 * 1024 }
const store = await SliceStore.open(join(base, 'agent'), limits, new Random(1), onFatal)
await store.adopt('bench', GRID)
const runner = new OperationRunner({}, store)

const raw = await openDatabase(join(base, 'raw'), { mapSizeBytes: 2 ** 28, maxDbs: 2 }, onFatal)
const rawTable = raw.table<number>('tiles', 'uint32')
const rawPages = new Uint8Array(geometry.tiles * layout.bytes).fill(1)
const pagesPerTransaction = Math.floor(PAGES_BYTES_MAX / layout.bytes)

async function rawRound(): Promise<void> {
  for (let at = 0; at < geometry.tiles; at += pagesPerTransaction) {
    await raw.write(() => {
      const end = Math.min(geometry.tiles, at + pagesPerTransaction)
      for (let tile = at; tile < end; tile++) {
        const from = tile * layout.bytes
        void rawTable.put(tile, rawPages.subarray(from, from + layout.bytes))
      }
    })
  }
}

const KINDS = ['raw', 'scale', 'put'] as const
type Kind = (typeof KINDS)[number]
const timings: Record<Kind, Timing[]> = { raw: [], scale: [], put: [] }
// No tile holds one value throughout.
const values = Float64Array.from({ length: geometry.lsus }, (_, at) => at / geometry.lsus)
/** Made once: to collect what making them leaves is none of the work of a node. */
const tasks = {
  scale: entriesOf('scale', { fields: [0], values: [1.5] }),
  put: entriesOf('put', { field: 0, values: bytesOfColumn(values) }),
}
let seq = 0

async function round(kind: Kind): Promise<Timing> {
  if (kind === 'raw') return await timed(rawRound)
  seq += 1
  let { position } = store.mark
  const entries = tasks[kind].map((entry) => ({ ...entry, position: ++position, seq }))
  const timing = await timed(() => runner.apply(entries))
  store.forgetResults(store.mark.position)
  return timing
}

await round('scale')
await round('put')
await round('raw')
for (let count = 0; count < ROUNDS; count++) {
  for (const kind of KINDS) timings[kind].push(await round(kind))
}
const [last] = store
  .readPage(geometry.tiles - 1)!
  .column(0)
  .slice(-1)
if (last !== values.at(-1)) throw new Error('wrong')

const metrics = new DeviceMetrics({ diskPath: databasePath(join(base, 'agent')) })
const samplesMs: number[] = []
for (let count = 0; count < 2000; count++) {
  const startMs = performance.now()
  metrics.sample()
  samplesMs.push(performance.now() - startMs)
}
const [p50, p99] = [0.5, 0.99].map((share) => quantile(samplesMs, share).toFixed(4))
const msOf = (kind: Kind): number => median(timings[kind].map(({ ms }) => ms))
const applied = [...timings.scale, ...timings.put]
const longestBlockMs = Math.max(...applied.map(({ blockMs }) => blockMs))
const rows = KINDS.map((kind) => [
  ...[kind, inMs(msOf(kind)), (msOf('raw') / msOf(kind)).toFixed(2)],
])
const notes = [
  `${geometry.lsus} LSUs, medians of ${ROUNDS} rounds.`,
  `Loop blocked at most ${inMs(longestBlockMs)}. Telemetry sample: p50 ${p50} ms, p99 ${p99} ms.`,
]
report([['What', 'time', "of the raw loop's rate"], ...rows], notes.join('\n'))
metrics.close()
await store.close()
await raw.close()
rmSync(base, { recursive: true, force: true })
