/** Readings of cells: what is written when, what is acknowledged when, and what a start takes up. */
import fc from 'fast-check'
import t from 'tap'
import type { ReadingsReceived } from '../../../../broker/core/events.ts'
import { PENDING_MAX } from '../../../../broker/core/rules/reading-shares.ts'
import { Geometry } from '../../../../shared/grid/geometry.ts'
import { unpackNumbers } from '../../../../shared/operations/columns.ts'
import { unpackIds } from '../../../../shared/operations/named-lsus.ts'
import type { UserPrincipal } from '../../../../shared/protocol/access.ts'
import type { ReadingsResult } from '../../../../shared/protocol/readings.ts'
import { BENCH_OPTIONS, GatewayBench, settledPair } from '../../../support/gateway-bench.ts'
import { check } from '../../../support/property.ts'

type Entries = ReturnType<GatewayBench['entriesTo']>

const WINDOW_MS = BENCH_OPTIONS.cellsWindowMs
const COMMIT_MS = 250

/** What the last step wrote by readings to a node, as `id: value`. */
function cellsIn(entries: Entries): Record<number, number> {
  const cells: Record<number, number> = {}
  for (const { op, args } of entries) {
    if (op !== 'scatter') continue
    const { ids, values } = args as { ids: Uint8Array; values: Uint8Array }
    const numbers = unpackNumbers(values)
    unpackIds(ids).forEach((id, at) => {
      cells[id] = numbers[at]!
    })
  }
  return cells
}

/** These nodes apply what the last step sent, and what follows; returns what readings brought them. */
function settle(
  bench: GatewayBench,
  names: readonly string[] = ['a', 'b'],
): Record<number, number> {
  const cells: Record<number, number> = {}
  for (;;) {
    const sent = names
      .map((name) => [name, bench.entriesTo(name)] as const)
      .filter(([, entries]) => entries.length > 0)
    const next = []
    for (const [name, entries] of sent) {
      Object.assign(cells, cellsIn(entries))
      next.push(...bench.apply(name, entries))
    }
    if (sent.length === 0) return cells
    bench.effects = next
  }
}

/** The window ends, and both nodes of a pair apply what it brings. */
function endWindow(bench: GatewayBench): Record<number, number> {
  bench.wait(WINDOW_MS)
  return settle(bench)
}

t.test('readings of a window are one write, in which the last of a cell counts', async (t) => {
  const bench = settledPair()
  bench.read([[1, 0, 5]], { qos: 0 })
  bench.read(
    [
      [1, 0, 6],
      [2, 1, 7],
    ],
    { qos: 0 },
  )
  t.same(bench.ledger.count('cell'), 0, 'nobody waits for the disk')
  bench.wait(WINDOW_MS)
  t.same(cellsIn(bench.entriesTo('a')), { 1: 6, 18: 7 })
  t.equal(bench.entriesTo('a').length, 1)
  t.same(
    bench.effects.flatMap((effect) =>
      effect.type === 'publish' || effect.type === 'notice'
        ? [effect.type === 'publish' ? effect.topic.kind : effect.notice.code]
        : [],
    ),
    ['gateway-ring'],
    'it is nobody’s task',
  )
  t.match(
    bench.effects.find(({ type }) => type === 'announce-write'),
    { regions: [{ x: 1, y: 0, w: 2, h: 2 }], seq: 2 },
  )
  t.equal(bench.ledger.count('task'), 1, 'the write of before')
  t.same(
    bench.view.tasks({ limit: 10 }).map(({ id }) => id),
    ['first'],
  )
  t.equal(bench.view.task('$2' as never), undefined)
  t.match(bench.cancel('$2'), { ok: false, refusal: { code: 'unknown-task' } })
})

t.test('a write of readings leaves nothing once all have it', async (t) => {
  const bench = settledPair()
  const before = bench.view.counts().logBytes
  bench.read([[1, 0, 5]])
  t.equal(bench.ledger.count('cell'), 1)
  endWindow(bench)
  t.equal(bench.ledger.count('cell'), 0)
  t.equal(bench.ledger.count('body'), 0)
  t.equal(bench.ledger.count('write'), 0)
  t.equal(bench.view.counts().logBytes, before)
  t.equal(bench.view.counts().cellsPending, 0)
  t.same(
    bench.wait(3 * WINDOW_MS).filter(({ type }) => type === 'announce-write'),
    [],
  )
})

