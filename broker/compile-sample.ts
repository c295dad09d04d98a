/**
 * The first program that a process compiles takes it some ms, since the compiler itself is compiled then. So a gateway
 * compiles one before it serves, and nobody waits for that.
 */
import { Geometry } from '../shared/grid/geometry.ts'
import { OSL_COST_MAX, parseProgram } from '../shared/operations/program.ts'

/** Something of most that there is. */
const SAMPLE = `
nodata value -9999
def near(v, w) = abs(v - w) < 0.5
let far = (x * 9 / 5 + $limit) ^ 2 % 7
value = if near(far, y) and not (x == y) then 1 else max(0, value) where x > $limit or y <= 3
`

const GRID = {
  geometry: new Geometry({ width: 16, height: 16, tile: 16 }),
  fields: [{ name: 'value', type: 'f64' }],
} as const

/** Whether it was taken, as it is. */
export function compileSample(): boolean {
  const args = { source: SAMPLE, with: { limit: 1 } }
  return parseProgram(args, GRID.geometry.whole, GRID, { costMax: OSL_COST_MAX }).ok
}
