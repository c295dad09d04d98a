import fc from 'fast-check'
import t from 'tap'
import { Geometry } from '../../../shared/grid/geometry.ts'
import { encodeCbor } from '../../../shared/protocol/cbor.ts'
import { parseReadings, type ReadingTopic } from '../../../shared/protocol/readings.ts'
import { buildTopic, parseTopic } from '../../../shared/protocol/topics.ts'
import { check } from '../../support/property.ts'

const GRID = {
  geometry: new Geometry({ width: 16, height: 8, tile: 4 }),
  fields: [
    { name: 'temp', type: 'f32' },
    { name: 'level', type: 'u8' },
  ],
} as const

const CELL: ReadingTopic = { kind: 'cell-reading', field: 'temp', x: 3, y: 2 }
const LEVEL: ReadingTopic = { ...CELL, field: 'level' }
const MANY: ReadingTopic = { kind: 'cell-readings', field: 'temp' }

const parse = (topic: ReadingTopic, payload: string | Uint8Array) =>
  parseReadings(topic, Buffer.from(payload), GRID)

const codes = (topic: ReadingTopic, payload: string | Uint8Array): string[] => {
  const result = parse(topic, payload)
  return result.ok ? [] : result.problems.map(({ code }) => code)
}

t.test('a number in all the ways that sensors write it', async (t) => {
  const texts = ['21', ' 21\n', '+21', '21.', '21.0', '2.1e1', '{"value":21}', '{"value": 21.0 }']
  for (const text of texts) {
    t.same(parse(CELL, text), { ok: true, readings: { field: 0, cells: [35], values: [21] } }, text)
  }
  t.match(parse(CELL, '.5'), { readings: { values: [0.5] } })
  t.match(parse(CELL, '-0'), { readings: { values: [0] } })
  t.match(parse(CELL, '0.1'), { readings: { values: [Math.fround(0.1)] } }, 'as the field holds it')
  t.match(parse(CELL, '{"value":1,"ts":1750000000000}'), { readings: { ts: 1750000000000 } })
})

t.test('a topic that names no cell is told which do', async (t) => {
  t.match(parse({ kind: 'cell-mistyped' }, '21'), {
    problems: [{ code: 'malformed', message: /in neither cell\/<field>\/<x>\/<y> nor / }],
  })
})

t.test('what is no number is none', async (t) => {
  for (const text of [
    '',
    'nan',
    'unavailable',
    'null',
    '"21"',
    '1 2',
    '0x10',
    '[21]',
    '{',
    '21,5',
  ]) {
    t.same(codes(CELL, text), ['malformed'], text)
  }
  t.same(codes(CELL, Uint8Array.of(0x31, 0xff)), ['malformed'])
  t.same(codes(CELL, '{"value":"21"}'), ['wrong-type'])
  t.same(codes(CELL, '{}'), ['missing'])
  t.same(codes(CELL, '{"value":1,"time":2}'), ['unknown-key'])
  t.same(codes(CELL, '{"value":1,"ts":-1}'), ['out-of-range'])
  t.same(codes(CELL, '1'.padEnd(63)), [])
  t.same(codes(CELL, '1'.padEnd(64)), ['too-large'])
})

t.test('the grid has the field and the cell, and the field takes the number', async (t) => {
  t.same(codes({ ...CELL, field: 'wind' }, '1'), ['unknown-field'])
  t.same(codes({ ...CELL, x: 16 }, '1'), ['outside-grid'])
  t.same(codes({ ...CELL, y: 8 }, '1'), ['outside-grid'])
  t.same(codes(LEVEL, '255'), [])
  t.same(codes(LEVEL, '256'), ['out-of-range'])
  t.same(codes(LEVEL, '1.5'), ['out-of-range'])
  t.same(codes(CELL, '1e39'), ['out-of-range'])
})

t.test('many at once, as JSON or CBOR', async (t) => {
  const list = [
    [0, 0, 1],
    [15, 7, -2.5],
    [0, 0, 3],
  ]
  const wanted = { ok: true, readings: { field: 0, cells: [0, 127, 0], values: [1, -2.5, 3] } }
  t.same(parse(MANY, JSON.stringify(list)), wanted)
  t.same(parse(MANY, encodeCbor(list)), wanted)
  t.same(codes(MANY, '[]'), ['wrong-count'])
  t.same(codes(MANY, JSON.stringify(Array(1000).fill([1, 1, 1]))), [])
  t.same(codes(MANY, encodeCbor(Array(1000).fill([1, 1, 1.25]))), [])
  t.same(codes(MANY, JSON.stringify(Array(1001).fill([1, 1, 1]))), ['wrong-count'])
  t.same(codes(MANY, ' '.repeat(65_537)), ['too-large'])
  t.same(codes(MANY, '{"value":1}'), ['malformed'])
  t.same(codes(MANY, '[[0,0,1],[0,0],["0",0,1],[16,0,1],[0,0,1e99]]'), [
    'wrong-type',
    'wrong-type',
    'outside-grid',
    'out-of-range',
  ])
})

t.test('whatever comes is a reading or a named problem', async (t) => {
  const payload = fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    fc.json().map((text) => Buffer.from(text)),
    fc.json().map((text) => encodeCbor(JSON.parse(text))),
  )
  check(
    t,
    fc.property(fc.constantFrom(CELL, LEVEL, MANY), payload, (topic, bytes) => {
      const result = parse(topic, bytes)
      if (result.ok) return result.readings.values.every(Number.isFinite)
      return result.problems.length > 0 && result.problems.every(({ message }) => message !== '')
    }),
    1000,
  )
})

t.test('topics of cells are built and parsed', async (t) => {
  const base = 'obelisk/v1'
  for (const topic of [CELL, MANY, { ...CELL, kind: 'cell-value' as const }]) {
    t.same(parseTopic(base, buildTopic(base, topic)), topic)
  }
  t.equal(buildTopic(base, CELL), 'obelisk/v1/cell/temp/3/2')
  for (const rest of [
    '',
    'Temp/1/2',
    'temp/1',
    'temp/01/2',
    'temp/-1/2',
    'temp/1/2/raw',
    'temp/1/2/value/x',
  ]) {
    t.equal(parseTopic(base, `${base}/cell/${rest}`), undefined, rest)
  }
})