t.test('an acknowledgement waits for the journal, which is written now and then', async (t) => {
  const bench = settledPair()
  const first = bench.read([[1, 0, 5]])
  t.same(bench.acknowledged(), [first], 'the first one at once')
  t.equal(bench.ledger.get('cell', 'value/1'), 5)
  bench.wait(10)
  const second = bench.read([[1, 0, 6]])
  const third = bench.read([[3, 0, 8]])
  t.same(bench.acknowledged(), [])
  bench.wait(COMMIT_MS - 11)
  t.same(bench.acknowledged(), [])
  bench.wait(1)
  t.same(bench.acknowledged(), [second, third])
  t.equal(bench.ledger.get('cell', 'value/1'), 6)
  t.equal(bench.ledger.get('cell', 'value/3'), 8)
})

t.test('a later one that nobody waits for carries the one before it', async (t) => {
  const bench = settledPair()
  bench.read([[0, 0, 1]])
  bench.wait(10)
  const ticket = bench.read([[1, 0, 5]])
  bench.read([[1, 0, 6]], { qos: 0 })
  bench.wait(COMMIT_MS)
  t.same(bench.acknowledged(), [ticket])
  t.equal(bench.ledger.get('cell', 'value/1'), 6)
})

t.test('what a window writes needs no journal', async (t) => {
  const bench = settledPair({ cellsWindowMs: 100 })
  bench.read([[0, 0, 1]])
  bench.wait(90)
  const ticket = bench.read([[1, 0, 5]])
  bench.wait(10)
  t.same(bench.acknowledged(), [ticket])
  t.same(cellsIn(bench.entriesTo('a')), { 0: 1, 1: 5 })
  t.equal(bench.ledger.count('cell'), 0)
})

t.test('a start takes up the journal, and writes of readings as others', async (t) => {
  const bench = settledPair()
  bench.read([[1, 0, 5]])
  bench.wait(WINDOW_MS)
  bench.read([[2, 0, 7]])
  bench.start()
  t.equal(bench.view.counts().cellsPending, 1)
  t.equal(bench.view.counts().writesInLog, 1)
  bench.hello('a')
  t.same(cellsIn(bench.entriesTo('a')), { 1: 5 }, 'the node is sent what it does not have')
  t.same(settle(bench, ['a']), { 1: 5, 2: 7 }, 'and what waited for it is written')
  bench.hello('b')
  t.same(settle(bench), { 1: 5, 2: 7 })
  t.equal(bench.ledger.count('cell'), 0)
  t.equal(bench.ledger.count('body'), 0)
  t.equal(bench.view.counts().writesInLog, 0)
})

t.test('one that was done for those in sync is done after a start, too', async (t) => {
  const bench = settledPair()
  bench.close('b')
  bench.read([[1, 0, 5]])
  bench.wait(WINDOW_MS)
  settle(bench, ['a'])
  const [write] = bench.ledger.load().write
  t.match(write, { key: 2, value: { task: '$2', isDone: true } })
  bench.start()
  t.match(bench.ledger.load().write, [{ value: { isDone: true } }])
  bench.hello('b')
  t.same(cellsIn(bench.entriesTo('b')), { 1: 5 })
  bench.apply('b', bench.entriesTo('b'))
  t.equal(bench.ledger.count('write'), 0)
  t.equal(bench.ledger.count('body'), 0)
})

t.test('a tile that nobody has holds up its own cells alone', async (t) => {
  const bench = new GatewayBench({ replicas: 1 })
  bench.join('a', 'b')
  bench.submit({ id: 'first', op: 'scale' })
  const sent = ['a', 'b'].map((name) => [name, bench.entriesTo(name)] as const)
  for (const [name, entries] of sent) bench.apply(name, entries)
  const tilesOf = (name: string): number[] =>
    [0, 1, 2, 3].filter((tile) => bench.view.holdersOf(tile).includes(name as never))
  const [here, away] = [tilesOf('a')[0]!, tilesOf('b')[0]!]
  bench.close('b')
  const tickets = [bench.read([[4 * here, 0, 5]]), bench.read([[4 * away, 0, 7]])]
  bench.wait(WINDOW_MS)
  t.same(cellsIn(bench.entriesTo('a')), { [4 * here]: 5 })
  t.ok(bench.acknowledged().includes(tickets[1]!), 'it is in the journal')
  t.equal(bench.ledger.count('cell'), 1)
  bench.read([[4 * away, 0, 8]], { qos: 0 })
  bench.wait(5 * WINDOW_MS)
  t.equal(bench.view.counts().cellsPending, 1)
  bench.hello('b')
  const effects = [...bench.effects, ...bench.wait(WINDOW_MS)]
  bench.effects = effects
  t.same(cellsIn(bench.entriesTo('b')), { [4 * away]: 8 })
  t.equal(bench.ledger.count('cell'), 0)
})

