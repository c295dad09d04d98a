import fc from 'fast-check'
import t from 'tap'
import { compareMoments, Visits } from '../../scripts/demo/checks.ts'
import { colourDepthOf, halfBlocks, Ink, shadeOf } from '../../scripts/demo/colours.ts'
import { run } from '../../scripts/demo/demo.ts'
import { Display, legendOf } from '../../scripts/demo/display.ts'
import { momentsOf, Rain } from '../../scripts/demo/rain.ts'
import { letterOf, RainMap, strengthOf } from '../../scripts/demo/rain-map.ts'
import { randomRegion } from '../../scripts/demo/task-stream.ts'
import { countOwned, heirsOf, ownersOf, without } from '../../scripts/demo/tile-owners.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import type { RingView } from '../../shared/protocol/views.ts'

const ESCAPE = '\u001b'

/** Two tiles of 4 × 4 beside each other: dry on the left, wet on the right. */
const GEOMETRY = new Geometry({ width: 8, height: 4, tile: 4 })
const VALUES = Array.from({ length: 32 }, (_, lsu) => (lsu % 8 < 4 ? 10 : 3000))
const MAP = new RainMap(GEOMETRY, VALUES)

function ringOf(states: readonly RingView['members'][number]['state'][]): RingView {
  const members = states.map((state, index) => ({
    id: `node-${index}` as NodeId,
    state,
    weight: 1,
    tiles: 2,
  }))
  const holders = [[0, 1], [1, 2], [2, 0], []]
  const fields = [{ name: 'value', type: 'f64' }] as const
  const grid = { width: 16, height: 4 }
  return { epoch: 1, replicas: 2, tile: 4, grid, fields, version: '1', members, holders }
}

t.test('the rain of the world is whole numbers, one for each LSU', async (t) => {
  const rain = Rain.load()
  t.equal(rain.geometry.width, 360)
  t.equal(rain.geometry.height, 168)
  t.equal(rain.values.length, rain.geometry.lsus)
  t.ok(rain.values.every((value) => Number.isInteger(value) && Math.fround(value) === value))
  t.equal(rain.momentsOf(rain.geometry.whole).sum, momentsOf(rain.values).sum)
  const region = { x: 358, y: 166, w: 2, h: 2 }
  t.same(rain.valuesOf(region), [
    ...rain.values.slice(167 * 360 - 2, 167 * 360),
    ...rain.values.slice(-2),
  ])
})

t.test('moments are those of the textbook', async (t) => {
  t.same(momentsOf([2, 4, 4, 4, 5, 5, 7, 9]), {
    count: 8,
    sum: 40,
    min: 2,
    max: 9,
    mean: 5,
    variance: 4,
  })
})

t.test('a stat must be exact but in mean and variance, which may round', async (t) => {
  const expected = momentsOf([1, 2, 4])
  t.equal(compareMoments(expected, expected), undefined)
  const rounded = { mean: expected.mean * (1 + 1e-12), variance: expected.variance * (1 - 1e-12) }
  t.equal(compareMoments({ ...expected, ...rounded }, expected), undefined)
  for (const name of ['count', 'sum', 'min', 'max', 'mean', 'variance'] as const) {
    const found = { ...expected, [name]: expected[name] * (1 + 1e-8) }
    t.match(compareMoments(found, expected), new RegExp(`^${name} is `))
    t.match(
      compareMoments({ ...expected, [name]: Number.NaN }, expected),
      new RegExp(`^${name} is`),
    )
  }
  t.equal(compareMoments(undefined, expected), 'no value')
  const flat = momentsOf([0, 0])
  t.equal(compareMoments(flat, flat), undefined)
  t.match(compareMoments({ ...flat, variance: 1e-8 }, flat), /^variance/)
})

t.test(
  'the map is letters of nodes: upper case where it rains much, a point for nobody',
  async (t) => {
    t.same(MAP.draw({ columns: 8, rows: 2 }, [0, 1], 'none'), ['aaaaBBBB', 'aaaaBBBB'])
    t.same(MAP.draw({ columns: 4, rows: 1 }, [3, undefined], 'none'), ['dd..'])
    t.equal(letterOf(0, 2), 'c')
    t.equal(letterOf(20_000, 2), 'C')
    t.equal(letterOf(20_000, undefined), '.')
  },
)

