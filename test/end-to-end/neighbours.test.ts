/**
 * Programs that read neighbours, on a fleet of real processes of which one is killed on the way, and the same computed
 * plainly on the whole grid: bit for bit.
 */
import t from 'tap'
import { Random } from '../../shared/core/random.ts'
import { Fleet } from '../support/processes.ts'
import { HttpClient, type Json } from '../support/wire-client.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/end-to-end/neighbours.test.ts`)

/** The last tiles are clipped. */
const WIDTH = 37
const HEIGHT = 29
const GRID = ['--grid', `${WIDTH}x${HEIGHT}`, '--tile', '8', '--fields', 'cell:u8,heat:f64']
const LIFE_STEPS = 20

type Plane = readonly number[]
/** What a cell becomes, of itself and of any neighbour; `undefined` lies outside. */
type Rule = (own: number, near: (dx: number, dy: number) => number | undefined) => number

function step(plane: Plane, rule: Rule): number[] {
  return plane.map((own, id) => {
    const x = id % WIDTH
    const y = Math.floor(id / WIDTH)
    return rule(own, (dx, dy) => {
      const isInside = x + dx >= 0 && x + dx < WIDTH && y + dy >= 0 && y + dy < HEIGHT
      return isInside ? plane[(y + dy) * WIDTH + x + dx] : undefined
    })
  })
}

const AROUND = [-1, 0, 1].flatMap((dy) => [-1, 0, 1].map((dx) => [dx, dy] as const))
const OTHERS = AROUND.filter(([dx, dy]) => dx !== 0 || dy !== 0)

/** Outside nobody lives. */
const LIFE = `def at(v) = coalesce(v, 0)
let n = ${OTHERS.map(([dx, dy]) => `at(cell[${dx},${dy}])`).join(' + ')}
cell = if n == 3 or (n == 2 and cell == 1) then 1 else 0`
const life: Rule = (own, near) => {
  const n = OTHERS.reduce((sum, [dx, dy]) => sum + (near(dx, dy) ?? 0), 0)
  return n === 3 || (n === 2 && own === 1) ? 1 : 0
}

const DIFFUSION = `def at(v, own) = coalesce(v, own)
heat = heat + 0.2 * (at(heat[-1,0], heat) + at(heat[1,0], heat) + at(heat[0,-1], heat) + at(heat[0,1], heat) - 4 * heat)`
const diffusion: Rule = (own, near) => {
  const at = (dx: number, dy: number): number => near(dx, dy) ?? own
  return own + 0.2 * (at(-1, 0) + at(1, 0) + at(0, -1) + at(0, 1) - 4 * own)
}

/** At the edge a cell keeps what it has: there, something of the square is missing. */
const BLUR = `heat = (${AROUND.map(([dx, dy]) => `heat[${2 * dx},${2 * dy}]`).join(' + ')}) / 9`
const blur: Rule = (own, near) => {
  const all = AROUND.map(([dx, dy]) => near(2 * dx, 2 * dy))
  if (all.includes(undefined)) return own
  return (all as number[]).reduce((sum, one) => sum + one) / 9
}

t.test('life, diffusion and blur come to what the whole grid comes to', async (t) => {
  const random = new Random(seed)
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...GRID)
  const http = new HttpClient(gateway.http)
  const agents = await fleet.agents(['a', 'b', 'c'], gateway.url)
  const whole = { x: 0, y: 0, w: WIDTH, h: HEIGHT }
  const run = async (task: Json): Promise<Json> => {
    const result = await http.run({ region: whole, deadline_ms: 120_000, ...task })
    if (result.state !== 'completed') throw new Error(JSON.stringify(result))
    return result
  }
  const program = (source: string, steps = 1) => run({ op: 'program', args: { source, steps } })
  const valuesOf = async (field: string): Promise<number[]> =>
    (await run({ op: 'get', args: { fields: [field] } })).value.fields[field]

  let cells: number[] = Array.from({ length: WIDTH * HEIGHT }, () => random.integer(2))
  let heat: number[] = Array.from({ length: WIDTH * HEIGHT }, () => random.between(-100, 100))
  await run({ op: 'put', args: { field: 'cell', values: cells } })
  await run({ op: 'put', args: { field: 'heat', values: heat } })

  for (let round = 0; round < LIFE_STEPS; round += 4) {
    if (round === 8) {
      await agents[0]!.run.kill()
      await agents[0]!.restart()
      t.comment('a node was killed')
    }
    if (round === 12) {
      await gateway.run.kill()
      await gateway.restart()
      t.comment('the gateway was killed')
    }
    // In one task, or in four of a step each.
    if (round % 8 === 0) await program(LIFE, 4)
    else for (let step = 0; step < 4; step++) await program(LIFE)
  }
  for (let round = 0; round < LIFE_STEPS; round++) cells = step(cells, life)
  t.strictSame(await valuesOf('cell'), cells, `${LIFE_STEPS} steps of life`)

  await program(DIFFUSION, 3)
  await program(DIFFUSION)
  for (let round = 0; round < 4; round++) heat = step(heat, diffusion)
  t.strictSame(await valuesOf('heat'), heat, 'four steps of diffusion')

  await program(BLUR, 2)
  for (let round = 0; round < 2; round++) heat = step(heat, blur)
  t.strictSame(await valuesOf('heat'), heat, 'two steps of a blur')
})
