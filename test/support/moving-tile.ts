/** A tile on its way from one node to another, as unit tests of the coordinator need it. */
import type { Move } from '../../broker/core/state/move-table.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import type { Entry } from '../../shared/protocol/messages.ts'
import { type GatewayBench, settledPair } from './gateway-bench.ts'

export const DIGEST = new Uint8Array(8).fill(7)
export const page = (at: number): { tile: number; at: number; digest: Uint8Array } => ({
  tile: 0,
  at,
  digest: DIGEST,
})
export const opsOf = (entries: readonly Entry[]): string[] =>
  entries.map(({ op, position, seq }) => `${position} ${op} ${seq}`)

export interface Asked {
  readonly bench: GatewayBench
  /** The number of the move of tile 0, and who was asked for the page. */
  readonly move: Move['id']
  readonly source: string
}

/** `a` and `b` hold tile 0, `c` has joined, `a` is drained: a copy for `c` was asked for. */
export function draining(options: Partial<GatewayBench['options']> = {}): Asked {
  const bench = settledPair(options)
  bench.join('c')
  drain(bench, 'a')
  bench.wait(bench.options.settleMs)
  return { bench, ...asked(bench) }
}

export function drain(bench: GatewayBench, node: string, isWanted = true): void {
  bench.step({ type: 'drain-requested', node: node as NodeId, isWanted })
}

export function asked(bench: GatewayBench): { move: number; source: string } {
  const sources = [...bench.nodes.keys()].filter((name) => {
    return bench.sent('copy', bench.node(name).connection).length > 0
  })
  if (sources.length !== 1) throw new Error(`${sources.length} nodes are asked`)
  const [copy] = bench.sent('copy')
  return { move: copy!.move, source: sources[0]! }
}

/** As `draining`, and the page is adopted by an entry that is on its way to `c`. */
export function catchingUp(
  options: Partial<GatewayBench['options']> = {},
): Asked & { toC: Entry[] } {
  const all = draining(options)
  all.bench.say('c', { t: 'staged', move: all.move, ...page(1) })
  return { ...all, toC: all.bench.entriesTo('c') }
}

export const holdersOf = (bench: GatewayBench): string[] => [...bench.view.holdersOf(0)].sort()
