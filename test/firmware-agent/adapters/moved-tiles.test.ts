/**
 * What a node holds as its stream says, on a real disk: pages that are staged and adopted, dropped, found
 * damaged.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { OperationRunner } from '../../../firmware-agent/adapters/operation-runner.ts'
import { SliceStore } from '../../../firmware-agent/adapters/slice-store.ts'
import type { IncomingPage } from '../../../firmware-agent/core/effects.ts'
import type { StreamMark } from '../../../firmware-agent/core/events.ts'
import { equalBytes } from '../../../shared/core/hash.ts'
import { Random } from '../../../shared/core/random.ts'
import type { Region } from '../../../shared/grid/geometry.ts'
import { TilePage } from '../../../shared/grid/tile-page.ts'
import { type ControlOrder, entryOf } from '../../../shared/protocol/control-entries.ts'
import type { Entry } from '../../../shared/protocol/messages.ts'
import { SYSTEM_CLOCK } from '../../../shared/runtime/clock.ts'
import { openDatabase } from '../../../shared/runtime/lmdb.ts'
import { checkAsync } from '../../support/property.ts'
import { AT_ONCE, SimulatedDisk } from '../../support/simulated-disk.ts'
import { EntryStream } from '../../support/slice-entries.ts'
import { countTransactions } from '../../support/transactions.ts'

const MIB = 1024 * 1024
const GRID = { width: 16, height: 8, tile: 4, fields: 'value:f64,level:u8' }
const LIMITS = { sliceBytesMax: 8 * MIB, outboxBytesMax: 65_536 }
const TILES = 8
const chainAt = (position: number): Uint8Array => new Uint8Array(8).fill(position)

/** A stream made by hand: orders and writes at the positions that follow. */
class Stream {
  position = 0
  readonly #source: EntryStream

  constructor(store: SliceStore) {
    this.#source = new EntryStream(store.grid!)
  }

  /** Adds 1 to each LSU of a tile, as the write of this sequence. */
  add(tile: number, seq: number): Entry {
    const region: Region = { x: (tile % 4) * 4, y: Math.floor(tile / 4) * 4, w: 4, h: 4 }
    const task = { op: 'add', region, args: { field: 'value', value: 1 } }
    return this.#place(this.#source.writeAgain(task, seq)[0]!)
  }

  order(order: ControlOrder, seq: number): Entry {
    return this.#place(entryOf(order, { position: 0, seq, chain: chainAt(0) }))
  }

  #place(entry: Entry): Entry {
    this.position += 1
    return { ...entry, position: this.position, chain: chainAt(this.position) }
  }
}

async function open(directory: string): Promise<SliceStore> {
  return await SliceStore.open(directory, LIMITS, new Random(1), (error) => {
    throw error
  })
}

/** A store on a disk of its own, with what applies to it. */
async function start(t: Test): Promise<{
  directory: string
  store: SliceStore
  runner: OperationRunner
  stream: Stream
}> {
  const directory = join(t.testdir(), 'store')
  const store = await open(directory)
  t.teardown(async () => await store.close())
  await store.adopt('ledger', GRID)
  return { directory, store, runner: new OperationRunner({}, store), stream: new Stream(store) }
}

/** The page of a tile as a replica has it whose last write was `at`. */
function pageOf(
  store: SliceStore,
  tile: number,
  { at, value = at }: { at: number; value?: number },
) {
  const page = TilePage.empty(store.grid!.layoutOf(tile))
  page.column(0).fill(value)
  page.at = at
  page.seal()
  return { move: 1, tile, at, digest: page.digest.slice(), bytes: page.bytes }
}

const adoptionOf = ({ tile, at, digest }: IncomingPage): ControlOrder => {
  return { op: '$adopt', tile, at, digest }
}
const dropOf = (...tiles: number[]): ControlOrder => {
  return { op: '$drop', tiles: Uint32Array.from(tiles) }
}
const firstOf = (store: SliceStore, tile: number): number | undefined =>
  store.readPage(tile)?.column(0)[0]

