import fc from 'fast-check'
import t from 'tap'
import {
  type CellReader,
  FileProblem,
  numberBytes,
  PackedReader,
  TextReader,
} from '../../../shared/grid/cell-readers.ts'
import type { NumberType } from '../../../shared/grid/npy.ts'
import { check } from '../../support/property.ts'

/** All numbers of these bytes, which come cut at these places. */
function inPieces(reader: CellReader, bytes: Uint8Array, cuts: readonly number[]): number[] {
  const places = cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b)
  const numbers: number[] = []
  let from = 0
  for (const to of [...places, bytes.length]) {
    numbers.push(...Array.from(reader.read(bytes.subarray(from, to))))
    from = to
  }
  return [...numbers, ...Array.from(reader.end())]
}

const CUTS = fc.array(fc.nat(), { maxLength: 12 })

/** By the other way to read numbers: one by one. */
const READ: Readonly<Record<NumberType, (view: DataView, at: number) => number>> = {
  u8: (view, at) => view.getUint8(at),
  i8: (view, at) => view.getInt8(at),
  i16: (view, at) => view.getInt16(at, true),
  u16: (view, at) => view.getUint16(at, true),
  i32: (view, at) => view.getInt32(at, true),
  u32: (view, at) => view.getUint32(at, true),
  f32: (view, at) => view.getFloat32(at, true),
  f64: (view, at) => view.getFloat64(at, true),
}

for (const type of Object.keys(READ) as NumberType[]) {
  t.test(`packed numbers of ${type} are the same however they are cut`, async (t) => {
    const size = numberBytes(type)
    const property = fc.property(fc.uint8Array({ maxLength: 200 }), CUTS, (bytes, cuts) => {
      const whole = bytes.subarray(0, bytes.length - (bytes.length % size))
      const view = new DataView(whole.buffer, whole.byteOffset, whole.length)
      const numbers = Array.from({ length: whole.length / size }, (_, at) =>
        READ[type](view, at * size),
      )
      const read = inPieces(new PackedReader(type), whole, cuts)
      return read.length === numbers.length && read.every((one, at) => Object.is(one, numbers[at]))
    })
    check(t, property)
    if (size === 1) return
    const cut = new Uint8Array(5 * size - 1)
    t.throws(
      () => inPieces(new PackedReader(type), cut, [3]),
      new FileProblem('it ends within a number'),
    )
  })
}

const textOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const read = (text: string, cuts: readonly number[] = []): number[] =>
  inPieces(new TextReader(), textOf(text), cuts)

t.test('lines of numbers are the same however they are cut', async (t) => {
  const number = fc.double({ noNaN: true, noDefaultInfinity: true })
  const table = fc.integer({ min: 1, max: 5 }).chain((columns) => {
    const row = fc.array(number, { minLength: columns, maxLength: columns })
    return fc.array(row, { minLength: 1, maxLength: 6 })
  })
  const form = fc.record({ end: fc.constantFrom('\n', '\r\n'), space: fc.constantFrom('', ' ') })
  const property = fc.property(table, form, fc.boolean(), CUTS, (rows, form, isEnded, cuts) => {
    const lines = rows.map((row) => row.join(`${form.space},${form.space}`))
    const text = lines.join(form.end) + (isEnded ? form.end : '')
    // Text has no sign of zero where JavaScript writes it.
    return JSON.stringify(read(text, cuts)) === JSON.stringify(rows.flat())
  })
  check(t, property)
})

t.test('marks of spreadsheets, signs and powers are read', async (t) => {
  for (const cuts of [[], [1], [2], [1, 2, 3, 4]]) {
    t.same(read('\uFEFF1,+2,-3e2,.5\r\n4., 5 ,6,7', cuts), [1, 2, -300, 0.5, 4, 5, 6, 7])
  }
  const reader = new TextReader()
  t.equal(reader.columns, undefined)
  reader.read(textOf('1,2'))
  t.equal(reader.columns, undefined, 'a line that is not whole has no columns yet')
  reader.read(textOf('\n'))
  t.equal(reader.columns, 2)
  t.same(read(''), [])
})

t.test('what is no number says where it is', async (t) => {
  const hint = '; there is no line of names, a comma between numbers, and a point in them'
  const cases: [string, string][] = [
    ['a,b\n1,2\n', `line 1, column 1: "a" is no number${hint}`],
    ['1;2\n', `line 1, column 1: "1;2" is no number${hint}`],
    ['1,2\n3,x\n', 'line 2, column 2: "x" is no number'],
    ['1,2\n3,\n', 'line 2, column 2: "" is no number'],
    ['1,2\n\n3,4\n', 'line 2, column 1: "" is no number'],
    ['1,nan\n', `line 1, column 2: "nan" is no number${hint}`],
    ['1\nInfinity\n', 'line 2, column 1: "Infinity" is no number'],
    ['1\n1e999\n', 'line 2, column 1: "1e999" is no number'],
    ['1\n\uFEFF2\n', 'line 2, column 1: "\u00ef\u00bb\u00bf2" is no number'],
    [`1\n${'z'.repeat(99)}\n`, `line 2, column 1: "${'z'.repeat(32)}" is no number`],
    ['1,2\n3,4,5\n', 'line 2 has 3 numbers, and line 1 has 2'],
    ['1,2\n3', 'line 2 has 1 number, and line 1 has 2'],
  ]
  for (const [text, problem] of cases) t.throws(() => read(text), new FileProblem(problem))
})

t.test('a line without an end is not kept for ever', async (t) => {
  const reader = new TextReader()
  const piece = new Uint8Array(64 * 1024).fill(0x31)
  let pieces = 0
  t.throws(() => {
    for (; pieces < 100; pieces++) reader.read(piece)
  }, new FileProblem('line 1 has more than 524288 bytes'))
  t.equal(pieces, 8)
})
