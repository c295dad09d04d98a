/** What is said of tiles that nobody has, before an operator gives them up. */
import t from 'tap'
import type { IdentityRecord, LedgerContents } from '../../../../broker/core/ledger-records.ts'
import { restoredChanges } from '../../../../broker/core/restored-ledger.ts'
import { Placement } from '../../../../broker/core/state/placement.ts'
import type { NodeId } from '../../../../shared/core/ids.ts'
import { unpackTileBits } from '../../../../shared/operations/columns.ts'
import { EMPTY_STORE, type GatewayBench } from '../../../support/gateway-bench.ts'
import { DIGEST, drain } from '../../../support/moving-tile.ts'
import { identityOf, rebuilt, recovering, show } from '../../../support/rebuilt-bench.ts'

const TILES = 8

/** Tile 0, of which only `a` has a copy, is damaged. */
function lose(bench: GatewayBench, tile: number): void {
  const { position, chain } = bench.node('a')
  const broken = new Uint8Array(Uint32Array.of(tile).buffer)
  bench.say('a', { t: 'applied', position, chain, results: [], broken })
  t.match(bench.notices('tile-lost'), [{ tile }])
}

/** As an earlier version wrote them. */
function withoutMarks({ placement }: LedgerContents): LedgerContents['placement'] {
  return placement.map(({ key, value: { supposed: _unknown, ...value } }) => ({ key, value }))
}

t.test('a ledger of before it was said what may have been written', async (t) => {
  const bench = rebuilt()
  const told = { tiles_missing: TILES - 2, tiles_missing_written: 0 }
  t.match(bench.view.detector(), told)
  const old = withoutMarks(bench.ledger.load())
  bench.ledger.write(old.map((row) => ({ table: 'placement', ...row }) as never))

  t.test('knows of no missing tile that it was', async (t) => {
    bench.start()
    t.match(bench.view.detector(), told)
  })

  t.test('and a copy of it says no more', async (t) => {
    const moment = { ledgerId: 'next', nowTs: 3, copyTs: 2 }
    const changes = [...restoredChanges({ ...bench.ledger.load(), placement: old }, moment)]
    const meta = changes.find(({ table }) => table === 'meta')!.value as IdentityRecord
    t.same([...unpackTileBits(meta.restored!.written!)], [0, 1])
  })

  t.test('but of one that was never rebuilt all were written', async (t) => {
    const placement = new Placement({ tiles: TILES, replicas: 1, virtualNodes: 1, loadBound: 2 })
    const born = new Uint8Array(TILES).fill(1)
    placement.restoreChunk(0, { born, holders: new Uint8Array(4 * TILES) })
    t.match(placement.tally, { missing: TILES, missingWritten: TILES })
  })
})

t.test(
  'what is lost after a recovery is known to have been written, after a start too',
  async (t) => {
    const bench = rebuilt()
    bench.step({ type: 'recreate-requested' })
    lose(bench, 0)
    const told = { tiles_missing: 1, tiles_missing_written: 1 }
    t.match(bench.view.detector(), told)
    bench.start()
    t.match(bench.view.detector(), told)
  },
)

t.test('a node that was not waited for', async (t) => {
  t.test('and came late is not named again once it is removed', async (t) => {
    const bench = rebuilt(['y', 'z'])
    t.match(bench.view.detector(), { nodes_absent: ['y', 'z'] })
    show(bench, 'z', { tiles: [], ats: [1] })
    t.match(bench.notices('recovered-late'), [{ node: 'z' }])
    bench.live(bench.options.deadAfterMs + bench.options.graceMs, ['a'])
    bench.step({ type: 'removal-requested', node: 'z' as NodeId })
    t.match(bench.notices('node-removed'), [{ node: 'z' }])
    t.same(bench.view.detector().nodes_absent, ['y'])
    show(bench, 'y', { tiles: [], ats: [1] })
    t.notOk('absentNodes' in identityOf(bench))
  })

  t.test('is named as long as a tile stays missing that it may have', async (t) => {
    const bench = rebuilt(['z'])
    bench.join('c')
    drain(bench, 'a')
    bench.wait(bench.options.settleMs)
    const { move } = bench.sent('copy').find(({ tile }) => tile === 0)!
    bench.say('c', { t: 'staged', move, tile: 0, at: 20, digest: DIGEST })
    bench.hello('a', EMPTY_STORE)
    bench.step({ type: 'recreate-requested' })
    t.match(bench.notices('tiles-recreated'), [{ tiles: TILES - 1 }])
    t.match(bench.view.detector(), { tiles_missing: 1, nodes_absent: ['z'] })
    show(bench, 'z', { tiles: [0], ats: [19] })
    t.same(bench.view.detector(), { doubts: [] })
  })

  t.test('is counted where it is not named', async (t) => {
    const names = Array.from({ length: 103 }, (_, index) => `n${1000 + index}`)
    const { nodes_absent: absent, nodes_absent_more: more } = rebuilt(names).view.detector()
    t.same({ absent, more }, { absent: names.slice(0, 100), more: 3 })
    t.notMatch(rebuilt(names.slice(3)).view.detector(), { nodes_absent_more: Number })
  })
})

t.test('of those that came with nothing it is said how many are not named', async (t) => {
  const bench = recovering()
  for (let one = 0; one < 102; one++) bench.hello(`n${one}`, { ...EMPTY_STORE, storeId: `s${one}` })
  const { empty = [], empty_more: more } = bench.view.detector().recovery!
  t.same([empty.length, more], [100, 2])
})

t.test('no more is given up than was shown', async (t) => {
  const recreate = (bench: GatewayBench, shown?: string) => {
    const ticket = 9
    const effects = bench.step({ type: 'recreate-requested', ticket, ...(shown && { shown }) })
    const answers = effects.filter(({ type }) => type === 'answer-recreate')
    t.match(answers, [{ ticket }])
    return (answers[0] as { tiles?: number }).tiles
  }
  const markOf = (bench: GatewayBench) => bench.view.detector().tiles_missing_mark!

  t.test('where another tile was lost meanwhile, nothing is', async (t) => {
    const bench = rebuilt()
    const shown = markOf(bench)
    lose(bench, 0)
    t.equal(recreate(bench, shown), undefined)
    t.match(bench.view.detector(), { tiles_missing: TILES - 1 })
    t.same(bench.notices('tiles-recreated'), [])
    t.equal(recreate(bench, markOf(bench)), TILES - 1)
    t.equal(recreate(bench), 0)
  })

  t.test('nor where it is another one in the place of one that has come', async (t) => {
    const bench = rebuilt(['z'])
    const shown = markOf(bench)
    show(bench, 'z', { tiles: [5], ats: [7] })
    lose(bench, 0)
    t.match(bench.view.detector(), { tiles_missing: TILES - 2 })
    t.equal(recreate(bench, shown), undefined)
  })

  t.test('fewer are given up all the same', async (t) => {
    const bench = rebuilt(['z'])
    const shown = markOf(bench)
    show(bench, 'z', { tiles: [5], ats: [7] })
    t.equal(recreate(bench, shown), TILES - 3)
  })

  t.test('who was shown them before a start is shown them again', async (t) => {
    const bench = rebuilt()
    const shown = markOf(bench)
    bench.start()
    t.equal(recreate(bench, shown), undefined)
  })

  t.test('who says nothing of what he was shown gives up all', async (t) => {
    const bench = rebuilt()
    lose(bench, 0)
    t.equal(recreate(bench), TILES - 1)
  })
})
