import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { bytesOfNumber } from '../../../firmware-agent/adapters/slice-records.ts'
import { SliceStore, type SliceStoreOptions } from '../../../firmware-agent/adapters/slice-store.ts'
import { Random } from '../../../shared/core/random.ts'
import { TilePage } from '../../../shared/grid/tile-page.ts'
import type { Answer } from '../../../shared/protocol/messages.ts'
import { CHAIN_START } from '../../../shared/protocol/stream-chain.ts'
import type { AppError } from '../../../shared/runtime/errors.ts'
import { openDatabase } from '../../../shared/runtime/lmdb.ts'
import type { Table } from '../../../shared/runtime/tables.ts'
import { TYPESCRIPT } from '../../support/typescript/node-options.ts'

const MIB = 1024 * 1024
const GRID = { width: 40, height: 24, tile: 16, fields: 'value:f64,level:u8' }
const LIMITS = { sliceBytesMax: 8 * MIB, outboxBytesMax: 65_536 }
let seeds = 0

async function open(
  t: Test,
  directory: string,
  options: Partial<SliceStoreOptions> = {},
): Promise<SliceStore> {
  const fail = (error: AppError): void => {
    t.fail(error.message)
  }
  const random = new Random(++seeds)
  const store = await SliceStore.open(directory, { ...LIMITS, ...options }, random, fail)
  t.teardown(async () => await store.close())
  return store
}

function pageOf(store: SliceStore, tile: number, value: number): TilePage {
  const page = TilePage.empty(store.grid!.layoutOf(tile))
  page.column(0).fill(value)
  page.at = value
  page.seal()
  return page
}

async function commit(store: SliceStore, position: number, tiles: number[]): Promise<void> {
  await store.commit({
    pages: new Map(tiles.map((tile) => [tile, pageOf(store, tile, position)])),
    mark: { position, chain: new Uint8Array(8).fill(position), seq: position },
    results: [{ position, lsus: tiles.length }],
  })
}

const answer = (part: number, bytes = 100, attempt = 1): Answer => ({
  t: 'answer',
  task: 'task',
  part: String(part),
  attempt,
  position: 1,
  seq: 2,
  ms: 0.5,
  value: { bytes: new Uint8Array(bytes).fill(part) },
})
const partsOf = (store: SliceStore): string[] => store.stored.answers.map(({ part }) => part)

/** Changes a record behind the store's back. */
async function tamper(
  directory: string,
  table: 'tiles' | 'meta' | 'answers',
  key: number | string,
): Promise<void> {
  const database = await openDatabase(directory, { mapSizeBytes: 32 * MIB, maxDbs: 6 }, () => {})
  const encoding = table === 'tiles' ? 'uint32' : 'ordered-binary'
  const records = database.table<number | string>(table, encoding)
  const bytes = Buffer.from(records.getBinary(key)!)
  bytes[bytes.length - 3]! ^= 0x10
  await database.write(() => {
    void records.put(key, bytes)
  })
  await database.close()
}

/** Changes the table in which results once lay; returns what is in it then. */
async function changeFormer(
  directory: string,
  change: (table: Table<number>) => void,
): Promise<number[]> {
  const database = await openDatabase(directory, { mapSizeBytes: 32 * MIB, maxDbs: 6 }, () => {})
  const table = database.table<number>('results', 'ordered-binary')
  await database.write(() => change(table))
  const positions = [...table.getKeys()]
  await database.close()
  return positions
}

t.test('a new store has an identity of its own and holds nothing', async (t) => {
  const store = await open(t, join(t.testdir(), 'a'))
  const other = await open(t, join(t.testdir(), 'b'))
  t.match(store.identity, { storeId: /^[a-z0-9]{16}$/, boot: 1, ledgerId: null, grid: null })
  t.not(store.identity.storeId, other.identity.storeId)
  t.strictSame(store.mark, { position: 0, chain: CHAIN_START, seq: 0 })
  t.strictSame(store.stored.results, [])
  t.strictSame(store.stored.answers, [])
  t.match(store.stats(), { tiles: 0, lsus: 0, outboxRecords: 0, outboxBytes: 0, answersShed: 0 })
  t.throws(() => store.readPage(0) ?? store.grid!.layoutOf(0))
})

