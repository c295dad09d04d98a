/** Rules on a node with a real disk: what a write changes of them, what a start and a replay do not. */
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { OperationRunner } from '../../../firmware-agent/adapters/operation-runner.ts'
import { SliceStore } from '../../../firmware-agent/adapters/slice-store.ts'
import { Random } from '../../../shared/core/random.ts'
import type { Region } from '../../../shared/grid/geometry.ts'
import { argsOfBook, parseRuleBook } from '../../../shared/operations/rule-book.ts'
import { type ControlOrder, entryOf } from '../../../shared/protocol/control-entries.ts'
import type { Entry } from '../../../shared/protocol/messages.ts'
import type { RuleRecord } from '../../../shared/protocol/rule-changes.ts'
import { checkAsync } from '../../support/property.ts'
import { EntryStream } from '../../support/slice-entries.ts'

const GRID = { width: 16, height: 8, tile: 4, fields: 'value:f64,level:u8' }
const LIMITS = { sliceBytesMax: 8 * 1024 * 1024, outboxBytesMax: 65_536 }
const TILES = 8
const chainAt = (position: number): Uint8Array => new Uint8Array(8).fill(position)
const tileRegion = (tile: number): Region => {
  return { x: (tile % 4) * 4, y: Math.floor(tile / 4) * 4, w: 4, h: 4 }
}

interface Written {
  readonly when: string
  readonly over?: Region
}

class Bench {
  readonly directory: string
  store!: SliceStore
  runner!: OperationRunner
  position = 0
  seq = 0
  version = 0
  #source!: EntryStream

  constructor(directory: string) {
    this.directory = directory
  }

  async start(): Promise<void> {
    if (this.store !== undefined) await this.store.close()
    this.store = await SliceStore.open(this.directory, LIMITS, new Random(1), (error) => {
      throw error
    })
    if (this.store.grid === undefined) await this.store.adopt('ledger', GRID)
    this.runner = new OperationRunner({}, this.store)
    this.#source = new EntryStream(this.store.grid!)
  }

  book(...rules: readonly Written[]): Entry {
    const named = rules.map((rule, at) => ({ name: `r${at}`, message: '', ...rule }))
    const parsed = parseRuleBook({ rules: named }, this.store.grid!)
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
    this.version += 1
    const args = argsOfBook(this.version, parsed.value.rules)
    return this.order({ op: '$rules', ...(args as { version: number; rules: unknown[] }) })
  }

  order(order: ControlOrder): Entry {
    this.seq += 1
    return this.#place(entryOf(order, { position: 0, seq: this.seq, chain: chainAt(0) }))
  }

  write(op: string, region: Region, args: unknown, seq = this.seq + 1): Entry {
    this.seq = Math.max(this.seq, seq)
    return this.#place(this.#source.writeAgain({ op, region, args }, seq)[0]!)
  }

  set(tile: number, value: number, seq?: number): Entry {
    return this.write('set', tileRegion(tile), { fields: { value } }, seq)
  }

  #place(entry: Entry): Entry {
    this.position += 1
    return { ...entry, position: this.position, chain: chainAt(this.position) }
  }

  /** What these change, as rows of rule, tile, `at` and cells. */
  async apply(...entries: Entry[]): Promise<number[][]> {
    const { results } = await this.runner.apply(entries)
    return rowsOf(results.flatMap(({ changes = [] }) => changes))
  }
}

function rowsOf(records: readonly RuleRecord[]): number[][] {
  return records.flatMap(({ rules, tiles, ats, counts }) =>
    rules.map((rule, row) => [rule, tiles[row]!, ats[row]!, counts[row]!]),
  )
}

async function begin(t: Test): Promise<Bench> {
  const bench = new Bench(join(t.testdir(), 'store'))
  await bench.start()
  t.teardown(() => bench.store.close())
  return bench
}

t.test('a book is evaluated on all that is held, then each write on what it touches', async (t) => {
  const bench = await begin(t)
  t.same(await bench.apply(bench.set(0, 5), bench.set(1, 1)), [], 'there is no book')
  const hot = { when: 'value > 3' }
  const deep = { when: 'level > 7' }
  const right = { when: 'value > 3', over: { x: 6, y: 0, w: 10, h: 8 } }
  t.same(await bench.apply(bench.book(hot, deep, right)), [[0, 0, 1, 16]])
  t.same(await bench.apply(bench.set(0, 6), bench.set(1, 0)), [], 'nothing comes to be, or ceases')
  t.same(await bench.apply(bench.set(1, 9)), [
    [0, 1, 6, 16],
    [2, 1, 6, 8],
  ])
  t.same(
    await bench.apply(bench.write('set', { x: 4, y: 0, w: 1, h: 1 }, { fields: { value: 0 } })),
    [],
  )
  t.same(await bench.apply(bench.set(0, 0), bench.set(1, 0)), [
    [0, 0, 8, 0],
    [0, 1, 9, 0],
    [2, 1, 9, 0],
  ])
  t.same(await bench.apply(bench.write('add', tileRegion(1), { field: 'level', value: 9 })), [
    [1, 1, 10, 16],
  ])
})

t.test('a tile that never was anything is looked at by all rules', async (t) => {
  const bench = await begin(t)
  await bench.apply(bench.book({ when: 'level < 5' }, { when: 'status == scaled' }))
  t.same(await bench.apply(bench.set(2, 1)), [[0, 2, 2, 16]])
  t.same(await bench.apply(bench.write('scale', tileRegion(2), {})), [[1, 2, 3, 16]])
})

