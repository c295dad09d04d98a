/** A slice whose tiles hold one value throughout: small on the disk, and what it would be otherwise. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { OperationRunner } from '../../../firmware-agent/adapters/operation-runner.ts'
import { openRecord } from '../../../firmware-agent/adapters/sealed-record.ts'
import { SliceGrid } from '../../../firmware-agent/adapters/slice-grid.ts'
import { SliceStore } from '../../../firmware-agent/adapters/slice-store.ts'
import type { StoreFacts } from '../../../firmware-agent/core/stored-state.ts'
import { Random } from '../../../shared/core/random.ts'
import type { Region } from '../../../shared/grid/geometry.ts'
import { ENTRY_PAGE_BYTES_MAX } from '../../../shared/operations/operation.ts'
import type { Entry, GridShape } from '../../../shared/protocol/messages.ts'
import { openDatabase } from '../../../shared/runtime/lmdb.ts'
import { EntryStream } from '../../support/slice-entries.ts'

const MIB = 1024 * 1024
const COLUMNS = 16
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/firmware-agent/adapters/packed-slice.test.ts`)

async function open(t: Test, directory: string, sliceBytesMax = 16 * MIB): Promise<SliceStore> {
  const bounds = { sliceBytesMax, outboxBytesMax: MIB }
  const store = await SliceStore.open(directory, bounds, new Random(1), (error) => {
    t.fail(error.message)
  })
  t.teardown(async () => await store.close())
  return store
}

const pagesOf = (store: SliceStore): (string | undefined)[] =>
  Array.from({ length: store.grid!.geometry.tiles }, (_, tile) => {
    const page = store.readPage(tile)
    return page && Buffer.from(page.bytes).toString('base64')
  })

const SHAPE: GridShape = { width: 250, height: 130, tile: 16, fields: 'value:f64,level:u8' }

async function identityOf(t: Test, directory: string): Promise<StoreFacts> {
  const database = await openDatabase(directory, { mapSizeBytes: 2 ** 26, maxDbs: 7 }, () => {})
  t.teardown(async () => await database.close())
  const stored = database.table<string>('meta', 'ordered-binary').getBinary('identity')!
  await database.close()
  return openRecord<StoreFacts>(stored)!
}

t.test('scaled tiles take some bytes each, and a version of before ends at them', async (t) => {
  const directory = join(t.testdir(), 'store')
  const store = await open(t, directory)
  await store.adopt('ledger', SHAPE)
  const runner = new OperationRunner({}, store)
  const entries = new EntryStream(store.grid!)
  const { whole } = store.grid!.geometry
  await runner.apply(entries.write({ op: 'scale', region: whole, args: {} }))
  await store.close()
  t.type(new SliceGrid((await identityOf(t, directory)).grid!), SliceGrid, 'none of format 2 yet')

  const second = await open(t, directory)
  second.mayPack = true
  const before = second.stats().storeBytes
  const next = new OperationRunner({}, second)
  await next.apply(
    entries.write({ op: 'add', region: whole, args: { field: 'value', value: 0.1 } }),
  )
  t.ok(second.stats().storeBytes < before + 64 * 1024, 'next to nothing was written')
  const expected = pagesOf(second)
  t.equal(second.readPage(3)?.valueOf(0), 0.1)
  await second.close()
  const { grid } = await identityOf(t, directory)
  t.throws(() => new SliceGrid(grid!), { code: 'grid-invalid' })

  const third = await open(t, directory)
  t.same(third.identity.grid, SHAPE)
  t.same(pagesOf(third), expected)
  await third.wipe()
  await third.adopt('other', SHAPE)
  await third.close()
  t.type(new SliceGrid((await identityOf(t, directory)).grid!), SliceGrid, 'emptied: as new')
})

t.test('what is applied is the same, whichever form each page has', async (t) => {
  const random = new Random(seed)
  const root = t.testdir()
  const stores = [await open(t, join(root, 'a')), await open(t, join(root, 'b'))]
  for (const store of stores) await store.adopt('ledger', SHAPE)
  const [packed, plain] = stores as [SliceStore, SliceStore]
  const runners = stores.map((store) => new OperationRunner({ transactionBytesMax: 40_000 }, store))
  const stream = new EntryStream(packed.grid!)
  const { whole } = packed.grid!.geometry
  const regionOf = (): Region => {
    if (random.integer(3) === 0) return whole
    const [x, y] = [random.integer(200), random.integer(100)]
    return { x, y, w: 1 + random.integer(50), h: 1 + random.integer(30) }
  }
  const met = new Set<boolean>()
  for (let round = 0; round < 12; round++) {
    const entries: Entry[] = []
    for (let count = 1 + random.integer(4); count > 0; count--) {
      const region = regionOf()
      const value = [0, 1, 7, 250][random.integer(4)]!
      const op = ['scale', 'set', 'add', 'put'][random.integer(4)]!
      const field = ['value', 'level'][random.integer(2)]!
      const values = new Array<number>(Math.min(200, region.w * region.h)).fill(value)
      const args = {
        scale: {},
        set: { fields: { [field]: value } },
        add: { field, value },
        put: { field, values: random.integer(2) === 0 ? values : values.map((_, at) => at % 200) },
      }[op]
      const row = { ...region, h: 1, w: Math.min(region.w, 200) }
      const put = args as { values?: number[] }
      if (put.values !== undefined) put.values = put.values.slice(0, row.w)
      const task = { op, region: op === 'put' ? row : region, args, tilesMax: 40 }
      entries.push(...stream.write(task))
    }
    packed.mayPack = random.integer(3) > 0
    for (const runner of runners) await runner.apply(entries)
    t.same(pagesOf(packed), pagesOf(plain))
    for (let tile = 0; tile < packed.grid!.geometry.tiles; tile++) {
      met.add(packed.readPage(tile)?.valueOf(0) !== undefined)
    }
  }
  t.equal(met.size, 2, 'both forms were met')
})

t.test(
  'tiles of one value go to disk by the thousand, others as many as they have bytes for',
  async (t) => {
    const store = await open(t, join(t.testdir(), 'store'), 64 * MIB)
    store.mayPack = true
    await store.adopt('ledger', { width: 1024, height: 1024, tile: 16, fields: 'value:f64' })
    const { whole } = store.grid!.geometry
    const tilesMax = Math.floor(ENTRY_PAGE_BYTES_MAX / store.grid!.layoutOf(0).bytes)
    const stream = new EntryStream(store.grid!)
    const runner = new OperationRunner({ progressMs: 0 }, store)
    const transactionsOf = async (op: string, region: Region, args: unknown): Promise<number> => {
      let count = 1
      await runner.apply(stream.write({ op, region, args, tilesMax }), () => {
        count += 1
      })
      return count
    }
    const add = { field: 'value', value: 0.1 }
    t.equal(
      await transactionsOf('scale', whole, {}),
      2,
      '4096 that are new, the first few by themselves',
    )
    t.equal(await transactionsOf('add', whole, add), 2)
    for (let y = 0; y < whole.h; y += 16) {
      await transactionsOf('set', { x: 0, y, w: whole.w, h: 1 }, { fields: { value: y } })
    }
    const many = await transactionsOf('add', whole, add)
    t.equal(many, Math.ceil((64 * 64) / tilesMax))
    t.equal(await transactionsOf('set', whole, { fields: { value: 5 } }), many, 'they were whole')
    t.equal(await transactionsOf('add', whole, add), 2, 'and are one value again')
    t.equal(store.readPage(77)?.valueOf(0), 5.1)

    store.mayPack = false
    t.equal(await transactionsOf('add', whole, add), many, 'where they are stored whole')
  },
)

for (const { tile, boundMib, fields } of [
  { tile: 32, boundMib: 8, fields: 'value:f64' },
  { tile: 16, boundMib: 12, fields: 'value:f64' },
  { tile: 16, boundMib: 4, fields: 'value:u8' },
  { tile: 8, boundMib: 3, fields: 'value:f64' },
]) {
  const name = `${boundMib} MiB with tiles of ${tile}, ${fields}`
  t.test(`a slice takes as many tiles as it has room for whole: ${name}`, async (t) => {
    const random = new Random(seed)
    const counts: number[] = []
    for (const mayPack of [false, true]) {
      const store = await open(t, join(t.testdir(), 'store'), boundMib * MIB)
      store.mayPack = mayPack
      const width = COLUMNS * tile
      const rows = Math.floor(8192 / tile)
      await store.adopt('ledger', { width, height: rows * tile, tile, fields })
      const runner = new OperationRunner({}, store)
      const tilesMax = Math.floor(ENTRY_PAGE_BYTES_MAX / store.grid!.layoutOf(0).bytes)
      const stream = new EntryStream(store.grid!)
      let { position } = store.mark
      let seq = 0
      const write = (op: string, region: Region, args: unknown): Entry[] => {
        const entries = stream.writeAgain({ op, region, args, tilesMax }, ++seq)
        return entries.map((entry) => ({ ...entry, position: ++position }))
      }
      let filled = 0
      const fill = async (): Promise<void> => {
        for (; filled < rows; filled++) {
          const region = { x: 0, y: filled * tile, w: width, h: tile }
          await runner.apply(write('scale', region, { fields: { value: seq % 200 } }))
        }
      }
      await t.rejects(fill(), { code: 'store-full' })
      counts.push(filled)
      if (!mayPack) continue
      t.ok(store.stats().storeBytes < boundMib * MIB * 0.5, 'it is small')
      position = store.mark.position
      const order = Array.from({ length: filled }, (_, row) => row)
      for (let at = order.length - 1; at > 0; at--) {
        const other = random.integer(at + 1)
        ;[order[at], order[other]] = [order[other]!, order[at]!]
      }
      // One LSU of each tile: nothing of it is one value any more.
      for (const row of order) {
        for (let column = 0; column < COLUMNS; column++) {
          const cell = { x: column * tile + 1, y: row * tile + 1, w: 1, h: 1 }
          await runner.apply(write('put', cell, { field: 'value', values: [201] }))
        }
      }
      await runner.apply(
        write('add', { x: 0, y: 0, w: width, h: filled * tile }, { field: 'value', value: 1 }),
      )
      const { storeBytes } = store.stats()
      t.ok(storeBytes <= boundMib * MIB, `${storeBytes} bytes`)
      t.equal(store.readPage(0)?.column(0)[tile + 1], 202)
    }
    const [plain, packed] = counts as [number, number]
    t.ok(packed <= plain && packed >= plain / 2, `${packed} rows of tiles, ${plain} of whole ones`)
    t.comment(`${name}: ${packed} rows of tiles, ${plain} of whole ones`)
  })
}
