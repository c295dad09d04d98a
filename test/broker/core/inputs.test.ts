/** What inputs take out of messages. */
import fc from 'fast-check'
import t from 'tap'
import { type Input, Inputs } from '../../../broker/core/inputs.ts'
import { parsePointer, valueAt } from '../../../shared/core/json-pointer.ts'
import { takes } from '../../../shared/grid/fields.ts'
import { Geometry } from '../../../shared/grid/geometry.ts'
import { INPUT_BYTES_MAX } from '../../../shared/protocol/limits.ts'
import { filterMatches } from '../../../shared/protocol/topic-filters.ts'
import { check } from '../../support/property.ts'

const GRID = {
  geometry: new Geometry({ width: 16, height: 8, tile: 4 }),
  fields: [
    { name: 'temp', type: 'f32' },
    { name: 'level', type: 'u8' },
    { name: 'power', type: 'i32' },
  ],
} as const

interface Given extends Omit<Partial<Input>, 'pointer'> {
  readonly pointer?: string
}

function inputsOf(...given: readonly Given[]): Inputs {
  const inputs = given.map(({ pointer = '/temperature', ...input }) => ({
    ...{ topic: 'zigbee2mqtt/kitchen', field: 'temp', x: 3, y: 2, scale: 1, offset: 0, ...input },
    pointer: parsePointer(pointer)!,
  }))
  return new Inputs(inputs, GRID)
}

/** What is taken, as `field/cell value`, and the codes of what is not. */
function read(inputs: Inputs, payload: unknown, topic = 'zigbee2mqtt/kitchen'): string[] {
  const bytes = Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload))
  return (inputs.readerOf(topic)?.(bytes) ?? []).flatMap((result) => {
    if (!result.ok) return result.problems.map(({ code }) => code)
    const { field, cells, values } = result.readings
    return cells.map((cell, at) => `${GRID.fields[field]!.name}/${cell} ${values[at]}`)
  })
}

const CELL = 2 * 16 + 3

t.test('a number is found where the pointer says', (t) => {
  const kitchen = { battery: 100, linkquality: 87, temperature: 21.5, voltage: 3000 }
  t.same(read(inputsOf({}), kitchen), [`temp/${CELL} 21.5`])
  const tasmota = { Time: '2026-05-01T10:00:00', DS18B20: { Id: '01', Temperature: 20.6 } }
  t.same(read(inputsOf({ pointer: '/DS18B20/Temperature' }), tasmota), [
    `temp/${CELL} ${Math.fround(20.6)}`,
  ])
  t.same(read(inputsOf({ pointer: '/0/1' }), [[1, 2]]), [`temp/${CELL} 2`])
  t.same(read(inputsOf({}), kitchen, 'zigbee2mqtt/other'), [], 'of its own topic alone')
  t.end()
})

t.test('the whole of a message is a number as a reading is', (t) => {
  const whole = inputsOf({ pointer: '' })
  for (const text of ['21', ' 21\n', '+21', '21.', '2.1e1', '"21"']) {
    t.same(read(whole, text), [`temp/${CELL} 21`], text)
  }
  t.same(read(whole, '.5'), [`temp/${CELL} 0.5`])
  for (const text of ['nan', 'unavailable', '{"a":1}', '[21]', 'True', '0x10', '21,5']) {
    t.same(read(whole, text), ['wrong-type'], text)
  }
  t.equal(whole.readerOf('zigbee2mqtt/kitchen')!(Uint8Array.of(0xff)).length, 1)
  t.same(read(whole, 'null'), [], 'null is nothing')
  t.end()
})

t.test(
  'a text that is a number is one, and true and false are 1 and 0; ON and a list are none',
  (t) => {
    t.same(read(inputsOf({}), { temperature: ' 21.5 ' }), [`temp/${CELL} 21.5`])
    for (const temperature of ['ON', '', 'NaN', 'true', [21], { value: 21 }]) {
      t.same(read(inputsOf({}), { temperature }), ['wrong-type'], JSON.stringify(temperature))
    }
    t.same(read(inputsOf({ field: 'level' }), { temperature: true }), [`level/${CELL} 1`])
    t.same(read(inputsOf({ scale: -1, offset: 1 }), { temperature: false }), [`temp/${CELL} 1`])
    const [result] = inputsOf({}).readerOf('zigbee2mqtt/kitchen')!(
      Buffer.from('{"temperature":"ON"}'),
    )
    t.match(result, {
      problems: [{ path: '[[input]] 1', message: '[[input]] 1: /temperature is "ON", no number' }],
    })
    t.end()
  },
)