t.test('new tiles that a board has no room for hold up their own cells alone', async (t) => {
  const bench = new GatewayBench({ replicas: 1 })
  // Of the 8 tiles, of 168 bytes each, 2 go into the slice of a.
  bench.hello('a', { sliceBytesMax: 400 })
  bench.hello('b')
  bench.wait(bench.options.settleMs)
  const tiles = [0, 1, 2, 3, 4, 5, 6, 7]
  const isOfA = (tile: number): boolean => bench.view.holdersOf(tile).includes('a' as never)
  const cellOf = (tile: number) => [4 * (tile % 4), 4 * Math.floor(tile / 4), tile + 1] as const
  const idOf = (tile: number): number => cellOf(tile)[0] + 16 * cellOf(tile)[1]
  const ofA = tiles.filter(isOfA)
  t.ok(ofA.length > 2, `a is to hold the tiles ${ofA}`)
  bench.read(tiles.map(cellOf))
  const expected = tiles.filter((tile) => !ofA.slice(2).includes(tile))
  t.same(endWindow(bench), Object.fromEntries(expected.map((tile) => [idOf(tile), tile + 1])))
  t.equal(bench.view.counts().cellsPending, ofA.length - 2)
  bench.read([cellOf(ofA[0]!), cellOf(ofA[2]!)])
  t.same(endWindow(bench), { [idOf(ofA[0]!)]: ofA[0]! + 1 }, 'what is born goes on')
  t.equal(bench.ledger.count('cell'), ofA.length - 2)
})

t.test('the boards together have room for some of the new tiles', async (t) => {
  const bench = new GatewayBench()
  for (const name of ['a', 'b']) bench.hello(name, { sliceBytesMax: 1000 })
  bench.wait(bench.options.settleMs)
  bench.read(Array.from({ length: 16 * 8 }, (_, id) => [id % 16, Math.floor(id / 16), id + 1]))
  t.equal(Object.keys(endWindow(bench)).length, 5 * 16)
  t.equal(bench.view.counts().cellsPending, 3 * 16)
  endWindow(bench)
  t.equal(bench.view.counts().cellsPending, 3 * 16)
})

t.test('many are written at once, without the window', async (t) => {
  const grid = {
    ...BENCH_OPTIONS.grid,
    geometry: new Geometry({ width: 128, height: 128, tile: 16 }),
  }
  const bench = new GatewayBench({ grid, logBytesMax: 16 * 1024 * 1024 })
  bench.join('a', 'b')
  const rows = (from: number, count: number): [number, number, number][] =>
    Array.from({ length: count * 128 }, (_, at) => [at % 128, from + Math.floor(at / 128), at])
  for (let row = 0; row < 31; row++) bench.read(rows(row, 1), { qos: 0 })
  t.equal(bench.view.counts().cellsPending, 31 * 128)
  bench.read(rows(31, 1), { qos: 0 })
  bench.wait(0)
  t.equal(Object.keys(cellsIn(bench.entriesTo('a'))).length, 4096)
  t.equal(bench.view.counts().cellsPending, 0)
})

t.test('cells that wait are bounded, and nobody has all the room', async (t) => {
  const geometry = new Geometry({ width: 512, height: 256, tile: 16 })
  const bench = new GatewayBench({ grid: { ...BENCH_OPTIONS.grid, geometry } })
  bench.join('a', 'b')
  bench.close('a')
  bench.close('b')
  /** A client tells rows of 512 cells from `from` on; returns how many are taken before one is refused. */
  const fill = (client: string, from: number): number => {
    for (let rows = 0; ; rows++) {
      bench.wait(2000)
      const entries = Array.from({ length: 512 }, (_, x) => [x, from + rows, 1] as const)
      bench.read(entries, { submitter: { client } })
      if (bench.notices('cell-refused').length > 0) return rows
    }
  }
  const rowsMax = PENDING_MAX / 512
  t.equal(fill('first', 0), (rowsMax * 3) / 4)
  t.match(bench.notices('cell-refused'), [{ reason: 'overloaded', client: 'first' }])
  const second = fill('second', 100)
  t.equal(second, (rowsMax / 4) * (3 / 4), 'of what is left')
  const refused = bench.read([[0, 200, 1]], { submitter: { client: 'first' } })
  t.same(bench.acknowledged(), [refused], 'that is no reason to send it again')
  const pending = (rowsMax * 512 * 15) / 16
  t.equal(bench.view.counts().cellsPending, pending)
  bench.read([[0, 0, 2]], { submitter: { client: 'first' } })
  t.same(bench.view.cellsRefused(), { overloaded: 3 }, 'what waits already may change')
  t.equal(bench.view.counts().cellsPending, pending)
  bench.wait(COMMIT_MS)
  t.equal(bench.ledger.count('cell'), pending)
  t.equal(bench.ledger.get('cell', 'value/0'), 2)
  bench.start()
  t.equal(fill('first', 200), 6, 'what was told before a start is nobody’s, and takes room')
})

