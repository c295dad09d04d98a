/** A copy of the ledger in the place of one that is lost: what it keeps, whom it waits for, and who is welcome. */
import t from 'tap'
import type {
  IdentityRecord,
  LedgerContents,
  TaskRecord,
} from '../../../broker/core/ledger-records.ts'
import { restoredChanges } from '../../../broker/core/restored-ledger.ts'
import { PLACEMENT_CHUNK_TILES } from '../../../broker/core/state/placement.ts'
import { packTiles, unpackNumbers, unpackTileBits } from '../../../shared/operations/columns.ts'
import { unpackIds } from '../../../shared/operations/named-lsus.ts'
import { decodeCbor } from '../../../shared/protocol/cbor.ts'
import {
  ADD,
  EMPTY_STORE,
  GatewayBench,
  GET,
  settledPair,
  TILE_0,
  WALL_START_MS,
} from '../../support/gateway-bench.ts'

const COPY_TS = 1_750_000_001_000
const NOW_TS = COPY_TS + 3_600_000
const MOMENT = { ledgerId: 'second', nowTs: NOW_TS, copyTs: COPY_TS }
const CHAIN = new Uint8Array(8).fill(7)
const LIMITS = { bytesMax: 65_536, depthMax: 8, itemsMax: 1024 }

/** A gateway on the copy of another one's ledger. */
function restored(from: GatewayBench, recoverNodes = 0, ledgerId = 'second'): GatewayBench {
  const bench = new GatewayBench({ recoverNodes, reconnectMs: 65_000 })
  for (const table of Object.keys(from.ledger.load()) as (keyof LedgerContents)[]) {
    const rows = from.ledger.load()[table]
    bench.ledger.write(rows.map(({ key, value }) => ({ table, key, value }) as never))
  }
  for (const { key } of from.ledger.load().task) {
    const value = from.ledger.get<Uint8Array>('result', key)
    if (value !== undefined) bench.ledger.write([{ table: 'result', key, value }])
  }
  bench.ledger.write([...restoredChanges(from.ledger.load(), { ...MOMENT, ledgerId })])
  bench.start()
  return bench
}

function show(
  bench: GatewayBench,
  name: string,
  { position, tiles, ats }: { position: number; tiles: number[]; ats: number[] },
): void {
  bench.hello(name, { ledgerId: 'ledger', position, chain: CHAIN, seq: Math.max(...ats) })
  bench.receive(`${name}-${bench.connections}`, name, {
    ...({ t: 'held', storeId: `store-${name}`, position, from: 0, next: null } as const),
    ...{ tiles: packTiles(tiles), ats },
  })
}

function saidOf(bench: GatewayBench, code: string): string[] {
  return bench.effects.flatMap((effect) =>
    effect.type === 'notice' && effect.notice.code === code ? [effect.notice.message] : [],
  )
}

function taskIn(bench: GatewayBench, id: string) {
  const result = decodeCbor(bench.ledger.get<Uint8Array>('result', id) ?? new Uint8Array(), LIMITS)
  return { ...bench.view.task(id as never), result: result.ok ? result.value : undefined }
}