t.test('pages, mark and results survive; starts are counted', async (t) => {
  const directory = join(t.testdir(), 'store')
  const first = await open(t, directory)
  await first.adopt('ledger', GRID)
  await commit(first, 1, [0, 2])
  await commit(first, 2, [5])
  const { storeId } = first.identity
  const written = first.stats().writtenBytesTotal
  t.ok(written > 0)
  await first.close()
  const second = await open(t, directory)
  t.strictSame(second.identity, { storeId, boot: 2, ledgerId: 'ledger', grid: GRID })
  t.strictSame(second.mark, { position: 2, chain: new Uint8Array(8).fill(2), seq: 2 })
  t.strictSame(second.stored.results, [
    { position: 1, lsus: 2 },
    { position: 2, lsus: 1 },
  ])
  t.strictSame(
    [0, 1, 2, 3, 4, 5].map((tile) => second.readPage(tile)?.column(0)[7]),
    [1, undefined, 1, undefined, undefined, 2],
  )
  t.strictSame(
    [0, 1, 2].map((tile) => second.holds(tile)),
    [true, false, true],
  )
  t.match(second.stats(), { tiles: 3, lsus: 256 + 8 * 16 + 8 * 8 })
  t.ok(second.stats().writtenBytesTotal >= written)
})

t.test('what a program wrote survives with its result', async (t) => {
  const directory = join(t.testdir(), 'store')
  const first = await open(t, directory)
  await first.adopt('ledger', GRID)
  const results = [
    { position: 1, lsus: 8, written: Uint8Array.of(1, 0, 5, 0) },
    { position: 2, lsus: 9 },
  ]
  const mark = { position: 2, chain: new Uint8Array(8), seq: 2 }
  await first.commit({ pages: new Map(), mark, results })
  t.strictSame(first.stored.results, results)
  await first.close()
  t.strictSame((await open(t, directory)).stored.results, results)
})

t.test('results in a store from before are taken over, and leave it', async (t) => {
  const directory = join(t.testdir(), 'store')
  const first = await open(t, directory)
  await first.adopt('ledger', GRID)
  await commit(first, 4, [0])
  await first.close()
  const former = await changeFormer(directory, (table) => {
    // As they lie there; the last one is of no entry that was applied.
    for (const position of [2, 3, 9]) void table.put(position, bytesOfNumber(position))
  })
  t.strictSame(former, [2, 3, 9])
  const second = await open(t, directory)
  const kept = [2, 3].map((position) => ({ position, lsus: position }))
  t.strictSame(second.stored.results, [...kept, { position: 4, lsus: 1 }])
  second.forgetResults(2)
  await commit(second, 5, [0])
  t.strictSame(
    second.stored.results.map(({ position }) => position),
    [3, 4, 5],
  )
  second.forgetResults(5)
  await commit(second, 6, [0])
  await second.close()
  t.strictSame(await changeFormer(directory, () => {}), [])
  t.strictSame((await open(t, directory)).stored.results, [{ position: 6, lsus: 1 }])
})

t.test('results of a version from before that ran meanwhile stand for older ones', async (t) => {
  const directory = join(t.testdir(), 'store')
  const first = await open(t, directory)
  await first.adopt('ledger', GRID)
  for (const position of [1, 2, 3]) await commit(first, position, [0])
  await first.close()
  // It emptied the store, which left what it knew nothing of, and began anew.
  await changeFormer(directory, (table) => void table.put(2, bytesOfNumber(7)))
  const second = await open(t, directory)
  t.match(second.stored.results, [{ position: 1 }, { position: 2, lsus: 7 }, { position: 3 }])
  second.forgetResults(3)
  await commit(second, 4, [0])
  await second.close()
  t.strictSame(await changeFormer(directory, () => {}), [])
  t.match((await open(t, directory)).stored.results, [{ position: 4 }])
})

