import { count } from '../../shared/core/count.ts'
import type { DetectorView, RecoveryView } from '../../shared/protocol/views.ts'
import { type Asked, demand, say } from './command-place.ts'
import { printable, when } from './streams.ts'

/** `gateway trust`. */
export async function trust(asked: Asked): Promise<number> {
  const { gateway } = asked
  const before = await gateway.json<DetectorView>({ path: '/api/detector' })
  const after = await demand<DetectorView>(gateway, 'POST', '/api/detector', { trust: true })
  const reasons = before.doubts.map(({ reason }) => reason).join(', ')
  return say(asked, after, reasons === '' ? 'there was no doubt' : `no more doubt for ${reasons}`)
}

/** What is so of the tiles that nobody has, and what helps. */
export const MISSING = {
  is: (missing: number): string =>
    `nobody has ${count(missing, 'tile')}: lost, away since a recovery, or never written before one`,
  helps: 'once all boards are back: obelisk ring recreate, which gives up what they had',
}

/** How a gateway that runs is told to wait for fewer. */
export const RECOVER =
  'end the gateway first (systemctl stop obelisk-gateway, or Ctrl-C), then start it with the number of those that are left: obelisk gateway recover --nodes <n>, or recover_nodes in the configuration of the service'

/** What is to be known beside the nodes. */
export function fleetLines({ recovery, tiles_missing: missing = 0 }: DetectorView): string[] {
  if (recovery !== undefined) return recoveryLines(recovery)
  return missing === 0 ? [] : [`${MISSING.is(missing)}; ${MISSING.helps}`]
}

/** The first ones, as the gateway gives them, and how many it does not name. */
export function named(names: readonly string[], more: number): string {
  return printable(`${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`)
}

/** Whom a gateway waits for that rebuilds its ledger. */
export function recoveryLines(recovery: RecoveryView): string[] {
  const { copy_ts: copyTs, expected, shown, nodes, awaited, empty } = recovery
  const { empty_more: emptyMore = 0, until_ts: untilTs } = recovery
  const what = copyTs === undefined ? 'rebuilt' : `restored from a copy of ${when(copyTs)}, and`
  return [
    `the ledger is being ${what} from what the nodes hold: until that is done tasks are refused, and readings wait`,
    `${shown} of ${expected === 1 ? '1 node has shown what it holds' : `${expected} nodes have shown what they hold`}${nodes.length === 0 ? '' : `: ${named(nodes, shown - nodes.length)}`}`,
    ...(awaited.length === 0
      ? []
      : [`awaited: ${named(awaited, expected - shown - awaited.length)}`]),
    ...(empty.length === 0
      ? []
      : [`here with an empty store, which counts as none: ${named(empty, emptyMore)}`]),
    ...(untilTs === undefined
      ? []
      : [`not before ${when(untilTs)}, since others may have joined after the copy`]),
    `if one of them will never come: ${RECOVER}`,
  ]
}