t.test(
  'what had not ended fails, keeps its id, and never runs; what had ended is as it was',
  (t) => {
    const old = settledPair()
    old.submit({ ...ADD, region: TILE_0, id: 'done' })
    const [toA, toB] = [old.entriesTo('a'), old.entriesTo('b')]
    old.apply('a', toA)
    old.apply('b', toB)
    old.submit({ ...ADD, region: TILE_0, id: 'sequenced' })
    old.submit({ ...GET, id: 'asked' })
    old.submit({ op: 'digest', items: [{ key: 'a', data: 'b' }], id: 'items' })
    t.equal(old.view.task('done' as never)!.state, 'completed')
    const result = old.ledger.get('result', 'done')
    const bench = restored(old)
    t.same(bench.ledger.get('result', 'done'), result)
    t.equal(bench.view.task('done' as never)!.effect, 'done')
    t.match(taskIn(bench, 'sequenced'), {
      state: 'failed',
      effect: 'pending',
      error: { code: 'restored' },
      result: { id: 'sequenced', state: 'failed', effect: 'pending', error: { code: 'restored' } },
    })
    for (const id of ['asked', 'items']) {
      t.match(taskIn(bench, id), { state: 'failed', effect: 'none', error: { code: 'restored' } })
    }
    for (const table of [
      'member',
      'stream',
      'placement',
      'body',
      'write',
      'control',
      'move',
    ] as const)
      t.equal(bench.ledger.count(table), 0, table)
    show(bench, 'a', { position: 9, tiles: [0], ats: [40] })
    show(bench, 'b', { position: 9, tiles: [0], ats: [40] })
    bench.wait(bench.options.reconnectMs)
    for (const name of ['a', 'b']) bench.hello(name, { ledgerId: 'second' })
    bench.wait(bench.options.graceMs + bench.options.settleMs)
    t.same(bench.sent('entries'), [], 'nothing of it is on its way')
    t.match(bench.submit({ ...ADD, region: TILE_0, id: 'sequenced' }), { ok: true })
    t.same(bench.sent('entries'), [], 'a repeat does not run')
    t.match(bench.submit({ ...GET, id: 'sequenced' }), { refusal: { code: 'id-conflict' } })
    t.end()
  },
)

t.test('it waits for the nodes of the copy, and for as long as others may sleep', (t) => {
  const bench = restored(settledPair())
  const refusal = { code: 'recovering', message: /obelisk node ls says who is awaited$/ }
  t.match(bench.submit({ ...GET }), { refusal })
  const empty = { copy_ts: COPY_TS, expected: 2, shown: 0, nodes: [], empty: [] }
  t.match(bench.view.detector().recovery, {
    ...empty,
    awaited: ['a', 'b'],
    until_ts: WALL_START_MS + 65_000,
  })
  bench.wait(20_000)
  t.match(bench.view.detector().recovery, { until_ts: WALL_START_MS + 65_000 }, 'it does not move')
  t.equal(bench.view.moves().paused_for, 'recovering')
  show(bench, 'a', { position: 3, tiles: [0], ats: [20] })
  t.match(bench.notices('recovery-progress'), [{ nodes: 1, expected: 2 }])
  bench.wait(bench.options.reconnectMs)
  t.same(bench.notices('recovered'), [], 'not without b')
  bench.hello('b', EMPTY_STORE)
  t.same(bench.notices('recovered'), [], 'nor with a card of b that has nothing')
  t.same(
    bench.view.detector().recovery,
    { ...empty, shown: 1, nodes: ['a'], awaited: ['b'], empty: ['b'] },
    'and no time says when that ends',
  )
  show(bench, 'b', { position: 2, tiles: [0, 1], ats: [25, 4] })
  t.match(bench.notices('recovered'), [{ nodes: 2, tiles: 2, newer: 24 }])
  t.same(bench.view.holdersOf(0), ['b'])
  t.same(bench.ledger.get<IdentityRecord>('meta', 'identity'), {
    ...bench.ledger.get<IdentityRecord>('meta', 'identity')!,
    ...{ ledgerId: 'second', seq: 25, isRecovering: false, formerLedgerIds: ['ledger'] },
  })
  t.notHas(bench.ledger.get('meta', 'identity'), { restored: {} })
  t.same(bench.view.detector().recovery, undefined)
  t.end()
})

t.test(
  'readings that come while the fleet is waited for are acknowledged, and written then',
  (t) => {
    const bench = restored(settledPair())
    const ticket = bench.read([[1, 0, 5]])
    const now = bench.acknowledged()
    bench.wait(300)
    t.same([...now, ...bench.acknowledged()], [ticket])
    t.same(bench.notices('cell-refused'), [])
    t.equal(bench.ledger.get('cell', 'value/1'), 5)
    bench.wait(5 * bench.options.cellsWindowMs)
    bench.start()
    bench.wait(5 * bench.options.cellsWindowMs)
    t.equal(bench.ledger.count('write'), 0, 'not before it is known how far its tile has come')
    for (const name of ['a', 'b']) show(bench, name, { position: 3, tiles: [0], ats: [20] })
    bench.wait(bench.options.reconnectMs)
    t.match(bench.notices('recovered'), [{ nodes: 2 }])
    t.same(bench.ledger.count('write'), 0)
    for (const name of ['a', 'b']) bench.hello(name, { ledgerId: 'second' })
    bench.wait(bench.options.graceMs + bench.options.settleMs)
    bench.wait(bench.options.cellsWindowMs)
    t.equal(bench.ledger.count('cell'), 0)
    t.equal(bench.ledger.count('write'), 1, 'it is on its way to both')
    t.end()
  },
)

