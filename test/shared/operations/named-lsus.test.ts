import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Random } from '../../../shared/core/random.ts'
import {
  createColumn,
  FIELD_BYTES,
  type Field,
  type FieldType,
} from '../../../shared/grid/fields.ts'
import { Geometry } from '../../../shared/grid/geometry.ts'
import { GATHER_LSUS_MAX } from '../../../shared/operations/gather.ts'
import {
  boxOfIds,
  countInTiles,
  runOfTile,
  tileOf,
  tilesOfIds,
} from '../../../shared/operations/named-lsus.ts'
import type { GridContext, Wire } from '../../../shared/operations/operation.ts'
import { SCATTER_LSUS_MAX } from '../../../shared/operations/scatter.ts'
import { encodeCbor } from '../../../shared/protocol/cbor.ts'
import { PROBLEMS_MAX } from '../../../shared/protocol/problems.ts'
import {
  accepted,
  joinRandomly,
  Pages,
  problemsOf,
  randomValue,
  readOf,
  writeOf,
} from '../../support/operation-parts.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/shared/operations/named-lsus.test.ts`)
const check = (t: Test, property: fc.IRawProperty<unknown>, numRuns: number): void => {
  fc.assert(property as fc.IProperty<unknown>, { seed, numRuns })
  t.pass(`${numRuns} runs`)
}

const scatter = writeOf('scatter')
const gather = readOf('gather')

function drawGrid(random: Random): { context: GridContext; field: Field } {
  const types: FieldType[] = ['u8', 'i32', 'f32', 'f64']
  const fields = types.map((type, index) => ({ name: `f${index}`, type }))
  const size = { width: 1 + random.integer(60), height: 1 + random.integer(40) }
  const geometry = new Geometry({ ...size, tile: [4, 7, 16][random.integer(3)]! })
  return { context: { geometry, fields }, field: fields[random.integer(4)]! }
}

/** Different ids, in no order. */
function drawIds({ geometry: { lsus } }: GridContext, random: Random): number[] {
  const wanted = 1 + random.integer(Math.min(lsus, 80))
  const ids = new Set<number>()
  while (ids.size < wanted) ids.add(random.integer(lsus))
  return [...ids]
}

/** Tiles dealt to some parts, ascending in each. */
function deal(tiles: Uint32Array, random: Random): Uint32Array[] {
  const parts = Array.from({ length: 4 }, (): number[] => [])
  for (const tile of tiles) parts[random.integer(4)]!.push(tile)
  return parts.filter(({ length }) => length > 0).map((part) => Uint32Array.from(part))
}

/** Their tiles and the box around them, as the gateway asks for them. */
function extentOf(args: Wire, { geometry }: GridContext) {
  const ids = scatter.idsOf!(args)
  return { tiles: tilesOfIds(ids, geometry), box: boxOfIds(ids, geometry) }
}