t.test('a store belongs to one ledger, and to a grid that can be', async (t) => {
  const store = await open(t, join(t.testdir(), 'store'))
  await t.rejects(store.adopt('ledger', { ...GRID, tile: 1 }), { code: 'grid-invalid' })
  await t.rejects(store.adopt('ledger', { ...GRID, fields: 'value:f16' }), { code: 'grid-invalid' })
  t.equal(store.identity.ledgerId, null)
  await store.adopt('ledger', GRID)
  await t.rejects(store.adopt('another', GRID), { code: 'store-adopted' })
})

t.test('confirmed results leave the disk with the next write', async (t) => {
  const directory = join(t.testdir(), 'store')
  const first = await open(t, directory)
  await first.adopt('ledger', GRID)
  for (const position of [1, 2, 3]) await commit(first, position, [0])
  first.forgetResults(2)
  t.strictSame(first.stored.results, [{ position: 3, lsus: 1 }])
  await commit(first, 4, [0])
  await first.close()
  const second = await open(t, directory)
  t.strictSame(
    second.stored.results.map(({ position }) => position),
    [3, 4],
  )
  second.forgetResults(9)
  t.strictSame(second.stored.results, [])
  await commit(second, 5, [0])
  await second.close()
  t.strictSame((await open(t, directory)).stored.results, [{ position: 5, lsus: 1 }])
})

t.test('a damaged page is found when it is read, and only that one', async (t) => {
  const directory = join(t.testdir(), 'store')
  const first = await open(t, directory)
  await first.adopt('ledger', GRID)
  await commit(first, 1, [0, 1])
  await first.close()
  await tamper(directory, 'tiles', 1)
  const second = await open(t, directory)
  t.equal(second.setAside, undefined)
  t.equal(second.readPage(0)?.at, 1)
  t.throws(() => second.readPage(1), { code: 'page-damaged', message: /tile 1/ })
})

t.test('a store whose mark or identity is damaged is set aside', async (t) => {
  for (const record of ['mark', 'identity']) {
    const directory = join(t.testdir(), record)
    const first = await open(t, directory)
    await first.adopt('ledger', GRID)
    await commit(first, 1, [0])
    await first.close()
    await tamper(directory, 'meta', record)
    const second = await open(t, directory)
    t.match(second.setAside, /broken-1$/)
    t.not(second.identity.storeId, first.identity.storeId)
    t.match(second.identity, { boot: 1, ledgerId: null })
    t.equal(second.holds(0), false)
  }
})

t.test('a wiped store is another one that holds nothing', async (t) => {
  const directory = join(t.testdir(), 'store')
  const store = await open(t, directory)
  await store.adopt('ledger', GRID)
  const before = store.identity
  await commit(store, 1, [0, 1, 2])
  await store.storeAnswers([answer(1)])
  const stored = store.storeAnswers([answer(2)])
  const wiped = await store.wipe()
  await stored
  t.not(wiped.storeId, before.storeId)
  t.strictSame(store.identity, { ...wiped, boot: 1, ledgerId: null, grid: null })
  const isEmpty = (t: Test, store: SliceStore): void => {
    t.strictSame(store.mark, { position: 0, chain: CHAIN_START, seq: 0 })
    t.strictSame(
      [0, 1, 2].map((tile) => store.holds(tile)),
      [false, false, false],
    )
    t.strictSame([store.stored.results, store.stored.answers], [[], []])
    t.match(store.stats(), { tiles: 0, lsus: 0, outboxRecords: 0, outboxBytes: 0 })
  }
  isEmpty(t, store)
  await store.close()
  const again = await open(t, directory)
  t.match(again.identity, { storeId: wiped.storeId, boot: 2, ledgerId: null })
  isEmpty(t, again)
  await again.adopt('another', { ...GRID, tile: 8 })
  await commit(again, 1, [3])
  t.match(again.stats(), { tiles: 1, lsus: 64 })
})

