/**
 * The wire as an outsider meets it: every operation against an array that is computed here, every
 * topic and door, and what is answered to input that is wrong. One gateway and three agents, built.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { Random } from '../../shared/core/random.ts'
import { OPERATION_NAMES } from '../../shared/operations/catalog.ts'
import { areSame } from '../support/large-values.ts'
import { type Agent, eventually, Fleet, within } from '../support/processes.ts'
import {
  BASE,
  decode,
  encode,
  type Format,
  HttpClient,
  type Json,
  WireClient,
} from '../support/wire-client.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/end-to-end/wire.test.ts`)
const random = new Random(seed)

const WIDTH = 300
const HEIGHT = 230
const NODES = ['edge-1', 'edge-2', 'edge-3']
const MIB = 1024 * 1024

const TYPES = { u: 'u8', i: 'i32', f: 'f32', d: 'f64' } as const
type FieldName = keyof typeof TYPES
const FIELDS = Object.keys(TYPES) as FieldName[]

interface Region {
  readonly x: number
  readonly y: number
  readonly w: number
  readonly h: number
}

const WHOLE: Region = { x: 0, y: 0, w: WIDTH, h: HEIGHT }
const lsusOf = ({ w, h }: Region): number => w * h

const LARGEST = { u: 255, i: 2 ** 31 - 1, f: 3.4028234663852886e38, d: Number.MAX_VALUE }
const LOWEST = { ...LARGEST, u: 0, i: -(2 ** 31), f: -LARGEST.f, d: -LARGEST.d }

/** What the grid must hold: plain lists, and the rules of wire.md read literally. */
class Model {
  readonly values = Object.fromEntries(
    FIELDS.map((field) => [field, new Array<number>(WIDTH * HEIGHT).fill(0)]),
  ) as Record<FieldName, number[]>
  readonly status = new Array<string>(WIDTH * HEIGHT).fill('idle')

  apply(op: string, region: Region, args: Json): void {
    for (const [index, cell] of cellsOf(region).entries()) {
      if (op === 'scale') this.status[cell] = 'scaled'
      for (const [field, value] of Object.entries(args.fields ?? {})) {
        this.values[field as FieldName][cell] = value as number
      }
      if (op === 'put') this.values[args.field as FieldName][cell] = args.values[index]
      if (op === 'add') this.#add(args.field, cell, args.value)
    }
  }

  #add(field: FieldName, cell: number, value: number): void {
    const sum = Math.max(LOWEST[field], Math.min(LARGEST[field], this.values[field][cell]! + value))
    this.values[field][cell] = field === 'f' ? Math.fround(sum) : sum
  }

  get(region: Region, fields: readonly FieldName[]): Json {
    const cells = cellsOf(region)
    return {
      fields: Object.fromEntries(
        fields.map((field) => [field, cells.map((cell) => this.values[field][cell]!)]),
      ),
      status: cells.map((cell) => this.status[cell]!),
    }
  }
}

function cellsOf({ x, y, w, h }: Region): number[] {
  const cells: number[] = []
  for (let row = y; row < y + h; row++) {
    for (let column = x; column < x + w; column++) cells.push(row * WIDTH + column)
  }
  return cells
}

const model = new Model()
const fleet = new Fleet(t)
const gateway = await fleet.gateway(
  ...['--grid', `${WIDTH}x${HEIGHT}`, '--fields', 'u:u8,i:i32,f:f32,d:f64'],
)
const http = new HttpClient(gateway.http)
const wire = await WireClient.connect(gateway.url, `${BASE}/#`)
t.teardown(() => wire.close())
const agents: Agent[] = []

const DOORS = [
  ['mqtt', 'json'],
  ['mqtt', 'cbor'],
  ['http', 'json'],
  ['http', 'cbor'],
] as const
type Door = (typeof DOORS)[number]

let tasks = 0
const newId = (): string => `task_${++tasks}-${seed}`

/** Runs a task through a door and returns its result. */
async function run(task: Json, [via, format]: Door = ['http', 'json']): Promise<Json> {
  if (via === 'http') return await http.run(task, format)
  const { id = newId() } = task
  if (!(await wire.submit({ ...task, id }, format))) throw new Error('not acknowledged')
  await wire.end(id)
  const { payload } = await wire.next(`task/${id}/result`)
  return decode(payload, 'cbor')
}

async function holdsTheModel(t: Test, region: Region, name: string): Promise<void> {
  const result = await run({ op: 'get', region, args: {} })
  areSame(t, result.value, model.get(region, FIELDS), name)
}

/** The whole grid, in pieces that one read may have. */
async function allHoldsTheModel(t: Test, name: string): Promise<void> {
  await holdsTheModel(t, { ...WHOLE, h: 200 }, `${name}: rows 0 to 199`)
  await holdsTheModel(t, { ...WHOLE, y: 200, h: HEIGHT - 200 }, `${name}: the other rows`)
}

t.test('before any node has joined, tasks are refused as no-node', async (t) => {
  const task = { id: 'too-early', op: 'scale' }
  const { status, headers, body } = await http.post(task)
  t.equal(status, 503)
  t.match(headers.get('content-type'), /^application\/problem\+json/)
  t.match(headers.get('retry-after'), /^\d+$/)
  t.match(body, { code: 'no-node', status: 503, id: 'too-early' })
  t.ok(await wire.submit(task), 'refused, and acknowledged all the same')
  const rejected = await wire.nextJson('task/rejected')
  t.match(rejected, { id: 'too-early', client: wire.id, code: 'no-node' })
  t.type(rejected.message, 'string')
  t.ok(Math.abs(rejected.ts - Date.now()) < 60_000)
  t.equal((await http.request('/api/tasks/too-early')).status, 404, 'nothing of it is kept')
})

