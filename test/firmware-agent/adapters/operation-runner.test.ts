import { createHash } from 'node:crypto'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { type Applied, ApplyError } from '../../../firmware-agent/adapters/apply-run.ts'
import {
  OperationRunner,
  type OperationRunnerOptions,
} from '../../../firmware-agent/adapters/operation-runner.ts'
import { SliceStore } from '../../../firmware-agent/adapters/slice-store.ts'
import { Random } from '../../../shared/core/random.ts'
import { createColumn, type Field, type FieldType } from '../../../shared/grid/fields.ts'
import type { Region } from '../../../shared/grid/geometry.ts'
import { findOperation } from '../../../shared/operations/catalog.ts'
import { packTiles } from '../../../shared/operations/columns.ts'
import type { ItemsOperation, ReadOperation } from '../../../shared/operations/operation.ts'
import {
  decodeDown,
  type Entry,
  encodeMessage,
  type GridShape,
  type Read,
} from '../../../shared/protocol/messages.ts'
import { openDatabase } from '../../../shared/runtime/lmdb.ts'
import { EntryStream, type WriteTask } from '../../support/slice-entries.ts'

const MIB = 1024 * 1024
const LIMITS = { sliceBytesMax: 64 * MIB, outboxBytesMax: 65_536 }
const GRID: GridShape = { width: 40, height: 24, tile: 16, fields: 'value:f64,level:u8' }
const SEED = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${SEED} npx tap run test/firmware-agent/adapters/operation-runner.test.ts`)

/** One below the test's own, which may be made only once. */
function directoryOf(t: Test): string {
  const base = bases.get(t) ?? t.testdir()
  bases.set(t, base)
  return join(base, `store-${++directories}`)
}
const bases = new WeakMap<Test, string>()
let directories = 0

async function start(
  t: Test,
  grid: GridShape = GRID,
  options: OperationRunnerOptions = {},
): Promise<{ store: SliceStore; runner: OperationRunner; stream: EntryStream }> {
  const random = new Random(SEED)
  const store = await SliceStore.open(directoryOf(t), LIMITS, random, (error) => {
    t.fail(error.message)
  })
  t.teardown(async () => await store.close())
  await store.adopt('ledger', grid)
  const runner = new OperationRunner(options, store)
  return { store, runner, stream: new EntryStream(store.grid!) }
}

function bytesOf(store: SliceStore): string[] {
  const { geometry } = store.grid!
  return Array.from({ length: geometry.tiles }, (_, tile) =>
    Buffer.from(store.readPage(tile)?.bytes ?? []).toString('base64'),
  )
}

const whole = { x: 0, y: 0, w: GRID.width, h: GRID.height }
const setValue = (value: number): WriteTask => ({
  op: 'set',
  region: whole,
  args: { fields: { value } },
})

let parts = 0
function readOf(op: string, over: Pick<Read, 'grid' | 'items'>, args: Read['args'] = {}): Read {
  const part = `part-${++parts}`
  const head = { t: 'read', session: 1, task: `task-${op}`, part, attempt: 3 } as const
  const read: Read = { ...head, leaseMs: 1000, after: 0, op, args, ...over }
  const decoded = decodeDown(Buffer.from(encodeMessage(read)))
  if (!decoded.ok || decoded.message.t !== 'read') throw new Error('not decodable')
  return decoded.message
}

function gridPart(store: SliceStore, region: Region, unborn: number[] = []): Read['grid'] {
  const tiles = store.grid!.geometry.tilesOf(region).filter((tile) => !unborn.includes(tile))
  const { x, y, w, h } = region
  return { region: [x, y, w, h], tiles: packTiles(tiles), unborn: packTiles(unborn) }
}

/** The value that a user would get from this node alone. */
async function readValue(
  runner: OperationRunner,
  store: SliceStore,
  op: string,
  input: unknown,
  region: Region,
  unborn: number[] = [],
): Promise<unknown> {
  const operation = findOperation(op) as ReadOperation
  const parsed = operation.parse(input, region, store.grid!)
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
  const rounds: Record<string, unknown>[] = []
  for (let args: Record<string, unknown> | undefined = parsed.value; args !== undefined; ) {
    const answer = await runner.read(readOf(op, { grid: gridPart(store, region, unborn) }, args))
    if (answer?.value === undefined) throw new Error(JSON.stringify(answer))
    rounds.push(answer.value)
    args = operation.nextRound?.(answer.value, args)
  }
  return operation.finish(rounds, parsed.value, region, store.grid!)
}

/** The whole grid as plain rows of numbers: the simplest thing that can be right. */
class Model {
  readonly #shape: GridShape
  readonly fields: readonly Field[]
  readonly columns: Map<string, number[]>
  readonly status: string[]

  constructor(shape: GridShape, fields: readonly Field[]) {
    this.#shape = shape
    this.fields = fields
    const lsus = shape.width * shape.height
    this.columns = new Map(fields.map(({ name }) => [name, new Array<number>(lsus).fill(0)]))
    this.status = new Array<string>(lsus).fill('idle')
  }

  lsusOf({ x, y, w, h }: Region): number[] {
    const ids: number[] = []
    for (let row = y; row < y + h; row++) {
      for (let column = x; column < x + w; column++) ids.push(row * this.#shape.width + column)
    }
    return ids
  }

  write({ op, region, args }: WriteTask): void {
    const given = args as { fields?: Record<string, number>; field: string; values: number[] }
    this.lsusOf(region).forEach((lsu, index) => {
      if (op === 'scale') this.status[lsu] = 'scaled'
      for (const [name, value] of Object.entries(given.fields ?? {})) this.#set(name, lsu, value)
      if (op === 'put') this.#set(given.field, lsu, given.values[index]!)
      if (op === 'add') {
        const { value } = args as { value: number }
        this.#set(given.field, lsu, this.columns.get(given.field)![lsu]! + value)
      }
    })
  }

  get(region: Region): unknown {
    const ids = this.lsusOf(region)
    const fields = Object.fromEntries(
      this.fields.map(({ name }) => [name, ids.map((lsu) => this.columns.get(name)![lsu])]),
    )
    return { fields, status: ids.map((lsu) => this.status[lsu]) }
  }

  #set(name: string, lsu: number, value: number): void {
    const { type } = this.fields.find((field) => field.name === name)!
    const ranges = { u8: [0, 255], i32: [-(2 ** 31), 2 ** 31 - 1] }
    const [low, high] = ranges[type as 'u8'] ?? [-Infinity, Infinity]
    const column = createColumn(type, 1)
    column[0] = Math.min(high!, Math.max(low!, value))
    this.columns.get(name)![lsu] = column[0]
  }
}

const VALUES: Record<FieldType, fc.Arbitrary<number>> = {
  u8: fc.integer({ min: 0, max: 255 }),
  i32: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  f32: fc.integer({ min: -(2 ** 20), max: 2 ** 20 }),
  f64: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
}
const MODEL_FIELDS: Field[] = [
  { name: 'small', type: 'u8' },
  { name: 'whole', type: 'i32' },
  { name: 'single', type: 'f32' },
  { name: 'double', type: 'f64' },
]
const field = fc.constantFrom(...MODEL_FIELDS)

function regionIn({ width, height }: GridShape): fc.Arbitrary<Region> {
  const span = (side: number): fc.Arbitrary<[number, number]> =>
    fc
      .tuple(fc.nat(side - 1), fc.nat(side - 1))
      .map(([a, b]) => [Math.min(a, b), Math.abs(a - b) + 1])
  return fc.tuple(span(width), span(height)).map(([[x, w], [y, h]]) => ({ x, y, w, h }))
}

function taskIn(shape: GridShape): fc.Arbitrary<WriteTask> {
  const fieldValues = field.chain(({ name, type }) =>
    VALUES[type].map((value) => ({ fields: { [name]: value } })),
  )
  const args = (op: string, { w, h }: Region): fc.Arbitrary<unknown> => {
    if (op === 'scale') return fc.oneof(fc.constant({}), fieldValues)
    if (op === 'set') return fieldValues
    if (op === 'add') {
      return field.chain(({ name, type }) => VALUES[type].map((value) => ({ field: name, value })))
    }
    return field.chain(({ name, type }) =>
      fc
        .array(VALUES[type], { minLength: w * h, maxLength: w * h, size: 'max' })
        .map((values) => ({ field: name, values })),
    )
  }
  return fc
    .record({
      op: fc.constantFrom('scale', 'put', 'set', 'add'),
      region: regionIn(shape),
      tilesMax: fc.integer({ min: 1, max: 9 }),
    })
    .chain((task) => args(task.op, task.region).map((given) => ({ ...task, args: given })))
}

const shape = fc
  .record({
    width: fc.integer({ min: 1, max: 30 }),
    height: fc.integer({ min: 1, max: 30 }),
    tile: fc.integer({ min: 4, max: 9 }),
  })
  .map((size) => ({ ...size, fields: 'small:u8,whole:i32,single:f32,double:f64' }))

t.test('entries in groups, one by one, and a plain model come to the same cells', async (t) => {
  const grouped = await start(t)
  const single = await start(t)
  const scenario = shape.chain((grid) =>
    fc.record({
      grid: fc.constant(grid),
      tasks: fc.array(taskIn(grid), { minLength: 1, maxLength: 8 }),
      transactionBytesMax: fc.constantFrom(1, 500, 4000, MIB),
      jobEntries: fc.integer({ min: 1, max: 20 }),
      region: regionIn(grid),
      bins: fc.integer({ min: 1, max: 9 }),
      stat: field,
    }),
  )
  const property = fc.asyncProperty(scenario, async (given) => {
    for (const { store } of [grouped, single]) {
      await store.wipe()
      await store.adopt('ledger', given.grid)
    }
    const context = grouped.store.grid!
    const stream = new EntryStream(context)
    const model = new Model(given.grid, context.fields)
    const entries: Entry[] = []
    for (const task of given.tasks) {
      model.write(task)
      entries.push(...stream.write(task))
    }
    const { transactionBytesMax } = given
    const runner = new OperationRunner({ transactionBytesMax, sliceMs: 1 }, grouped.store)
    const jobs: Promise<unknown>[] = []
    for (let at = 0; at < entries.length; at += given.jobEntries) {
      jobs.push(runner.apply(entries.slice(at, at + given.jobEntries)))
    }
    await Promise.all(jobs)
    for (const entry of entries) await single.runner.apply([entry])
    t.strictSame(bytesOf(grouped.store), bytesOf(single.store))
    t.strictSame(grouped.store.mark, single.store.mark)
    t.strictSame(grouped.store.stored.results, single.store.stored.results)
    const lsus = grouped.store.stored.results.reduce((sum, result) => sum + result.lsus, 0)
    t.equal(
      lsus,
      given.tasks.reduce((sum, { region }) => sum + region.w * region.h, 0),
    )
    const { region, stat, bins } = given
    const { geometry } = context
    const unborn = Array.from(geometry.tilesOf(region)).filter((id) => !grouped.store.holds(id))
    const read = async (op: string, input: unknown): Promise<unknown> =>
      await readValue(runner, grouped.store, op, input, region, unborn)
    t.strictSame(await read('get', {}), model.get(region))
    const numbers = model.lsusOf(region).map((lsu) => model.columns.get(stat.name)![lsu]!)
    const seen = (await read('stat', { field: stat.name, bins })) as Record<string, number> & {
      histogram: { counts: number[] }
    }
    const sum = numbers.reduce((total, value) => total + value, 0)
    const mean = sum / numbers.length
    const variance = numbers.reduce((total, n) => total + (n - mean) ** 2, 0) / numbers.length
    const [min, max] = [Math.min(...numbers), Math.max(...numbers)]
    t.match(seen, { count: numbers.length, sum, min, max })
    t.ok(Math.abs(seen.mean! - mean) <= 1e-9 * Math.max(1, Math.abs(min), Math.abs(max)))
    t.ok(Math.abs(seen.variance! - variance) <= 1e-6 * Math.max(1, variance))
    t.equal(
      seen.histogram.counts.reduce((total, count) => total + count, 0),
      numbers.length,
    )
  })
  await fc.assert(property, { seed: SEED, numRuns: 60 })
})

t.test('what is applied again under its old sequence changes nothing', async (t) => {
  const { store, runner, stream } = await start(t)
  const add = { op: 'add', region: whole, args: { field: 'value', value: 2 }, tilesMax: 2 }
  const { results } = await runner.apply(stream.write(add))
  t.strictSame(
    results.map(({ lsus }) => lsus),
    [2 * 256, 128 + 128, 128 + 64],
  )
  const before = bytesOf(store)
  const again = await runner.apply(stream.writeAgain(add, 1))
  t.strictSame(bytesOf(store), before)
  t.strictSame(
    again.results.map(({ lsus }) => lsus),
    results.map(({ lsus }) => lsus),
    'its result is the same',
  )
  t.equal(store.mark.position, 6)
  await runner.apply(stream.write(add))
  t.ok(
    store
      .readPage(0)
      ?.column(0)
      .every((value) => value === 4),
  )
})

t.test('what is on disk is told as it comes there, and once', async (t) => {
  const { store, runner, stream } = await start(t, GRID, { transactionBytesMax: 1, progressMs: 0 })
  const entries = [1, 2, 3, 4].flatMap((value) => stream.write(setValue(value)))
  const told: { marks: number[]; onDisk: number[]; results: number[] } = {
    ...{ marks: [], onDisk: [], results: [] },
  }
  const tell = ({ mark, results }: Applied): void => {
    told.marks.push(mark.position)
    told.onDisk.push(store.mark.position)
    told.results.push(...results.map(({ position }) => position))
  }
  const last = runner.apply(entries, tell)
  const behind = runner.apply(stream.write(setValue(5)), tell)
  tell(await last)
  tell(await behind)
  t.strictSame(told.marks, [1, 2, 3, 4, 5])
  t.strictSame(told.results, [1, 2, 3, 4, 5])
  t.ok(told.onDisk.every((position, index) => position >= told.marks[index]!))

  const more = [6, 7, 8].flatMap((value) => stream.write(setValue(value)))
  const failing = runner.apply([...more.slice(0, 2), { ...more[2]!, op: 'fold' }], tell)
  const error = await failing.catch((error: unknown) => error)
  t.match(error, { code: 'unknown-operation', applied: { mark: { position: 7 } } })
  tell((error as ApplyError).applied)
  t.strictSame(told.results, [1, 2, 3, 4, 5, 6, 7])
})

t.test('an entry that cannot be applied stops the stream just before it', async (t) => {
  const cases: Record<string, [string, (entry: Entry) => Entry]> = {
    'an operation nobody has': ['unknown-operation', (e) => ({ ...e, op: 'fold' })],
    'an operation that writes nothing': ['unknown-operation', (e) => ({ ...e, op: 'stat' })],
    'a region outside': ['entry-invalid', (e) => ({ ...e, region: [30, 0, 11, 4] })],
    'a tile the region does not touch': [
      'entry-invalid',
      (e) => ({ ...e, region: [0, 0, 4, 4], tiles: packTiles([0, 5]) }),
    ],
    'a tile that is not there': ['entry-invalid', (e) => ({ ...e, tiles: packTiles([0, 99]) })],
    'tiles twice': ['entry-invalid', (e) => ({ ...e, tiles: packTiles([1, 1]) })],
    'arguments too short': [
      'entry-invalid',
      (e) => ({ ...e, op: 'put', args: { field: 0, values: new Uint8Array(8 * 700) } }),
    ],
    'no arguments': ['entry-invalid', (e) => ({ ...e, op: 'put', args: {} })],
    'a field that is not there': [
      'entry-invalid',
      (e) => ({ ...e, op: 'add', args: { field: 7, value: 1 } }),
    ],
    'a gap': ['entry-out-of-order', (e) => ({ ...e, position: e.position + 1 })],
  }
  for (const [name, [code, spoil]] of Object.entries(cases)) {
    const { store, runner, stream } = await start(t)
    await runner.apply(stream.write(setValue(1)))
    const entries = [2, 3, 4, 5].flatMap((value) => stream.write(setValue(value)))
    const bad = [entries[0]!, entries[1]!, spoil(entries[2]!)]
    const failing = runner.apply(bad).then(
      () => undefined,
      (error: unknown) => error,
    )
    const behind = runner.apply(entries.slice(3)).then(
      () => undefined,
      (error: unknown) => error,
    )
    const error = (await failing) as ApplyError
    t.ok(error instanceof ApplyError, name)
    t.match(error, { code, applied: { mark: { position: 3, seq: 3 } } }, name)
    t.strictSame(
      error.applied.results,
      [2, 3].map((position) => ({ position, lsus: 960 })),
      name,
    )
    t.match(await behind, { code: 'entry-out-of-order', applied: { results: [] } }, name)
    t.equal(store.mark.position, 3, name)
    t.ok(
      [0, 5].every((tile) =>
        store
          .readPage(tile)
          ?.column(0)
          .every((value) => value === 3),
      ),
      `${name}: nothing of it was done`,
    )
    t.match(await runner.apply(entries.slice(2)), { mark: { position: 5 } }, `${name}: goes on`)
    t.equal(store.readPage(5)?.column(0)[0], 5)
  }
})

t.test('a full store stops the stream where it stands', async (t) => {
  const directory = directoryOf(t)
  const limits = { sliceBytesMax: 4 * MIB, outboxBytesMax: 65_536 }
  const store = await SliceStore.open(directory, limits, new Random(1), (error) => {
    t.fail(error.message)
  })
  t.teardown(async () => await store.close())
  await store.adopt('ledger', { width: 1024, height: 1024, tile: 16, fields: 'value:f64' })
  const runner = new OperationRunner({ transactionBytesMax: 20_000 }, store)
  const stream = new EntryStream(store.grid!)
  const task = { ...setValue(1), region: store.grid!.geometry.whole, tilesMax: 8 }
  // Several transactions of what would still fit.
  const rewrites = Array.from({ length: 32 }, (_, index) => ({
    ...setValue(2),
    region: { x: (index % 8) * 128, y: 0, w: 128, h: 16 },
  }))
  const entries = [task, ...rewrites].flatMap((task) => stream.write(task))
  const jobs = entries.map((entry) => runner.apply([entry]))
  const outcomes = await Promise.allSettled(jobs)
  const done = outcomes.findIndex(({ status }) => status === 'rejected')
  t.equal(store.mark.position, done)
  t.equal(store.stats().tiles, 8 * done)
  t.ok(done > 10)
  t.match(outcomes[done], { reason: { code: 'store-full' } })
  t.ok(outcomes.slice(done).every(({ status }) => status === 'rejected'))
  t.equal(store.readPage(63)?.column(0)[0], 1, 'what would fit, but stands behind, is not done')
})

t.test('reads say where the store stood, and see no half of what is queued', async (t) => {
  const { store, runner, stream } = await start(t, GRID, { sliceMs: 0 })
  const reads: Promise<unknown>[] = []
  for (let round = 1; round <= 5; round++) {
    void runner.apply(stream.write({ ...setValue(round), tilesMax: 2 }))
    const read = readOf('get', { grid: gridPart(store, whole) }, { fields: [0] })
    reads.push(
      runner.read(read).then((answer) => {
        const { columns } = answer!.value as { columns: Uint8Array[] }
        const values = new Float64Array(new Uint8Array(columns[0]!).buffer)
        t.strictSame([...new Set(values)], [round])
        t.match(answer, {
          t: 'answer',
          task: 'task-get',
          part: read.part,
          attempt: 3,
          position: round * 3,
          seq: round,
        })
        t.ok(answer!.ms > 0)
        t.notOk(answer?.error)
      }),
    )
  }
  t.equal(runner.readsOpen, 5)
  await Promise.all(reads)
  t.equal(runner.readsOpen, 0)
})

t.test('tiles must be held or unborn', async (t) => {
  const { store, runner, stream } = await start(t)
  await runner.apply(stream.write({ ...setValue(7), region: { x: 0, y: 0, w: 16, h: 16 } }))
  const corner = { x: 8, y: 8, w: 16, h: 16 }
  const missing = await runner.read(
    readOf('get', { grid: gridPart(store, corner, [4]) }, { fields: [0] }),
  )
  t.match(missing, { error: { code: 'tile-missing', message: 'not held here: tiles 1, 3' } })
  t.notOk(missing?.value)
  const value = (await readValue(runner, store, 'get', {}, corner, [1, 3, 4])) as {
    fields: { value: number[] }
    status: string[]
  }
  const expected = Array.from({ length: 256 }, (_, at) => (at < 128 && at % 16 < 8 ? 7 : 0))
  t.strictSame(value.fields.value, expected)
  t.ok(value.status.every((status) => status === 'idle'))
  const held = await readValue(runner, store, 'stat', { field: 'value' }, corner, [0, 1, 3, 4])
  t.match(held, { count: 256, sum: 64 * 7 }, 'a tile that is held is never taken for unborn')
})

t.test('a read that cannot be done is answered with why', async (t) => {
  const { store, runner, stream } = await start(t)
  await runner.apply(stream.write(setValue(7)))
  const grid = gridPart(store, whole)!
  const cases: [Read, string][] = [
    [readOf('fold', { grid }), 'unknown-operation'],
    [readOf('set', { grid }), 'unknown-operation'],
    [readOf('get', {}, { fields: [0] }), 'read-invalid'],
    [readOf('get', { grid: { ...grid, region: [0, 0, 41, 1] } }, { fields: [0] }), 'read-invalid'],
    [readOf('get', { grid: { ...grid, region: [0, 0, 4, 4] } }, { fields: [0] }), 'read-invalid'],
    [readOf('digest', { grid }), 'read-invalid'],
    [readOf('digest', { items: { keys: ['a'], values: [] } }), 'read-invalid'],
    [readOf('stat', { grid }, { field: 9 }), 'read-failed'],
  ]
  for (const [read, code] of cases) t.match(await runner.read(read), { error: { code } }, code)
})

t.test('a damaged page is an error of the read, and holds no entry up', async (t) => {
  const directory = directoryOf(t)
  const limits = { sliceBytesMax: MIB, outboxBytesMax: 1024 }
  const sound = await SliceStore.open(directory, limits, new Random(2), () => {})
  await sound.adopt('ledger', GRID)
  const stream = new EntryStream(sound.grid!)
  await new OperationRunner({}, sound).apply(stream.write(setValue(7)))
  await sound.close()
  const database = await openDatabase(directory, { mapSizeBytes: MIB, maxDbs: 6 }, () => {})
  const tiles = database.table<number>('tiles', 'uint32')
  const bytes = Buffer.from(tiles.getBinary(2)!)
  bytes[200]! ^= 1
  await database.write(() => {
    void tiles.put(2, bytes)
  })
  await database.close()
  const damaged = await SliceStore.open(directory, limits, new Random(3), () => {})
  t.teardown(async () => await damaged.close())
  const other = new OperationRunner({}, damaged)
  const read = readOf('get', { grid: gridPart(damaged, whole) }, { fields: [0] })
  t.match(await other.read(read), { error: { code: 'page-damaged', message: /tile 2/ } })
  t.same([...damaged.broken], [2], 'it counts as not held from then on')
  await other.apply(stream.write(setValue(8)))
  t.equal(damaged.mark.position, 2)
  t.equal(damaged.readPage(0)?.column(0)[0], 8)
  t.equal(damaged.readPage(2), undefined, 'nothing is made of what is not there')
})

t.test('items are digested, in any number', async (t) => {
  const { runner } = await start(t, GRID, { sliceMs: 0 })
  const keys = ['b', 'a', '']
  const values = ['two', 'one', ''].map((text) => new TextEncoder().encode(text))
  const answer = await runner.read(readOf('digest', { items: { keys, values } }))
  const sha256 = new Map(
    keys.map((key, at) => [key, createHash('sha256').update(values[at]!).digest('hex')]),
  )
  const operation = findOperation('digest') as ItemsOperation
  t.strictSame(operation.finish(answer!.value!, {}), { items: 3, sha256 })
})

t.test('a cancelled task is not answered, others are', async (t) => {
  const { store, runner, stream } = await start(t, GRID, { sliceMs: 0 })
  await runner.apply(stream.write(setValue(1)))
  const read = (task: string): Read => ({
    ...readOf('get', { grid: gridPart(store, whole) }, { fields: [0] }),
    task,
  })
  const answers = ['running', 'waiting', 'other', 'waiting'].map((task) => runner.read(read(task)))
  runner.cancel('running')
  runner.cancel('waiting')
  const seen = await Promise.all(answers)
  t.strictSame(
    seen.map((answer) => answer?.task),
    [undefined, undefined, 'other', undefined],
  )
  t.equal(runner.readsOpen, 0)
})

t.test('what needs the store for itself waits its turn', async (t) => {
  const { store, runner, stream } = await start(t)
  void runner.apply(stream.write(setValue(1)))
  const wiped = runner.exclusively(async () => {
    t.equal(store.mark.position, 1)
    return await store.wipe()
  })
  const late = runner.apply(stream.write(setValue(2)))
  t.match(await wiped, { ledgerId: null })
  await t.rejects(late, { code: 'grid-unknown' })
  await t.rejects(
    runner.exclusively(async () => await Promise.reject(new Error('its own'))),
    { message: 'its own' },
  )
  t.equal((await runner.apply([])).mark.position, 0)
})

/** The most CPU time that the process spent between two ticks of a 5 ms timer: noise of others aside. */
async function longestTurnMs(run: () => Promise<unknown>): Promise<number> {
  let last = process.cpuUsage()
  let longestMs = 0
  const timer = setInterval(() => {
    const { user, system } = process.cpuUsage(last)
    last = process.cpuUsage()
    longestMs = Math.max(longestMs, (user + system) / 1000)
  }, 5)
  await run()
  const { user, system } = process.cpuUsage(last)
  clearInterval(timer)
  return Math.max(longestMs, (user + system) / 1000)
}

t.test('scaling 512,000 LSUs never keeps the loop for 50 ms', async (t) => {
  const grid = { width: 800, height: 640, tile: 16, fields: 'a:f64,b:f64,c:f64,d:f64' }
  const args = { fields: { a: 1, b: 2, c: 3, d: 4 } }
  const longestMs = async (options: OperationRunnerOptions, tilesMax: number): Promise<number> => {
    const { store, runner, stream } = await start(t, grid, options)
    const task = { op: 'scale', region: store.grid!.geometry.whole, args, tilesMax }
    await runner.apply(stream.write(task))
    const longest = await longestTurnMs(async () => await runner.apply(stream.write(task)))
    t.match(store.stats(), { tiles: 2000, lsus: 512_000 })
    return longest
  }
  const unbounded = { sliceMs: Infinity, transactionBytesMax: Infinity }
  const whole = await longestMs(unbounded, 2000)
  t.comment(`in one turn: ${whole.toFixed(1)} ms of CPU`)
  const sliced = await longestMs({}, 110)
  t.comment(`in slices: ${sliced.toFixed(1)} ms of CPU`)
  t.ok(sliced < 50, 'in slices')
  t.ok(whole > 2 * sliced, 'the measure sees a difference')
})
