import t from 'tap'
import { actOf, movedCell } from '../../../../broker/dashboard/grid/keys.ts'

const grid = { width: 100, height: 60, tile: 16 }

t.test("keys of the map, and those that are the browser's", (t) => {
  t.same(actOf('ArrowLeft', false), { type: 'move', dx: -1, dy: 0 })
  t.same(actOf('ArrowDown', true), { type: 'extend', dx: 0, dy: 1 })
  t.same(actOf('+', true), { type: 'zoom', factor: 2 })
  t.same(actOf('=', false), { type: 'zoom', factor: 2 }, 'the same key without Shift')
  t.same(actOf('-', false), { type: 'zoom', factor: 0.5 })
  t.same(actOf('0', false), { type: 'fit' })
  t.same(actOf('Enter', false), { type: 'read' })
  t.same(actOf('Escape', false), { type: 'clear' })
  for (const key of ['Tab', 'a', 'F5', ' ', 'PageDown']) t.equal(actOf(key, false), undefined)
  t.end()
})

t.test('an arrow moves by cells that can be told apart, and stays in the grid', (t) => {
  const right = { dx: 1, dy: 0 }
  t.same(movedCell({ x: 5, y: 5 }, right, { cssScale: 20, grid }), { x: 6, y: 5 })
  t.same(movedCell({ x: 5, y: 5 }, right, { cssScale: 2, grid }), { x: 13, y: 5 })
  t.same(movedCell({ x: 98, y: 5 }, right, { cssScale: 0.5, grid }), { x: 99, y: 5 })
  t.same(movedCell({ x: 5, y: 0 }, { dx: 0, dy: -1 }, { cssScale: 9, grid }), { x: 5, y: 0 })
  t.end()
})