t.test('nodes join and say who they are', async (t) => {
  agents.push(...(await fleet.agents(NODES, gateway.url, '--telemetry-interval', '1')))
  for (const id of NODES) {
    await wire.next(`node/${id}/state`, ({ payload }) => payload.toString() === 'online')
    const birth = await wire.nextJson(`node/${id}/info`)
    const ops = [...OPERATION_NAMES].sort()
    t.match(birth, { id, incarnation: 1, version: String, arch: process.arch, cores: Number })
    t.ok(birth.mem_total_bytes > 64 * MIB)
    t.strictSame([...birth.ops].sort(), ops)
    t.match(await http.node(id), { id, state: 'alive', connected: true, operations: ops })
  }
  const late = await WireClient.connect(gateway.url, `${BASE}/node/+/+`, `${BASE}/gateway/+`)
  t.teardown(() => late.close())
  for (const topic of [...NODES.map((id) => `node/${id}/state`), 'gateway/state']) {
    const { payload, retain } = await late.next(topic)
    t.same([payload.toString(), retain], ['online', true], `${topic} is retained`)
  }
  t.ok((await late.next('node/edge-2/info')).retain)
})

t.test('every operation does what a plain array does, through every door', async (t) => {
  for (let round = 0; round < 120; round++) {
    const door = DOORS[round % DOORS.length]!
    const region = random.integer(8) === 0 ? WHOLE : randomRegion()
    if (random.integer(3) > 0) await writeRandomly(t, region, door)
    else await readRandomly(t, region, door)
  }
  await allHoldsTheModel(t, 'after all of them')
})

function randomRegion(lsusMax = WIDTH * HEIGHT): Region {
  for (;;) {
    const [x, y] = [random.integer(WIDTH), random.integer(HEIGHT)]
    const region = { x, y, w: 1 + random.integer(WIDTH - x), h: 1 + random.integer(HEIGHT - y) }
    if (lsusOf(region) <= lsusMax) return region
  }
}

/** One that the field holds exactly; sums of many stay exact or nearly so. */
function randomValue(field: FieldName): number {
  const whole = random.integer(256)
  switch (field) {
    case 'u':
      return whole
    case 'i':
      return random.integer(2) === 0 ? whole - 128 : random.uint32() | 0
    case 'f':
      return Math.fround(random.between(-1000, 1000))
    case 'd':
      return random.between(-1e6, 1e6)
  }
}

const randomField = (): FieldName => FIELDS[random.integer(FIELDS.length)]!
const randomFields = (): FieldName[] => FIELDS.filter(() => random.integer(2) === 0)

async function writeRandomly(t: Test, whole: Region, door: Door): Promise<void> {
  const op = ['scale', 'put', 'set', 'add'][random.integer(4)]!
  const region = op === 'put' ? randomRegion(4000) : whole
  const field = randomField()
  const named = op === 'set' ? [field] : randomFields()
  const fields = Object.fromEntries(named.map((name) => [name, randomValue(name)]))
  const args: Json =
    op === 'put'
      ? { field, values: Array.from({ length: lsusOf(region) }, () => randomValue(field)) }
      : op === 'add'
        ? { field, value: randomValue(field) }
        : { fields }
  const id = newId()
  const result = await run({ id, op, args, ...extentOf(region) }, door)
  model.apply(op, region, args)
  t.match(
    result,
    { id, op, state: 'completed', effect: 'done', copies: 2, value: { lsus: lsusOf(region) } },
    `${op} by ${door.join()} on ${JSON.stringify(region)}`,
  )
  t.equal(result.lsus, lsusOf(region))
  t.ok(result.nodes >= 2 && result.nodes <= 3 && result.shards >= 2)
  t.ok(result.ms >= 0 && Math.abs(result.ts - Date.now()) < 60_000)
}

/** A task without a region is one over the whole grid. */
function extentOf(region: Region): Json {
  return region === WHOLE && random.integer(2) === 0 ? {} : { region }
}

async function readRandomly(t: Test, whole: Region, door: Door): Promise<void> {
  switch (random.integer(3)) {
    case 0: {
      const region = lsusOf(whole) <= 65_536 ? whole : randomRegion(65_536)
      const fields = randomFields()
      const args = fields.length === 0 ? {} : { fields }
      const result = await run({ op: 'get', region, args }, door)
      const expected = model.get(region, fields.length === 0 ? FIELDS : fields)
      areSame(t, result.value, expected, `get by ${door.join()} of ${JSON.stringify(region)}`)
      t.match(result, { state: 'completed', consistent: true, lsus: lsusOf(region) })
      return
    }
    case 1: {
      const field = randomField()
      const bins = 1 + random.integer(40)
      const result = await run({ op: 'stat', args: { field, bins }, ...extentOf(whole) }, door)
      const cells = cellsOf(whole).map((cell) => model.values[field][cell]!)
      t.match(result, { state: 'completed', consistent: true, lsus: cells.length })
      isStatOf(t, result.value, cells, bins)
      return
    }
    default: {
      const items = Array.from({ length: 1 + random.integer(50) }, (_, index) => ({
        key: `käy ${index} ${random.uint32()}`,
        data:
          door[1] === 'cbor' && index % 2 === 0
            ? Buffer.from(Array.from({ length: random.integer(99) }, () => random.integer(256)))
            : `täxt ${random.uint32()}`,
      }))
      const result = await run({ op: 'digest', items }, door)
      const sha256 = items.map(({ key, data }) => [
        key,
        createHash('sha256').update(data).digest('hex'),
      ])
      t.strictSame(result.value, { items: items.length, sha256: Object.fromEntries(sha256) })
      t.match(result, { state: 'completed', items: items.length })
    }
  }
}

