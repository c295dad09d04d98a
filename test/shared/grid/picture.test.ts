import t from 'tap'
import { enlarged } from '../../../shared/grid/picture.ts'

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