t.test('answers wait on disk, oldest first, until they are forgotten', async (t) => {
  const directory = join(t.testdir(), 'store')
  const first = await open(t, directory)
  await Promise.all([3, 1, 2].map((part) => first.storeAnswers([answer(part)])))
  t.strictSame(partsOf(first), ['3', '1', '2'])
  t.strictSame(first.stored.answers[1], answer(1))
  await first.storeAnswers([answer(3, 50, 2)])
  t.strictSame(partsOf(first), ['1', '2', '3'], 'a later attempt takes the place of the earlier')
  first.forgetAnswers([
    { task: 'task', part: '1' },
    { task: 'other', part: '2' },
  ])
  t.strictSame(partsOf(first), ['2', '3'])
  await first.storeAnswers([answer(4)])
  await first.close()
  const second = await open(t, directory)
  t.strictSame(partsOf(second), ['2', '3', '4'])
  t.equal(second.stored.answers[1]?.attempt, 2)
  t.equal(second.stats().outboxRecords, 3)
  await second.storeAnswers([answer(5)])
  t.strictSame(partsOf(second), ['2', '3', '4', '5'])
})

t.test('the outbox sheds the oldest beyond its bytes, and counts', async (t) => {
  const directory = join(t.testdir(), 'store')
  const first = await open(t, directory, { outboxBytesMax: 10_000 })
  for (let part = 0; part < 30; part++) {
    await first.storeAnswers([answer(part, 900)])
    t.ok(first.stats().outboxBytes <= 10_000)
  }
  const kept = partsOf(first)
  t.ok(kept.length >= 8)
  t.strictSame(
    kept,
    Array.from({ length: kept.length }, (_, at) => String(30 - kept.length + at)),
  )
  t.equal(first.stats().answersShed, 30 - kept.length)
  await first.storeAnswers([answer(99, 20_000)])
  t.strictSame(partsOf(first), kept, 'one that can never fit takes no place')
  t.equal(first.stats().answersShed, 31 - kept.length)
  await first.close()
  t.strictSame(partsOf(await open(t, directory)), kept, 'what was shed is not on disk')
})

t.test('a damaged answer is shed, the others stay', async (t) => {
  const directory = join(t.testdir(), 'store')
  const first = await open(t, directory)
  for (const part of [1, 2, 3]) await first.storeAnswers([answer(part)])
  await first.close()
  await tamper(directory, 'answers', 2)
  const second = await open(t, directory)
  t.strictSame(partsOf(second), ['1', '3'])
  t.equal(second.stats().answersShed, 1)
})

t.test('a full slice refuses new tiles, changes nothing, and still takes rewrites', async (t) => {
  const sliceBytesMax = 4 * MIB
  const store = await open(t, join(t.testdir(), 'store'), { sliceBytesMax })
  await store.adopt('ledger', { width: 1024, height: 1024, tile: 16, fields: 'value:f64' })
  const held: number[] = []
  const grow = async (): Promise<void> => {
    for (let tile = 0; ; tile += 8) {
      const tiles = Array.from({ length: 8 }, (_, index) => tile + index)
      await commit(store, store.mark.position + 1, tiles)
      held.push(...tiles)
    }
  }
  await t.rejects(grow(), { code: 'store-full' })
  t.ok(held.length * 4096 > sliceBytesMax / 8, 'of so small a slice most is for rewrites')
  t.equal(store.stats().tiles, held.length)
  t.equal(store.mark.position, held.length / 8)
  t.equal(store.readPage(held.length), undefined)
  for (let round = 0; round < 40; round++) {
    const from = (round * 8) % held.length
    await commit(store, store.mark.position + 1, held.slice(from, from + 8))
    t.ok(store.stats().storeBytes <= sliceBytesMax)
  }
})

