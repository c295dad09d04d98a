import t from 'tap'
import { colourTable } from '../../../shared/grid/colours.ts'
import { coloursOf, enlarged, paletteOf, rangeOf, UNKNOWN } from '../../../shared/grid/picture.ts'

function inSlices(slices: Generator<void, Uint8Array>) {
  for (let count = 1; ; count++) {
    const slice = slices.next()
    if (slice.done === true) return { count, pixels: slice.value }
  }
}

t.test('each pixel is a square', async (t) => {
  const { pixels } = inSlices(enlarged(Uint8Array.of(1, 2, 3, 4), 2, 2))
  t.same([...pixels], [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4])
})

t.test('the largest picture is made in slices', async (t) => {
  const small = Uint8Array.from({ length: 512 * 512 }, (_, at) => at % 251)
  const { count, pixels } = inSlices(enlarged(small, 512, 4))
  t.equal(count, 17, 'with the end')
  t.equal(pixels.length, 2048 * 2048)
  t.ok(pixels.every((pixel, at) => pixel === small[(at >> 13) * 512 + ((at & 2047) >> 2)]))
})

const floats = (...values: number[]): Float32Array => Float32Array.from(values)

t.test('a range is that of what is known', async (t) => {
  t.same(rangeOf(floats(3, Number.NaN, -1, 2), 'viridis'), { low: -1, high: 3 })
  t.same(rangeOf(floats(3, Number.NaN, -1, 2), 'change'), { low: -3, high: 3 })
  t.same(rangeOf(floats(Number.NaN), 'change'), { low: 0, high: 1 })
  t.same(rangeOf(floats(), 'grey'), { low: 0, high: 1 })
})

t.test('a colour is as far from its ends as its value is', async (t) => {
  const colours = coloursOf(floats(-9, 0, 25.4, 50, 99.9, 100, 500, Number.NaN), {
    low: 0,
    high: 100,
  })
  t.same([...colours], [0, 0, 64, 127, 254, 254, 254, UNKNOWN])
  t.same([...coloursOf(floats(4, Number.NaN), { low: 4, high: 4 })], [127, UNKNOWN])
  const each = floats(...Array.from({ length: 255 }, (_, colour) => colour + 0.5))
  const all = coloursOf(each, { low: 0, high: 255 })
  t.same(
    [...all],
    [...each].map((value) => value - 0.5),
    'each has an equal part',
  )
})

t.test('a palette goes from end to end of its table', async (t) => {
  const table = colourTable('magma')
  const palette = paletteOf(table)
  t.equal(palette.length, 768)
  const colour = (of: Uint8Array, at: number): number[] => [...of.subarray(3 * at, 3 * at + 3)]
  t.same(colour(palette, 0), colour(table, 0))
  t.same(colour(palette, 127), colour(table, 128))
  t.same(colour(palette, 254), colour(table, 255))
  t.same(colour(palette, UNKNOWN), [0, 0, 0])
})
