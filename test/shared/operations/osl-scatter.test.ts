/** Programs on single LSUs: each cell does what the tree of the text says, with its own numbers, and no other changes. */
import t from 'tap'
import { Random } from '../../../shared/core/random.ts'
import { Geometry } from '../../../shared/grid/geometry.ts'
import { createLayout } from '../../../shared/grid/page-layout.ts'
import { TilePage } from '../../../shared/grid/tile-page.ts'
import { boxOfIds, tilesOfIds } from '../../../shared/operations/named-lsus.ts'
import { windowOf } from '../../../shared/operations/operation.ts'
import { oslScatter } from '../../../shared/operations/osl-scatter.ts'
import { parseScatterProgram } from '../../../shared/operations/scatter-program.ts'
import { decodeCbor, encodeCbor } from '../../../shared/protocol/cbor.ts'
import { MESSAGE_LIMITS } from '../../../shared/protocol/limits.ts'
import { checkSubmission } from '../../../shared/protocol/task.ts'
import { actOnCells, type Cells } from '../../support/osl-evaluator.ts'
import { OSL_FIELDS as FIELDS, ProgramWriter } from '../../support/osl-programs.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
const PROGRAMS = Number(process.env.PROGRAMS ?? 500)
t.comment(
  `SEED=${seed} PROGRAMS=${PROGRAMS} npx tap run test/shared/operations/osl-scatter.test.ts`,
)

/** Clipped tiles at two edges, and tiles of more than a block. */
const GEOMETRIES = [
  new Geometry({ width: 22, height: 19, tile: 8 }),
  new Geometry({ width: 70, height: 66, tile: 64 }),
]
const LIMITS = { costMax: 1e12 }
const NAMES = [...FIELDS.map(({ name }) => name), 'status']

function throughTheWire<T>(value: T): T {
  const decoded = decodeCbor(encodeCbor(value), MESSAGE_LIMITS)
  if (!decoded.ok) throw new Error(decoded.message)
  return decoded.value as T
}

t.test('each LSU that is named does what the tree says, and no other changes', (t) => {
  const random = new Random(seed)
  let run = 0
  for (let index = 0; index < PROGRAMS; index++) {
    const writer = new ProgramWriter(random)
    const geometry = GEOMETRIES[random.integer(30) === 0 ? 1 : 0]!
    const context = { geometry, fields: FIELDS }
    const source = writer.write()
    const some = 1 + random.integer(random.integer(4) === 0 ? geometry.lsus : 40)
    const ids = [...new Set(Array.from({ length: some }, () => random.integer(geometry.lsus)))]
    const columns: Record<string, number[]> = {}
    const numbers: Record<string, number> = {}
    for (const [name, value] of Object.entries(writer.parameters)) {
      if (!source.includes(`$${name}`)) continue
      if (random.integer(3) === 0) numbers[name] = value
      else columns[name] = ids.map(() => writer.cell(FIELDS[0]!))
    }
    const asked = { ids, source, columns, with: numbers }
    const parsed = parseScatterProgram(asked, context, LIMITS)
    // What is not used, or too large, is refused: other tests.
    if (!parsed.ok) continue
    run++

    const pages = new Map<number, TilePage>()
    const before = new Map(NAMES.map((name) => [name, new Array<number>(geometry.lsus).fill(0)]))
    for (let tile = 0; tile < geometry.tiles; tile++) {
      const own = geometry.tileRegion(tile)
      const page = TilePage.empty(createLayout(FIELDS, own.w * own.h))
      const isUniform = random.integer(3) === 0
      for (const [field, name] of NAMES.entries()) {
        const draw = (): number =>
          name === 'status' ? random.integer(2) : writer.cell(FIELDS[field]!)
        const one = draw()
        if (isUniform) page.fill(field, one)
        for (let at = 0; at < own.w * own.h; at++) {
          const value = isUniform ? one : draw()
          if (!isUniform) page.column(field)[at] = value
          before.get(name)![
            geometry.width * (own.y + Math.floor(at / own.w)) + own.x + (at % own.w)
          ] = value
        }
      }
      pages.set(tile, page)
    }
    const cells: Cells = {
      width: geometry.width,
      height: geometry.height,
      fields: FIELDS,
      columns: before,
    }
    for (const [at, id] of ids.entries()) {
      const own = Object.entries(columns).map(([name, all]) => [name, all[at]!])
      const region = { x: id % geometry.width, y: Math.floor(id / geometry.width), w: 1, h: 1 }
      actOnCells(source, cells, region, { ...numbers, ...Object.fromEntries(own) })
    }

    const { args } = parsed.value
    const tiles = tilesOfIds(oslScatter.idsOf!(args), geometry)
    const region = boxOfIds(ids, geometry)
    const cut = random.integer(tiles.length + 1)
    for (const part of [tiles.subarray(0, cut), tiles.subarray(cut)]) {
      if (part.length === 0) continue
      const own = throughTheWire(oslScatter.cut(args, region, part, context))
      const bytes = oslScatter.argumentBytesPerTile(args, context, part)
      const { ids: named, values } = own as { ids: Uint8Array; values: Uint8Array }
      if (named.length + values.length > bytes * part.length) t.fail('more bytes than were told')
      const acting = oslScatter.run(own, context)
      let lsus = 0
      for (const tile of part) {
        const window = windowOf(geometry, tile, region)
        acting.act(pages.get(tile)!, window, lsus)
        lsus += acting.countIn!(window)
      }
      if (lsus * 4 !== named.length) t.fail(`counted ${lsus} LSUs`)
    }
    for (const [tile, page] of pages) {
      const own = geometry.tileRegion(tile)
      for (const [field, name] of NAMES.entries()) {
        for (let at = 0; at < own.w * own.h; at++) {
          const got = page.valueOf(field) ?? page.column(field)[at]!
          const id = geometry.width * (own.y + Math.floor(at / own.w)) + own.x + (at % own.w)
          if (Object.is(got, before.get(name)![id]!)) continue
          t.fail(`program ${index}: ${name} of LSU ${id} is ${got}, not ${before.get(name)![id]}`, {
            ...asked,
          })
          t.end()
          return
        }
      }
    }
  }
  t.ok(run > PROGRAMS / 4, `${run} of ${PROGRAMS} programs ran`)
  t.end()
})