t.test('a scatter is as many single sets, and a gather as many looks at one cell', (t) => {
  check(
    t,
    fc.property(fc.integer(), (from) => {
      const random = new Random(from)
      const { context, field } = drawGrid(random)
      const { geometry } = context
      const pages = new Pages(context)
      const plain = new Pages(context)
      for (let round = 0; round < 3; round++) {
        const ids = drawIds(context, random)
        const values = ids.map(() => randomValue(field.type, random))
        const args = accepted(scatter.parse({ field: field.name, ids, values }, undefined, context))
        const { tiles, box } = extentOf(args, context)
        pages.write('scatter', args, box, deal(tiles, random))
        ids.forEach((id, index) => {
          const region = { x: id % geometry.width, y: Math.floor(id / geometry.width), w: 1, h: 1 }
          const user = { fields: { [field.name]: values[index]! } }
          const one = accepted(writeOf('set').parse(user, region, context))
          plain.write('set', one, region, [geometry.tilesOf(region)])
        })
      }
      for (let tile = 0; tile < geometry.tiles; tile++) {
        if (Buffer.compare(pages.page(tile).bytes, plain.page(tile).bytes) !== 0) return false
      }
      const asked = Array.from({ length: 1 + random.integer(60) }, () =>
        random.integer(geometry.lsus),
      )
      const cells = asked.map((id) => [id % geometry.width, Math.floor(id / geometry.width)])
      const args = accepted(gather.parse({ field: field.name, cells }, undefined, context))
      const { tiles, box } = extentOf(args, context)
      const rounds = deal(tiles, random).map((part) => {
        const own = gather.cut!(args, part, context)
        return pages.partial('gather', own, box, part)
      })
      const total = joinRandomly(gather, random)(rounds)
      const { values } = gather.finish([total], args, box, context) as { values: number[] }
      const index = context.fields.indexOf(field)
      const expected = asked.map((id) => {
        const tile = tileOf(id, geometry)
        const own = geometry.tileRegion(tile)
        const [x, y] = [id % geometry.width, Math.floor(id / geometry.width)]
        return plain.page(tile).column(index)[(y - own.y) * own.w + x - own.x]
      })
      return values.join() === expected.join()
    }),
    150,
  )
  t.end()
})

t.test('what is cut for parts covers each LSU once, and is as short as is said', (t) => {
  check(
    t,
    fc.property(fc.integer(), (from) => {
      const random = new Random(from)
      const { context, field } = drawGrid(random)
      const ids = drawIds(context, random)
      const values = ids.map(() => randomValue(field.type, random))
      const args = accepted(scatter.parse({ field: field.name, ids, values }, undefined, context))
      const { tiles, box } = extentOf(args, context)
      const found: number[] = []
      let counted = 0
      for (const part of deal(tiles, random)) {
        const cut = scatter.cut(args, box, part, context)
        const bound = scatter.argumentBytesPerTile(args, context, part) * part.length + 64
        if (encodeCbor(cut).length > bound) return false
        const own = scatter.idsOf!(cut)
        found.push(...own)
        const run = scatter.run(cut, context)
        for (const tile of part) {
          const window = { tile, stride: 0, left: 0, top: 0, w: 0, h: 0 }
          const count = own.filter((id) => tileOf(id, context.geometry) === tile).length
          if (run.countIn!(window) !== count) return false
          counted += count
        }
        const look = accepted(
          gather.parse(
            {
              field: field.name,
              cells: ids.map((id) => [
                id % context.geometry.width,
                Math.floor(id / context.geometry.width),
              ]),
            },
            undefined,
            context,
          ),
        )
        const asked = gather.cut!(look, part, context)
        const partial = new Pages(context).partial('gather', asked, box, part)
        const lsus = countInTiles(gather.idsOf!(look), part, context.geometry)
        const whole = { args: look, tiles: part, region: box, lsus }
        if (gather.faultOf(partial, whole, context) !== undefined) return false
        const most = gather.resultBytesPerTile(look, context, part) * part.length + 64
        if (encodeCbor(partial).length > most) return false
        const short = { ...partial, values: (partial.values as Uint8Array).subarray(1) }
        if (gather.faultOf(short, whole, context) === undefined) return false
        if (gather.faultOf({ ...partial, tiles: 1 }, whole, context) === undefined) return false
      }
      return (
        counted === ids.length &&
        found.sort((a, b) => a - b).join() === ids.sort((a, b) => a - b).join()
      )
    }),
    80,
  )
  t.end()
})