t.test('what a user told and was written takes none of his room', async (t) => {
  const geometry = new Geometry({ width: 512, height: 256, tile: 16 })
  const logBytesMax = 64 * 1024 * 1024
  const bench = new GatewayBench({ grid: { ...BENCH_OPTIONS.grid, geometry }, logBytesMax })
  bench.join('a', 'b')
  for (let y = 0; y < 256; y++) {
    bench.read(Array.from({ length: 512 }, (_, x) => [x, y, 1]))
    bench.live(WINDOW_MS)
    settle(bench)
  }
  t.same(bench.view.counts().cellsPending, 0)
  t.same(bench.view.cellsRefused(), {})
})

t.test('whoever is refused is told why, once a second, and all are counted', async (t) => {
  const bench = settledPair()
  const ticket = bench.read([[99, 0, 5]])
  t.same(bench.acknowledged(), [ticket])
  const told = bench.effects.filter((effect) => effect.type === 'publish')
  t.equal(told.length, 1)
  t.match(JSON.parse(String(told[0]!.payload)), {
    client: 'sensor',
    topic: 'obelisk/v1/cell/value',
    code: 'outside-grid',
    errors: [{ code: 'outside-grid' }],
  })
  t.equal(told[0]!.topic.kind, 'task-rejected')
  bench.read([[0, 0, 5]], { field: 'nothing' })
  t.same(
    bench.effects.map(({ type }) => type),
    ['answer-reading'],
  )
  bench.read([[99, 0, 5]], { submitter: { client: 'another' } })
  t.equal(bench.notices('cell-refused').length, 1)
  bench.wait(1000)
  bench.read([[99, 0, 5]])
  t.equal(bench.notices('cell-refused').length, 1)
  t.same(bench.view.cellsRefused(), { 'outside-grid': 3, 'unknown-field': 1 })
})

t.test(
  'of a user whose clients are many one is told in a second, and each of them hears',
  async (t) => {
    const bench = settledPair()
    const user: UserPrincipal = { kind: 'user', name: 'ann', roles: ['submitter'], topics: [] }
    const refused = (): [clients: unknown[], told: number] => {
      const clients: unknown[] = []
      let told = 0
      for (let number = 0; number < 40; number++) {
        bench.read([[99, 0, 5]], { submitter: { user, client: `ann-${number}` } })
        clients.push(...bench.notices('cell-refused').map(({ client }) => client))
        told += bench.effects.filter(({ type }) => type === 'publish').length
      }
      return [clients, told]
    }
    t.same(refused(), [['ann-0'], 40])
    t.same(refused(), [[], 0])
    bench.wait(1000)
    t.same(refused(), [['ann-0'], 40])
    bench.read([[99, 0, 5]], { submitter: { user: { ...user, name: 'bob' }, client: 'bob' } })
    t.match(bench.notices('cell-refused'), [{ by: 'user/bob' }])
  },
)

t.test('a grant names the operation, the field and the cell', async (t) => {
  const bench = settledPair()
  const grant = { ops: ['scatter'], fields: ['value'], regions: [{ x: 0, y: 0, w: 2, h: 2 }] }
  const user: UserPrincipal = { kind: 'user', name: 'ann', roles: ['submitter'], grant, topics: [] }
  const readAs = (who: UserPrincipal, x: number): Record<string, unknown>[] => {
    bench.wait(2000)
    bench.read([[x, 0, 5]], { submitter: { user: who } })
    return bench.notices('cell-refused')
  }
  t.same(readAs(user, 1), [])
  t.match(readAs(user, 2), [{ reason: 'not-granted', by: 'user/ann' }])
  t.match(readAs({ ...user, grant: { ...grant, ops: ['set'] } }, 1), [{ reason: 'not-granted' }])
  t.match(readAs({ ...user, grant: { ...grant, fields: [] } }, 1), [{ reason: 'not-granted' }])
  t.match(readAs({ ...user, roles: ['viewer'] }, 1), [{ reason: 'not-granted' }])
  t.same(readAs({ kind: 'user', name: 'op', roles: ['operator'], topics: [] }, 9), [])
})