function isStatOf(t: Test, value: Json, cells: readonly number[], bins: number): void {
  const sum = cells.reduce((total, cell) => total + cell, 0)
  const mean = sum / cells.length
  const variance = cells.reduce((total, cell) => total + (cell - mean) ** 2, 0) / cells.length
  const min = cells.reduce((low, cell) => Math.min(low, cell))
  const max = cells.reduce((high, cell) => Math.max(high, cell))
  t.match(value, { count: cells.length, min, max }, 'count and extremes')
  const scale = cells.reduce((total, cell) => total + Math.abs(cell), 1)
  t.ok(Math.abs(value.sum - sum) <= 1e-9 * scale, `sum ${value.sum}, expected ${sum}`)
  t.ok(Math.abs(value.mean - mean) <= 1e-9 * scale, `mean ${value.mean}, expected ${mean}`)
  const isClose = Math.abs(value.variance - variance) <= 1e-6 * variance + 1e-9
  t.ok(isClose, `variance ${value.variance}, expected ${variance}`)
  const { edges, counts } = value.histogram
  t.equal(edges.length, bins + 1)
  t.same([edges[0], edges.at(-1)], [min, max], 'edges from min to max')
  for (const [index, edge] of edges.entries()) {
    const expected = min + ((max - min) * index) / bins
    if (Math.abs(edge - expected) > 1e-6 * Math.max(1, max - min))
      t.fail(`edge ${index} is ${edge}`)
  }
  const own = new Array<number>(bins).fill(0)
  for (const cell of cells) {
    let bin = bins - 1
    while (bin > 0 && edges[bin] > cell) bin--
    own[bin]! += 1
  }
  t.strictSame(counts, own, 'counts of the bins')
}

t.test(
  'single LSUs, squares and bytes are those of a plain array, through every door',
  async (t) => {
    for (let round = 0; round < 24; round++) {
      const door = DOORS[round % DOORS.length]!
      const field = randomField()
      const ids = [...new Set(Array.from({ length: 40 }, () => random.integer(WIDTH * HEIGHT)))]
      const values = ids.map(() => randomValue(field))
      const [x, y] = [ids.map((id) => id % WIDTH), ids.map((id) => Math.floor(id / WIDTH))]
      const places = round % 2 === 0 ? { ids } : { x, y }
      const packed = door[1] === 'cbor' ? { ids: bytesOf(Uint32Array, ids) } : places
      const column = door[1] === 'cbor' ? bytesOf(COLUMNS[field], values) : values
      const written = await run({ op: 'scatter', args: { field, ...packed, values: column } }, door)
      t.match(written, {
        state: 'completed',
        copies: 2,
        value: { lsus: ids.length },
        lsus: ids.length,
      })
      ids.forEach((id, index) => {
        model.values[field][id] = values[index]!
      })
      const cells = ids.slice(0, 9).map((id) => [id % WIDTH, Math.floor(id / WIDTH)])
      const gathered = await run({ op: 'gather', args: { field, cells } }, door)
      t.strictSame(gathered.value, { values: values.slice(0, 9) }, `gather by ${door.join()}`)

      const region = randomRegion(20_000)
      const read = await run({ op: 'get', region, args: { fields: [field], as: 'bytes' } }, door)
      const numbers = cellsOf(region).map((cell) => model.values[field][cell]!)
      t.strictSame([...columnIn(COLUMNS[field], read.value.fields[field])], numbers)
      const step = [4, 16, 64][round % 3]!
      const looked = await run({ op: 'overview', region, args: { field, step, of: ['max'] } }, door)
      t.strictSame([...columnIn(Float32Array, looked.value.max)], greatestOf(region, field, step))
    }
    await allHoldsTheModel(t, 'after all of them')
  },
)

const COLUMNS = { u: Uint8Array, i: Int32Array, f: Float32Array, d: Float64Array } as const
type ColumnType = (typeof COLUMNS)[FieldName] | typeof Uint32Array

/** A Buffer: other arrays of bytes get a tag by this encoder. */
const bytesOf = (type: ColumnType, numbers: readonly number[]): Buffer =>
  Buffer.from(type.from(numbers).buffer)

/** Bytes of CBOR, or base64 of JSON. */
function columnIn(
  type: ColumnType,
  bytes: Uint8Array | string,
): ArrayLike<number> & Iterable<number> {
  const plain = typeof bytes === 'string' ? Buffer.from(bytes, 'base64') : bytes
  return new type(new Uint8Array(plain).buffer)
}

/** The greatest number of each square of the grid, where it lies in the region. */
function greatestOf({ x, y, w, h }: Region, field: FieldName, step: number): number[] {
  const squares = new Map<string, number>()
  for (const cell of cellsOf({ x, y, w, h })) {
    const [column, row] = [cell % WIDTH, Math.floor(cell / WIDTH)].map((one) =>
      Math.floor(one / step),
    )
    const name = `${row},${column}`
    const value = model.values[field][cell]!
    squares.set(name, Math.max(squares.get(name) ?? Number.NEGATIVE_INFINITY, value))
  }
  const largest = 3.4028234663852886e38
  // In the order in which they were met: row by row.
  return [...squares.values()].map((value) =>
    Math.fround(Math.min(largest, Math.max(-largest, value))),
  )
}