t.test(
  'LSUs may be named by ids or places, as numbers or as bytes: the normal form is one',
  (t) => {
    const random = new Random(seed)
    const { context, field } = drawGrid(random)
    const { width } = context.geometry
    const ids = drawIds(context, random)
    const column = createColumn(field.type, ids.length)
    for (let at = 0; at < ids.length; at++) column[at] = randomValue(field.type, random)
    const values = Array.from(column)
    const packed = (list: ArrayLike<number>, bytes: 2 | 4): Uint8Array =>
      new Uint8Array((bytes === 2 ? Uint16Array.from(list) : Uint32Array.from(list)).buffer)
    const [x, y] = [ids.map((id) => id % width), ids.map((id) => Math.floor(id / width))]
    const order = ids
      .map((_, index) => index)
      .sort((a, b) => a - b || 0)
      .reverse()
    const forms = [
      { ids, values },
      { x, y, values },
      { ids: packed(ids, 4), values: new Uint8Array(column.buffer) },
      { x: packed(x, 2), y: packed(y, 2), values },
      { ids: order.map((at) => ids[at]), values: order.map((at) => values[at]) },
    ].map((form) =>
      Buffer.from(
        encodeCbor(accepted(scatter.parse({ field: field.name, ...form }, undefined, context))),
      ),
    )
    for (const form of forms) t.equal(form.toString('hex'), forms[0]!.toString('hex'))
    t.end()
  },
)

t.test('runs and boxes are those that a plain search finds', (t) => {
  check(
    t,
    fc.property(fc.integer(), (from) => {
      const random = new Random(from)
      const { context } = drawGrid(random)
      const { geometry } = context
      const given = drawIds(context, random)
      const values = given.map(() => 1)
      const ids = scatter.idsOf!(
        accepted(scatter.parse({ field: 'f0', ids: given, values }, undefined, context)),
      )
      const tiles = [...new Set(given.map((id) => tileOf(id, geometry)))].sort((a, b) => a - b)
      if (tilesOfIds(ids, geometry).join() !== tiles.join()) return false
      const { x, y, w, h } = boxOfIds(ids, geometry)
      const columns = given.map((id) => id % geometry.width)
      const rows = given.map((id) => Math.floor(id / geometry.width))
      if (Math.min(...columns) !== x || Math.max(...columns) !== x + w - 1) return false
      if (Math.min(...rows) !== y || Math.max(...rows) !== y + h - 1) return false
      for (let tile = 0; tile < geometry.tiles; tile++) {
        const { from: start, end } = runOfTile(ids, tile, geometry)
        const own = given.filter((id) =>
          geometry.touches(tile, {
            x: id % geometry.width,
            y: Math.floor(id / geometry.width),
            w: 1,
            h: 1,
          }),
        )
        if (own.sort((a, b) => a - b).join() !== ids.slice(start, end).join()) return false
      }
      return true
    }),
    120,
  )
  t.end()
})

const context: GridContext = {
  geometry: new Geometry({ width: 37, height: 21, tile: 8 }),
  fields: [
    { name: 'level', type: 'u8' },
    { name: 'heat', type: 'f32' },
  ],
}