t.test('a staged page is the tile from its adoption on, also after a start', async (t) => {
  const { directory, store, runner, stream } = await start(t)
  const page = pageOf(store, 3, { at: 5 })
  t.same(await store.stage([page]), [page])
  t.equal(store.readPage(3), undefined, 'staged is not held')
  t.match(store.stats(), { tiles: 0, lsus: 0 })
  await store.close()

  const second = await open(directory)
  t.teardown(async () => await second.close())
  const again = new OperationRunner({}, second)
  const entries = [stream.order(adoptionOf(page), 7), stream.add(3, 5), stream.add(3, 6)]
  const { mark, results } = await again.apply(entries)
  t.match(mark, { position: 3, seq: 7 }, 'a late write is no step back')
  t.same(
    results.map(({ lsus }) => lsus),
    [0, 16, 16],
  )
  t.equal(
    firstOf(second, 3),
    6,
    'the write that the page has acts no second time, the later one does',
  )
  t.equal(second.readPage(3)!.at, 6)
  t.match(second.stats(), { tiles: 1, lsus: 16 })
  t.equal(runner.readsOpen, 0)
  await second.close()
  const third = await open(directory)
  t.teardown(async () => await third.close())
  t.equal(firstOf(third, 3), 6)
  t.match(third.mark, { position: 3, seq: 7 })
})

t.test('an adoption of another page than the staged one makes the tile damaged', async (t) => {
  const { directory, store, runner, stream } = await start(t)
  const [staged, other] = [pageOf(store, 3, { at: 5 }), pageOf(store, 3, { at: 5, value: 9 })]
  await store.stage([staged])
  const entries = [stream.order(adoptionOf(other), 7), stream.add(3, 8), stream.add(2, 9)]
  const { mark } = await runner.apply(entries)
  t.equal(mark.position, 3, 'the stream goes on')
  t.same([...store.broken], [3])
  t.equal(store.readPage(3), undefined, 'no write begins a page anew on zeros')
  t.equal(firstOf(store, 2), 1)
  t.match(store.stats(), { tiles: 1, lsus: 16 })
  await store.close()
  const second = await open(directory)
  t.teardown(async () => await second.close())
  t.same([...second.broken], [3])

  const again = new OperationRunner({}, second)
  await second.stage([other])
  await again.apply([stream.order(dropOf(3), 10), stream.order(adoptionOf(other), 11)])
  t.same([...second.broken], [], 'another page mends it')
  t.equal(firstOf(second, 3), 9)
})

t.test('without a staged page there is nothing to adopt', async (t) => {
  const { store, runner, stream } = await start(t)
  const page = pageOf(store, 3, { at: 5 })
  await store.stage([page])
  await store.discard(3)
  await runner.apply([stream.order(adoptionOf(page), 7)])
  t.same([...store.broken], [3])
})

t.test('a drop frees the tile; what follows it in the same batch begins on nothing', async (t) => {
  const { directory, store, runner, stream } = await start(t)
  await runner.apply([stream.add(1, 1), stream.add(2, 2)])
  t.match(store.stats(), { tiles: 2, lsus: 32 })
  await runner.apply([stream.order(dropOf(1, 2, 5), 3)])
  t.match(store.stats(), { tiles: 0, lsus: 0 })
  t.same([store.holds(1), store.holds(2), store.readPage(1)], [false, false, undefined])

  const page = pageOf(store, 2, { at: 6 })
  await store.stage([page])
  const entries = [
    ...[stream.add(1, 4), stream.order(dropOf(1), 5), stream.add(2, 5)],
    ...[stream.order(adoptionOf(page), 7), stream.add(2, 8), stream.order(dropOf(4), 9)],
  ]
  await runner.apply(entries)
  t.equal(store.readPage(1), undefined)
  t.equal(firstOf(store, 2), 7)
  t.match(store.stats(), { tiles: 1, lsus: 16 })
  await store.close()
  const second = await open(directory)
  t.teardown(async () => await second.close())
  t.equal(second.readPage(1), undefined)
  t.equal(firstOf(second, 2), 7)
  t.match(second.stats(), { tiles: 1, lsus: 16 })
})

