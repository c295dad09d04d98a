/** What becomes of it with the tiles of a placement is in placement.test.ts. */
import t from 'tap'
import { TileTally } from '../../../../broker/core/state/tile-tally.ts'

t.test('a tile counts as it stands, and is taken out as it stood', async (t) => {
  const tally = new TileTally(2)
  const slots = Uint32Array.of(1, 3, 0, 0, 3, 0)
  for (const tile of [0, 1, 2]) tally.count(slots, tile, tile === 1, 1)
  const [a, b] = [0, 2]
  t.same([...tally.written].sort(), [
    [a, 1],
    [b, 2],
  ])
  t.match(tally, { missing: 1, missingWritten: 0, losses: 1 })
  tally.count(slots, 0, false, -1)
  slots.fill(0, 0, 2)
  tally.count(slots, 0, false, 1)
  t.same([...tally.written], [[b, 1]], 'who has none is left out')
  t.same([tally.writtenOf(a), tally.writtenOf(b)], [0, 1])
  t.match(tally, { missing: 2, missingWritten: 1, losses: 2 })
  tally.count(slots, 1, true, -1)
  t.match(tally, { missing: 1, missingWritten: 1, losses: 2 }, 'that one was missing stays true')
})
