/** What reading programs return, against the cells one by one: parts cut and joined in any way, through the wire. */
import t from 'tap'
import { Random } from '../../../shared/core/random.ts'
import { Geometry } from '../../../shared/grid/geometry.ts'
import { createLayout } from '../../../shared/grid/page-layout.ts'
import { TilePage } from '../../../shared/grid/tile-page.ts'
import { type AskedTiles, type Wire, windowOf } from '../../../shared/operations/operation.ts'
import { oslRead } from '../../../shared/operations/osl-read.ts'
import { parseProgram } from '../../../shared/operations/program.ts'
import { decodeCbor, encodeCbor } from '../../../shared/protocol/cbor.ts'
import { MESSAGE_LIMITS } from '../../../shared/protocol/limits.ts'
import type { Cells } from '../../support/osl-evaluator.ts'
import { faultOfOutputs } from '../../support/osl-outputs.ts'
import { OSL_FIELDS as FIELDS, ProgramWriter } from '../../support/osl-programs.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
const PROGRAMS = Number(process.env.PROGRAMS ?? 600)
t.comment(`SEED=${seed} PROGRAMS=${PROGRAMS} npx tap run test/shared/osl/osl-read.test.ts`)

const geometry = new Geometry({ width: 22, height: 19, tile: 8 })
const context = { geometry, fields: FIELDS }
const LIMITS = { costMax: 1e12 }

t.test('outputs are what the cells one by one say', (t) => {
  const random = new Random(seed)
  for (let index = 0; index < PROGRAMS; index++) {
    const writer = new ProgramWriter(random)
    const source = writer.read()
    const x = random.integer(geometry.width)
    const y = random.integer(geometry.height)
    const w = 1 + random.integer(geometry.width - x)
    const h = 1 + random.integer(geometry.height - y)
    const region = { x, y, w, h }
    const used = Object.entries(writer.parameters).filter(([name]) => source.includes(`$${name}`))
    const given = { source, with: Object.fromEntries(used) }
    const parsed = parseProgram(given, region, context, LIMITS)
    if (!parsed.ok) {
      if (parsed.problems.every(({ code }) => code.startsWith('osl-too-'))) continue
      t.fail(parsed.problems[0]!.message, { source })
      break
    }

    const columns = new Map<string, number[]>([
      ...FIELDS.map((field): [string, number[]] => [field.name, []]),
      ['status', []],
    ])
    const pages = new Map<number, TilePage>()
    for (let tile = 0; tile < geometry.tiles; tile++) {
      const own = geometry.tileRegion(tile)
      const page = TilePage.empty(createLayout(FIELDS, own.w * own.h))
      const isUniform = random.integer(3) === 0
      for (const [column, name] of [...columns.keys()].entries()) {
        const draw = (): number =>
          name === 'status' ? random.integer(2) : writer.cell(FIELDS[column]!)
        const one = draw()
        if (isUniform) page.fill(column, one)
        for (let at = 0; at < own.w * own.h; at++) {
          const value = isUniform ? one : draw()
          if (!isUniform) page.column(column)[at] = value
          columns.get(name)![
            (own.y + Math.floor(at / own.w)) * geometry.width + own.x + (at % own.w)
          ] = value
        }
      }
      pages.set(tile, page)
    }

    const parts: number[][] = [[], [], []]
    for (const tile of geometry.tilesOf(region)) parts[random.integer(3)]!.push(tile)
    const partials: Wire[] = []
    for (const tiles of parts.filter((part) => part.length > 0)) {
      const args = throughTheWire(parsed.value.args)
      const run = oslRead.run(args, context)
      let lsus = 0
      for (const tile of tiles) {
        const window = windowOf(geometry, tile, region)
        lsus += window.w * window.h
        run.visit(pages.get(tile)!, window)
      }
      const partial = throughTheWire(run.finish())
      const asked: AskedTiles = { args, tiles: Uint32Array.from(tiles), region, lsus }
      t.equal(oslRead.faultOf(partial, asked, context), undefined, source)
      partials.splice(random.integer(partials.length + 1), 0, partial)
    }
    const total = partials.reduce((left, right) => oslRead.merge(left, right))
    const value = oslRead.finish([total], parsed.value.args, region, context) as Record<
      string,
      unknown
    >

    const cells: Cells = { width: geometry.width, height: geometry.height, fields: FIELDS, columns }
    const fault = faultOfOutputs(source, value, cells, region, writer.parameters)
    if (fault !== undefined) {
      t.fail(`program ${index}: ${fault}`, { source, region })
      t.end()
      return
    }
  }
  t.end()
})

t.test('what is returned by class is two columns, and not of too many sums', (t) => {
  const region = { x: 0, y: 0, w: 8, h: 8 }
  const parsed = parseProgram(
    { source: 'return m = mean(x) by c where y > 0' },
    region,
    context,
    LIMITS,
  )
  if (!parsed.ok) throw new Error(parsed.problems[0]!.message)
  const page = TilePage.empty(createLayout(FIELDS, 64))
  for (let at = 0; at < 64; at++) page.column(2)[at] = at < 8 ? 9 : at % 8 < 4 ? 200 : 3
  const run = oslRead.run(parsed.value.args, context)
  run.visit(page, windowOf(geometry, 0, region))
  const value = oslRead.finish([run.finish()], parsed.value.args, region, context)
  t.strictSame(value, { m: { classes: [3, 200], values: [5.5, 1.5] } })
  const means = [1, 2, 3, 4, 5].map((n) => `return m${n} = mean(a + ${n}) by c`)
  t.equal(parseProgram({ source: means.slice(1).join(';') }, region, context, LIMITS).ok, true)
  t.match(parseProgram({ source: means.join(';') }, region, context, LIMITS), {
    problems: [{ code: 'osl-too-many-values', message: /by class may take 1126400 bytes/ }],
  })
  t.end()
})

t.test('the greatest answer by class goes in one message', (t) => {
  const region = { x: 0, y: 0, w: 16, h: 16 }
  const wide = { geometry: new Geometry({ width: 16, height: 16 * 512, tile: 16 }), fields: FIELDS }
  const means = [1, 2, 3, 4].map((n) => `return m${n} = mean(a * ${n}) by c`)
  const parsed = parseProgram({ source: means.join(';') }, region, wide, LIMITS)
  if (!parsed.ok) throw new Error(parsed.problems[0]!.message)
  const run = oslRead.run(parsed.value.args, wide)
  // Each class has a number of each of 500 sizes.
  for (let tile = 0; tile < 500; tile++) {
    const page = TilePage.empty(createLayout(FIELDS, 256))
    for (let at = 0; at < 256; at++) {
      page.column(2)[at] = at
      page.column(0)[at] = (1 + 2 ** -30 + 2 ** -52) * 2 ** (-1022 + 4 * tile)
    }
    run.visit(page, { tile, stride: 16, left: 0, top: 0, w: 16, h: 16 })
  }
  const bytes = encodeCbor(run.finish()).length
  t.ok(bytes > 600_000, `${bytes} bytes`)
  t.ok(bytes < 960 * 1024, 'and takes no more than was reckoned')
  t.end()
})

function throughTheWire(wire: Wire): Wire {
  const decoded = decodeCbor(encodeCbor(wire), MESSAGE_LIMITS)
  if (!decoded.ok) throw new Error(decoded.message)
  return decoded.value as Wire
}