t.test('a character shows the mean of what lies below it', async (t) => {
  const values = Array.from({ length: 32 }, (_, lsu) => (lsu % 2 === 0 ? 0 : 2000))
  const map = new RainMap(GEOMETRY, values)
  t.same(map.draw({ columns: 8, rows: 1 }, [0, 1], 'none'), ['aAaAbBbB'])
  t.same(map.draw({ columns: 4, rows: 1 }, [0, 1], 'none'), ['AABB'])
})

t.test(
  'in colour, a character is two pixels, and colours are said where they change',
  async (t) => {
    const dry = shadeOf(0, strengthOf(10), 'true')
    const wet = shadeOf(1, strengthOf(3000), 'true')
    const line = `${ESCAPE}[38;${dry};48;${dry}m▀▀${ESCAPE}[38;${wet};48;${wet}m▀▀${ESCAPE}[0m`
    t.same(MAP.draw({ columns: 4, rows: 1 }, [0, 1], 'true'), [line])
    t.equal(
      halfBlocks(['5;1', '5;1'], ['5;2', '5;3']),
      [`${ESCAPE}[38;5;1;48;5;2m▀`, `${ESCAPE}[38;5;1;48;5;3m▀`, `${ESCAPE}[0m`].join(''),
    )
  },
)

t.test('more rain is never a darker colour, and nobody is grey', async (t) => {
  const brightness = (shade: string): number => {
    const [, red, green, blue] = shade.split(';').map(Number)
    return red! + green! + blue!
  }
  for (const node of [0, 1, 2, 3, undefined]) {
    let before = -1
    for (let rain = 0; rain <= 5000; rain += 50) {
      const now = brightness(shadeOf(node, strengthOf(rain), 'true'))
      t.ok(now >= before, `node ${node} at ${rain} mm`)
      before = now
      t.match(shadeOf(node, strengthOf(rain), 'indexed'), /^5;\d{2,3}$/)
    }
  }
  const [, red, green, blue] = shadeOf(undefined, 0.5, 'true').split(';')
  t.same([red, red], [green, blue])
  const shades = [0, 1, 2, 3, undefined].map((node) => shadeOf(node, 0.5, 'indexed'))
  t.equal(new Set(shades).size, 5)
})

t.test('the map fits, and keeps the shape of the world', async (t) => {
  const { geometry, values } = Rain.load()
  const map = new RainMap(geometry, values)
  const seed = Date.now() % 2 ** 31
  t.comment(`seed ${seed}`)
  const side = fc.integer({ min: 4, max: 300 })
  fc.assert(
    fc.property(side, side, (columns, rows) => {
      const size = map.sizeWithin({ columns, rows })
      const owners = new Array<number>(geometry.tiles).fill(0)
      const lines = map.draw(size, owners, 'none')
      return (
        size.columns <= columns &&
        size.rows <= rows &&
        Math.abs(size.rows * 2 - (size.columns * 168) / 360) <= 1 &&
        lines.length === size.rows &&
        lines.every((line) => /^[aA]+$/.test(line) && line.length === size.columns)
      )
    }),
    { seed, numRuns: 60 },
  )
})

t.test('a tile shows the first alive of its holders', async (t) => {
  const ids = ['node-2', 'node-1', 'node-0']
  t.same(ownersOf(ringOf(['alive', 'alive', 'alive']), ids), [2, 1, 0, undefined])
  t.same(ownersOf(ringOf(['suspect', 'alive', 'alive']), ids), [1, 1, 0, undefined])
  t.same(ownersOf(ringOf(['dead', 'suspect', 'left']), ids), new Array(4).fill(undefined))
  const { holders, ...ring } = ringOf(['alive'])
  t.same(ownersOf(ring, ids), [])
  t.equal(holders?.length, 4)
})

t.test('who takes over is counted', async (t) => {
  const before = [0, 0, 1, 0, 2, 0]
  t.same(countOwned(before, 3), [4, 1, 1])
  t.same(without(before, 0), [undefined, undefined, 1, undefined, 2, undefined])
  t.same(heirsOf(before, [2, 1, 1, 2, 2, undefined], 0), [
    { heir: 2, tiles: 2 },
    { heir: 1, tiles: 1 },
  ])
})

