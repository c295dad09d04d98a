/** A coordinator on a bench whose ledger was rebuilt from a node, which had some of the tiles. */
import type { IdentityRecord } from '../../broker/core/ledger-records.ts'
import { packTiles } from '../../shared/operations/columns.ts'
import { GatewayBench } from './gateway-bench.ts'

const CHAIN = new Uint8Array(8).fill(7)

interface Shown {
  readonly tiles: readonly number[]
  readonly ats: readonly number[]
}

/** A node of the lost ledger comes, and shows what it holds. */
export function show(bench: GatewayBench, name: string, { tiles, ats }: Shown): void {
  bench.hello(name, { ledgerId: 'lost', position: 3, chain: CHAIN, seq: Math.max(...ats) })
  bench.receive(`${name}-${bench.connections}`, name, {
    ...({ t: 'held', storeId: `store-${name}`, position: 3, from: 0, next: null } as const),
    ...{ tiles: packTiles([...tiles]), ats: [...ats] },
  })
}

export function identityOf(bench: GatewayBench): IdentityRecord {
  return bench.ledger.get<IdentityRecord>('meta', 'identity')!
}

/** It waits for so many nodes; with 0, for those of the copy that it was restored from. */
export function recovering(known: Partial<IdentityRecord> = {}, recoverNodes = 1): GatewayBench {
  const bench = new GatewayBench({ replicas: 1, recoverNodes, probationMs: 0 })
  const value = { ...identityOf(bench), isRecovering: true, ...known }
  bench.ledger.write([{ table: 'meta', key: 'identity', value }])
  bench.start()
  return bench
}

/** From `a`, which held tiles 0 and 1, of 8; these nodes of a copy were not waited for. */
export function rebuilt(absentNodes: readonly string[] = []): GatewayBench {
  const bench = recovering({ restored: { ts: 1, seq: 1, nodes: ['a', ...absentNodes] } })
  show(bench, 'a', { tiles: [0, 1], ats: [20, 20] })
  bench.hello('a', { ledgerId: 'ledger', position: 0, chain: new Uint8Array(8) })
  bench.live(bench.options.graceMs + bench.options.settleMs)
  return bench
}
