/** The room of a full slice, some of whose tiles hold one value: its bound, and its outbox. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { OperationRunner } from '../../../firmware-agent/adapters/operation-runner.ts'
import { SliceStore } from '../../../firmware-agent/adapters/slice-store.ts'
import { Random } from '../../../shared/core/random.ts'
import type { Region } from '../../../shared/grid/geometry.ts'
import { ENTRY_PAGE_BYTES_MAX } from '../../../shared/operations/operation.ts'
import type { Answer, Entry } from '../../../shared/protocol/messages.ts'
import { EntryStream } from '../../support/slice-entries.ts'

const MIB = 1024 * 1024
const COLUMNS = 16
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/firmware-agent/adapters/packed-room.test.ts`)

interface Bounds {
  readonly sliceBytesMax: number
  readonly outboxBytesMax: number
}

/** Scaled until nothing goes in any more. */
async function fullSlice(t: Test, bounds: Bounds, tile: number, fields: string, mayPack: boolean) {
  const store = await SliceStore.open(
    join(t.testdir(), 'store'),
    bounds,
    new Random(1),
    (error) => {
      t.fail(error.message)
    },
  )
  t.teardown(async () => await store.close())
  store.mayPack = mayPack
  const columns = tile === 32 ? COLUMNS : 256
  const rows = Math.floor(8192 / tile)
  await store.adopt('ledger', { width: columns * tile, height: rows * tile, tile, fields })
  const runner = new OperationRunner({}, store)
  const tilesMax = Math.floor(ENTRY_PAGE_BYTES_MAX / store.grid!.layoutOf(0).bytes)
  const stream = new EntryStream(store.grid!)
  let { position } = store.mark
  let seq = 0
  const write = (op: string, region: Region, args: unknown): Entry[] => {
    const entries = stream.writeAgain({ op, region, args, tilesMax }, ++seq)
    return entries.map((entry) => ({ ...entry, position: ++position }))
  }
  const apply = async (entries: Entry[]): Promise<void> => {
    await runner.apply(entries)
    store.forgetResults(position)
  }
  let filled = 0
  const fill = async (): Promise<void> => {
    for (; filled < rows; filled++) {
      const region = { x: 0, y: filled * tile, w: columns * tile, h: tile }
      await apply(write('scale', region, {}))
    }
  }
  await t.rejects(fill(), { code: 'store-full' })
  position = store.mark.position
  return { store, write, apply, tiles: filled * columns }
}

t.test(
  'the file stays below its bound, however many columns of a tile are one value',
  async (t) => {
    const random = new Random(seed)
    const [side, names] = [32, ['a', 'b', 'c', 'd']]
    const fields = names.map((name) => `${name}:f64`).join(',')
    const bounds = { sliceBytesMax: 64 * MIB, outboxBytesMax: MIB / 4 }
    const { store, write, apply, tiles } = await fullSlice(t, bounds, side, fields, true)
    let most = 0
    const tileAt = (index: number): Region => {
      const [x, y] = [(index % COLUMNS) * side, Math.floor(index / COLUMNS) * side]
      return { x, y, w: side, h: side }
    }
    const look = (): void => {
      most = Math.max(most, store.stats().storeBytes)
    }
    const putOne = (index: number, field: string, value: number): Entry[] => {
      const { x, y } = tileAt(index)
      const cell = { x: x + random.integer(side), y: y + random.integer(side), w: 1, h: 1 }
      return write('put', cell, { field, values: [value] })
    }
    for (let round = 0; round < 500; round++) {
      const entries: Entry[] = []
      for (let count = 0; count < 24; count++) {
        const [index, field] = [random.integer(tiles), names[random.integer(names.length)]!]
        if (random.integer(100) < 45) {
          entries.push(...write('set', tileAt(index), { fields: { [field]: round % 99 } }))
        } else entries.push(...putOne(index, field, 1000 + count))
      }
      await apply(entries)
      look()
    }
    const order = Array.from({ length: tiles }, (_, index) => index)
    for (let at = order.length - 1; at > 0; at--) {
      const other = random.integer(at + 1)
      ;[order[at], order[other]] = [order[other]!, order[at]!]
    }
    for (let at = 0; at < order.length; at += 6) {
      const some = order.slice(at, at + 6)
      await apply(some.flatMap((index) => names.flatMap((field) => putOne(index, field, 5000))))
      look()
    }
    t.ok(most <= bounds.sliceBytesMax, `${most} bytes`)
  },
)

for (const { tile, fields } of [
  { tile: 8, fields: 'value:f64' },
  { tile: 16, fields: 'value:u8' },
]) {
  const name = `tiles of ${tile}, ${fields}`
  t.test(`the first page of format 2 takes nothing from the answers: ${name}`, async (t) => {
    const bounds = { sliceBytesMax: 48 * MIB, outboxBytesMax: MIB }
    const { store, write, apply } = await fullSlice(t, bounds, tile, fields, false)
    const { position, seq } = store.mark
    const head = { t: 'answer', task: 'task', attempt: 1, position, seq, ms: 1 } as const
    const keep = async (part: string): Promise<number> => {
      await store.storeAnswers([{ ...head, part, value: {} } as Answer])
      return store.stats().answersShed
    }
    t.equal(await keep('before'), 0)
    store.mayPack = true
    await apply(write('scale', { x: 0, y: 0, w: tile, h: tile }, {}))
    t.equal(await keep('after'), 0)
  })
}