t.test('of the tiles that nobody has it is said how many the copy had as written', (t) => {
  const old = settledPair()
  old.submit({ ...ADD, region: TILE_0, id: 'written' })
  const bench = restored(old)
  for (const name of ['a', 'b']) show(bench, name, { position: 3, tiles: [1], ats: [20] })
  bench.wait(bench.options.reconnectMs)
  const missing = bench.options.grid.geometry.tiles - 1
  t.match(bench.notices('recovered'), [{ tiles: 1, missing, missingWritten: 1 }])
  t.equal(bench.view.detector().tiles_missing, missing)
  t.match(bench.submit({ ...ADD, region: TILE_0 }), {
    refusal: { code: 'tile-missing', message: /^nobody has tile 0: .* obelisk ring recreate / },
  })
  bench.step({ type: 'recreate-requested' })
  t.notHas(bench.view.detector(), { tiles_missing: missing })
  t.end()
})

t.test('what is missing is told with how much of it was written, and who may have it', (t) => {
  const old = settledPair()
  old.submit({ ...ADD, region: TILE_0, id: 'written' })
  const bench = restored(old, 1)
  show(bench, 'b', { position: 2, tiles: [1], ats: [25] })
  const missing = bench.options.grid.geometry.tiles - 1
  const told = { tiles_missing: missing, tiles_missing_written: 1, nodes_absent: ['a'] }
  t.match(bench.view.detector(), { doubts: [], ...told })
  bench.start()
  t.match(bench.view.detector(), told, 'after a start, too')
  const again = restored(bench, 1, 'third')
  bench.hello('b', { ledgerId: 'second' })
  show(again, 'b', { position: 2, tiles: [1], ats: [25] })
  t.match(
    again.view.detector(),
    { ...told, tiles_missing_written: 1 },
    'a copy of it tells no more',
  )
  show(bench, 'a', { position: 3, tiles: [0], ats: [20] })
  t.match(bench.view.detector(), {
    ...{ tiles_missing: missing - 1, tiles_missing_written: 0 },
    nodes_absent: undefined,
  })
  again.step({ type: 'recreate-requested' })
  t.same(again.view.detector(), { doubts: [] })
  t.notHas(again.ledger.get('meta', 'identity'), { absentNodes: [] }, 'they are awaited no more')
  t.end()
})

t.test(
  'a copy says which tiles it has as written, wherever they lie, and so does a copy of it',
  (t) => {
    const old = settledPair()
    const born = (...tiles: readonly number[]) => {
      return Uint8Array.from({ length: PLACEMENT_CHUNK_TILES }, (_, at) =>
        Number(tiles.includes(at)),
      )
    }
    const copy: LedgerContents = {
      ...old.ledger.load(),
      placement: [
        { key: 0, value: { born: born(0, 5), holders: new Uint8Array() } },
        { key: 2, value: { born: born(1), holders: new Uint8Array() } },
      ],
    }
    const written = [0, 5, 2 * PLACEMENT_CHUNK_TILES + 1]
    const first = identityIn(copy)
    t.same([...unpackTileBits(first.restored!.written!)], written)
    const meta = { key: 'identity', value: { ...first, seq: 9 } } as const
    const second = identityIn({ ...copy, placement: [], member: [], meta: [meta] })
    t.same(second.restored, { ...first.restored, seq: 9 })
    const { written: _, ...unsaid } = first.restored!
    const older = { ...meta, value: { ...meta.value, restored: unsaid } }
    const third = identityIn({ ...copy, meta: [older] })
    t.same(third.restored, { ...unsaid, seq: 9 }, 'what an earlier version left open stays so')
    t.end()
  },
)

