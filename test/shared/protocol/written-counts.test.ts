/** How many cells took a value, tile by tile, through the wire; what is none of a part is refused. */
import fc from 'fast-check'
import t from 'tap'
import { CountRuns, countsOfRuns, UNKNOWN_COUNT } from '../../../shared/protocol/written-counts.ts'
import { check } from '../../support/property.ts'

const counts = fc.constantFrom(0, 1, 256, 4096)
const part = fc.integer({ min: 1, max: 4 }).chain((fields) =>
  fc.record({
    fields: fc.constant(fields),
    tiles: fc.array(
      fc.option(fc.array(counts, { minLength: fields, maxLength: fields }), { nil: undefined }),
      { minLength: 1, maxLength: 40 },
    ),
  }),
)

t.test('what is told of each tile comes out as it went in', (t) => {
  check(
    t,
    fc.property(part, ({ fields, tiles }) => {
      const runs = new CountRuns(fields)
      for (const tile of tiles) runs.add(tile)
      const found = countsOfRuns(runs.take(), { tiles: tiles.length, fields })
      const unknown = new Array<number>(fields).fill(UNKNOWN_COUNT)
      t.strictSame(
        [...found!],
        tiles.flatMap((tile) => tile ?? unknown),
      )
    }),
  )
  t.end()
})

t.test('tiles with the same counts are one run', (t) => {
  const runs = new CountRuns(2)
  for (let tile = 0; tile < 70_000; tile++) runs.add([256, 3])
  t.strictSame([...new Uint16Array(runs.take().buffer)], [65_535, 256, 3, 4465, 256, 3])
  t.end()
})

t.test('what is of other tiles or fields is none', (t) => {
  const runs = new CountRuns(2)
  for (const count of [1, 2, 2]) runs.add([count, 0])
  const bytes = runs.take()
  t.ok(countsOfRuns(bytes, { tiles: 3, fields: 2 }))
  t.equal(countsOfRuns(bytes, { tiles: 2, fields: 2 }), undefined, 'too many tiles')
  t.equal(countsOfRuns(bytes, { tiles: 4, fields: 2 }), undefined, 'too few')
  t.equal(countsOfRuns(bytes, { tiles: 3, fields: 3 }), undefined, 'another number of fields')
  t.equal(countsOfRuns(bytes.subarray(1), { tiles: 3, fields: 2 }), undefined, 'half a number')
  const none = new Uint8Array(Uint16Array.of(0, 1, 1, 3, 1, 1).buffer)
  t.equal(countsOfRuns(none, { tiles: 3, fields: 2 }), undefined, 'a run of none')
  t.end()
})