t.test('a drop leaves a page that is staged alone, in one transaction or in two', async (t) => {
  const { store, runner, stream } = await start(t)
  // The page of the next move may be here before the drop that ended the last one is applied.
  const [first, next] = [pageOf(store, 2, { at: 6 }), pageOf(store, 2, { at: 9 })]
  await store.stage([first])
  await runner.apply([stream.order(dropOf(2), 7), stream.order(adoptionOf(first), 8)])
  t.equal(firstOf(store, 2), 6)
  await store.stage([next])
  await runner.apply([stream.order(dropOf(2), 10)])
  t.equal(store.readPage(2), undefined)
  await runner.apply([stream.order(adoptionOf(next), 11)])
  t.same([...store.broken], [])
  t.equal(firstOf(store, 2), 9)
})

t.test('a page that rots is found by whoever reads it, and writes pass it by', async (t) => {
  const { directory, store, runner, stream } = await start(t)
  await runner.apply([stream.add(1, 1), stream.add(2, 2), stream.add(3, 3)])
  await store.close()
  await rot(directory, [1, 2, 3])
  const second = await open(directory)
  t.teardown(async () => await second.close())
  const again = new OperationRunner({}, second)
  t.same([...second.broken], [], 'nobody has looked')
  const { mark, results } = await again.apply([stream.add(1, 4), stream.add(4, 5)])
  t.match([mark.position, results.length], [5, 2], 'it is acknowledged')
  t.same([...second.broken], [1])
  t.equal(firstOf(second, 4), 1)
  const copy = { t: 'copy', session: 1, move: 1, tile: 2, after: 0 } as const
  await t.rejects(again.copy(copy), { code: 'page-damaged' })
  const examined = await again.examine(Uint32Array.of(3, 4, 7))
  t.match(
    examined.map(({ tile, at }) => [tile, at]),
    [
      [3, 0],
      [4, 5],
      [7, 0],
    ],
  )
  t.same(examined[1]!.digest, second.readPage(4)!.digest)
  t.same([...second.broken].sort(), [1, 2, 3])
  t.match(second.stats(), { tiles: 1, lsus: 16 })
  await t.rejects(again.copy(copy), { code: 'tile-missing' })
})

t.test('all that are found in one look are given up in one transaction', async (t) => {
  const { directory, store, runner, stream } = await start(t)
  const tiles = [1, 2, 3, 4, 5]
  await runner.apply(tiles.map((tile) => stream.add(tile, tile)))
  await store.close()
  await rot(directory, tiles)
  const rotten = await open(directory)
  t.teardown(async () => await rotten.close())
  const transactions = countTransactions(directory)
  t.teardown(() => transactions.close())
  const before = transactions.read()
  await new OperationRunner({}, rotten).examine(Uint32Array.from(tiles))
  t.same([...rotten.broken], tiles)
  t.equal(transactions.read() - before, 1)
})

t.test('a page under the key of another tile is damaged there', async (t) => {
  const { directory, store, runner, stream } = await start(t)
  await runner.apply([stream.add(1, 1), stream.add(2, 2)])
  await store.close()
  const database = await openDatabase(directory, { mapSizeBytes: 32 * MIB, maxDbs: 7 }, () => {})
  const pages = database.table<number>('tiles', 'uint32')
  await database.write(() => {
    void pages.put(2, pages.getBinary(1)!)
  })
  await database.close()
  const second = await open(directory)
  t.teardown(async () => await second.close())
  t.ok(second.readPage(1))
  const examined = await new OperationRunner({}, second).examine(Uint32Array.of(1, 2))
  t.same(
    examined.map(({ at }) => at),
    [1, 0],
  )
  t.same([...second.broken], [2])
})

async function rot(directory: string, tiles: readonly number[]): Promise<void> {
  const options = { mapSizeBytes: 2 * LIMITS.sliceBytesMax + 16 * MIB, maxDbs: 7 }
  const database = await openDatabase(directory, options, () => {})
  const pages = database.table<number>('tiles', 'uint32')
  await database.write(() => {
    for (const tile of tiles) {
      const bytes = Buffer.from(pages.getBinary(tile)!)
      bytes[bytes.length - 3]! ^= 0x10
      void pages.put(tile, bytes)
    }
  })
  await database.close()
}

