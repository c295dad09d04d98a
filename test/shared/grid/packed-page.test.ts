import fc from 'fast-check'
import t, { type Test } from 'tap'
import { xxh32 } from '../../../shared/core/hash.ts'
import {
  bytesOfColumn,
  type Column,
  createColumn,
  type Field,
  type FieldType,
} from '../../../shared/grid/fields.ts'
import { createLayout, type PageLayout } from '../../../shared/grid/page-layout.ts'
import { TilePage } from '../../../shared/grid/tile-page.ts'
import { UniformPage } from '../../../shared/grid/uniform-page.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/shared/grid/packed-page.test.ts`)
fc.configureGlobal({ defaultSizeToMaxWhenMaxSpecified: true })
const check = (t: Test, property: fc.IRawProperty<unknown>, numRuns = 200): void => {
  fc.assert(property as fc.IProperty<unknown>, { seed, numRuns })
  t.pass(`${numRuns} runs`)
}

const TYPES: readonly FieldType[] = ['u8', 'i32', 'f32', 'f64']

interface Cells {
  readonly layout: PageLayout
  readonly at: number
  readonly tile: number
  /** By the index of the column, status last. */
  readonly columns: readonly Column[]
}

/** Format 1, written down plainly. */
function plainBytes({ layout, at, tile, columns }: Cells): Uint8Array {
  const bytes = new Uint8Array(layout.bytes)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, 1 | (layout.lsus << 8), true)
  view.setUint32(4, tile + 1, true)
  view.setFloat64(8, at, true)
  columns.forEach((column, index) => {
    bytes.set(bytesOfColumn(column), layout.offsets[index] ?? layout.statusOffset)
  })
  for (const [offset, start] of [
    [16, 0],
    [20, 0x9e3779b1],
  ] as const) {
    view.setUint32(offset, xxh32(bytes.subarray(24), xxh32(bytes.subarray(8, 16), start)), true)
  }
  return bytes
}

const values: fc.Arbitrary<number> = fc.oneof(
  fc.constantFrom(0, -0, 1, 0.1, 5e-324, -1e-45, 255, 2 ** 31 - 1, -(2 ** 31)),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
)

/** Columns of one value, of one but for one LSU, and of any. */
const columnOf = (type: FieldType, lsus: number): fc.Arbitrary<Column> =>
  fc.oneof(
    values.map((value) => createColumn(type, lsus).fill(value)),
    fc.tuple(values, values, fc.nat(lsus - 1)).map(([value, other, at]) => {
      const column = createColumn(type, lsus).fill(value)
      column[at] = other
      return column
    }),
    fc.array(values, { minLength: lsus, maxLength: lsus }).map((numbers) => {
      const column = createColumn(type, lsus)
      column.set(numbers)
      return column
    }),
  )

const cells: fc.Arbitrary<Cells> = fc
  .record({
    types: fc.array(fc.constantFrom(...TYPES), { minLength: 1, maxLength: 18 }),
    lsus: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(256, 4096)),
  })
  .chain(({ types, lsus }) => {
    const fields: Field[] = types.map((type, index) => ({ name: `f${index}`, type }))
    return fc.record({
      layout: fc.constant(createLayout(fields, lsus)),
      at: fc.oneof(fc.constantFrom(0, 1, 7), fc.integer({ min: 0, max: 2 ** 50 })),
      tile: fc.nat(2 ** 20),
      columns: fc.tuple(...[...types, 'u8' as const].map((type) => columnOf(type, lsus))),
    })
  })

function isOneValue(column: Column): boolean {
  return column.every((value) => Object.is(value, column[0]))
}

/** As operations make it: by whole columns, or one value at once where there is but one. */
function pageOf({ layout, at, tile, columns }: Cells, fillsAtOnce: boolean): TilePage {
  const page = TilePage.empty(layout)
  page.at = at
  columns.forEach((column, index) => {
    if (fillsAtOnce && isOneValue(column)) page.fill(index, column[0]!)
    else page.column(index).set(column)
  })
  page.seal(tile)
  return page
}