/** What becomes of it. */
function identityIn(copy: LedgerContents): IdentityRecord {
  const changes = [...restoredChanges(copy, MOMENT)]
  return changes.find(({ table }) => table === 'meta')!.value as IdentityRecord
}

t.test('a node that joined after the copy is waited for as long as it may sleep', (t) => {
  const bench = restored(settledPair())
  show(bench, 'a', { position: 3, tiles: [0], ats: [20] })
  show(bench, 'b', { position: 2, tiles: [1], ats: [4] })
  bench.wait(bench.options.reconnectMs - 1)
  t.same(bench.notices('recovered'), [])
  bench.hello('c', { ledgerId: 'ledger', position: 7, chain: CHAIN, seq: 30, storeId: 'store-c' })
  bench.wait(1)
  t.same(bench.notices('recovered'), [], 'it is showing what it holds')
  bench.receive(`c-${bench.connections}`, 'c', {
    ...({ t: 'held', storeId: 'store-c', position: 7, from: 0, next: null } as const),
    ...{ tiles: packTiles([0]), ats: [30] },
  })
  t.match(bench.notices('recovered'), [{ nodes: 3 }])
  t.same(bench.view.holdersOf(0), ['c'])
  t.end()
})

t.test('an operator who says how many nodes are left is not made to wait', (t) => {
  const bench = restored(settledPair(), 1)
  show(bench, 'b', { position: 2, tiles: [0], ats: [25] })
  t.match(bench.notices('recovered'), [{ nodes: 1, tiles: 1 }])
  t.match(saidOf(bench, 'recovery-progress'), [/^1 node has shown what it holds$/])
  t.match(saidOf(bench, 'recovered'), [/^a new ledger from 1 node: 1 tile; /], 'one is one')
  t.end()
})

t.test('a copy of a gateway that had no node yet waits for none', (t) => {
  const bench = restored(new GatewayBench())
  t.match(bench.notices('restored'), [{ nodes: 0 }])
  bench.hello('a')
  bench.wait(bench.options.reconnectMs - 1)
  t.same(bench.notices('recovered'), [], 'others may have joined after it')
  bench.wait(1)
  t.match(bench.notices('recovered'), [{ nodes: 0, tiles: 0 }])
  bench.hello('a')
  t.match(bench.sent('welcome'), [{}])
  t.end()
})

t.test('a task that fails is kept as one that ends now, however long nothing was written', (t) => {
  const old = settledPair()
  old.live(3_600_000)
  for (const name of ['a', 'b']) old.close(name)
  old.submit({ ...ADD, region: TILE_0, id: 'open' })
  old.submit({ ...GET, id: 'gone', deadline_ms: 1000 })
  old.wait(1000)
  const { endedMs } = old.ledger.get<TaskRecord>('task', 'gone')!
  t.ok(endedMs! > 3_600_000)
  const bench = restored(old)
  t.match(bench.ledger.get('task', 'open'), { state: 'failed', endedMs })
  t.end()
})

t.test('the copy says what it is at each start, until it is none any more', (t) => {
  const bench = restored(settledPair())
  t.match(bench.notices('restored'), [{ copyTs: COPY_TS, nodes: 2 }])
  bench.start()
  t.match(bench.notices('restored'), [{ copyTs: COPY_TS, nodes: 2 }])
  const again = restored(bench)
  t.match(again.notices('restored'), [{ nodes: 2 }], 'a copy of one that waits knows whom, too')
  show(bench, 'a', { position: 3, tiles: [0], ats: [20] })
  show(bench, 'b', { position: 3, tiles: [0], ats: [20] })
  bench.wait(bench.options.reconnectMs)
  bench.start()
  t.same(bench.notices('restored'), [])
  t.end()
})