const fields = [
  { name: 'balance', type: 'f64' },
  { name: 'zone', type: 'u8' },
] as const
const grid = { geometry: GEOMETRIES[0]!, fields }
const TRANSFER = 'balance = balance - $a where balance >= $a'

function problemsOf(args: unknown, region?: unknown): string[] {
  const result = checkSubmission({ op: 'scatter', args, ...(region ? { region } : {}) }, grid)
  return result.ok ? [] : result.problems.map(({ code, path }) => `${code} ${path}`)
}

t.test('LSUs and columns in another order are the same task; columns may be packed', (t) => {
  const bodyOf = (args: unknown): unknown => {
    const result = checkSubmission({ op: 'scatter', args }, grid)
    return result.ok ? result.submission.body : result.problems
  }
  const one = bodyOf({ ids: [7, 400], columns: { a: [1, 2.5] }, source: TRANSFER })
  t.match(one, { op: 'osl1-scatter', program: { as: 'scatter', cost: 14 } })
  t.match(one, { region: { x: 4, y: 0, w: 4, h: 19 } })
  t.strictSame(bodyOf({ ids: [400, 7], columns: { a: [2.5, 1] }, source: TRANSFER }), one)
  const packed = new Uint8Array(Float64Array.of(1, 2.5).buffer)
  t.strictSame(bodyOf({ x: [7, 4], y: [0, 18], columns: { a: packed }, source: TRANSFER }), one)
  t.strictSame(oslScatter.fieldsOf((one as { args: Record<string, unknown> }).args), [0])
  t.end()
})

t.test('every problem of a scatter with a program is named', (t) => {
  const sound = { ids: [7, 8], columns: { a: [1, 2] }, source: TRANSFER }
  const cases: [change: Record<string, unknown>, problems: string[]][] = [
    [{}, []],
    [{ ids: [7, 7] }, ['duplicate args.ids[1]']],
    [{ ids: [7, 418] }, ['outside-grid args.ids[1]']],
    [{ ids: undefined }, ['missing args.ids']],
    [{ columns: { a: [1] } }, ['wrong-count args.columns.a']],
    [{ columns: { a: new Uint8Array(15) } }, ['wrong-count args.columns.a']],
    [{ columns: { a: 1 } }, ['wrong-type args.columns.a']],
    [{ columns: { a: [1, '2'] } }, ['wrong-type args.columns.a[1]']],
    [
      { columns: { a: new Uint8Array(16).fill(255) } },
      [0, 1].map((at) => `out-of-range args.columns.a[${at}]`),
    ],
    [{ columns: { a: [1, 2], b: [1, 2] } }, ['unknown-key args.columns.b']],
    [{ columns: {} }, ['missing args.with.a']],
    [{ columns: undefined, with: { a: 1 } }, []],
    [{ with: { a: 1 } }, ['duplicate args.with.a', 'unknown-key args.with.a']],
    [{ with: { b: 1 } }, ['unknown-key args.with.b']],
    [{ field: 'balance' }, ['unknown-key args.field']],
    [{ source: 'return n = count(balance > $a)' }, ['not-allowed args.source']],
    [{ source: 'balance = balance[1, 0] + $a' }, ['osl-radius args']],
    [{ source: 'balance = $a +' }, ['osl-syntax args.source']],
    [{ source: undefined }, ['missing args.source']],
  ]
  for (const [change, problems] of cases) {
    const args = Object.fromEntries(
      Object.entries({ ...sound, ...change }).filter(([, value]) => value !== undefined),
    )
    t.strictSame(problemsOf(args), problems, JSON.stringify(change))
  }
  t.strictSame(problemsOf(sound, { x: 0, y: 0, w: 1, h: 1 }), ['not-allowed region'])
  const many = Object.fromEntries(Array.from({ length: 17 }, (_, at) => [`a${at}`, [1, 2]]))
  t.strictSame(problemsOf({ ...sound, columns: many }), [
    'wrong-count args.columns',
    'missing args.with.a',
  ])
  t.end()
})

t.test('a node refuses a program that is not of this kind', (t) => {
  const result = checkSubmission(
    { op: 'scatter', args: { ids: [7], columns: { a: [1] }, source: TRANSFER } },
    grid,
  )
  if (!result.ok) throw new Error(result.problems[0]!.message)
  const { args } = result.submission.body
  t.ok(oslScatter.run(args, grid))
  t.throws(() => oslScatter.run({ ...args, columns: 0 }, grid), /no such field/)
  t.throws(() => oslScatter.run({ ...args, columns: 2 }, grid), /not one value/)
  t.throws(() => oslScatter.run({ ...args, columns: 17 }, grid), /no program/)
  t.throws(() => oslScatter.run({ ...args, values: new Uint8Array(7) }, grid), /not one value/)
  t.end()
})