t.test('what is wrong with named LSUs is named', (t) => {
  const pair = { field: 'level', values: [1, 2] }
  const table: [args: unknown, problems: string[]][] = [
    [{ ...pair, ids: [776, 0] }, []],
    [{ ...pair, x: [0, 36], y: [0, 20] }, []],
    [{ ...pair, ids: [3, 3] }, ['duplicate args.ids[1]']],
    [{ ...pair, x: [5, 5], y: [2, 2] }, ['duplicate args.x[1]']],
    [{ ...pair, ids: [777, -1] }, ['outside-grid args.ids[0]', 'outside-grid args.ids[1]']],
    [{ ...pair, ids: [1.5, '3'] }, ['outside-grid args.ids[0]', 'wrong-type args.ids[1]']],
    [{ ...pair, x: [37, 0], y: [0, 21] }, ['outside-grid args.x[0]', 'outside-grid args.y[1]']],
    [{ ...pair, x: [1, 2] }, ['missing args.y']],
    [{ ...pair, y: [1, 2] }, ['missing args.x']],
    [pair, ['missing args.ids']],
    [{ ...pair, ids: [1, 2], x: [1, 2] }, ['not-allowed args.ids']],
    [{ ...pair, x: [1, 2], y: [1] }, ['wrong-count args.y']],
    [{ ...pair, ids: [1] }, ['wrong-count args.values']],
    [{ ...pair, ids: [] }, ['wrong-count args.ids']],
    [{ ...pair, ids: new Uint8Array(7) }, ['wrong-count args.ids']],
    [{ ...pair, ids: 'ab' }, ['wrong-type args.ids']],
    [{ ...pair, ids: [1, 2], values: [1, 300] }, ['out-of-range args.values[1]']],
    [{ ...pair, ids: [1, 2], values: new Uint8Array(3) }, ['wrong-count args.values']],
    [
      { field: 'depth', ids: [1], values: ['a'] },
      ['unknown-field args.field', 'wrong-type args.values[0]'],
    ],
    [{ ids: [1], values: [1], at: 3 }, ['missing args.field', 'unknown-key args.at']],
  ]
  for (const [args, expected] of table) {
    const parsed = scatter.parse(args, undefined, context)
    t.same(problemsOf(parsed).sort(), expected.sort(), JSON.stringify(args))
  }
  const cells: [args: unknown, problems: string[]][] = [
    [
      {
        field: 'heat',
        cells: [
          [0, 0],
          [36, 20],
          [0, 0],
        ],
      },
      [],
    ],
    [{ field: 'heat', cells: [] }, ['wrong-count args.cells']],
    [
      { field: 'heat', cells: [[1], [1, 2, 3], 4, [0.5, 1], ['1', 1]] },
      [0, 1, 2, 3, 4].map((at) => `wrong-type args.cells[${at}]`),
    ],
    [
      {
        field: 'heat',
        cells: [
          [37, 0],
          [0, -1],
        ],
      },
      ['outside-grid args.cells[0]', 'outside-grid args.cells[1]'],
    ],
    [{ field: 'depth', cells: [[0, 0]] }, ['unknown-field args.field']],
    [{ cells: 3 }, ['missing args.field', 'wrong-type args.cells']],
    [
      { field: 'heat', cells: new Array(GATHER_LSUS_MAX + 1).fill([0, 0]) },
      ['wrong-count args.cells'],
    ],
  ]
  for (const [args, expected] of cells) {
    const parsed = gather.parse(args, undefined, context)
    t.same(problemsOf(parsed).sort(), expected.sort(), JSON.stringify(args).slice(0, 80))
  }
  t.end()
})

t.test('65,536 LSUs are taken and no more, and thousands of mistakes give a short list', (t) => {
  const large: GridContext = {
    geometry: new Geometry({ width: 1024, height: 1024, tile: 16 }),
    fields: [{ name: 'v', type: 'f64' }],
  }
  const ids = Uint32Array.from(
    { length: SCATTER_LSUS_MAX + 1 },
    (_, index) => (index * 7919) % 2 ** 20,
  )
  const bytes = new Uint8Array(ids.buffer)
  const values = new Uint8Array(SCATTER_LSUS_MAX * FIELD_BYTES.f64)
  const most = { field: 'v', ids: bytes.subarray(0, SCATTER_LSUS_MAX * 4), values }
  t.ok(scatter.parse(most, undefined, large).ok)
  const more = scatter.parse({ ...most, ids: bytes }, undefined, large)
  t.same(problemsOf(more), ['wrong-count args.ids'])
  const wrong = [
    { field: 'v', ids: new Array(60_000).fill(5), values: new Array(60_000).fill(1) },
    { field: 'v', ids: new Array(60_000).fill('x'), values: new Array(60_000).fill('y') },
    { field: 'v', x: new Array(60_000).fill(-1), y: new Array(60_000).fill(2), values: [] },
  ]
  for (const args of wrong) {
    const { length } = problemsOf(scatter.parse(args, undefined, large))
    t.ok(length > 0 && length <= PROBLEMS_MAX + 2, `${length}`)
  }
  t.end()
})