t.test('add saturates at both ends of each type', async (t) => {
  const region = { x: 0, y: 0, w: 20, h: 1 }
  for (const field of FIELDS) {
    for (const value of [
      LARGEST[field],
      LARGEST[field],
      LOWEST[field],
      LOWEST[field],
      LOWEST[field],
    ]) {
      await run({ op: 'add', region, args: { field, value } })
      model.apply('add', region, { field, value })
    }
  }
  await run({ op: 'set', region, args: { fields: { f: LARGEST.f, d: LARGEST.d } } })
  model.apply('set', region, { fields: { f: LARGEST.f, d: LARGEST.d } })
  await holdsTheModel(t, region, 'clamped')
})

t.test('state and results stay for whoever comes later', async (t) => {
  const id = newId()
  await run({ id, op: 'stat', args: { field: 'd' }, region: { x: 9, y: 9, w: 33, h: 7 } }, DOORS[1])
  const states = wire.jsonOf(`task/${id}/state`).map(({ state }) => state)
  const steps = ['accepted', 'running', 'completed']
  const seen = steps.filter((step) => states.includes(step))
  t.strictSame([...new Set(states)], seen, 'states follow each other in one order')
  t.strictSame(seen.slice(-2), ['running', 'completed'])

  const late = await WireClient.connect(gateway.url, `${BASE}/task/${id}/#`)
  t.teardown(() => late.close())
  const state = await late.next(`task/${id}/state`)
  const result = await late.next(`task/${id}/result`)
  const mirror = await late.next(`task/${id}/result/json`)
  for (const { topic, retain, qos } of [state, result, mirror]) {
    t.same([retain, qos], [true, 1], `${topic} is retained`)
  }
  const { total } = decode(state.payload, 'json').shards
  t.match(decode(state.payload, 'json'), {
    ...{
      id,
      op: 'stat',
      state: 'completed',
      shards: { total, done: total, failed: 0 },
      ts: Number,
    },
  })
  const value = decode(result.payload, 'cbor')
  t.strictSame(decode(mirror.payload, 'json'), value, 'the mirror says the same')
  t.strictSame(await http.get(`/api/tasks/${id}/result`), value, 'and so does HTTP')
  const headers = { accept: 'application/cbor' }
  const { bytes } = await http.request(`/api/tasks/${id}/result`, { headers })
  t.ok(bytes.equals(result.payload), 'as CBOR byte for byte')
  t.match(await http.get(`/api/tasks/${id}`), { id, op: 'stat', state: 'completed' })
  const listed = await http.get('/api/tasks?limit=1000&state=completed')
  t.ok(listed.some((task: Json) => task.id === id))
})

t.test('every subscriber gets every message once, at the quality that it asked for', async (t) => {
  const modest = await WireClient.connect(gateway.url)
  const twice = await WireClient.connect(gateway.url, `${BASE}/task/#`, `${BASE}/task/+/state`)
  t.teardown(() => Promise.all([modest.close(), twice.close()]))
  await modest.client.subscribeAsync(`${BASE}/#`, { qos: 0 })
  const last = await WireClient.connect(gateway.url, `${BASE}/#`)
  t.teardown(() => last.close())
  const ids = Array.from({ length: 20 }, newId)
  const task = { op: 'stat', args: { field: 'u' }, region: { x: 0, y: 0, w: 9, h: 9 } }
  await Promise.all(ids.map((id) => run({ id, ...task }, DOORS[0])))
  for (const id of ids) {
    const states = wire.of(`task/${id}/state`).length
    for (const [client, qos] of [
      [modest, 0],
      [twice, 1],
      [last, 1],
    ] as const) {
      for (const [topic, count] of [
        ['state', states],
        ['result', 1],
        ['result/json', 1],
      ] as const) {
        const messages = await eventually(`${count} on ${topic} of ${id}`, () => {
          const got = client.of(`task/${id}/${topic}`).filter(({ retain }) => !retain)
          return got.length >= count && got
        })
        t.same(
          messages.map((message) => message.qos),
          new Array(count).fill(qos),
        )
      }
    }
  }
})

t.test('a mirror above 64 KiB is a link', async (t) => {
  const id = newId()
  const region = { x: 3, y: 5, w: 250, h: 200 }
  const result = await run({ id, op: 'get', region, args: { fields: ['d', 'i'] } }, DOORS[0])
  areSame(t, result.value, model.get(region, ['d', 'i']))
  const mirror = await wire.nextJson(`task/${id}/result/json`)
  t.strictSame(Object.keys(mirror).sort(), ['href', 'id', 'op', 'state'])
  t.match(mirror, { id, op: 'get', state: 'completed' })
  t.strictSame(await http.get(new URL(mirror.href, gateway.http).pathname), result)
})

t.test('a submission may be the short form, and without an id', async (t) => {
  t.match(await run({ Id: 'short_001', Data: 'stat', args: { field: 'u' } }), {
    ...{ id: 'short_001', op: 'stat', state: 'completed' },
  })
  const { status, headers, body } = await http.post({
    op: 'digest',
    items: [{ key: 'a', data: '' }],
  })
  t.equal(status, 202)
  t.match(body.id, /^[A-Za-z0-9_-]{1,64}$/)
  t.equal(headers.get('location'), `/api/tasks/${body.id}`)
  t.match(await wire.end(body.id), { state: 'completed' })
})

t.test('items may have names that mean something to JavaScript', async (t) => {
  const keys = ['__proto__', '__proto_', 'constructor', 'toJSON', 'hasOwnProperty']
  const expected = keys.map((key) => [key, createHash('sha256').update(key).digest('hex')])
  const items = keys.map((key) => ({ key, data: key }))
  const result = await run({ op: 'digest', items }, ['http', 'json'])
  t.strictSame(Object.entries(result.value.sha256).sort(), expected.sort())
  // The CBOR decoder of the tests could not hold such a map.
  const mirror = await wire.nextJson(`task/${result.id}/result/json`)
  t.strictSame(Object.entries(mirror.value.sha256).sort(), expected.sort())
})

