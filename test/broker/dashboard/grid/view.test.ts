import fc from 'fast-check'
import t from 'tap'
import {
  cellAt,
  fitted,
  following,
  onCanvas,
  panned,
  reframed,
  type Stage,
  settled,
  showing,
  type View,
  visibleOf,
  zoomed,
} from '../../../../broker/dashboard/grid/view.ts'
import { check } from '../../../support/property.ts'

const near = (a: number, b: number): boolean => Math.abs(a - b) < 1e-6 * Math.max(1, Math.abs(a))

const stages: fc.Arbitrary<Stage> = fc.record({
  grid: fc.record({
    width: fc.integer({ min: 1, max: 8192 }),
    height: fc.integer({ min: 1, max: 8192 }),
    tile: fc.constant(16),
  }),
  frame: fc.record({
    width: fc.integer({ min: 100, max: 3000 }),
    height: fc.integer({ min: 100, max: 2000 }),
    ratio: fc.constantFrom(1, 1.5, 2),
  }),
})
const points = fc.record({ x: fc.nat(100), y: fc.nat(100) })
const views = fc.record({
  x: fc.double({ min: -9000, max: 9000, noNaN: true }),
  y: fc.double({ min: -9000, max: 9000, noNaN: true }),
  scale: fc.double({ min: 0.001, max: 500, noNaN: true }),
})

const STAGE: Stage = {
  grid: { width: 1000, height: 500, tile: 16 },
  frame: { width: 800, height: 800, ratio: 1 },
}

t.test('at first all of the grid is in sight, in the middle', (t) => {
  const view = fitted(STAGE)
  t.same(view, { x: 0, y: -250, scale: 0.8 })
  t.same(visibleOf(view, STAGE), { x: 0, y: 0, w: 1000, h: 500 })
  t.end()
})

t.test('a view never leaves the grid, whatever is done to it', (t) => {
  check(
    t,
    fc.property(
      stages,
      views,
      points,
      fc.double({ min: 0.01, max: 100, noNaN: true }),
      (stage, start, point, factor) => {
        const all: View[] = [
          settled(start, stage),
          zoomed(settled(start, stage), factor, point, stage),
          panned(settled(start, stage), { x: point.x * factor, y: -point.y }, stage),
          following(settled(start, stage), { x: 0, y: stage.grid.height - 1 }, stage),
        ]
        return all.every((view) => {
          const { x, y, w, h } = visibleOf(view, stage)
          const isSettled = (['x', 'y', 'scale'] as const).every((key) =>
            near(settled(view, stage)[key], view[key]),
          )
          return (
            isSettled && w >= 1 && h >= 1 && x + w <= stage.grid.width && y + h <= stage.grid.height
          )
        })
      },
    ),
  )
  t.end()
})

t.test('what is under the pointer stays there when one zooms in the middle of the grid', (t) => {
  const view = settled({ x: 300, y: 100, scale: 4 }, STAGE)
  const point = { x: 333, y: 222 }
  const closer = zoomed(view, 1.7, point, STAGE)
  t.ok(near(closer.scale, 6.8))
  t.ok(near(closer.x + point.x / closer.scale, view.x + point.x / view.scale))
  t.ok(near(closer.y + point.y / closer.scale, view.y + point.y / view.scale))
  t.ok(near(zoomed(closer, 1 / 1.7, point, STAGE).x, view.x))
  t.end()
})

t.test('zooming ends where all is in sight, and where a cell is large', (t) => {
  t.same(
    zoomed(settled({ x: 9, y: 9, scale: 3 }, STAGE), 0.001, { x: 0, y: 0 }, STAGE),
    fitted(STAGE),
  )
  t.equal(zoomed(fitted(STAGE), 1e9, { x: 0, y: 0 }, STAGE).scale, 64)
  const tiny = { grid: { width: 4, height: 4, tile: 4 }, frame: STAGE.frame }
  t.equal(fitted(tiny).scale, 200, 'a small grid fills the canvas all the same')
  t.end()
})

t.test('the grid follows the hand', (t) => {
  const view = settled({ x: 300, y: 100, scale: 4 }, STAGE)
  t.same(panned(view, { x: 40, y: -8 }, STAGE), { x: 290, y: 102, scale: 4 })
  t.equal(panned(view, { x: 1e6, y: 0 }, STAGE).x, 0, 'as far as its edge')
  t.end()
})

t.test('a cell is found by what is drawn there', (t) => {
  check(
    t,
    fc.property(stages, views, points, (stage, start, point) => {
      const view = settled(start, stage)
      const cell = cellAt(view, point, stage.grid)
      if (cell === undefined) {
        const { x, y, w, h } = onCanvas(view, {
          x: 0,
          y: 0,
          w: stage.grid.width,
          h: stage.grid.height,
        })
        const isInside = point.x > x && point.y > y && point.x < x + w && point.y < y + h
        return !isInside
      }
      const box = onCanvas(view, { ...cell, w: 1, h: 1 })
      const slack = 1e-6 * view.scale
      return (
        point.x >= box.x - slack &&
        point.y >= box.y - slack &&
        point.x <= box.x + box.w + slack &&
        point.y <= box.y + box.h + slack
      )
    }),
  )
  t.equal(
    cellAt(fitted(STAGE), { x: 400, y: 100 }, STAGE.grid),
    undefined,
    'beside the grid is no cell',
  )
  t.same(cellAt(fitted(STAGE), { x: 799, y: 599 }, STAGE.grid), { x: 998, y: 498 })
  t.end()
})

t.test('a canvas of another size shows the same middle, and all where all was shown', (t) => {
  const to = { grid: STAGE.grid, frame: { width: 400, height: 300, ratio: 1 } }
  t.same(reframed(fitted(STAGE), STAGE, to), fitted(to))
  const view = settled({ x: 400, y: 150, scale: 8 }, STAGE)
  const other = reframed(view, STAGE, to)
  t.equal(other.scale, 8)
  t.same({ x: other.x + 25, y: other.y + 18.75 }, { x: view.x + 50, y: view.y + 50 })
  const dense = { grid: STAGE.grid, frame: { width: 1600, height: 1600, ratio: 2 } }
  t.same(reframed(view, STAGE, dense), { ...view, scale: 16 }, 'and on a denser screen the same')
  t.end()
})

t.test('the view moves as little as it must to follow a cell', (t) => {
  const view = settled({ x: 300, y: 100, scale: 8 }, STAGE)
  t.same(following(view, { x: 350, y: 150 }, STAGE), view)
  t.equal(following(view, { x: 299, y: 150 }, STAGE).x, 299)
  t.equal(following(view, { x: 400, y: 150 }, STAGE).x, 301)
  t.end()
})

t.test('a region is shown with room around it', (t) => {
  const region = { x: 100, y: 100, w: 40, h: 20 }
  const view = showing(region, STAGE)
  const box = onCanvas(view, region)
  t.ok(near(box.w, 640) && near(box.x, 80) && near(box.y + box.h / 2, 400))
  t.end()
})
