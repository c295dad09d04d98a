/** What is said of tiles that nobody has, before an operator gives them up. */
import t from 'tap'
import type { IdentityRecord, LedgerContents } from '../../../broker/core/ledger-records.ts'
import { Placement } from '../../../broker/core/placement.ts'
import { restoredChanges } from '../../../broker/core/restored-ledger.ts'
import { packTiles, unpackTileBits } from '../../../shared/operations/columns.ts'
import { GatewayBench } from '../../support/gateway-bench.ts'

const CHAIN = new Uint8Array(8).fill(7)
const TILES = 8

interface Shown {
  readonly tiles: readonly number[]
  readonly ats: readonly number[]
  readonly ledgerId?: string
}

/** A node of a lost ledger comes, and shows what it holds. */
function show(bench: GatewayBench, name: string, { tiles, ats, ledgerId = 'lost' }: Shown): void {
  bench.hello(name, { ledgerId, position: 3, chain: CHAIN, seq: Math.max(...ats) })
  bench.receive(`${name}-${bench.connections}`, name, {
    ...({ t: 'held', storeId: `store-${name}`, position: 3, from: 0, next: null } as const),
    ...{ tiles: packTiles([...tiles]), ats: [...ats] },
  })
}

function identityOf(bench: GatewayBench): IdentityRecord {
  return bench.ledger.get<IdentityRecord>('meta', 'identity')!
}

/** A ledger that was rebuilt from `a`, which held tiles 0 and 1; these nodes of a copy were not waited for. */
function rebuilt(absentNodes: readonly string[] = []): GatewayBench {
  const bench = new GatewayBench({ replicas: 1, recoverNodes: 1 })
  const restored = { ts: 1, seq: 1, nodes: ['a', ...absentNodes] }
  const meta = { ...identityOf(bench), isRecovering: true, restored }
  bench.ledger.write([{ table: 'meta', key: 'identity', value: meta }])
  bench.start()
  show(bench, 'a', { tiles: [0, 1], ats: [20, 20] })
  bench.hello('a', { ledgerId: 'ledger', position: 0, chain: new Uint8Array(8) })
  bench.wait(bench.options.graceMs + bench.options.settleMs)
  return bench
}

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