const same = (left: Uint8Array, right: Uint8Array): boolean => Buffer.compare(left, right) === 0

t.test('however it was made, a page has the bytes and the digest of format 1', (t) => {
  check(
    t,
    fc.property(cells, fc.boolean(), (cells, fillsAtOnce) => {
      const plain = plainBytes(cells)
      const page = pageOf(cells, fillsAtOnce)
      return (
        same(page.bytes, plain) &&
        same(page.digest, plain.subarray(16, 24)) &&
        same(page.stored(false), plain)
      )
    }),
  )
  t.end()
})

t.test('format 2 has one value for a column of one, and comes back as the same page', (t) => {
  check(
    t,
    fc.property(cells, fc.boolean(), (cells, fillsAtOnce) => {
      const { layout, columns, tile, at } = cells
      const plain = plainBytes(cells)
      const page = pageOf(cells, fillsAtOnce)
      const inFlight = page.copy()
      const stored = page.stored(true)
      const sizes = columns.map((column) => {
        return isOneValue(column) ? column.BYTES_PER_ELEMENT : column.byteLength
      })
      const packed = sizes.reduce((sum, size) => sum + size, 24 + Math.ceil(sizes.length / 8))
      if (stored.length !== Math.min(packed, layout.bytes)) return false
      const odd = Uint8Array.from([0, ...stored]).subarray(1)
      const opened = TilePage.open(layout, odd, undefined, tile)
      if (typeof opened === 'string') return false
      const alike = [opened, page, inFlight, page.copy(), opened.copy()]
      return (
        opened.at === at &&
        same(opened.digest, page.digest) &&
        alike.every((one) => same(one.bytes, plain)) &&
        columns.every((column, index) => {
          const one = opened.valueOf(index)
          const isKnown = stored.length < layout.bytes && isOneValue(column)
          return isKnown ? Object.is(one, column[0]) : one === undefined
        }) &&
        same(opened.stored(true), stored) &&
        same(opened.stored(false), plain)
      )
    }),
  )
  t.end()
})

t.test('a page of format 1 is the page of format 2 once it is sealed', (t) => {
  check(
    t,
    fc.property(cells, (cells) => {
      const { layout, tile } = cells
      const plain = plainBytes(cells)
      const opened = TilePage.open(layout, plain, undefined, tile)
      if (typeof opened === 'string') return false
      opened.seal(tile)
      return same(opened.stored(true), pageOf(cells, true).stored(true))
    }),
  )
  t.end()
})

t.test('cells that are written after all are written, whatever form the page had', (t) => {
  check(
    t,
    fc.property(cells, fc.nat(), fc.nat(), values, (cells, which, where, value) => {
      const index = which % cells.columns.length
      const at = where % cells.layout.lsus
      const page = pageOf(cells, true)
      page.stored(true)
      page.column(index)[at] = value
      page.seal(cells.tile)
      cells.columns[index]![at] = value
      return same(page.bytes, plainBytes(cells))
    }),
  )
  t.end()
})

t.test('every flipped bit of a page of format 2 is found', (t) => {
  const fields: Field[] = [
    { name: 'a', type: 'u8' },
    { name: 'b', type: 'f64' },
    { name: 'c', type: 'i32' },
  ]
  const layout = createLayout(fields, 12)
  const uniform = TilePage.empty(layout)
  uniform.fill(1, 0.1)
  const mixed = TilePage.empty(layout)
  mixed.column(2).set([1, 2, 3])
  mixed.fill(0, 9)
  for (const page of [uniform, mixed]) {
    page.at = 0
    page.seal(3)
    const stored = page.stored(true).slice()
    t.ok(stored.length < layout.bytes)
    const undetected: number[] = []
    for (let bit = 0; bit < stored.length * 8; bit++) {
      // Whose it is, is beside the digest.
      if (bit >= 32 && bit < 64) continue
      const damaged = Uint8Array.from(stored)
      damaged[bit >> 3]! ^= 1 << (bit & 7)
      if (typeof TilePage.open(layout, damaged, undefined, 3) !== 'string') undetected.push(bit)
    }
    t.same(undetected, [])
    t.equal(TilePage.open(layout, stored, undefined, 4), 'damaged', 'a page of another tile')
    t.equal(TilePage.open(layout, stored.subarray(1)), 'wrong-size')
    t.equal(TilePage.open(layout, Uint8Array.from([...stored, 0])), 'wrong-size')
    for (let end = 0; end < stored.length; end++) {
      t.type(TilePage.open(layout, stored.subarray(0, end)), 'string')
    }
  }
  t.end()
})

