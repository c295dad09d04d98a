/** Cells that took a value are counted once a tile, whoever tells of it, in any order, and over a start. */
import t from 'tap'
import { WrittenTally } from '../../../../broker/core/state/written-tally.ts'
import { STATUS } from '../../../../shared/osl/codex.ts'
import { CountRuns } from '../../../../shared/protocol/written-counts.ts'

const FIELDS = [1, STATUS]
const TILES = Uint32Array.of(3, 4, 9, 11, 20)

function told(...tiles: (readonly [number, number] | undefined)[]): Uint8Array {
  const runs = new CountRuns(FIELDS.length)
  for (const tile of tiles) runs.add(tile)
  return runs.take()
}

const totalsOf = (tally: WrittenTally) => tally.totals && [...tally.totals]

t.test('each tile counts once, and the totals are known when all do', (t) => {
  const tally = new WrittenTally(FIELDS, TILES)
  t.equal(tally.add(Uint32Array.of(4, 11, 20), told([5, 1], [6, 0], [7, 0])), undefined)
  t.equal(tally.add(Uint32Array.of(4, 9, 20), told([5, 1], undefined, [7, 0])), undefined)
  t.equal(tally.add(Uint32Array.of(3), told([100, 2])), undefined)
  t.equal(totalsOf(tally), undefined, 'of one nobody knows')
  t.equal(tally.add(Uint32Array.of(9), told([0, 0])), undefined)
  t.strictSame(totalsOf(tally), [
    [1, 118],
    [STATUS, 3],
  ])
  t.end()
})

t.test('replicas that differ are found, and the first counts', (t) => {
  const tally = new WrittenTally(FIELDS, TILES)
  tally.add(TILES, told([1, 0], [1, 0], [1, 0], [1, 0], [1, 0]))
  t.match(tally.add(Uint32Array.of(9), told([1, 1])), 'of tile 9')
  t.match(tally.add(Uint32Array.of(9, 11), told([1, 1])), 'other tiles')
  t.strictSame(totalsOf(tally)?.[0], [1, 5])
  t.end()
})

t.test('it goes on where its record stands', (t) => {
  const before = new WrittenTally(FIELDS, TILES)
  before.add(Uint32Array.of(3, 9, 20), told([1, 1], [2, 2], [3, 3]))
  const tally = new WrittenTally(FIELDS, TILES, before.record)
  t.strictSame(tally.record, before.record)
  t.equal(tally.add(Uint32Array.of(9, 11), told([2, 2], [4, 4])), undefined, 'one twice')
  t.equal(totalsOf(tally), undefined)
  tally.add(Uint32Array.of(4), told([5, 5]))
  t.strictSame(totalsOf(tally), [
    [1, 15],
    [STATUS, 15],
  ])
  t.end()
})
