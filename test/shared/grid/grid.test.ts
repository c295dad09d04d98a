import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import {
  bytesOfColumn,
  columnFromBytes,
  createColumn,
  FIELD_BYTES,
  FIELDS_MAX,
  type Field,
  type FieldType,
  findField,
  formatFields,
  held,
  parseFields,
  saturate,
  takes,
} from '../../../shared/grid/fields.ts'
import {
  Geometry,
  type GridSize,
  type Region,
  regionsTouch,
} from '../../../shared/grid/geometry.ts'
import { createLayout } from '../../../shared/grid/page-layout.ts'
import { STATUS_SCALED } from '../../../shared/grid/status.ts'
import { TilePage } from '../../../shared/grid/tile-page.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/shared/grid/grid.test.ts`)
// A `maxLength` is meant: by default lists are far shorter.
fc.configureGlobal({ defaultSizeToMaxWhenMaxSpecified: true })
const check = (t: Test, property: fc.IRawProperty<unknown>, numRuns = 150): void => {
  fc.assert(property as fc.IProperty<unknown>, { seed, numRuns })
  t.pass(`${numRuns} runs`)
}

const TYPES: readonly FieldType[] = ['u8', 'i32', 'f32', 'f64']

const gridAndRegion: fc.Arbitrary<{ size: GridSize; region: Region }> = fc
  .record({
    width: fc.integer({ min: 1, max: 40 }),
    height: fc.integer({ min: 1, max: 40 }),
    tile: fc.integer({ min: 4, max: 17 }),
  })
  .chain((size) =>
    fc
      .record({
        x: fc.integer({ min: 0, max: size.width - 1 }),
        y: fc.integer({ min: 0, max: size.height - 1 }),
      })
      .chain(({ x, y }) =>
        fc
          .record({
            w: fc.integer({ min: 1, max: size.width - x }),
            h: fc.integer({ min: 1, max: size.height - y }),
          })
          .map(({ w, h }) => ({ size, region: { x, y, w, h } })),
      ),
  )

/** The model: for each tile, the LSUs of the region that lie in it, found one LSU at a time. */
function tilesByLsu(size: GridSize, region: Region): Map<number, { x: number; y: number }[]> {
  const across = Math.ceil(size.width / size.tile)
  const found = new Map<number, { x: number; y: number }[]>()
  for (let y = region.y; y < region.y + region.h; y++) {
    for (let x = region.x; x < region.x + region.w; x++) {
      const tile = Math.floor(y / size.tile) * across + Math.floor(x / size.tile)
      const lsus = found.get(tile) ?? []
      lsus.push({ x, y })
      found.set(tile, lsus)
    }
  }
  return found
}

t.test('tiles, overlaps and touches are those found LSU by LSU', (t) => {
  check(
    t,
    fc.property(gridAndRegion, ({ size, region }) => {
      const geometry = new Geometry(size)
      const model = tilesByLsu(size, region)
      const tiles = [...model.keys()].sort((a, b) => a - b)
      if (geometry.tilesOf(region).join() !== tiles.join()) return false
      if (geometry.countTilesOf(region) !== tiles.length) return false
      for (let tile = 0; tile < geometry.tiles; tile++) {
        if (geometry.touches(tile, region) !== model.has(tile)) return false
      }
      return tiles.every((tile) => {
        const lsus = model.get(tile)!
        const { x, y, w, h } = geometry.overlap(tile, region)
        return (
          lsus.length === w * h &&
          lsus.every((lsu) => lsu.x >= x && lsu.x < x + w && lsu.y >= y && lsu.y < y + h)
        )
      })
    }),
  )
  t.end()
})

t.test('the tiles cut the grid without rest and without overlap', (t) => {
  check(
    t,
    fc.property(gridAndRegion, ({ size }) => {
      const geometry = new Geometry(size)
      const model = tilesByLsu(size, geometry.whole)
      let lsus = 0
      for (let tile = 0; tile < geometry.tiles; tile++) {
        if (geometry.tileLsus(tile) !== model.get(tile)!.length) return false
        lsus += geometry.tileLsus(tile)
      }
      return model.size === geometry.tiles && lsus === geometry.lsus
    }),
  )
  t.end()
})

