import t from 'tap'
import type { Piece } from '../../../../broker/dashboard/grid/pieces.ts'
import { sampleOf, summaryOf, valueAt } from '../../../../broker/dashboard/grid/squares.ts'

/** 6 × 4 cells from 10, 20 on, in squares of two: 0 1 2 / 3 4 5. */
function piece(values?: number[]): Piece {
  return {
    ...{ field: 'value', of: 'mean', step: 2, x: 10, y: 20, columns: 3, rows: 2, version: 1 },
    region: { x: 10, y: 20, w: 6, h: 4 },
    values: values && Float32Array.from(values),
  }
}
const PIECE = piece([0, 1, 2, 3, 4, 5])

t.test('the value of a cell is that of its square', (t) => {
  t.equal(valueAt([PIECE], 10, 20), 0)
  t.equal(valueAt([PIECE], 13, 21), 1)
  t.equal(valueAt([PIECE], 15, 23), 5)
  t.equal(valueAt([PIECE], 16, 23), undefined)
  t.equal(valueAt([PIECE], 9, 20), undefined)
  t.equal(valueAt([piece()], 10, 20), undefined)
  t.ok(Number.isNaN(valueAt([piece([Number.NaN, 1, 2, 3, 4, 5])], 11, 21)))
  t.end()
})

t.test('a sample has what is in sight, without squares that nobody has', (t) => {
  const all = { x: 0, y: 0, w: 100, h: 100 }
  t.same([...sampleOf([PIECE], all, { most: 100 })], [0, 1, 2, 3, 4, 5])
  t.same([...sampleOf([PIECE], { x: 13, y: 22, w: 1, h: 1 }, { most: 100 })], [4])
  t.same([...sampleOf([PIECE], { x: 13, y: 0, w: 9, h: 90 }, { most: 100 })], [1, 2, 4, 5])
  t.same([...sampleOf([piece([0, Number.NaN, 2, 3, 4, 5])], all, { most: 100 })], [0, 2, 3, 4, 5])
  t.same([...sampleOf([PIECE], all, { most: 2 })], [0, 3])
  const isLeftOut = (x: number, y: number): boolean => x === 12 && y === 20
  t.same([...sampleOf([PIECE], all, { most: 100, isLeftOut })], [0, 2, 3, 4, 5])
  t.same([...sampleOf([piece()], all, { most: 2 })], [])
  t.end()
})

t.test('a table has the means of parts that are about as large as each other', (t) => {
  const visible = { x: 10, y: 20, w: 6, h: 4 }
  t.same(summaryOf([PIECE], visible, { of: 'mean', most: 1 }), { xs: [10], ys: [20], cells: [2.5] })
  t.same(summaryOf([PIECE], visible, { of: 'min', most: 1 }).cells, [0])
  t.same(summaryOf([PIECE], visible, { of: 'max', most: 1 }).cells, [5])
  t.same(summaryOf([PIECE], visible, { of: 'mean', most: 2 }), {
    xs: [10, 13],
    ys: [20, 22],
    cells: [0, 1.5, 3, 4.5],
  })
  t.same(
    summaryOf([piece([0, 1, Number.NaN, 3, 4, Number.NaN])], visible, { of: 'max', most: 3 }).cells,
    [0, 1, undefined, 3, 4, undefined],
  )
  t.same(summaryOf([PIECE], visible, { of: 'mean', most: 8 }).cells, [0, 1, 2, 3, 4, 5])
  t.same(summaryOf([], visible, { of: 'mean', most: 1 }).cells, [undefined])
  t.end()
})