t.test('the file stays below the bound whatever fills it, and however LMDB grows', async (t) => {
  const sliceBytesMax = 12 * MIB
  const outboxBytesMax = MIB
  const directory = join(t.testdir(), 'store')
  const grid = { width: 2048, height: 1024, tile: 16, fields: 'value:f64' }
  let tiles = 0
  // LMDB takes a larger map by itself when it needs one: that is no bound.
  for (let start = 1; start <= 4; start++) {
    const store = await open(t, directory, { sliceBytesMax, outboxBytesMax })
    if (start === 1) await store.adopt('ledger', grid)
    const random = new Random(start)
    store.stampWith(() => start)
    const next = (): number => store.mark.position + 1
    const fill = async (): Promise<void> => {
      for (;;) {
        await commit(store, next(), [tiles, tiles + 1, tiles + 2])
        tiles += 3
      }
    }
    await t.rejects(fill(), { code: 'store-full' })
    for (let round = 0; round < 60; round++) {
      const chosen = new Set([0, 1, 2, 3, 4, 5].map(() => random.integer(tiles)))
      await commit(store, next(), [...chosen])
      await store.storeAnswers([answer(round, 30_000, start)])
      await store.keepTime()
      if (round % 20 === 0) store.forgetResults(store.mark.position)
      if (store.stats().storeBytes > sliceBytesMax) break
    }
    const { storeBytes, answersShed } = store.stats()
    t.ok(storeBytes <= sliceBytesMax, `${storeBytes} bytes after start ${start}`)
    t.ok(storeBytes > sliceBytesMax / 3, 'it was filled')
    t.ok(answersShed > 0, 'the outbox was full, too')
    await store.close()
  }
})

t.test(
  'the time that was stored is there at the next start, and is no part of a wipe',
  async (t) => {
    const directory = join(t.testdir(), 'store')
    const first = await open(t, directory)
    t.equal(first.stored.timeFloorMs, 0)
    await first.keepTime()
    t.equal(first.stored.timeFloorMs, 0, 'nobody told it')
    first.stampWith(() => 1.7e12)
    await first.adopt('ledger', GRID)
    t.equal(first.stored.timeFloorMs, 1.7e12, 'with what is written anyway')
    first.stampWith(() => 1.8e12)
    await first.keepTime()
    await first.wipe()
    await first.close()
    t.equal((await open(t, directory)).stored.timeFloorMs, 1.8e12)
  },
)

t.test('without room on the disk nothing is accepted', async (t) => {
  const directory = join(t.testdir(), 'store')
  const first = await open(t, directory)
  await first.adopt('ledger', GRID)
  await first.close()
  const store = await open(t, directory, { diskFreeBytesMin: Number.MAX_SAFE_INTEGER })
  await t.rejects(commit(store, 1, [0]), { code: 'store-full' })
  t.equal(store.mark.position, 0)
  await store.storeAnswers([answer(1)])
  t.strictSame(store.stored.answers, [])
  t.equal(store.stats().answersShed, 1)
})

t.test(
  'a killed process leaves mark and pages that agree, with all it said was flushed',
  async (t) => {
    const directory = join(t.testdir(), 'store')
    const grid = { width: 100, height: 60, tile: 16, fields: 'value:f64' }
    const program = fileURLToPath(new URL('../../support/slice-writer.ts', import.meta.url))
    let said = 0
    for (const wanted of [1, 20, 50, 90]) {
      const child = spawn(
        process.execPath,
        [TYPESCRIPT, program, directory, JSON.stringify(grid)],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      )
      const gone = new Promise((resolve) => child.once('exit', (...end) => resolve(end)))
      for await (const line of createInterface(child.stdout)) {
        said = Number(line)
        if (said >= wanted) child.kill('SIGKILL')
      }
      t.strictSame(await gone, [null, 'SIGKILL'])
      const store = await open(t, directory)
      t.equal(store.setAside, undefined)
      const { position, seq } = store.mark
      t.ok(position >= said, `said ${said}, stands at ${position}`)
      t.equal(seq, position)
      t.equal(store.stored.results.length, position)
      const pages = Array.from(store.grid!.geometry.tilesOf(store.grid!.geometry.whole), (tile) =>
        store.readPage(tile),
      )
      t.ok(
        pages.every((page) => page?.at === seq && page.column(0).every((value) => value === seq)),
      )
      await store.close()
    }
  },
)