t.test('a grid of one LSU, and a grid with clipped edges', (t) => {
  const one = new Geometry({ width: 1, height: 1, tile: 16 })
  t.equal(one.tiles, 1)
  t.same(one.tileRegion(0), { x: 0, y: 0, w: 1, h: 1 })
  t.same([...one.tilesOf(one.whole)], [0])
  const clipped = new Geometry({ width: 33, height: 18, tile: 16 })
  t.equal(clipped.tiles, 6)
  t.same(clipped.tileRegion(5), { x: 32, y: 16, w: 1, h: 2 })
  t.same(clipped.overlap(2, clipped.whole), { x: 32, y: 0, w: 1, h: 16 })
  t.end()
})

t.test('a region lies in the grid only as a whole', (t) => {
  const geometry = new Geometry({ width: 10, height: 8, tile: 4 })
  t.ok(geometry.contains({ x: 0, y: 0, w: 10, h: 8 }))
  t.ok(geometry.contains({ x: 9, y: 7, w: 1, h: 1 }))
  const outside = [
    { x: -1, y: 0, w: 1, h: 1 },
    { x: 0, y: -1, w: 1, h: 1 },
    { x: 0, y: 0, w: 0, h: 1 },
    { x: 0, y: 0, w: 1, h: 0 },
    { x: 0, y: 0, w: 11, h: 1 },
    { x: 5, y: 0, w: 6, h: 1 },
    { x: 0, y: 8, w: 1, h: 1 },
    { x: 0, y: 0, w: 1, h: 1e300 },
  ]
  for (const region of outside) t.notOk(geometry.contains(region), JSON.stringify(region))
  t.end()
})

t.test('what is no tile touches nothing, and an empty overlap is our bug', (t) => {
  const geometry = new Geometry({ width: 10, height: 8, tile: 4 })
  t.notOk(geometry.touches(-1, geometry.whole))
  t.notOk(geometry.touches(6, geometry.whole))
  t.throws(() => geometry.overlap(0, { x: 8, y: 0, w: 2, h: 2 }))
  t.end()
})

t.test('a grid out of range is our bug', (t) => {
  const sound = { width: 10, height: 10, tile: 4 }
  t.doesNotThrow(() => new Geometry({ width: 8192, height: 8192, tile: 64 }))
  const wrong = [
    { width: 0 },
    { width: 8193 },
    { width: 1.5 },
    { height: 0 },
    { height: 8193 },
    { tile: 3 },
    { tile: 65 },
    { tile: 4.5 },
    { width: Number.NaN },
  ]
  for (const part of wrong) {
    t.throws(() => new Geometry({ ...sound, ...part }), JSON.stringify(part))
  }
  t.end()
})

const fieldsArbitrary: fc.Arbitrary<Field[]> = fc.uniqueArray(
  fc.record(
    {
      name: fc.stringMatching(/^[a-z][a-z0-9_]{0,8}$/).filter((name) => name !== 'status'),
      type: fc.constantFrom(...TYPES),
      nodata: fc.constantFrom(0, 7, 255),
    },
    { requiredKeys: ['name', 'type'] },
  ),
  { minLength: 1, maxLength: 6, selector: (field) => field.name },
)

t.test('fields come back from their text', (t) => {
  check(
    t,
    fc.property(fieldsArbitrary, (fields) => {
      const parsed = parseFields(formatFields(fields))
      return 'fields' in parsed && formatFields(parsed.fields) === formatFields(fields)
    }),
  )
  t.same(parseFields('a:i32:nodata=-9999,b:f32:nodata=-3.4e38,c:u8'), {
    fields: [
      { name: 'a', type: 'i32', nodata: -9999 },
      { name: 'b', type: 'f32', nodata: Math.fround(-3.4e38) },
      { name: 'c', type: 'u8' },
    ],
  })
  t.same(parseFields(' a:u8 , b:f64 '), {
    fields: [
      { name: 'a', type: 'u8' },
      { name: 'b', type: 'f64' },
    ],
  })
  t.end()
})

t.test('every problem of a field list is named', (t) => {
  const refused = [
    '',
    'a',
    'a:',
    ':u8',
    'a:u16',
    'a:u8:u8',
    'a:u8:nodata',
    'a:u8:nodata=',
    'a:u8:nodata=-1',
    'a:u8:nodata=1.5',
    'a:f64:nodata=1e999',
    'a:f64:nodata=nan',
    'a:u8:nodata=1:u8',
    'A:u8',
    '1a:u8',
    'a:u8,',
    'a:u8,a:f32',
    'status:u8',
    'constructor:u8',
    '__proto__:u8',
    'a:toString',
    `${'a'.repeat(33)}:u8`,
    Array.from({ length: FIELDS_MAX + 1 }, (_, index) => `f${index}:u8`).join(),
  ]
  for (const text of refused) t.ok('problems' in parseFields(text), text.slice(0, 40))
  const three = parseFields('A:u8,b:u9,status:u8')
  t.equal('problems' in three && three.problems.length, 3)
  const most = Array.from({ length: FIELDS_MAX }, (_, index) => `f${index}:u8`).join()
  t.ok('fields' in parseFields(most))
  t.end()
})