t.test(
  'what an input takes out of a message needs no grant, and is taken as far as it can be',
  async (t) => {
    const bench = settledPair()
    const readings = { field: 0, cells: [1, 18], values: [5, 6] }
    const problem = { path: '[[input]] 3', code: 'wrong-type', message: 'no number' } as const
    const user: UserPrincipal = {
      kind: 'user',
      name: 'ann',
      roles: ['viewer'],
      topics: ['zigbee/#'],
    }
    const read = (isByInput: boolean, ...results: ReadingsResult[]): void => {
      const submitter = { via: 'mqtt', client: 'z2m', user } as const
      const message = { topic: 'zigbee/kitchen', submitter, ticket: 7, results, isByInput }
      bench.wait(2000)
      bench.step({ type: 'readings-received', ...message })
    }
    read(true, { ok: true, readings }, { ok: false, problems: [problem] })
    t.same(bench.acknowledged(), [7], 'once, with what is in the journal')
    t.equal(bench.ledger.count('cell'), 2)
    t.match(bench.notices('cell-refused'), [
      { client: 'z2m', topic: 'zigbee/kitchen', reason: 'wrong-type', by: 'user/ann' },
    ])
    t.same(bench.view.cellsRefused(), { 'wrong-type': 1 })
    t.same(endWindow(bench), { 1: 5, 18: 6 })
    read(true, { ok: false, problems: [problem] })
    t.same(bench.acknowledged(), [7], 'refused')
    read(false, { ok: true, readings })
    t.match(bench.notices('cell-refused'), [{ reason: 'not-granted' }])
    t.equal(bench.ledger.count('cell'), 0)
  },
)

t.test('who is beyond the rate is acknowledged late, and then refused', async (t) => {
  const bench = settledPair()
  const results = [{ ok: true, readings: { field: 0, cells: [1], values: [5] } }] as const
  const read = (given: Pick<ReadingsReceived, 'ticket' | 'results' | 'waitMs'>): number[] => {
    const submitter = { via: 'mqtt', client: 'z2m' } as const
    bench.step({ type: 'readings-received', topic: 'zigbee/kitchen', submitter, ...given })
    return bench.acknowledged()
  }
  t.same(read({ ticket: 1, results, waitMs: 1000 }), [])
  t.equal(bench.ledger.count('cell'), 1, 'it is taken')
  t.same(read({ ticket: 2, results: [], waitMs: 1500 }), [], 'there was nothing in it')
  bench.wait(990)
  t.same(bench.acknowledged(), [])
  bench.wait(30)
  t.same(bench.acknowledged(), [1])
  bench.wait(500)
  t.same(bench.acknowledged(), [2])
  t.same(bench.view.cellsRefused(), {})
  t.same(read({ ticket: 3, results: 'too-many' }), [3], 'to send it again would not help')
  t.match(bench.notices('cell-refused'), [{ client: 'z2m', reason: 'overloaded' }])
  read({ results: 'too-many' })
  t.same(bench.notices('cell-refused'), [], 'that is said once a second')
  t.same(bench.view.cellsRefused(), { overloaded: 2 })
})

t.test('an older reading of a cell is none', async (t) => {
  const bench = settledPair()
  bench.read([[0, 0, 1]])
  bench.wait(10)
  bench.read([[1, 0, 5]], { ts: 1000 })
  const late = bench.read([[1, 0, 4]], { ts: 999 })
  bench.read([[2, 0, 4]], { ts: 999 })
  bench.wait(COMMIT_MS)
  t.ok(bench.acknowledged().includes(late!), 'the later one is in the journal')
  t.same(bench.view.cellsRefused(), { older: 1 })
  t.same(endWindow(bench), { 0: 1, 1: 5, 2: 4 })
  bench.read([[1, 0, 3]], { ts: 999 })
  t.equal(bench.view.counts().cellsPending, 0, 'it is known beyond the window')
  bench.read([[1, 0, 3]])
  t.equal(bench.view.counts().cellsPending, 1, 'one without a time is taken')
  bench.live(3_700_000)
  bench.read([[1, 0, 2]], { ts: 999 })
  t.equal(bench.view.counts().cellsPending, 1, 'for an hour')
})