t.test('a page that others share is known by all of its bytes, and its tile', (t) => {
  const fields: Field[] = [
    { name: 'a', type: 'u8' },
    { name: 'b', type: 'f64' },
  ]
  const layout = createLayout(fields, 12)
  const pageOf = (value: number, at: number): TilePage => {
    const page = TilePage.empty(layout)
    page.fill(1, value)
    page.at = at
    page.seal(3)
    return page
  }
  const pages = [pageOf(0.1, 7), pageOf(-0, 7), pageOf(0, 7), pageOf(0.1, 8)]
  const shared = pages.map(({ uniform }) => uniform!)
  t.equal(new Set(shared).size, pages.length)
  t.equal(pageOf(0.1, 7).uniform, shared[0])
  for (const [index, page] of pages.entries()) {
    const one = shared[index]!
    for (const mayPack of [true, false]) {
      t.same(one.stored(3, mayPack).slice(), page.stored(mayPack), 'it is stored as each of them')
      t.equal(one.storedBytes(mayPack, 4096), page.stored(mayPack).length)
    }
    const stored = page.stored(true).slice()
    t.equal(UniformPage.knownIn(layout, stored, 3), one)
    t.equal(UniformPage.knownIn(layout, stored, 4), undefined, 'a page of another tile')
    for (let bit = 0; bit < stored.length * 8; bit++) {
      const damaged = Uint8Array.from(stored)
      damaged[bit >> 3]! ^= 1 << (bit & 7)
      if (UniformPage.knownIn(layout, damaged, 3) !== undefined) t.fail(`bit ${bit}`)
    }
    const own = TilePage.like(one, 5)
    t.same(own.stored(true).slice(), one.stored(5, true))
    own.column(1)[0] = 3
    own.seal(5)
    t.equal(own.uniform, undefined)
    t.same(one.stored(3, true), stored, 'what is done to one that is like it changes nothing')
  }
  for (let value = 1; value <= 100; value++) t.equal(pageOf(value, 9).uniform?.values[1], value)
  t.equal(UniformPage.knownIn(layout, pages[0]!.stored(true), 3), undefined, 'the last are known')
  t.end()
})

t.test('a column of NaN is no value: its bits are kept', (t) => {
  const layout = createLayout([{ name: 'a', type: 'f64' }], 8)
  const page = TilePage.empty(layout)
  const bits = new Uint8Array([1, 0, 0, 0, 0, 0, 0xf8, 0x7f])
  const column = page.column(0)
  for (let at = 0; at < 8; at++) bytesOfColumn(column).set(bits, 8 * at)
  page.seal()
  const opened = TilePage.open(layout, page.stored(true))
  if (typeof opened === 'string') return t.fail(opened)
  t.same(bytesOfColumn(opened.column(0)).subarray(56), bits)
  t.end()
})

t.test('a value of NaN in format 2 is damage', (t) => {
  const layout = createLayout([{ name: 'a', type: 'f64' }], 8)
  const page = TilePage.empty(layout)
  page.fill(0, 1)
  page.seal()
  const stored = page.stored(true)
  new DataView(stored.buffer, stored.byteOffset).setFloat64(24, Number.NaN, true)
  t.equal(TilePage.open(layout, stored), 'damaged')
  t.end()
})