t.test('a field is found by its name', (t) => {
  const fields: Field[] = [
    { name: 'a', type: 'u8' },
    { name: 'b', type: 'f64' },
  ]
  t.equal(findField(fields, 'b'), fields[1])
  t.equal(findField(fields, 'toString'), undefined)
  t.end()
})

t.test('a field takes what lies in the range of its type, and holds the nearest', (t) => {
  const table: [FieldType, number[], number[]][] = [
    ['u8', [0, 1, 255], [-1, 256, 0.5, Number.NaN, Number.POSITIVE_INFINITY]],
    ['i32', [0, -2147483648, 2147483647], [-2147483649, 2147483648, 0.1, Number.NaN]],
    ['f32', [0, 21.3, 16777217, 2 ** -150, -3.4028234663852886e38], [1e39, Number.NaN]],
    ['f64', [0, 0.1, Number.MAX_VALUE, 5e-324], [Number.NaN, Number.NEGATIVE_INFINITY]],
  ]
  for (const [type, taken, refused] of table) {
    for (const value of taken) t.ok(takes(type, value), `${type} takes ${value}`)
    for (const value of refused) t.notOk(takes(type, value), `${type} does not take ${value}`)
  }
  t.equal(held('f32', 21.3), 21.299999237060547)
  t.equal(held('f32', 16777217), 16777216, 'a tie goes to the even one')
  t.ok(Object.is(held('f32', -(2 ** -151)), 0))
  const number = fc.oneof(
    fc.double(),
    fc.float(),
    fc.integer(),
    fc.integer({ min: -2, max: 260 }),
    fc.constantFrom(2 ** 31, -(2 ** 31), 2 ** 24 + 1),
  )
  check(
    t,
    fc.property(fc.constantFrom(...TYPES), number, (type, value) => {
      const column = createColumn(type, 1)
      column[0] = value
      if (!takes(type, value)) return column[0] !== value || !Number.isFinite(value)
      return held(type, value) === column[0]
    }),
    1000,
  )
  t.end()
})

t.test('saturate stops at the ends of the type and is exact between them', (t) => {
  const table: [FieldType, number, number][] = [
    ['u8', 256, 255],
    ['u8', -1, 0],
    ['u8', 77, 77],
    ['i32', 2 ** 40, 2147483647],
    ['i32', -(2 ** 40), -2147483648],
    ['i32', -5, -5],
    ['f32', 1e39, 3.4028234663852886e38],
    ['f32', Number.NEGATIVE_INFINITY, -3.4028234663852886e38],
    ['f32', 0.1, Math.fround(0.1)],
    ['f64', Number.POSITIVE_INFINITY, Number.MAX_VALUE],
    ['f64', Number.NEGATIVE_INFINITY, -Number.MAX_VALUE],
    ['f64', 0.1, 0.1],
  ]
  for (const [type, value, result] of table) {
    t.equal(saturate(type, value), result, `${type} ${value}`)
  }
  check(
    t,
    fc.property(
      fc.constantFrom(...TYPES),
      fc.double({ noNaN: true }),
      fc.double({ noNaN: true }),
      (type, left, right) => {
        const isInteger = type === 'u8' || type === 'i32'
        const [low, high] = [left, right]
          .map((value) => (isInteger && Number.isFinite(value) ? Math.trunc(value) : value))
          .sort((a, b) => a - b) as [number, number]
        const kept = saturate(type, low)
        const isExactKept = !takes(type, low) || kept === held(type, low)
        return takes(type, kept) && kept <= saturate(type, high) && isExactKept
      },
    ),
    500,
  )
  t.end()
})