t.test('a sensor with a clock far ahead shuts nobody out', async (t) => {
  const bench = settledPair()
  bench.read([[1, 0, 5]], { ts: 4_070_908_800_000 })
  bench.read([[1, 0, 4]], { ts: 1000 })
  bench.read([[1, 0, 3]], { ts: 999 })
  t.same(endWindow(bench), { 1: 4 }, 'those that are right are in order')
  t.same(bench.view.cellsRefused(), { older: 1 })
})

t.test('a full log and a full disk take no readings away', async (t) => {
  const bench = settledPair({ logBytesMax: 150 })
  bench.read([[1, 0, 5]])
  bench.wait(WINDOW_MS)
  const sent = ['a', 'b'].map((name) => [name, bench.entriesTo(name)] as const)
  bench.read([
    [1, 0, 6],
    [2, 0, 6],
  ])
  bench.wait(WINDOW_MS + 1)
  t.same(cellsIn(bench.entriesTo('a')), {}, 'the log has no room while both are at the first')
  t.equal(bench.view.counts().cellsPending, 2)
  for (const [name, entries] of sent) bench.apply(name, entries)
  bench.wait(WINDOW_MS)
  t.same(cellsIn(bench.entriesTo('a')), { 1: 6, 2: 6 })
  bench.step({ type: 'disk-checked', freeBytes: 1000 })
  bench.read([[3, 0, 6]])
  t.match(bench.notices('cell-refused'), [{ reason: 'disk-full' }])
})

t.test('nothing is taken where nothing could hold it', async (t) => {
  const bench = new GatewayBench()
  bench.read([[1, 0, 5]])
  t.match(bench.notices('cell-refused'), [{ reason: 'no-node' }])
})

t.test('whatever happens, each cell comes to the last reading or a later one', async (t) => {
  const act = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ x: fc.nat(15), y: fc.nat(7), qos: fc.constantFrom(0, 1) }),
    },
    { weight: 3, arbitrary: fc.record({ waitMs: fc.constantFrom(1, 100, 250, 1000) }) },
    { weight: 1, arbitrary: fc.record({ away: fc.constantFrom('a', 'b') }) },
    { weight: 1, arbitrary: fc.record({ back: fc.constantFrom('a', 'b') }) },
    { weight: 1, arbitrary: fc.constant({ restart: true }) },
  )
  check(
    t,
    fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
      const bench = settledPair()
      const grid = new Map<number, number>()
      /** By cell: the last value that was acknowledged, and by ticket what is to be. */
      const promised = new Map<number, number>()
      const open = new Map<number, [cell: number, value: number]>()
      const gone = new Set<string>()
      let value = 0
      const take = (): void => {
        for (const ticket of bench.acknowledged()) {
          const [cell, told] = open.get(ticket)!
          promised.set(cell, Math.max(told, promised.get(cell) ?? 0))
        }
        const cells = settle(
          bench,
          ['a', 'b'].filter((name) => !gone.has(name)),
        )
        for (const [cell, number] of Object.entries(cells)) grid.set(Number(cell), number)
      }
      const back = (name: string): void => {
        gone.delete(name)
        bench.hello(name)
        take()
      }
      for (const one of acts) {
        if ('x' in one) {
          value += 1
          const { x, y, qos } = one
          const ticket = bench.read([[x, y, value]], { qos: qos as 0 | 1 })
          if (ticket !== undefined) open.set(ticket, [16 * y + x, value])
        } else if ('waitMs' in one) bench.wait(one.waitMs)
        else if ('away' in one && !gone.has(one.away)) {
          bench.close(one.away)
          gone.add(one.away)
        } else if ('back' in one && gone.has(one.back)) back(one.back)
        else if ('restart' in one) {
          bench.start()
          for (const name of ['a', 'b']) gone.add(name)
          back('a')
          back('b')
        }
        take()
      }
      for (const name of [...gone]) back(name)
      for (let windows = 0; windows < 4; windows++) {
        bench.wait(WINDOW_MS)
        take()
      }
      for (const [cell, last] of promised) {
        if ((grid.get(cell) ?? 0) < last) throw new Error(`cell ${cell} has not ${last}`)
      }
      if (bench.ledger.count('cell') > 0) throw new Error('the journal is not empty')
      if (bench.ledger.count('body') > 0) throw new Error('a body is left')
    }),
  )
})