/** Both show this of the first tiles, and go to work; what readings then bring to the boards, by LSU. */
function cellsAfter(bench: GatewayBench, ats: readonly number[]): Record<number, number> {
  const shown = { position: 9, tiles: ats.map((_, tile) => tile), ats: [...ats] }
  for (const name of ['a', 'b']) show(bench, name, shown)
  bench.wait(bench.options.reconnectMs)
  for (const name of ['a', 'b']) bench.hello(name, { ledgerId: 'second' })
  return written(bench)
}

function written(bench: GatewayBench): Record<number, number> {
  const cells: Record<number, number> = {}
  bench.effects.push(...bench.live(bench.options.graceMs))
  for (let isOver = false; !isOver; ) {
    const sent = ['a', 'b'].map((name) => [name, bench.entriesTo(name)] as const)
    isOver = sent.every(([, entries]) => entries.length === 0)
    const next = []
    for (const [name, entries] of sent) {
      Object.assign(cells, ...entries.map(cellsIn))
      if (entries.length > 0) next.push(...bench.apply(name, entries))
    }
    bench.effects = next
  }
  return cells
}

function cellsIn({ op, args }: ReturnType<GatewayBench['entriesTo']>[number]) {
  if (op !== 'scatter') return {}
  const { ids, values } = args as { ids: Uint8Array; values: Uint8Array }
  const numbers = unpackNumbers(values)
  return Object.fromEntries([...unpackIds(ids)].map((id, at) => [id, numbers[at]!]))
}

/** A pair with this in its journal, since nobody can take it; its last sequence is 1. */
function pairWithJournal(): GatewayBench {
  const old = settledPair()
  for (const name of ['a', 'b']) old.close(name)
  old.read([
    [1, 0, 5],
    [5, 0, 6],
    [9, 0, 7],
  ])
  old.wait(2 * old.options.cellsWindowMs)
  old.read([[1, 0, 8]])
  old.wait(old.options.cellsWindowMs)
  return old
}

t.test('a reading of the journal comes to the boards, unless they are ahead of the copy', (t) => {
  const bench = restored(pairWithJournal())
  t.equal(bench.view.counts().cellsPending, 3)
  bench.start()
  t.same(cellsAfter(bench, [1, 2, 1]), { 1: 8, 9: 7 }, 'also after another start')
  t.equal(bench.view.counts().cellsPending, 0)
  t.equal(bench.ledger.count('cell'), 0)
  t.end()
})

t.test('it is said how many were taken', (t) => {
  const bench = restored(pairWithJournal(), 2)
  for (const name of ['a', 'b'])
    show(bench, name, { position: 9, tiles: [0, 1, 2], ats: [1, 2, 0] })
  t.match(bench.notices('recovered'), [{ readings: 1, olderReadings: 1 }])
  t.end()
})

t.test('readings of a write that was under way come to the boards that do not have it', (t) => {
  for (const [at, isWritten] of [
    [1, true],
    [2, false],
    [3, false],
  ] as const) {
    const old = settledPair()
    old.read([[1, 0, 5]], { qos: 0 })
    old.wait(old.options.cellsWindowMs)
    t.equal(old.ledger.load().write.length, 1)
    // The sequence of the copy says nothing here.
    old.submit({ ...ADD, region: { x: 8, y: 4, w: 1, h: 1 } })
    const bench = restored(old)
    t.same(cellsAfter(bench, [at]), isWritten ? { 1: 5 } : {}, `at ${at}`)
    t.equal(bench.ledger.count('cell'), 0)
  }
  t.end()
})

t.test('of a cell the last one counts, wherever it stood', (t) => {
  const old = settledPair()
  for (const value of [5, 6]) {
    old.read([[1, 0, value]])
    old.wait(old.options.cellsWindowMs)
  }
  const both = restored(old)
  t.equal(old.ledger.load().write.length, 2)
  t.same(cellsAfter(both, [2]), { 1: 6 }, 'the first is on the boards')
  old.read([[1, 0, 7]])
  t.same(cellsAfter(restored(old), [2]), { 1: 7 })
  t.same(cellsAfter(restored(restored(old, 0, 'between')), [2]), { 1: 7 }, 'a copy of a copy')
  t.end()
})

