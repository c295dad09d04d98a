import fc from 'fast-check'
import t from 'tap'
import {
  boxOf,
  overlapOf,
  regionBetween,
  regionText,
  typedRegion,
  wholeSquares,
} from '../../../../broker/dashboard/grid/regions.ts'
import { check } from '../../../support/property.ts'

const GRID = { width: 100, height: 60, tile: 16 }
const side = fc.integer({ min: 1, max: 12 })
const regions = fc.record({ x: fc.nat(20), y: fc.nat(20), w: side, h: side })

const cellsOf = ({ x, y, w, h }: { x: number; y: number; w: number; h: number }): Set<string> =>
  new Set(Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`))

t.test('overlap and box are those of the cells', (t) => {
  check(
    t,
    fc.property(regions, regions, (a, b) => {
      const both = [...cellsOf(a)].filter((cell) => cellsOf(b).has(cell))
      const overlap = overlapOf(a, b)
      const found = overlap === undefined ? [] : [...cellsOf(overlap)]
      const box = cellsOf(boxOf(a, b))
      const isBoth = both.length === found.length && both.every((cell) => found.includes(cell))
      return isBoth && [...cellsOf(a), ...cellsOf(b)].every((cell) => box.has(cell))
    }),
  )
  t.same(boxOf(undefined, { x: 1, y: 2, w: 3, h: 4 }), { x: 1, y: 2, w: 3, h: 4 })
  t.end()
})

t.test('a region grows to whole squares, as far as its piece goes', (t) => {
  const bounds = { x: 0, y: 0, w: 100, h: 60 }
  t.same(wholeSquares({ x: 5, y: 9, w: 4, h: 1 }, 8, bounds), { x: 0, y: 8, w: 16, h: 8 })
  t.same(wholeSquares({ x: 99, y: 59, w: 1, h: 1 }, 16, bounds), { x: 96, y: 48, w: 4, h: 12 })
  t.end()
})

t.test('a drag has both of its ends in it, whichever way it went', (t) => {
  const region = { x: 3, y: 4, w: 5, h: 2 }
  t.same(regionBetween({ x: 3, y: 5 }, { x: 7, y: 4 }, GRID), region)
  t.same(regionBetween({ x: 7, y: 4 }, { x: 3, y: 5 }, GRID), region)
  t.same(regionBetween({ x: 90, y: 50 }, { x: 300, y: -4 }, GRID), { x: 90, y: 0, w: 10, h: 51 })
  t.same(regionBetween({ x: -9, y: -9 }, { x: -2, y: -2 }, GRID), { x: 0, y: 0, w: 1, h: 1 })
  t.end()
})

t.test('what is typed is a region, or what is wrong with it is said', (t) => {
  t.same(typedRegion(' 1, 2,3 4', GRID), { region: { x: 1, y: 2, w: 3, h: 4 } })
  t.same(typedRegion(regionText({ x: 9, y: 8, w: 7, h: 6 }), GRID), {
    region: { x: 9, y: 8, w: 7, h: 6 },
  })
  for (const [text, problem] of [
    ['', 'four numbers: x, y, width, height'],
    ['1,2,3', 'four numbers: x, y, width, height'],
    ['1,2,3,x', 'whole numbers from 0 on'],
    ['-1,2,3,4', 'whole numbers from 0 on'],
    ['1,2,0,4', 'width and height are at least 1'],
    ['98,2,3,4', 'x + width is 101, at most 100'],
    ['0,0,5,61', 'y + height is 61, at most 60'],
  ]) {
    t.same(typedRegion(text!, GRID), { problem })
  }
  t.end()
})