t.test('a column comes back from bytes at any offset, of a Buffer too', (t) => {
  check(
    t,
    fc.property(
      fc.constantFrom(...TYPES),
      fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 20 }),
      fc.nat(9),
      fc.boolean(),
      (type, values, offset, isBuffer) => {
        const column = createColumn(type, values.length)
        column.set(values)
        const memory = new Uint8Array(offset + column.byteLength + 3).fill(0xee)
        memory.set(bytesOfColumn(column), offset)
        const whole = isBuffer ? Buffer.from(memory.buffer) : memory
        const back = columnFromBytes(type, whole.subarray(offset, offset + column.byteLength))
        back[0] = 7
        return (
          [...back].slice(1).join() === values.slice(1).join() &&
          (column.byteLength === 0 || memory[offset] === bytesOfColumn(column)[0])
        )
      },
    ),
  )
  const spare = FIELD_BYTES.f64 + 3
  t.equal(columnFromBytes('f64', new Uint8Array(spare)).length, 1, 'an unfilled number is left out')
  t.end()
})

t.test('columns of a page are aligned, lie apart and fill it', (t) => {
  check(
    t,
    fc.property(fieldsArbitrary, fc.integer({ min: 1, max: 300 }), (fields, lsus) => {
      const layout = createLayout(fields, lsus)
      const spans = fields.map((field, index) => {
        const size = FIELD_BYTES[field.type]
        return { from: layout.offsets[index]!, to: layout.offsets[index]! + size * lsus, size }
      })
      spans.push({ from: layout.statusOffset, to: layout.statusOffset + lsus, size: 1 })
      spans.sort((a, b) => a.from - b.from)
      let end = 24
      for (const span of spans) {
        if (span.from !== end || span.from % span.size !== 0) return false
        end = span.to
      }
      const each = fields.reduce((sum, { type }) => sum + FIELD_BYTES[type], 1)
      return end === layout.bytes && layout.bytes === 24 + lsus * each
    }),
  )
  t.end()
})

const fields: Field[] = [
  { name: 'a', type: 'u8' },
  { name: 'b', type: 'f64' },
  { name: 'c', type: 'i32' },
  { name: 'd', type: 'f32' },
]
const layout = createLayout(fields, 5)

function samplePage(): TilePage {
  const page = TilePage.empty(layout)
  page.at = 2 ** 40 + 3
  page.column(0).set([1, 2, 3, 4, 255])
  page.column(1).set([0.1, -1e300, 3, 4, 5e-324])
  page.column(2).set([-2147483648, 0, 1, 2, 3])
  page.column(3).set([0.5, 1.5, 2.5, 3.5, 4.5])
  page.status.fill(STATUS_SCALED, 1, 3)
  page.seal()
  return page
}

t.test('a sealed page comes back as it was, from any memory', (t) => {
  const page = samplePage()
  const places = [
    page.bytes,
    Buffer.concat([Buffer.of(1), page.bytes, Buffer.of(2)]).subarray(1, -1),
    Uint8Array.from([1, 2, 3, ...page.bytes]).subarray(3),
  ]
  for (const stored of places) {
    const opened = TilePage.open(layout, stored)
    if (typeof opened === 'string') return t.fail(opened)
    t.equal(opened.at, 2 ** 40 + 3)
    for (const index of fields.keys()) t.same(opened.column(index), page.column(index))
    t.same([...opened.status], [0, 1, 1, 0, 0])
    t.same([...opened.digest], [...page.digest])
    opened.column(0)[0] = 9
    opened.status[0] = 1
    t.equal(page.column(0)[0], 1, 'the copy is private')
    t.equal(page.status[0], 0)
  }
  t.end()
})

t.test('an empty page is idle zeros at 0 and is sound once sealed', (t) => {
  const page = TilePage.empty(layout)
  t.equal(TilePage.open(layout, page.bytes), 'damaged', 'before the seal')
  page.seal()
  t.equal(page.at, 0)
  const opened = TilePage.open(layout, page.bytes)
  if (typeof opened === 'string') return t.fail(opened)
  t.ok(opened.status.every((code) => code === 0))
  t.ok(fields.every((_, index) => opened.column(index).every((value) => value === 0)))
  t.end()
})

t.test('a page may lie in memory that was used before', (t) => {
  const room = new Uint8Array(layout.bytes).fill(0xee)
  const sealed = samplePage().bytes
  const opened = TilePage.open(layout, sealed, () => room)
  if (typeof opened === 'string') return t.fail(opened)
  t.equal(opened.bytes.buffer, room.buffer)
  t.same([...opened.bytes], [...sealed])
  const empty = TilePage.empty(layout, () => room)
  t.same([...empty.bytes], [...TilePage.empty(layout).bytes])
  t.end()
})