t.test('what is told stays until it is taken, over a start, and is told once', async (t) => {
  const bench = await begin(t)
  await bench.apply(bench.book({ when: 'value > 3' }), bench.set(0, 5))
  await bench.start()
  const { changes, rules } = bench.store.stored
  t.equal(rules, 1)
  t.same(rowsOf(changes), [[0, 0, 2, 16]])
  t.same(await bench.apply(bench.set(0, 5, 2)), [], 'a write that acts no more changes nothing')
  t.same(await bench.apply(bench.set(0, 4)), [], 'it goes on where it stood')
  bench.store.forgetChanges(changes.at(-1)!.number)
  await bench.apply(bench.set(0, 1))
  await bench.start()
  t.same(rowsOf(bench.store.stored.changes), [[0, 0, 4, 0]])
})

t.test('a page that is adopted is told as it stands, one that is dropped is not', async (t) => {
  const bench = await begin(t)
  await bench.apply(bench.book({ when: 'value > 3' }), bench.set(0, 5), bench.set(1, 1))
  const page = bench.store.readPage(0)!
  const { at, digest, bytes } = page
  t.same(await bench.apply(bench.order({ op: '$drop', tiles: Uint32Array.of(0) })), [])
  await bench.store.stage([{ move: 1, tile: 0, at, digest, bytes }])
  t.same(await bench.apply(bench.order({ op: '$adopt', tile: 0, at, digest })), [[0, 0, 2, 16]])
})

t.test('a store that goes over to another ledger, or is emptied, has no book', async (t) => {
  const bench = await begin(t)
  await bench.apply(bench.book({ when: 'value > 3' }), bench.set(0, 5))
  await bench.store.rebase('other', Uint32Array.of(0))
  t.match(bench.store.stored, { rules: 0, changes: [] })
  await bench.start()
  t.match(bench.store.stored, { rules: 0, changes: [] })
})

t.test('what writes change is what a count of all cells says, however they come', async (t) => {
  const rules = [
    { when: 'value > 3' },
    { when: 'level > 2 and value < 9' },
    { when: 'status == scaled', over: { x: 2, y: 1, w: 9, h: 5 } },
    { when: 'x + value > 12' },
    { when: 'level < 3', over: { x: 0, y: 0, w: 8, h: 8 } },
  ]
  const step = fc.record({
    op: fc.constantFrom('set', 'add', 'level', 'scale', 'again'),
    region: fc
      .tuple(fc.nat(15), fc.nat(7), fc.integer({ min: 1, max: 16 }), fc.integer({ min: 1, max: 8 }))
      .map(([x, y, w, h]) => ({ x, y, w: Math.min(w, 16 - x), h: Math.min(h, 8 - y) })),
    value: fc.integer({ min: -4, max: 12 }),
  })
  const steps = fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { maxLength: 6 })
  let run = 0
  const directory = t.testdir()
  await checkAsync(
    t,
    fc.asyncProperty(steps, async (batches) => {
      run += 1
      const bench = new Bench(join(directory, `store-${run}`))
      await bench.start()
      const said = new Map<string, number>()
      const take = (rows: number[][]): void => {
        for (const [rule, tile, at, count] of rows) {
          const key = `${rule}/${tile}`
          const before = said.get(key) ?? 0
          if (before > 0 === count! > 0) throw new Error(`${key} is told twice, at ${at}`)
          said.set(key, count!)
        }
      }
      const plainArgs = (op: string, value: number): [string, unknown] => {
        if (op === 'level') return ['set', { fields: { level: Math.abs(value) } }]
        if (op === 'scale') return ['scale', {}]
        if (op === 'add') return ['add', { field: 'value', value }]
        return ['set', { fields: { value } }]
      }
      const [first = [], ...rest] = batches
      for (const [at, batch] of [first, ...rest].entries()) {
        const entries = batch.map(({ op, region, value }) =>
          bench.write(
            ...plainArgsOf(plainArgs(op, value), region),
            op === 'again' ? Math.max(1, bench.seq) : undefined,
          ),
        )
        if (at === 0) entries.push(bench.book(...rules))
        take(await bench.apply(...entries))
      }
      const { geometry } = bench.store.grid!
      for (const [index, rule] of rules.entries()) {
        for (let tile = 0; tile < TILES; tile++) {
          const page = bench.store.readPage(tile)
          const own = geometry.tileRegion(tile)
          let count = 0
          for (let cell = 0; page !== undefined && batches.length > 0 && cell < 16; cell++) {
            const [x, y] = [own.x + (cell % 4), own.y + Math.floor(cell / 4)]
            const { over = geometry.whole } = rule
            if (x < over.x || y < over.y || x >= over.x + over.w || y >= over.y + over.h) continue
            const [value, level] = [page.column(0)[cell]!, page.column(1)[cell]!]
            const isTrue = [
              value > 3,
              level > 2 && value < 9,
              page.status[cell] === 1,
              x + value > 12,
              level < 3,
            ][index]
            if (isTrue) count += 1
          }
          const told = said.get(`${index}/${tile}`) ?? 0
          if (told > 0 !== count > 0) {
            throw new Error(`rule ${index} in tile ${tile}: ${told} is told, ${count} is true`)
          }
        }
      }
      await bench.store.close()
    }),
    40,
  )
})

function plainArgsOf([op, args]: [string, unknown], region: Region): [string, Region, unknown] {
  return [op, region, args]
}
