import t from 'tap'
import { goesOver, lsusIn, lsusOf, tilesOf } from '../../../../broker/core/state/task-extent.ts'
import { Geometry } from '../../../../shared/grid/geometry.ts'
import type { GridContext } from '../../../../shared/operations/operation.ts'
import { parseSubmission, type TaskBody } from '../../../../shared/protocol/task.ts'

const grid: GridContext = {
  geometry: new Geometry({ width: 18, height: 10, tile: 4 }),
  fields: [{ name: 'value', type: 'f64' }],
}

function bodyOf(task: object): TaskBody {
  const parsed = parseSubmission(Buffer.from(JSON.stringify(task)), grid)
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
  return parsed.submission.body
}

t.test('a task over a region goes over all of it', async (t) => {
  const region = { x: 3, y: 0, w: 3, h: 5 }
  const body = bodyOf({ op: 'set', region, args: { fields: { value: 1 } } })
  t.same(tilesOf(body, grid), Uint32Array.of(0, 1, 5, 6))
  t.equal(lsusOf(body), 15)
  t.equal(lsusIn(body, Uint32Array.of(1, 5), grid), 9)
  t.same(
    [0, 1, 2, 6, 7].map((tile) => goesOver(body, tile, grid)),
    [true, true, false, true, false],
  )
})

t.test('one that names its LSUs goes over the tiles that they lie in', async (t) => {
  // At the clipped edge, too.
  const args = { field: 'value', x: [17, 1, 2, 17], y: [9, 1, 0, 0], values: [1, 2, 3, 4] }
  const body = bodyOf({ op: 'scatter', args })
  t.same(body.region, { x: 1, y: 0, w: 17, h: 10 })
  t.same(tilesOf(body, grid), Uint32Array.of(0, 4, 14))
  t.equal(tilesOf(body, grid), tilesOf(body, grid), 'found once')
  t.equal(lsusOf(body), 4)
  t.equal(lsusIn(body, Uint32Array.of(0, 14), grid), 3)
  t.same(
    [0, 1, 4, 9, 14].map((tile) => goesOver(body, tile, grid)),
    [true, false, true, false, true],
  )
})

t.test('a read is asked for no tile around those that it names', async (t) => {
  const body = bodyOf({
    op: 'gather',
    args: {
      field: 'value',
      cells: [
        [9, 9],
        [0, 0],
        [9, 9],
      ],
    },
  })
  t.same(tilesOf(body, grid), Uint32Array.of(0, 12))
  t.equal(lsusOf(body), 2, 'each once')
})