t.test('a status over a Buffer is bytes of its own kind', (t) => {
  const page = TilePage.empty(layout, (bytes) => Buffer.from(new ArrayBuffer(bytes)))
  page.status.slice(0, 2).fill(7)
  t.equal(page.status[0], 0, 'a slice is a copy')
  t.end()
})

t.test('a page that says whose it is, is no page of another tile; its digest is the same', (t) => {
  const page = samplePage()
  const digest = [...page.digest]
  const old = Uint8Array.from(page.bytes)
  page.seal(7)
  t.same([...page.digest], digest, 'replicas of any version agree')
  t.type(TilePage.open(layout, page.bytes, undefined, 7), TilePage)
  t.type(TilePage.open(layout, page.bytes), TilePage)
  for (const tile of [0, 6, 8])
    t.equal(TilePage.open(layout, page.bytes, undefined, tile), 'damaged')
  t.type(TilePage.open(layout, old, undefined, 8), TilePage, 'one of before does not say it')
  t.end()
})

t.test('every flipped bit of `at`, the digest, the columns and the status is found', (t) => {
  const sealed = samplePage().bytes
  const undetected: number[] = []
  for (let bit = 8 * 8; bit < sealed.length * 8; bit++) {
    const damaged = Uint8Array.from(sealed)
    damaged[bit >> 3]! ^= 1 << (bit & 7)
    if (TilePage.open(layout, damaged) !== 'damaged') undetected.push(bit)
  }
  t.same(undetected, [])
  for (let bit = 0; bit < 32; bit++) {
    const damaged = Uint8Array.from(sealed)
    damaged[bit >> 3]! ^= 1 << (bit & 7)
    t.equal(TilePage.open(layout, damaged), 'wrong-size', `bit ${bit} of the format`)
  }
  t.end()
})

t.test('damage of several bytes and swapped cells are found', (t) => {
  const sealed = samplePage().bytes
  check(
    t,
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 8, max: sealed.length - 1 }), fc.nat(255)), {
        minLength: 1,
        maxLength: 20,
      }),
      (changes) => {
        const damaged = Uint8Array.from(sealed)
        for (const [at, byte] of changes) damaged[at] = byte
        const isChanged = damaged.some((byte, at) => byte !== sealed[at])
        return (TilePage.open(layout, damaged) === 'damaged') === isChanged
      },
    ),
    400,
  )
  t.end()
})

t.test('a page of another size or another LSU count is not opened', (t) => {
  const sealed = samplePage().bytes
  t.equal(TilePage.open(layout, sealed.subarray(1)), 'wrong-size')
  t.equal(TilePage.open(layout, Uint8Array.from([...sealed, 0])), 'wrong-size')
  t.equal(TilePage.open(layout, new Uint8Array(0)), 'wrong-size')
  t.equal(TilePage.open(createLayout(fields, 4), sealed), 'wrong-size')
  t.end()
})

t.test('the types of fields are strings of the program, not those that came in', (t) => {
  // V8 prints a literal, and what else is interned, with a `#`.
  const printed = execFileSync(process.execPath, [
    '--allow-natives-syntax',
    '--import=./test/support/typescript/register.js',
    '--input-type=module',
    '--eval',
    `import { parseFields } from './shared/grid/fields.ts'
     import { withShapeOf } from './broker/ledger-shape.ts'
     const decoded = () => Buffer.from('i32').toString('latin1')
     const parsed = parseFields('n:' + decoded())
     const grid = { width: 8, height: 8, tile: 4 }
     const ledger = { grid, fields: [{ name: 'n', type: decoded() }], replicas: 1 }
     const shape = withShapeOf(ledger, {})
     for (const text of [decoded(), parsed.fields[0].type, shape.fields[0].type]) %DebugPrint(text)`,
  ])
  const texts = [...printed.toString().matchAll(/^DebugPrint: .*: (.+)$/gm)].map(([, text]) => text)
  t.same(texts, ['"i32"', '#i32', '#i32'])
  t.end()
})

t.test('regions touch when they share an LSU', async (t) => {
  const side = fc.integer({ min: 1, max: 5 })
  const region = fc.record({ x: fc.nat(7), y: fc.nat(7), w: side, h: side })
  check(
    t,
    fc.property(region, region, (a, b) => {
      const cells = (of: typeof a): string[] =>
        Array.from({ length: of.w * of.h }, (_, at) => {
          return `${of.x + (at % of.w)},${of.y + Math.floor(at / of.w)}`
        })
      const own = new Set(cells(a))
      return regionsTouch(a, b) === cells(b).some((cell) => own.has(cell))
    }),
    300,
  )
})