t.test('the legend says who is down and how many tiles nobody serves', async (t) => {
  const nodes = [
    { id: 'edge-a', isDown: false },
    { id: 'edge-b', isDown: true },
  ]
  const scene = { map: MAP, owners: [0, undefined], nodes }
  const plain = 'tiles   a: edge-a 1   b: edge-b down   .: nobody 1   upper case: much rain'
  t.equal(legendOf(scene, new Ink('none')), plain)
  const coloured = legendOf(scene, new Ink('true'))
  t.match(coloured, `${ESCAPE}[38;${shadeOf(0, 0.65, 'true')}m■ edge-a 1${ESCAPE}[0m`)
  t.match(coloured, `${ESCAPE}[38;${shadeOf(undefined, 0.65, 'true')}m■ edge-b down`)
})

t.test('what is not a terminal gets plain lines, and a map of letters', async (t) => {
  let text = ''
  const write = (more: string): void => {
    text += more
  }
  const display = new Display(write, new Ink('none'))
  const scene = { map: MAP, owners: [0, 1], nodes: [{ id: 'edge-a', isDown: false }] }
  display.say('hello')
  display.show(scene)
  t.match(text, /^hello\n\n( {4}a+B+\n)+ {4}tiles {3}a: edge-a 1 {3}upper case: much rain\n\n$/)
  t.notOk(text.includes(ESCAPE))
})

t.test('a terminal gets a map in colours that fits it', async (t) => {
  const { geometry, values } = Rain.load()
  const scene = { map: new RainMap(geometry, values), owners: [0], nodes: [] }
  for (const [columns, width] of [
    [40, 64],
    [100, 92],
    [300, 144],
  ] as const) {
    let text = ''
    const display = new Display((more) => (text += more), new Ink('true'), columns)
    display.show(scene)
    t.equal(text.match(/▀/g)!.length % width, 0)
    t.equal(text.split('\n')[1]!.match(/▀/g)!.length, width)
  }
})

t.test('colours are as many as the terminal has', async (t) => {
  t.equal(colourDepthOf(24, {}), 'true')
  t.equal(colourDepthOf(8, { COLORTERM: 'truecolor' }), 'true')
  t.equal(colourDepthOf(8, { COLORTERM: 'yes' }), 'indexed')
  t.equal(colourDepthOf(4, {}), 'none')
  t.equal(colourDepthOf(1, { COLORTERM: 'truecolor' }), 'none', 'NO_COLOR makes it one bit')
})

t.test('the model of visits counts each add over each LSU of its region', async (t) => {
  const visits = new Visits({ width: 4, height: 3 })
  visits.add({ x: 0, y: 0, w: 4, h: 3 })
  visits.add({ x: 1, y: 1, w: 2, h: 1 })
  visits.add({ x: 2, y: 1, w: 2, h: 2 })
  const expected = [1, 1, 1, 1, 1, 2, 3, 2, 1, 1, 2, 2]
  t.equal(visits.compare(expected), undefined)
  t.equal(visits.compare(expected.with(6, 2)), '1 LSUs differ, the first at 2,1 2 instead of 3')
  t.match(visits.compare(expected.map((value) => value + 1)), /^12 LSUs differ, the first at 0,0/)
  t.equal(visits.compare([]), '0 LSUs instead of 12')
})

t.test('the model agrees with a cell by cell count of random adds', async (t) => {
  const seed = Date.now() % 2 ** 31
  t.comment(`seed ${seed}`)
  const random = new Random(seed)
  const geometry = new Geometry({ width: 40, height: 24, tile: 16 })
  const visits = new Visits(geometry)
  const regions = Array.from({ length: 50 }, () => randomRegion(geometry, random))
  for (const region of regions) {
    t.ok(geometry.contains(region))
    visits.add(region)
  }
  const counted = Array.from({ length: geometry.lsus }, (_, lsu) => {
    const [x, y] = [lsu % 40, Math.floor(lsu / 40)]
    return regions.filter((r) => x >= r.x && x < r.x + r.w && y >= r.y && y < r.y + r.h).length
  })
  t.equal(visits.compare(counted), undefined)
})

t.test('whoever errs in how the demo is started is told where to look', async (t) => {
  await t.rejects(run(['--frob'], {}), { exitCode: 2, message: /'--frob' \(.* demo --help/ })
})
