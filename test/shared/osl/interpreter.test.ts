/** The interpreter against an evaluator of the tree, cell by cell and bit for bit, on fresh random programs. */
import t from 'tap'
import { Random } from '../../../shared/core/random.ts'
import { Geometry } from '../../../shared/grid/geometry.ts'
import { createLayout } from '../../../shared/grid/page-layout.ts'
import { TilePage } from '../../../shared/grid/tile-page.ts'
import { windowOf } from '../../../shared/operations/operation.ts'
import { bind } from '../../../shared/osl/bound-program.ts'
import { type Compiled, compile } from '../../../shared/osl/compiler.ts'
import { Interpreter } from '../../../shared/osl/interpreter.ts'
import { type Sound, verify } from '../../../shared/osl/verifier.ts'
import { actOnCells, type Cells } from '../../support/osl-evaluator.ts'
import { OSL_FIELDS as FIELDS, ProgramWriter } from '../../support/osl-programs.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
const PROGRAMS = Number(process.env.PROGRAMS ?? 10_000)
t.comment(`SEED=${seed} PROGRAMS=${PROGRAMS} npx tap run test/shared/osl/interpreter.test.ts`)

/** Clipped tiles at two edges, and tiles of more than a block. */
const GEOMETRIES = [
  new Geometry({ width: 40, height: 24, tile: 16 }),
  new Geometry({ width: 70, height: 66, tile: 64 }),
]

function compiled(source: string, width: number): { compiled: Compiled; sound: Sound } | undefined {
  const result = compile(source, { fields: FIELDS, width })
  if (!result.ok) {
    const isOfLimits = result.problems.every(({ code }) => code.startsWith('osl-too-'))
    if (!isOfLimits) throw new Error(`${result.problems[0]!.message}\n${source}`)
    return undefined
  }
  const sound = verify(result.compiled.program, FIELDS.length)
  if (!sound.ok) {
    if (sound.message.startsWith('it costs')) return undefined
    throw new Error(`the verifier refuses the compiler: ${sound.message}\n${source}`)
  }
  return { compiled: result.compiled, sound }
}

t.test('programs that write do to each cell what the tree says', (t) => {
  const random = new Random(seed)
  let run = 0
  for (let index = 0; index < PROGRAMS; index++) {
    const writer = new ProgramWriter(random)
    const geometry = GEOMETRIES[random.integer(12) === 0 ? 1 : 0]!
    const source = writer.write()
    const made = compiled(source, geometry.width)
    if (made === undefined) continue
    run++
    const tile = random.integer(geometry.tiles)
    const own = geometry.tileRegion(tile)
    const isWhole = random.integer(3) === 0
    const x = isWhole ? 0 : random.integer(own.w)
    const y = isWhole ? 0 : random.integer(own.h)
    const w = isWhole ? own.w : 1 + random.integer(own.w - x)
    const h = isWhole ? own.h : 1 + random.integer(own.h - y)
    const region = { x: own.x + x, y: own.y + y, w, h }

    const page = TilePage.empty(createLayout(FIELDS, own.w * own.h))
    const isUniform = random.integer(4) === 0
    const columns = new Map<string, number[]>()
    for (const [field, { name }] of [
      ...FIELDS,
      { name: 'status', type: 'u8' as const },
    ].entries()) {
      const type = FIELDS[field] ?? { name, type: 'u8' as const }
      const draw = (): number => (name === 'status' ? random.integer(2) : writer.cell(type))
      const one = draw()
      const all = new Array<number>(geometry.width * geometry.height).fill(0)
      if (isUniform) page.fill(field, one)
      for (let at = 0; at < own.w * own.h; at++) {
        const value = isUniform ? one : draw()
        if (!isUniform) page.column(field)[at] = value
        all[(own.y + Math.floor(at / own.w)) * geometry.width + own.x + (at % own.w)] = value
      }
      columns.set(name, all)
    }
    const cells: Cells = {
      ...geometry,
      width: geometry.width,
      height: geometry.height,
      fields: FIELDS,
      columns,
    }
    const written = actOnCells(source, cells, region, writer.parameters)

    const program = bind(made.compiled, new Map(Object.entries(writer.parameters)))
    const interpreter = new Interpreter(program, made.sound, FIELDS)
    // It runs over many tiles: what one leaves in registers is nothing to the next.
    const other = TilePage.empty(createLayout(FIELDS, own.w * own.h))
    const place = { x: own.x, y: own.y, gridWidth: geometry.width }
    interpreter.run(other, windowOf(geometry, tile, own), place)
    interpreter.run(page, windowOf(geometry, tile, region), place)
    for (const [field, cells] of interpreter.written) {
      const name = FIELDS[field]?.name ?? 'status'
      if (cells === written[name]) continue
      t.fail(`program ${index}: ${cells} cells of ${name} took a value, not ${written[name]}`, {
        source,
      })
      t.end()
      return
    }
    for (const [field, { name }] of [...FIELDS, { name: 'status' }].entries()) {
      const one = page.valueOf(field)
      for (let at = 0; at < own.w * own.h; at++) {
        const got = one ?? page.column(field)[at]!
        const id = (own.y + Math.floor(at / own.w)) * geometry.width + own.x + (at % own.w)
        const wanted = columns.get(name)![id]!
        if (!Object.is(got, wanted)) {
          t.fail(`program ${index}: ${name} of LSU ${id} is ${got}, not ${wanted}`, { source })
          t.end()
          return
        }
      }
    }
  }
  t.ok(run > PROGRAMS / 2, `${run} of ${PROGRAMS} programs ran`)
  t.end()
})

t.test('a constant that comes first and does not keep its register is set for each tile', (t) => {
  const geometry = GEOMETRIES[0]!
  const used = Array.from({ length: 12 }, (_, at) => `(b * ${at + 3} + b - ${at + 3})`)
  const { compiled: made, sound } = compiled(`a = 2 - b + ${used.join(' + ')}`, geometry.width)!
  t.equal(sound.constants, 12)
  const interpreter = new Interpreter(bind(made, new Map()), sound, FIELDS)
  for (const tile of [0, 1]) {
    const page = TilePage.empty(createLayout(FIELDS, geometry.tileLsus(tile)))
    page.column(1).fill(1)
    const window = windowOf(geometry, tile, geometry.whole)
    interpreter.run(page, window, { x: 0, y: 0, gridWidth: geometry.width })
    t.equal(page.column(0)[0], 1 + 12, `tile ${tile}`)
  }
  t.end()
})