t.test('what is left out, null or empty is nothing', (t) => {
  for (const payload of [
    {},
    { temperature: null },
    { state: { temperature: 1 } },
    [],
    3,
    '""',
    '',
  ]) {
    t.same(read(inputsOf({}), payload), [], JSON.stringify(payload))
  }
  t.end()
})

t.test('what is no JSON, or too large, is refused once', (t) => {
  const two = inputsOf({}, { pointer: '/humidity', x: 4 })
  t.same(read(two, 'online'), ['malformed', 'malformed'])
  t.same(read(two, '{"temperature":21'), ['malformed', 'malformed'])
  const most = `{"temperature":21}`.padEnd(INPUT_BYTES_MAX)
  t.same(read(two, most), [`temp/${CELL} 21`])
  t.same(read(two, `${most} `), ['too-large'])
  t.same(read(two, '['.repeat(INPUT_BYTES_MAX)), ['malformed', 'malformed'], 'deep ones do no harm')
  t.end()
})

t.test('value * scale + offset, then as the field holds it', (t) => {
  const cases: readonly [Given, number, string][] = [
    [{ scale: 0.1 }, 215, `temp/${CELL} 21.5`],
    [{ scale: 1.8, offset: 32 }, 100, `temp/${CELL} 212`],
    [{ scale: -1 }, 0, `temp/${CELL} 0`],
    [{ field: 'level' }, 2.4, `level/${CELL} 2`],
    [{ field: 'level' }, 2.5, `level/${CELL} 3`],
    [{ field: 'level' }, 255.4, `level/${CELL} 255`],
    [{ field: 'level' }, -0.4, `level/${CELL} 0`],
    [{ field: 'level' }, 255.5, 'out-of-range'],
    [{ field: 'level' }, -0.6, 'out-of-range'],
    [{ field: 'power', scale: 1000 }, 2_147_483.6475, 'out-of-range'],
    [{ field: 'power', scale: 1000 }, -2.1234, `power/${CELL} -2123`],
    [{}, 1e39, 'out-of-range'],
  ]
  for (const [given, temperature, expected] of cases) {
    t.same(read(inputsOf(given), { temperature }), [expected], `${temperature}`)
  }
  t.same(read(inputsOf({ scale: 0 }), '{"temperature":1e999}'), ['out-of-range'], 'not even NaN')
  t.end()
})

t.test('a cell may stand in the topic', (t) => {
  const inputs = inputsOf({ topic: 'hall/+/row/+/t', x: { wildcard: 2 }, y: { wildcard: 1 } })
  t.same(read(inputs, { temperature: 1 }, 'hall/7/row/15/t'), [`temp/${7 * 16 + 15} 1`])
  t.same(read(inputs, { temperature: 1 }, 'hall/8/row/0/t'), ['outside-grid'])
  t.same(read(inputs, { temperature: 1 }, 'hall/0/row/16/t'), ['outside-grid'])
  for (const level of ['kitchen', '', '-1', '01', '1.0', ' 1', '9'.repeat(10)]) {
    t.same(read(inputs, { temperature: 1 }, `hall/1/row/${level}/t`), ['wrong-type'], level)
  }
  t.same(read(inputs, {}, 'hall/kitchen/row/1/t'), [], 'who tells nothing is not asked where')
  const mixed = inputsOf({ topic: '+/+', x: 5, y: { wildcard: 2 } })
  t.same(read(mixed, { temperature: 1 }, 'a/2'), [`temp/${2 * 16 + 5} 1`])
  t.end()
})

t.test(
  'many inputs read one message, and what one cannot take does not hold up the others',
  (t) => {
    const inputs = inputsOf(
      { pointer: '/temperature' },
      { pointer: '/battery', field: 'level', x: 3, y: 3 },
      { pointer: '/state', field: 'level', x: 3, y: 4 },
      { pointer: '/humidity', field: 'level', x: 3, y: 5, topic: 'zigbee2mqtt/+' },
      { pointer: '/missing', x: 3, y: 6 },
    )
    const payload = { temperature: 20, battery: 90, state: 'ON', humidity: 300 }
    t.same(read(inputs, payload), [`temp/${CELL} 20`, 'level/51 90', 'wrong-type', 'out-of-range'])
    const same = inputsOf(
      { pointer: '/a', topic: '+/kitchen' },
      { pointer: '/b', topic: 'zigbee2mqtt/kitchen' },
      { pointer: '/c', topic: '+/+' },
    )
    t.same(
      read(same, { a: 1, b: 2, c: 3 }),
      [1, 2, 3].map((value) => `temp/${CELL} ${value}`),
      'of one cell the last one of the configuration counts',
    )
    const thousand = inputsOf(...Array.from({ length: 1000 }, () => ({})))
    t.equal(read(thousand, { temperature: 1 }).length, 1000)
    t.equal(read(thousand, { temperature: 'ON' }).length, 32, 'no more problems than anywhere')
    t.end()
  },
)