t.test('the same id with the same body is the same task', async (t) => {
  const id = newId()
  const region = { x: 0, y: 0, w: 40, h: 40 }
  const args = { field: 'i', value: 1 }
  const first = await run({ id, op: 'add', region, args })
  model.apply('add', region, args)
  const again = { args: { value: 1, field: 'i' }, region, deadline_ms: 60_000, op: 'add', id }
  for (const door of DOORS) t.strictSame(await run(again, door), first, `by ${door.join()}`)
  const published = wire.of(`task/${id}/state`).length
  t.ok(await wire.submit(again))
  await eventually('its state once more', () => wire.of(`task/${id}/state`).length > published)

  const other = { ...again, args: { field: 'i', value: 2 } }
  const { status, body } = await http.post(other)
  t.equal(status, 409)
  t.match(body, { code: 'task-id-conflict', id })
  t.ok(await wire.submit(other, 'cbor'))
  const rejected = await wire.nextJson('task/rejected', (one) => one.code === 'task-id-conflict')
  t.match(rejected, { id, client: wire.id })
  await holdsTheModel(t, region, 'it ran once')
})

/** Submissions that are wrong, with the code and every path that must be named. */
const WRONG: readonly [name: string, task: Json | Buffer, code: string, paths?: string[]][] = [
  ['JSON that stops', Buffer.from('{"op":"scale"'), 'malformed', ['']],
  ['JSON that is not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'malformed'],
  ['CBOR that stops', Buffer.from('a1626f70', 'hex'), 'malformed', ['']],
  ['CBOR with more behind it', Buffer.from('a1626f70637365740000', 'hex'), 'malformed'],
  ['no operation', { args: {} }, 'missing', ['op']],
  ['an unknown operation', { op: 'explode' }, 'unknown-operation', ['op']],
  ['a name that all objects have', { op: 'constructor' }, 'unknown-operation', ['op']],
  ['a glyph', { op: '𓂀' }, 'unknown-operation', ['op']],
  [
    'a region that leaves the grid',
    withRegion({ x: 299, y: 0, w: 2, h: 1 }),
    'outside-grid',
    ['region'],
  ],
  [
    'a region that begins outside',
    withRegion({ x: -1, y: 0, w: 2, h: 1 }),
    'outside-grid',
    ['region.x'],
  ],
  ['a region of nothing', withRegion({ x: 0, y: 0, w: 0, h: 1 }), 'outside-grid', ['region.w']],
  ['half an LSU', withRegion({ x: 0.5, y: 0, w: 1, h: 1 }), 'out-of-range', ['region.x']],
  ['an unknown field', { op: 'stat', args: { field: 'rain' } }, 'unknown-field', ['args.field']],
  [
    'too few values',
    { op: 'put', region: { x: 0, y: 0, w: 3, h: 3 }, args: { field: 'u', values: [1, 2] } },
    'wrong-count',
    ['args.values'],
  ],
  [
    'a number beyond its type',
    { op: 'add', args: { field: 'u', value: 256 } },
    'out-of-range',
    ['args.value'],
  ],
  [
    'a number beyond f32',
    { op: 'add', args: { field: 'f', value: 3.5e38 } },
    'out-of-range',
    ['args.value'],
  ],
  [
    'no finite number',
    Buffer.from('{"op":"add","args":{"field":"d","value":1e999}}'),
    'out-of-range',
  ],
  ['too many LSUs', { op: 'get' }, 'too-large', ['region']],
  [
    'too many bins',
    { op: 'stat', args: { field: 'u', bins: 1025 } },
    'out-of-range',
    ['args.bins'],
  ],
  ['no field to set', { op: 'set', args: { fields: {} } }, 'wrong-count', ['args.fields']],
  ['a deadline that is over', { op: 'scale', deadline_ms: 0 }, 'out-of-range', ['deadline_ms']],
  [
    'a deadline next week',
    { op: 'scale', deadline_ms: 86_400_001 },
    'out-of-range',
    ['deadline_ms'],
  ],
  ['an id with a slash', { id: 'a/b', op: 'scale' }, 'wrong-type', ['id']],
  ['an id that is too long', { id: 'a'.repeat(65), op: 'scale' }, 'wrong-type', ['id']],
  ['items where there is a region', { op: 'scale', items: [] }, 'not-allowed', ['items']],
  ['no items', { op: 'digest' }, 'missing', ['items']],
  ['an empty list of items', { op: 'digest', items: [] }, 'wrong-count', ['items']],
  ['100,001 items', { op: 'digest', items: new Array(100_001).fill(0) }, 'wrong-count', ['items']],
  [
    'the same key twice',
    {
      op: 'digest',
      items: [
        { key: 'a', data: '' },
        { key: 'a', data: '' },
      ],
    },
    'duplicate',
    ['items[1].key'],
  ],
  [
    'everything at once',
    {
      ...{ id: '', op: 'put', region: { x: 0, y: 0, w: 2, h: 1 }, deadline_ms: -1, colour: 'red' },
      args: { field: 'rain', values: [1, 2, 'x'], speed: 1 },
    },
    'invalid',
    ['id', 'deadline_ms', 'colour', 'args.field', 'args.values', 'args.values[2]', 'args.speed'],
  ],
]

function withRegion(region: Region): Json {
  return { op: 'scale', region }
}

t.test('what is wrong with a submission is said, all of it, and nothing is lost', async (t) => {
  const STATUS: Record<string, number> = { malformed: 400, 'too-large': 413 }
  for (const [name, task, code, paths = []] of WRONG) {
    const isText = !Buffer.isBuffer(task) || task[0] === 0x7b
    const formats: Format[] = Buffer.isBuffer(task) ? [isText ? 'json' : 'cbor'] : ['json', 'cbor']
    for (const format of formats) {
      const { status, headers, body } = await http.post(task, '', format)
      t.equal(status, STATUS[code] ?? 422, `${name}, ${format}: the status`)
      t.match(headers.get('content-type'), /^application\/problem\+json/)
      t.match(body, { code, status, title: String, detail: String }, name)
      const known = wire.of('task/rejected').length
      const payload = Buffer.isBuffer(task) ? task : encode(task, format)
      t.ok(await wire.publish(`${BASE}/task/submit`, payload), `${name}: acknowledged`)
      await eventually(`${name} is rejected`, () => wire.of('task/rejected').length > known)
      const rejected = wire.jsonOf('task/rejected').at(-1)!
      t.match(rejected, { client: wire.id, code, message: String, ts: Number }, name)
      for (const errors of [body.errors, rejected.errors]) {
        const named = errors.map(({ path }: Json) => path)
        for (const path of paths)
          t.ok(named.includes(path), `${name}: "${path}" of ${named.join()}`)
        for (const error of errors) t.match(error, { path: String, code: String, message: String })
      }
    }
  }
  await allHoldsTheModel(t, 'after all refusals')
})

t.test('other requests that are wrong have an answer of their own', async (t) => {
  const post = { method: 'POST', body: Buffer.from('{"op":"scale"}') }
  const cases: [path: string, options: Json, status: number, code: string][] = [
    [
      '/process',
      { ...post, headers: { 'content-type': 'text/plain' } },
      415,
      'unsupported-media-type',
    ],
    ['/process?wait=soon', post, 400, 'malformed'],
    ['/process?wiat=1s', post, 400, 'malformed'],
    ['/api/tasks/none', {}, 404, 'unknown-task'],
    ['/api/tasks/none/result', {}, 404, 'unknown-task'],
    ['/api/tasks?state=done', {}, 400, 'malformed'],
    ['/api/nodes/none', {}, 404, 'unknown-node'],
    ['/nothing', {}, 404, 'not-found'],
    ['/process', { method: 'GET' }, 405, 'method-not-allowed'],
  ]
  for (const [path, options, status, code] of cases) {
    const headers = { 'content-type': 'application/json', ...options.headers }
    const answer = await http.request(path, { ...options, ...(options.body ? { headers } : {}) })
    t.equal(answer.status, status, `${path} is answered ${status}`)
    t.match(answer.headers.get('content-type'), /^application\/problem\+json/)
    t.match(answer.body, { code, status })
  }
})

t.test('a submission has at most 1 MiB', async (t) => {
  const digest = JSON.stringify({ op: 'digest', items: [{ key: 'a', data: 'b' }] })
  const padded = (bytes: number): Buffer => Buffer.from(digest.padEnd(bytes))
  t.equal((await http.post(padded(MIB), '?wait=60s')).status, 200, '1 MiB is taken')
  const { status, body } = await http.post(padded(MIB + 1))
  t.same([status, body.code], [413, 'too-large'])

  for (const bytes of [MIB + 1, 3 * MIB, 16 * MIB]) {
    const client = await WireClient.connect(gateway.url, `${BASE}/task/rejected`)
    t.ok(await client.publish(`${BASE}/task/submit`, padded(bytes)), `${bytes} are acknowledged`)
    const mine = await client.nextJson('task/rejected', (one) => one.client === client.id)
    t.match(mine, { code: 'too-large' }, 'and refused')
    t.ok(
      await client.submit({ id: `after-${bytes}`, op: 'digest', items: [{ key: 'a', data: '' }] }),
    )
    t.match(await wire.end(`after-${bytes}`), { state: 'completed' }, 'the connection goes on')
    await client.close()
  }
  const client = await WireClient.connect(gateway.url)
  t.notOk(await client.publish(`${BASE}/task/submit`, padded(16 * MIB + 1)), 'not acknowledged')
  await within('the end of the connection', client.closed)
  await holdsTheModel(t, { x: 0, y: 0, w: 10, h: 10 }, 'all others go on')
})

t.test('telemetry tells of a node, in CBOR and as JSON', async (t) => {
  const NUMBERS = [
    ...['v', 'incarnation', 'seq', 'ts', 'uptime_seconds', 'cpu_percent', 'load1'],
    ...['mem_total_bytes', 'mem_available_bytes', 'rss_bytes', 'temp_celsius', 'disk_free_bytes'],
    ...['net_rx_bytes', 'net_tx_bytes', 'loop_busy_percent', 'broker_rtt_ms', 'clock_offset_ms'],
    ...['tiles', 'lsus', 'shards_running', 'shards_done_total', 'shards_failed_total'],
    ...['outbox_records', 'outbox_bytes', 'store_bytes', 'store_written_bytes_total'],
  ]
  const MAY_BE_NULL = ['temp_celsius', 'cpu_percent', 'broker_rtt_ms', 'clock_offset_ms']
  const shown = await WireClient.connect(gateway.url, `${BASE}/node/+/telemetry/#`)
  t.teardown(() => shown.close())
  t.ok((await shown.next('node/edge-1/telemetry/json')).retain, 'the mirror is retained')
  let tiles = 0
  for (const id of NODES) {
    const known = wire.of(`node/${id}/telemetry`).length
    const newer = await eventually(`more telemetry of ${id}`, () => {
      return wire.of(`node/${id}/telemetry`)[known + 1]
    })
    t.same([newer.qos, newer.retain], [0, false])
    const telemetry = decode(newer.payload, 'cbor')
    t.strictSame(
      Object.keys(telemetry).sort(),
      [...NUMBERS, 'node'].sort(),
      'every field, no other',
    )
    t.equal(telemetry.node, id)
    for (const name of NUMBERS) {
      const value = telemetry[name]
      t.ok(
        Number.isFinite(value) || (value === null && MAY_BE_NULL.includes(name)),
        `${name} ${value}`,
      )
    }
    t.match(telemetry, { incarnation: 1, shards_failed_total: 0, outbox_records: 0 })
    t.ok(Math.abs(telemetry.ts - Date.now()) < 60_000)
    t.ok(telemetry.shards_done_total > 10 && telemetry.store_written_bytes_total > 100_000)
    t.ok(telemetry.broker_rtt_ms > 0 && telemetry.rss_bytes > 10 * MIB)
    t.ok(Math.abs(telemetry.clock_offset_ms) < 5000, 'one machine, one clock')
    t.equal(telemetry.lsus > telemetry.tiles, true)
    const mirror = await wire.nextJson(
      `node/${id}/telemetry/json`,
      ({ seq }) => seq === telemetry.seq,
    )
    t.strictSame(mirror, telemetry, 'the mirror says the same')
    tiles += telemetry.tiles
  }
  t.equal(tiles, 2 * Math.ceil(WIDTH / 16) * Math.ceil(HEIGHT / 16), 'each tile is held twice')
  const seqs = wire.of('node/edge-1/telemetry').map(({ payload }) => decode(payload, 'cbor').seq)
  t.ok(
    seqs.every((seq, index) => index === 0 || seq === seqs[index - 1]! + 1),
    'none is missing',
  )
})

t.test('the ring, and what else the gateway shows of itself', async (t) => {
  const ring = await http.get('/api/ring')
  t.match(ring, { replicas: 2, tile: 16, grid: { width: WIDTH, height: HEIGHT }, epoch: Number })
  t.strictSame(ring.members.map(({ id }: Json) => id).sort(), NODES)
  for (const { state, weight, tiles } of ring.members) {
    t.same([state, weight], ['alive', 1])
    t.ok(tiles > 100, `${tiles} tiles`)
  }
  const published = await eventually('the ring as it is now', () =>
    wire.jsonOf('gateway/ring').find(({ epoch }) => epoch === ring.epoch),
  )
  t.strictSame(published, ring)
  t.match(await wire.nextJson('gateway/event', ({ code }) => code === 'node-joined'), {
    ...{ level: 'info', message: String, ts: Number },
  })
  t.match(await http.get('/healthz'), { ok: true })
  t.match(await http.get('/readyz'), { ok: true })
  t.ok((await http.metric('obelisk_tasks_ended_total', 'state="completed"')) > 100)
  t.equal(await http.metric('obelisk_nodes', 'state="alive"'), 3)
})

t.test('a client may not speak for the fleet, and may for itself', async (t) => {
  const own = await WireClient.connect(gateway.url, 'garden/#')
  t.teardown(() => own.close())
  for (const topic of ['gateway/state', 'node/edge-1/state', 'task/x/state', 'node/edge-1/up']) {
    t.ok(await own.publish(`${BASE}/${topic}`, 'lie', true), `${topic}: acknowledged`)
  }
  t.ok(await own.publish('garden/door', 'open', true))
  await eventually('a message of its own', () =>
    own.messages.some(({ topic }) => topic === 'garden/door'),
  )
  t.notOk(
    wire.messages.some(({ payload }) => payload.toString() === 'lie'),
    'nobody was lied to',
  )
})

t.test('events are told as they happen', async (t) => {
  const abort = new AbortController()
  t.teardown(() => abort.abort())
  const response = await fetch(`${gateway.http}/api/events`, { signal: abort.signal })
  t.match(response.headers.get('content-type'), /^text\/event-stream/)
  const id = newId()
  const told = (async () => {
    let text = ''
    for await (const chunk of response.body!) {
      text += Buffer.from(chunk).toString('utf8')
      if (text.includes(id) && text.includes('completed')) return text
    }
    return text
  })()
  await run({ id, op: 'stat', args: { field: 'u' } })
  const text = await within('the event', told)
  for (const [line] of text.matchAll(/^data: .*$/gm)) JSON.parse(line.slice('data: '.length))
  t.match(text, /^data: \{"type":"task-state".*\}$/m)
})

t.test('what cannot be done yet waits, can be cancelled, and expires', async (t) => {
  await Promise.all(agents.map((agent) => agent.run.kill()))
  for (const id of NODES) {
    await wire.next(`node/${id}/state`, ({ payload }) => payload.toString() === 'offline')
    await eventually('it is missed', async () => (await http.node(id)).state === 'suspect')
  }
  const add = { op: 'add', region: { x: 5, y: 5, w: 50, h: 50 }, args: { field: 'd', value: 1e9 } }
  const waited = await http.post({ id: 'waits', ...add }, '?wait=300ms')
  t.equal(waited.status, 202, 'the wait is over, the task is not')
  t.equal(waited.headers.get('location'), '/api/tasks/waits')
  t.match(waited.body, { id: 'waits', state: 'accepted' })
  const early = await http.request('/api/tasks/waits/result')
  t.same([early.status, early.body.code], [404, 'no-result'])

  t.match(await http.cancel('waits'), { status: 200, body: { id: 'waits', state: 'cancelled' } })
  t.match(await wire.end('waits'), { state: 'cancelled', effect: 'none' })
  t.match(await http.get('/api/tasks/waits/result'), { state: 'cancelled', effect: 'none' })
  t.ok(await wire.submit({ id: 'waits-too', op: 'stat', args: { field: 'u' } }))
  t.ok(await wire.cancel('waits-too'))
  t.match(await wire.end('waits-too'), { state: 'cancelled' }, 'by MQTT too')

  for (const task of [add, { op: 'stat', args: { field: 'u' } }]) {
    const id = newId()
    t.ok(await wire.submit({ id, ...task, deadline_ms: 200 }))
    const end = await wire.end(id)
    t.match(end, { state: 'expired', effect: 'none', error: { code: 'deadline', message: String } })
    const result = decode((await wire.next(`task/${id}/result`)).payload, 'cbor')
    t.match(result, { id, state: 'expired', effect: 'none', error: { code: 'deadline' } })
    t.ok(result.ms >= 200, `${result.ms} ms`)
  }

  t.match(await http.cancel('waits'), { status: 409, body: { code: 'too-late' } })
  t.match(await http.cancel('never-seen'), { status: 404, body: { code: 'unknown-task' } })
  t.ok(await wire.cancel('never-seen'))
  const unknown = await wire.nextJson('task/rejected', ({ code }) => code === 'unknown-task')
  t.match(unknown, { id: 'never-seen', client: wire.id })

  const back = run({ id: 'patient', ...add })
  await Promise.all(agents.map((agent) => agent.restart()))
  t.match(await back, { state: 'completed', effect: 'done' }, 'what waited is done')
  model.apply('add', add.region, add.args)
  t.equal((await http.node('edge-1')).incarnation, 2)
  await allHoldsTheModel(t, 'cancelled and expired writes had no effect')
})

t.test('a write that has begun is done, whatever comes', async (t) => {
  await eventually('all are here', async () => {
    const nodes = (await http.get('/api/nodes')) as unknown as Json[]
    return nodes.every(({ state }) => state === 'alive')
  })
  for (const agent of agents) agent.run.signal('SIGSTOP')
  const region = { x: 0, y: 0, w: 90, h: 90 }
  const args = { field: 'i', value: -3 }
  t.ok(await wire.submit({ id: 'begun', op: 'add', region, args, deadline_ms: 500 }))
  await wire.nextJson('task/begun/state', ({ state }) => state === 'running')
  t.match(await http.cancel('begun'), { status: 409, body: { code: 'too-late', id: 'begun' } })
  t.ok(await wire.cancel('begun'))
  t.match(await wire.nextJson('task/rejected', ({ id }) => id === 'begun'), { code: 'too-late' })
  t.match(await wire.end('begun'), { state: 'expired', effect: 'pending' })
  for (const agent of agents) agent.run.signal('SIGCONT')
  const later = await wire.nextJson('task/begun/state', ({ effect }) => effect === 'done')
  t.equal(later.state, 'expired', 'it ended once')
  model.apply('add', region, args)
  await holdsTheModel(t, region, 'its effect is there')
})

const hasMosquitto = ['mosquitto_pub', 'mosquitto_sub'].every(
  (program) => spawnSync(program, ['--help']).error === undefined,
)
const skip = hasMosquitto ? false : 'mosquitto_pub and mosquitto_sub are not installed'

t.test('mosquitto_pub and mosquitto_sub are all that one needs', { skip }, async (t) => {
  const to = ['-h', '127.0.0.1', '-p', `${gateway.port}`]
  const task = '{"id":"by-hand","op":"stat","args":{"field":"u"}}'
  const sub = fleet.command('mosquitto_sub', [
    ...[...to, '-q', '1', '-C', '1', '-W', '30', '-t', `${BASE}/task/by-hand/result/json`],
  ])
  const pub = fleet.command('mosquitto_pub', [
    ...[...to, '-q', '1', '-t', `${BASE}/task/submit`, '-m', task],
  ])
  t.match(await within('mosquitto_pub', pub.exited), { code: 0 })
  t.match(await within('mosquitto_sub', sub.exited), { code: 0 })
  t.match(JSON.parse(sub.stdout), { id: 'by-hand', state: 'completed', value: { count: 69_000 } })
})

t.test('the broker counts by the names of mosquitto', async (t) => {
  const figures = await WireClient.connect(gateway.url, '$SYS/#')
  t.teardown(() => figures.close())
  const figure = (name: string): string | undefined => {
    return figures.messages
      .findLast(({ topic }) => topic === `$SYS/broker/${name}`)
      ?.payload.toString()
  }
  // Three agents and us; and what a test before this one was not allowed to publish.
  const GROWING = ['messages/received', 'messages/sent', 'bytes/received', 'bytes/sent']
  await eventually('new figures, all of them', () => {
    const areHere = [...GROWING, 'uptime', 'version', 'subscriptions/count'].every(figure)
    const dropped = Number(figure('publish/messages/dropped'))
    return areHere && Number(figure('clients/connected')) >= 4 && dropped >= 4
  })
  t.match(figure('version'), /^obelisk version \d/)
  t.match(figure('uptime'), /^\d+ seconds$/)
  for (const name of [...GROWING, 'publish/messages/received', 'publish/messages/sent']) {
    t.ok(Number(figure(name)) > 100, `${name} ${figure(name)}`)
  }
  for (const name of ['clients/total', 'clients/maximum', 'subscriptions/count']) {
    t.ok(Number(figure(name)) >= 1, `${name} ${figure(name)}`)
  }
  t.ok(Number(figure('retained messages/count')) > 5)
  t.ok(figures.messages.every(({ topic }) => topic.startsWith('$SYS/broker/')))
})

t.test('a stopped gateway says so', async (t) => {
  t.match(await gateway.run.end('SIGTERM'), { code: 0, signal: null })
  t.equal(wire.of('gateway/state').at(-1)!.payload.toString(), 'offline')
})
