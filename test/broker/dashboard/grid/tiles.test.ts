import t from 'tap'
import {
  byCount,
  byHolder,
  byState,
  colourOf,
  copiesOf,
  countsOf,
  kindsOf,
  readTileMap,
  runsOf,
  stateOf,
  type TileMap,
  tilesOf,
  tilesToAsk,
  tileView,
  written,
} from '../../../../broker/dashboard/grid/tiles.ts'
import { TILE_MISSING, TILE_UNBORN } from '../../../../shared/protocol/ring-tiles.ts'

// 4 × 3 tiles; the last column is 2 cells wide, the last row 1 high.
const grid = { width: 14, height: 9, tile: 4 }
const stage = { grid }
const HOLDERS = [
  ...[1, 2, 1, 2, 2, 1, 2, 0],
  ...[1, 2, 0, 0, 0, 0, 2, 1],
  ...[1, 3, 3, 1, 3, 1, 1, 3],
]
const STATE = [1, 1, 1, 0, 1, 2, 2, 1, 0, 0, 1, 1]

function answer(): Record<string, unknown> {
  const bytes = new Uint8Array(1 + HOLDERS.length * 4)
  bytes.set(new Uint8Array(Uint32Array.from(HOLDERS).buffer), 1)
  return {
    ...{ epoch: 7, x: 0, y: 0, w: 4, h: 3, replicas: 2, members: ['a', 'b', 'c'] },
    // Where in the answer a byte string begins is by chance.
    ...{ holders: bytes.subarray(1), state: Uint8Array.from(STATE) },
  }
}
const map = readTileMap(answer())!
const whole = { stage, visible: { x: 0, y: 0, w: 14, h: 9 } }

t.test(
  'of a large fleet the layer shows how many hold a tile, and still what one node has',
  (t) => {
    const kinds = (isLarge: boolean, node?: string): number[] => {
      const kindOf = kindsOf(map, { isLarge, node })
      return STATE.map((_, place) => kindOf(place))
    }
    t.same(kinds(false), [1, 1, 2, 2, 1, 0, 0, 2, 1, 3, 3, 1])
    t.same(kinds(true), [2, 2, 2, 1, 2, 0, 0, 2, 2, 2, 2, 2])
    t.same(kinds(true, 'c'), kinds(false, 'c'))
    t.same([...copiesOf(map)], [2, 1, 9])
    t.end()
  },
)

t.test('a map is read, or refused when its lists are of another size', (t) => {
  t.same([...map.holders], HOLDERS)
  t.equal(map.epoch, 7)
  for (const change of [{ w: 5 }, { replicas: 3 }, { state: new Uint8Array() }, { holders: [] }]) {
    t.equal(readTileMap({ ...answer(), ...change }), undefined)
  }
  t.end()
})

t.test('a tile has its holders by name, and its state', (t) => {
  t.same(tileView(map, 0, 0), { holders: ['a', 'b'], state: 1 })
  t.same(tileView(map, 3, 0), { holders: ['b'], state: 0 })
  t.same(tileView(map, 1, 1), { holders: [], state: TILE_MISSING })
  t.equal(stateOf(map, 3, 0), TILE_UNBORN)
  t.equal(stateOf(map, 4, 0), undefined)
  t.equal(tileView(map, 4, 0), undefined)
  t.equal(tileView(map, 0, 3), undefined)
  t.end()
})

t.test('tiles that are beside each other are one rectangle, cut at the edge of the grid', (t) => {
  t.same(runsOf(map, whole, byState(map, TILE_MISSING)), [
    { kind: 1, region: { x: 4, y: 4, w: 8, h: 4 } },
  ])
  t.same(runsOf(map, whole, byState(map, TILE_UNBORN)), [
    { kind: 1, region: { x: 12, y: 0, w: 2, h: 4 } },
    { kind: 1, region: { x: 0, y: 8, w: 8, h: 1 } },
  ])
  t.same(runsOf(map, whole, byHolder(map, 'c')), [{ kind: 3, region: { x: 0, y: 8, w: 14, h: 1 } }])
  t.same(runsOf(map, whole, byHolder(map, 'stranger')), [])
  t.same(runsOf(map, { stage, visible: { x: 9, y: 5, w: 5, h: 3 } }, byCount(map)), [
    { kind: 2, region: { x: 12, y: 4, w: 2, h: 4 } },
  ])
  t.same([...countsOf(map)], [9, 6, 4])
  t.same(runsOf(map, { stage, visible: { x: 5, y: 0, w: 5, h: 5 } }, byHolder(map)), [
    { kind: 1, region: { x: 4, y: 0, w: 4, h: 4 } },
    { kind: 2, region: { x: 8, y: 0, w: 4, h: 4 } },
  ])
  t.end()
})

t.test('a map of a part of the grid knows its part', (t) => {
  const part: TileMap = {
    ...map,
    area: { x: 2, y: 1, w: 2, h: 2 },
    holders: Uint32Array.from([1, 2, 2, 1, 3, 1, 1, 3]),
    state: Uint8Array.from([0, 1, 1, 0]),
  }
  t.equal(tileView(part, 1, 1), undefined)
  t.same(tileView(part, 2, 2), { holders: ['c', 'a'], state: 1 })
  t.same(runsOf(part, whole, byState(part, TILE_UNBORN)), [
    { kind: 1, region: { x: 8, y: 4, w: 4, h: 4 } },
    { kind: 1, region: { x: 12, y: 8, w: 2, h: 1 } },
  ])
  t.same([...written(part, { x: 12, y: 7, w: 2, h: 2 }, grid)!.state], [0, 1, 1, 1])
  t.same([...part.state], [0, 1, 1, 0], 'the map itself is as it was')
  t.equal(written(part, { x: 13, y: 5, w: 1, h: 1 }, grid), undefined)
  t.equal(written(part, { x: 0, y: 0, w: 4, h: 4 }, grid), undefined)
  t.end()
})

t.test('of a grid with too many tiles only what is in sight is asked for', (t) => {
  const huge = { width: 8192, height: 8192, tile: 4 }
  t.same(tilesToAsk(grid, { x: 0, y: 0, w: 1, h: 1 }), { x: 0, y: 0, w: 4, h: 3 })
  t.same(tilesToAsk(huge, { x: 5, y: 7, w: 2000, h: 1000 }), { x: 1, y: 1, w: 501, h: 251 })
  t.equal(tilesToAsk(huge, { x: 0, y: 0, w: 8192, h: 8192 }), undefined)
  t.same(tilesOf({ x: 4, y: 3, w: 4, h: 2 }, grid), { x: 1, y: 0, w: 1, h: 2 })
  t.end()
})

t.test('nodes that are few have colours that are far apart', (t) => {
  const colours = Array.from({ length: 8 }, (_, member) => colourOf(member + 1))
  const gaps = colours.flatMap((one, index) =>
    colours
      .slice(index + 1)
      .map((other) => Math.hypot(...one.map((channel, at) => channel - other[at]!))),
  )
  t.ok(Math.min(...gaps) > 60, `${Math.round(Math.min(...gaps))}`)
  t.same(colourOf(0), [174, 41, 41], 'red, as hsl(0 62% 42%) is')
  t.ok(colours.flat().every((channel) => channel >= 0 && channel <= 255))
  t.end()
})
