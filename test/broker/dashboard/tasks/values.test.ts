import t from 'tap'
import {
  isHistogram,
  numbersOf,
  squaresOf,
  textOf,
} from '../../../../broker/dashboard/tasks/values.ts'

const HISTOGRAM = { edges: [0, 1, 2], counts: [3, 4] }

t.test('numbers stand out, a histogram is drawn, and nothing is left out', async (t) => {
  t.same(numbersOf({ count: 3, mean: 0.5, histogram: HISTOGRAM }), {
    numbers: [
      { name: 'count', value: 3 },
      { name: 'mean', value: 0.5 },
    ],
    rest: undefined,
  })
  t.same(numbersOf({ sum: null, lsus: 4 }), {
    numbers: [{ name: 'lsus', value: 4 }],
    rest: { sum: null },
  })
  t.same(numbersOf({ histogram: 'none' }).rest, { histogram: 'none' })
  for (const whole of [undefined, null, 5, 'text', [1, 2]]) {
    t.same(numbersOf(whole), { numbers: [], rest: whole })
  }
})

t.test('what only looks like a histogram is none', async (t) => {
  t.ok(isHistogram(HISTOGRAM))
  for (const other of [
    ...[undefined, null, 1, {}, { edges: [0, 1], counts: [] }, { edges: [0], counts: [1] }],
    ...[
      { edges: [0, null], counts: [1] },
      { edges: [0, 1], counts: ['1'] },
    ],
  ]) {
    t.notOk(isHistogram(other), JSON.stringify(other))
  }
})

t.test('a long value has an end that says so', async (t) => {
  const values = Array.from({ length: 65_536 }, (_, index) => index)
  t.match(textOf({ value: values }), /^\{\n {2}"value": "\[0, 1, .* 11, … 65524 more\]"\n\}$/)
  t.equal(textOf([1, 2]), '[\n  1,\n  2\n]')
  const long = textOf(Array.from({ length: 9999 }, (_, index) => ({ index })))
  t.ok(long.length < 20_100)
  t.match(long, /and so on/)
})

t.test('squares are drawn if they are whole', async (t) => {
  const mean = Buffer.from(new Float32Array([1, 2.5, Number.NaN, 4]).buffer).toString('base64')
  const value = { field: 'n', columns: 2, rows: 2, mean }
  const [one] = squaresOf(value)
  t.same([...one!.values], [1, 2.5, Number.NaN, 4])
  t.same(
    squaresOf({ ...value, max: mean }).map(({ of }) => of),
    ['mean', 'max'],
    'each that there is',
  )
  t.same(numbersOf(value).rest, { field: 'n' }, 'and not told as text')
  t.same(squaresOf({ ...value, rows: 3 }), [])
  t.same(squaresOf({ columns: 2, rows: 2 }), [])
  t.same(squaresOf(null), [])
})

t.test('fields of a get are drawn where its region is known', async (t) => {
  const region = { x: 7, y: 9, w: 3, h: 2 }
  const fields = { rain: [1, 2, 3, 4, 5, 6], visits: [0, 0, 0, 0, 0, 9], some: [1, 2] }
  const drawn = squaresOf({ fields, status: ['idle'] }, region)
  t.same(
    drawn.map(({ of, columns, rows, values }) => ({ of, columns, rows, values: [...values] })),
    [
      { of: 'rain', columns: 3, rows: 2, values: fields.rain },
      { of: 'visits', columns: 3, rows: 2, values: fields.visits },
    ],
    'and what is not whole is not',
  )
  t.same(squaresOf({ fields }), [])
  t.same(squaresOf({ fields: 'rain' }, region), [])
})
