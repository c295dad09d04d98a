import fc from 'fast-check'
import t from 'tap'
import {
  levelFor,
  levelsOf,
  PIECE_SQUARES,
  PIECES_SHOWN_MAX,
  pieceRegion,
  piecesOf,
} from '../../../../broker/dashboard/grid/levels.ts'
import { check } from '../../../support/property.ts'

const grids = fc.record({
  width: fc.integer({ min: 1, max: 8192 }),
  height: fc.integer({ min: 1, max: 8192 }),
  tile: fc.integer({ min: 4, max: 64 }),
})

t.test('levels are what an overview takes, each a multiple of the one before', (t) => {
  check(
    t,
    fc.property(grids, (grid) => {
      const levels = levelsOf(grid)
      if (levels[0] !== 1) return false
      return levels.every((step, index) => {
        const isFit = grid.tile % step === 0 || Number.isInteger(Math.log2(step / grid.tile))
        return isFit && (index === 0 || step % levels[index - 1]! === 0)
      })
    }),
  )
  t.end()
})

t.test('only the coarsest level has the grid in one piece', (t) => {
  check(
    t,
    fc.property(grids, (grid) => {
      const whole = { x: 0, y: 0, w: grid.width, h: grid.height }
      const counts = levelsOf(grid).map((step) => piecesOf(whole, step).length)
      return counts.pop() === 1 && counts.every((count) => count > 1)
    }),
  )
  t.same(levelsOf({ width: 8192, height: 8192, tile: 16 }), [1, 2, 4, 8, 16, 32])
  t.same(levelsOf({ width: 1000, height: 700, tile: 60 }), [1, 5])
  t.same(levelsOf({ width: 100, height: 200, tile: 16 }), [1])
  t.same(levelsOf({ width: 8192, height: 8192, tile: 13 }), [1, 13, 26, 52])
  t.end()
})

t.test('squares are no smaller than wanted where a coarser level has larger ones', (t) => {
  const levels = [1, 2, 4, 8]
  const visible = { x: 0, y: 0, w: 500, h: 400 }
  t.equal(levelFor(levels, { scale: 3, leastPixels: 1, visible }), 1)
  t.equal(levelFor(levels, { scale: 0.5, leastPixels: 1, visible }), 2)
  t.equal(levelFor(levels, { scale: 0.5, leastPixels: 2, visible }), 4)
  t.equal(levelFor(levels, { scale: 0.01, leastPixels: 1, visible }), 8)
  t.end()
})

t.test('a large screen takes a coarser level before it takes too many pieces', (t) => {
  const levels = [1, 2, 4, 8, 16, 32]
  const visible = { x: 100, y: 100, w: 2500, h: 1500 }
  const step = levelFor(levels, { scale: 1, leastPixels: 1, visible })
  t.equal(step, 2)
  t.ok(piecesOf(visible, step).length <= PIECES_SHOWN_MAX)
  t.ok(piecesOf(visible, 1).length > PIECES_SHOWN_MAX)
  t.end()
})

t.test('the pieces of a region have each of its cells once', (t) => {
  const grid = { width: 2000, height: 1000, tile: 16 }
  const regions = fc
    .record({ x: fc.nat(1999), y: fc.nat(999), step: fc.constantFrom(1, 2, 4, 8) })
    .chain(({ x, y, step }) =>
      fc.record({
        region: fc.record({
          x: fc.constant(x),
          y: fc.constant(y),
          w: fc.integer({ min: 1, max: 2000 - x }),
          h: fc.integer({ min: 1, max: 1000 - y }),
        }),
        step: fc.constant(step),
      }),
    )
  check(
    t,
    fc.property(regions, ({ region, step }) => {
      const pieces = piecesOf(region, step).map((start) => pieceRegion(start, step, grid))
      const touched = pieces.map(
        (one) =>
          Math.max(0, Math.min(one.x + one.w, region.x + region.w) - Math.max(one.x, region.x)) *
          Math.max(0, Math.min(one.y + one.h, region.y + region.h) - Math.max(one.y, region.y)),
      )
      const isAligned = pieces.every(({ x, y }) => (x | y) % (step * PIECE_SQUARES) === 0)
      const sum = touched.reduce((all, one) => all + one, 0)
      return isAligned && touched.every((one) => one > 0) && sum === region.w * region.h
    }),
  )
  t.end()
})

t.test('the piece in the middle comes first', (t) => {
  const [first] = piecesOf({ x: 0, y: 0, w: 5 * 256, h: 3 * 256 }, 1)
  t.same(first, { x: 512, y: 256 })
  t.end()
})
