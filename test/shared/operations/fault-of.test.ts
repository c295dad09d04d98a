import t from 'tap'
import { Geometry } from '../../../shared/grid/geometry.ts'
import { packNumbers, packTiles } from '../../../shared/operations/columns.ts'
import { digest } from '../../../shared/operations/digest.ts'
import { packInteger } from '../../../shared/operations/exact-sums.ts'
import type { AskedTiles, GridContext, Wire } from '../../../shared/operations/operation.ts'
import { stat } from '../../../shared/operations/stat.ts'

t.test('a partial result is held to what was asked for', async (t) => {
  const geometry = new Geometry({ width: 8, height: 4, tile: 4 })
  const context: GridContext = { geometry, fields: [{ name: 'value', type: 'f64' }] }
  const asked = (args: Wire, tiles: number[], lsus: number): AskedTiles => ({
    args,
    tiles: Uint32Array.from(tiles),
    region: geometry.whole,
    lsus,
  })
  const sums = { sum: packInteger(3n), squares: packInteger(3n) }
  const moments = { tiles: packTiles([0, 1]), count: 32, min: 1, max: 2, ...sums }
  const whole = asked({ field: 0 }, [0, 1], 32)
  t.equal(stat.faultOf(moments, whole, context), undefined)
  t.equal(stat.faultOf({ ...moments, tiles: packTiles([1, 0]) }, whole, context), undefined)
  const wrong: Wire[] = [
    { ...moments, tiles: packTiles([0]) },
    { ...moments, tiles: packTiles([0, 0]) },
    { ...moments, count: 8 },
    { ...moments, min: Number.NaN },
    { ...moments, min: 3 },
    { ...moments, sum: 3 },
    { ...moments, squares: new Uint8Array(5000) },
  ]
  for (const partial of wrong) t.ok(stat.faultOf(partial, whole, context))
  const bins = asked({ field: 0, bins: 2, range: [0, 1] }, [0], 16)
  t.equal(stat.faultOf({ counts: packNumbers([7, 9]) }, bins, context), undefined)
  for (const counts of [packNumbers([7, 8]), packNumbers([16]), packNumbers([7, Number.NaN]), 7]) {
    t.ok(stat.faultOf({ counts }, bins, context))
  }
  const hashes = new Uint8Array(64)
  t.equal(digest.faultOf({ keys: ['a', 'b'], sha256: hashes }, ['a', 'b'], {}), undefined)
  t.ok(digest.faultOf({ keys: ['a', 'c'], sha256: hashes }, ['a', 'b'], {}))
  t.ok(digest.faultOf({ keys: ['a'], sha256: hashes }, ['a', 'b'], {}))
  t.ok(digest.faultOf({ keys: ['a', 'b'], sha256: hashes.subarray(1) }, ['a', 'b'], {}))
})