const LEVEL = fc.constantFrom('a', 'b', '3', '15', '16', '__proto__', '')
const TOPIC = fc.array(LEVEL, { minLength: 1, maxLength: 3 }).map((levels) => levels.join('/'))
const TOKEN = fc.constantFrom('a', 'b', '0', '1', '-', '__proto__', 'constructor', 'length', '')
const INPUT: fc.Arbitrary<Given> = fc
  .record({
    topic: fc
      .array(fc.oneof(LEVEL, fc.constant('+')), { minLength: 1, maxLength: 3 })
      .map((levels) => levels.join('/')),
    pointer: fc
      .array(TOKEN, { maxLength: 3 })
      .map((tokens) => tokens.map((one) => `/${one}`).join('')),
    field: fc.constantFrom('temp', 'level', 'power'),
    scale: fc.constantFrom(1, -1, 0.1, 1e9),
    offset: fc.constantFrom(0, 0.5, -1e9),
  })
  .map((input) => {
    const wildcards = input.topic.split('/').filter((level) => level === '+').length
    return { ...input, ...(wildcards > 0 && { x: { wildcard: wildcards } }) }
  })
const LEAF = fc.oneof(
  fc.double(),
  fc.integer({ min: -300, max: 300 }),
  fc.constantFrom(null, true, false, 'ON', '21.5', '', '1e400'),
)
const DOCUMENT = fc.letrec((tie) => ({
  any: fc.oneof({ depthSize: 'small' }, LEAF, tie('list'), tie('object')),
  list: fc.array(tie('any'), { maxLength: 3 }),
  object: fc.array(fc.tuple(TOKEN, tie('any')), { maxLength: 4 }),
})).any
/** With members of any name, which no literal has, some twice. */
const textOf = (value: unknown): string => {
  if (!Array.isArray(value)) return JSON.stringify(value) ?? 'null'
  const isObject =
    value.length > 0 && value.every((one) => Array.isArray(one) && typeof one[0] === 'string')
  if (!isObject) return `[${value.map(textOf).join(',')}]`
  return `{${value.map(([name, part]) => `${JSON.stringify(name)}:${textOf(part)}`).join(',')}}`
}
const PAYLOAD = fc.oneof(
  { weight: 4, arbitrary: DOCUMENT.map(textOf) },
  { weight: 1, arbitrary: fc.string() },
  {
    weight: 1,
    arbitrary: fc.tuple(DOCUMENT.map(textOf), fc.nat(40)).map(([text, at]) => text.slice(at)),
  },
)

t.test('whatever comes: nothing throws, and a plain reading of the rules says the same', (t) => {
  check(
    t,
    fc.property(fc.array(INPUT, { maxLength: 6 }), TOPIC, PAYLOAD, (given, topic, payload) => {
      const found = read(inputsOf(...given), payload, topic)
      const expected = given.flatMap((input) => plainly(input, topic, payload))
      return JSON.stringify(found.sort()) === JSON.stringify(expected.sort())
    }),
    3000,
  )
  t.end()
})

/** One input after the other, without a trie. */
function plainly(given: Given, topic: string, payload: string): string[] {
  const { pointer = '/temperature', field = 'temp', scale = 1, offset = 0 } = given
  if (payload === '' || !filterMatches(given.topic!, topic)) return []
  let document: unknown
  try {
    document = JSON.parse(payload)
  } catch {
    if (pointer !== '') return ['malformed']
    document = payload
  }
  const found = valueAt(document, parsePointer(pointer)!)
  if (found === undefined || found === null) return []
  const number =
    typeof found === 'string' && /^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$/.test(found)
      ? Number(found)
      : typeof found === 'boolean'
        ? Number(found)
        : found
  if (typeof number !== 'number') return ['wrong-type']
  const levels = topic.split('/')
  const last = given.topic!.split('/').lastIndexOf('+')
  const x = given.x === undefined ? '3' : levels[last]!
  if (!/^(0|[1-9]\d*)$/.test(x)) return ['wrong-type']
  if (Number(x) >= 16) return ['outside-grid']
  const { type } = GRID.fields.find(({ name }) => name === field)!
  const scaled = number * scale + offset
  const value = type === 'f32' ? scaled : Math.round(scaled)
  if (!takes(type, value)) return ['out-of-range']
  return [`${field}/${2 * 16 + Number(x)} ${type === 'f32' ? Math.fround(value) + 0 : value + 0}`]
}