t.test('a reading of a tile that nobody shows waits until the tile begins anew', (t) => {
  const bench = restored(pairWithJournal())
  t.same(cellsAfter(bench, [1, 1]), { 1: 8, 5: 6 })
  t.equal(bench.view.counts().cellsPending, 1)
  bench.start()
  t.equal(bench.view.counts().cellsPending, 1)
  for (const name of ['a', 'b']) bench.hello(name, { ledgerId: 'second' })
  bench.step({ type: 'recreate-requested' })
  t.same(written(bench), { 9: 7 })
  t.equal(bench.ledger.count('cell'), 0)
  t.end()
})

t.test('a later reading of its cell takes its place', (t) => {
  const bench = restored(pairWithJournal())
  cellsAfter(bench, [1, 1])
  bench.read([[9, 0, 9]], { qos: 0 })
  t.equal(bench.view.counts().cellsPending, 1)
  bench.step({ type: 'recreate-requested' })
  t.same(written(bench), { 9: 9 })
  t.equal(bench.ledger.count('cell'), 0)
  t.end()
})

t.test('a node that comes late says whether readings of its tiles count', (t) => {
  for (const at of [1, 2]) {
    const bench = restored(pairWithJournal())
    cellsAfter(bench, [1, 1])
    show(bench, 'c', { position: 4, tiles: [2], ats: [at] })
    t.match(bench.notices('recovered-late'), [{ tiles: 1 }])
    t.equal(bench.ledger.count('cell'), at === 1 ? 1 : 0)
    t.equal(bench.view.counts().cellsPending, at === 1 ? 1 : 0)
  }
  t.end()
})

t.test('an upgrade that was under way stands still, and its nodes say what they run', (t) => {
  const old = settledPair()
  const upgrade = {
    ...{ id: 'u1', version: '2.0.0', packages: {}, wave: { nodes: 1 }, pauseMs: 0 },
    ...{ mayBeAway: false, isCanaryDone: true, startedTs: 1 },
  }
  old.ledger.write([
    { table: 'upgrade', key: 'latest', value: { ...upgrade, state: 'running' } },
    { table: 'upgradeNode', key: 'a', value: { upgrade: 'u1', state: 'installing' } },
    { table: 'upgradeNode', key: 'b', value: { upgrade: 'u1', state: 'went-back', failed: ['x'] } },
  ])
  const bench = restored(old)
  t.match(bench.ledger.get('upgrade', 'latest'), {
    state: 'stopped',
    stopped: { code: 'restored' },
  })
  t.match(bench.ledger.get('upgradeNode', 'a'), { state: 'waiting' })
  t.match(bench.ledger.get('upgradeNode', 'b'), { state: 'went-back', failed: ['x'] })
  t.end()
})

t.test(
  'it is put together once, though somebody showed what it holds until a moment before',
  (t) => {
    const bench = restored(settledPair())
    bench.wait(bench.options.reconnectMs)
    const told = { ledgerId: 'ledger', position: 9, chain: CHAIN, seq: 40 }
    bench.hello('c', told)
    show(bench, 'a', { position: 9, tiles: [0], ats: [40] })
    show(bench, 'b', { position: 9, tiles: [0], ats: [40] })
    t.same(bench.notices('recovered'), [], 'it may have what nobody else has')
    bench.step({ type: 'connection-closed', connection: 'c-1' })
    show(bench, 'c', { position: 9, tiles: [1], ats: [40] })
    t.match(bench.notices('recovered'), [{ nodes: 3, tiles: 2 }])
    bench.hello('d', told)
    const late = `d-${bench.connections}`
    bench.wait(2000)
    t.same(bench.notices('recovered'), [])
    const held = { t: 'held', storeId: 'store-d', position: 9, from: 0, next: null } as const
    bench.receive(late, 'd', { ...held, tiles: packTiles([2]), ats: [40] })
    t.match(bench.notices('recovered-late'), [{ node: 'd', tiles: 1 }])
    t.end()
  },
)
