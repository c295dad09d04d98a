/** A slice that takes no more tiles still rewrites all that it has, whatever its bound. */
import { join } from 'node:path'
import t from 'tap'
import type { ApplyError } from '../../../firmware-agent/adapters/apply-run.ts'
import { OperationRunner } from '../../../firmware-agent/adapters/operation-runner.ts'
import { SliceStore } from '../../../firmware-agent/adapters/slice-store.ts'
import { Random } from '../../../shared/core/random.ts'
import type { Region } from '../../../shared/grid/geometry.ts'
import { ENTRY_PAGE_BYTES_MAX } from '../../../shared/operations/operation.ts'
import type { Entry } from '../../../shared/protocol/messages.ts'
import { EntryStream } from '../../support/slice-entries.ts'

const MIB = 1024 * 1024
const COLUMNS = 16

for (const { tile, boundMib } of [
  { tile: 32, boundMib: 4 },
  { tile: 32, boundMib: 8 },
  { tile: 32, boundMib: 14 },
  { tile: 16, boundMib: 12 },
  { tile: 8, boundMib: 3 },
]) {
  t.test(`${boundMib} MiB with tiles of ${tile}`, async (t) => {
    const bounds = { sliceBytesMax: boundMib * MIB, outboxBytesMax: 4 * MIB }
    const random = new Random(1)
    const store = await SliceStore.open(join(t.testdir(), 'store'), bounds, random, (error) => {
      t.fail(error.message)
    })
    t.teardown(async () => await store.close())
    const width = COLUMNS * tile
    const rows = Math.floor(8192 / tile)
    await store.adopt('ledger', { width, height: rows * tile, tile, fields: 'value:f64' })
    const runner = new OperationRunner({}, store)
    const tilesMax = Math.floor(ENTRY_PAGE_BYTES_MAX / store.grid!.layoutOf(0).bytes)
    let seq = 0
    /** A write as the gateway cuts it, at the positions that follow. */
    const write = (region: Region): Entry[] => {
      seq += 1
      const task = { op: 'set', region, args: { fields: { value: seq } }, tilesMax }
      const entries = new EntryStream(store.grid!).writeAgain(task, seq)
      return entries.map((entry) => ({ ...entry, position: ++position }))
    }
    let { position } = store.mark
    let filled = 0
    const fill = async (): Promise<void> => {
      for (; filled < rows; filled++) {
        await runner.apply(write({ x: 0, y: filled * tile, w: width, h: tile }))
      }
    }
    await t.rejects(fill(), { code: 'store-full' })
    position = store.mark.position
    t.ok(filled > 0)
    const first = { x: 0, y: 0, w: width, h: tile }
    const [fits, fitsToo] = [write(first), write(first)]
    const end = position
    const rest = [...fitsToo, ...write({ ...first, y: filled * tile, h: 2 * tile })]
    const outcomes = await Promise.allSettled(
      [fits, rest, write(first)].map((job) => runner.apply(job)),
    )
    t.match(outcomes, [
      { status: 'fulfilled', value: { mark: { position: end - fitsToo.length } } },
      { status: 'rejected', reason: { code: 'store-full' } },
      { status: 'rejected' },
    ])
    const { applied } = (outcomes[1] as PromiseRejectedResult).reason as ApplyError
    t.ok(applied.mark.position >= end, 'what fits is not held back by what does not')
    t.equal(applied.results.length, applied.mark.position - (end - fitsToo.length))
    t.same(store.mark, applied.mark)
    position = store.mark.position
    for (let round = 0; round < 12; round++) {
      const [row, column] = [random.integer(filled), random.integer(COLUMNS)]
      const all = { x: 0, y: 0, w: width, h: filled * tile }
      const entries = [
        // A leaf holds neighbours: a column of tiles touches the most of them.
        ...write({ x: column * tile, y: 0, w: tile, h: filled * tile }),
        ...write({ x: 0, y: row * tile, w: width, h: tile }),
        ...write(all),
        ...write(all),
      ]
      await runner.apply(entries)
    }
    t.equal(store.readPage(0)?.column(0)[0], seq)
    const { storeBytes } = store.stats()
    t.ok(storeBytes <= bounds.sliceBytesMax, `${storeBytes} bytes`)
  })
}