t.test('what is staged takes room, what is adopted takes no more', async (t) => {
  const directory = join(t.testdir(), 'store')
  const grid = { width: 1024, height: 1024, tile: 64, fields: 'value:f64' }
  const limits = { ...LIMITS, sliceBytesMax: 2 * MIB }
  const store = await SliceStore.open(directory, limits, new Random(1), (error) => {
    t.fail(error.message)
  })
  t.teardown(async () => await store.close())
  await store.adopt('ledger', grid)
  const runner = new OperationRunner({}, store)
  const staged: IncomingPage[] = []
  const stageMore = async (): Promise<void> => {
    for (let tile = 0; tile < 256; tile++) {
      const page = pageOf(store, tile, { at: 1 })
      await store.stage([page])
      staged.push(page)
    }
  }
  await t.rejects(stageMore(), { code: 'store-full' })
  t.ok(staged.length > 3, `${staged.length} pages of ${staged[0]!.bytes.length} bytes`)
  const stream = new Stream(store)
  for (const page of staged) await runner.apply([stream.order(adoptionOf(page), 2)])
  t.equal(store.stats().tiles, staged.length, 'all that was staged can be adopted')
  t.ok(store.stats().storeBytes <= limits.sliceBytesMax, `${store.stats().storeBytes} bytes`)
})

// ------------------------------------------------- many entries at a time

type Step =
  | { readonly kind: 'add' | 'drop' | 'adopt' | 'adopt-other'; readonly tile: number }
  | { readonly kind: 'stage' | 'discard'; readonly tile: number }

const steps = fc.array(
  fc.record({
    kind: fc.constantFrom(
      'add',
      'add',
      'drop',
      'adopt',
      'adopt-other',
      'stage',
      'stage',
      'discard',
    ),
    tile: fc.nat(2),
  }) as fc.Arbitrary<Step>,
  { maxLength: 40 },
)

const told = ({ mark, tiles, broken }: ReturnType<typeof stateOf>): string =>
  JSON.stringify({ position: mark.position, seq: mark.seq, tiles, broken })

function stateOf(
  read: (tile: number) => TilePage | undefined,
  mark: StreamMark,
  broken: ReadonlySet<number>,
): { mark: StreamMark; tiles: (string | undefined)[]; broken: number[] } {
  const tiles = Array.from({ length: TILES }, (_, tile) => {
    const page = read(tile)
    return page && Buffer.from(page.bytes).toString('base64')
  })
  return { mark, tiles, broken: [...broken].sort() }
}

t.test('entry by entry on a simulated disk, all comes to the same', async (t) => {
  const { store } = await start(t)
  await checkAsync(
    t,
    fc.asyncProperty(steps, fc.integer({ min: 1, max: 6 }), async (drawn, batch) => {
      await store.wipe()
      await store.adopt('ledger', GRID)
      const tables = new SimulatedDisk().open(AT_ONCE)
      const single = await SliceStore.over(LIMITS, new Random(1), tables, SYSTEM_CLOCK)
      await single.adopt('ledger', GRID)
      const singly = new OperationRunner({}, single)
      const runner = new OperationRunner({}, store)
      const stream = new Stream(store)
      const lastStaged = new Map<number, IncomingPage>()
      let seq = 0
      let waiting: Entry[] = []
      const flush = async (): Promise<void> => {
        if (waiting.length === 0) return
        for (const entry of waiting) await singly.apply([entry])
        await runner.apply(waiting)
        waiting = []
        const real = stateOf((tile) => store.readPage(tile), store.mark, store.broken)
        const expected = stateOf((tile) => single.readPage(tile), single.mark, single.broken)
        assert.equal(told(real), told(expected))
        assert(equalBytes(real.mark.chain, expected.mark.chain))
      }
      for (const { kind, tile } of drawn) {
        seq += 1
        if (kind === 'stage') {
          await flush()
          const page = pageOf(store, tile, { at: seq })
          lastStaged.set(tile, page)
          assert.equal((await store.stage([page])).length, (await single.stage([page])).length)
        } else if (kind === 'discard') {
          await flush()
          await store.discard(tile)
          await single.discard(tile)
        } else if (kind === 'add') waiting.push(stream.add(tile, seq))
        else if (kind === 'drop') waiting.push(stream.order(dropOf(tile), seq))
        else {
          const page = lastStaged.get(tile) ?? pageOf(store, tile, { at: seq })
          const wanted = kind === 'adopt' ? page : { ...page, digest: new Uint8Array(8) }
          waiting.push(stream.order(adoptionOf(wanted), seq))
        }
        if (waiting.length >= batch) await flush()
      }
      await flush()
    }),
  )
})
