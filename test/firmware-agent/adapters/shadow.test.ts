/** A ghost on a board: whose tiles are compared, what is told, and what becomes of one that takes too long. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { OperationRunner } from '../../../firmware-agent/adapters/operation-runner.ts'
import { Shadow } from '../../../firmware-agent/adapters/shadow.ts'
import { SliceStore } from '../../../firmware-agent/adapters/slice-store.ts'
import { Random } from '../../../shared/core/random.ts'
import { createLayout } from '../../../shared/grid/page-layout.ts'
import { TilePage } from '../../../shared/grid/tile-page.ts'
import { packTiles } from '../../../shared/operations/columns.ts'
import type { Wire } from '../../../shared/operations/operation.ts'
import { argsOfProgram } from '../../../shared/operations/osl-program.ts'
import { compile } from '../../../shared/osl/compiler.ts'
import type { GhostReport } from '../../../shared/protocol/ghost-report.ts'
import type { Entry, GridShape } from '../../../shared/protocol/messages.ts'
import { countsOfRuns, UNKNOWN_COUNT } from '../../../shared/protocol/written-counts.ts'

const GRID: GridShape = { width: 16, height: 8, tile: 4, fields: 'value:f64' }
const FIELDS = [{ name: 'value', type: 'f64' }] as const
const TILES = [0, 1, 2, 3, 4, 5, 6, 7]

async function start(t: Test): Promise<{ store: SliceStore; runner: OperationRunner }> {
  const limits = { sliceBytesMax: 2 ** 24, outboxBytesMax: 65_536 }
  const store = await SliceStore.open(
    join(t.testdir(), 'store'),
    limits,
    new Random(1),
    (error) => {
      t.fail(error.message)
    },
  )
  t.teardown(async () => await store.close())
  await store.adopt('ledger', GRID)
  return { store, runner: new OperationRunner({}, store) }
}

function argsOf(source: string): Wire {
  const result = compile(source, { fields: FIELDS, width: GRID.width })
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return argsOfProgram(result.compiled.program)
}

let position = 0
function entryOf(source: string, ghost: string, mine?: Uint8Array): Entry {
  position += 1
  const share = mine === undefined ? {} : { mine }
  return {
    position,
    seq: position,
    chain: new Uint8Array(8),
    op: 'osl1-write',
    region: [0, 0, 16, 8],
    args: { ...argsOf(source), ghost: { ...argsOf(ghost), tolerance: 0, ...share } },
    tiles: packTiles(TILES),
    body: new Uint8Array(8),
  }
}

const countsOf = ({ differ }: GhostReport): number[] => [
  ...countsOfRuns(differ, { tiles: TILES.length, fields: 1 })!,
]

t.test('what differs is told of the tiles that are to be compared', async (t) => {
  const { store, runner } = await start(t)
  const none = UNKNOWN_COUNT
  const alike = await runner.apply([
    // All tiles are as one: it acts once.
    entryOf('value = 3', 'value = 3'),
    entryOf('value = value + 1', 'value = value + 1.5', Uint8Array.of(0b10000110)),
    // Each by itself.
    entryOf('value = x', 'value = x where x < 15 or y > 0', Uint8Array.of(0b11111010)),
    entryOf('value = x', 'value = min(x, 14)', Uint8Array.of(0b11111010)),
  ])
  const [same, shared, kept, other] = alike.results.map(({ ghost }) => ghost!)
  t.strictSame(same, { differ: Uint8Array.of(8, 0, 0, 0), max: 0 })
  t.strictSame(countsOf(shared!), [none, 16, 16, none, none, none, none, 16])
  t.match(shared, { max: 0.5, first: { field: 0, lsu: 0, current: 4, ghost: 4.5 } })
  // Of the first row the ghost left one cell as it was.
  t.strictSame(countsOf(kept!), [none, 0, none, 1, 0, 0, 0, 0])
  t.match(kept, { max: 11, first: { field: 0, lsu: 15, current: 15, ghost: 4 } })
  t.strictSame(countsOf(other!), [none, 0, none, 4, 0, 0, 0, 4])
  t.strictSame([...store.readPage(3)!.column(0).subarray(0, 4)], [12, 13, 14, 15])
  const again = await runner.apply([{ ...entryOf('value = 1', 'value = 2'), seq: 1 }])
  t.strictSame(
    countsOf(again.results[0]!.ghost!),
    TILES.map(() => none),
    'was there already',
  )
})

t.test('a ghost that takes too long is left out from then on, and that is told', (t) => {
  let nowMs = 0
  let calls = 0
  const run = {
    costRatio: 3,
    compare() {
      calls += 1
      nowMs += 40
      return { differ: 0, max: 0 }
    },
  }
  const pace = {
    get nowMs() {
      return nowMs
    },
  }
  const page = TilePage.empty(createLayout(FIELDS, 16))
  const window = { tile: 0, stride: 4, left: 0, top: 0, w: 4, h: 4 }
  const actsFor = (ms: number, tiles: number): GhostReport => {
    const shadow = new Shadow(run, undefined, pace)
    let acted = 0
    for (let tile = 0; tile < tiles; tile++) {
      shadow.begin(tile)
      const act = (): void => {
        acted += 1
        nowMs += ms
      }
      if (shadow.isAsked) shadow.found(shadow.compare(page, window, act))
      else act()
      shadow.end()
    }
    t.equal(acted, tiles, 'the write acts on all of them')
    return shadow.take()
  }
  const slow = actsFor(1, 8)
  t.equal(slow.late, true)
  t.strictSame(countsOf(slow), [0, 0, ...TILES.slice(2).map(() => UNKNOWN_COUNT)])
  t.equal(calls, 2)
  const fair = actsFor(10, 8)
  t.strictSame(
    countsOf(fair),
    TILES.map(() => 0),
  )
  t.notOk('late' in fair)
  t.end()
})
