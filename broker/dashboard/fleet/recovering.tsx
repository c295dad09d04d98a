import type { RecoveryView } from '../../../shared/protocol/views.ts'
import { counted, formatTime } from '../format.ts'
import { missing, recovery } from '../live.ts'
import { type Fact, Facts } from '../parts/facts.tsx'

/** While the ledger is rebuilt nobody is a member: whom it waits for. */
export function Recovering({ of }: { readonly of: RecoveryView }) {
  return (
    <div class="panel spaced recovering" role="status">
      <p>
        The ledger is being {of.copy_ts === undefined ? 'rebuilt' : 'restored'} from what the nodes
        hold. Until that is done tasks are refused, and readings wait.
      </p>
      <Facts class="facts" of={factsOf(of)} />
      <p class="soft">
        If one of them will never come: end the gateway first (
        <code>systemctl stop obelisk-gateway</code>, or Ctrl-C), then start it with the number of
        those that are left: <code>obelisk gateway recover --nodes</code>, or{' '}
        <code>recover_nodes</code> in the configuration of the service.
      </p>
    </div>
  )
}

function factsOf({ copy_ts: copyTs, expected, shown, until_ts: untilTs, ...names }: RecoveryView) {
  const { nodes, awaited, empty } = names
  const facts: Fact[] = [['have come', `${shown} of ${[expected, ...nodes].join(', ')}`]]
  if (copyTs !== undefined) facts.unshift(['copy of', formatTime(copyTs)])
  if (awaited.length > 0) facts.push(['awaited', awaited.join(', ')])
  if (empty.length > 0) facts.push(['came empty, count as none', empty.join(', ')])
  if (untilTs !== undefined) facts.push(['not before', formatTime(untilTs)])
  return facts
}

/** Tiles that are refused. */
export function Missing() {
  if (missing.value === 0 || recovery.value !== undefined) return null
  return (
    <div class="note mild" role="alert">
      <p>
        Nobody has {counted(missing.value, 'tile')}: their copies are lost, or away since a
        recovery, or they were never written before one. Once all boards are back,{' '}
        <code>obelisk ring recreate</code> lets them begin as zeros.
      </p>
    </div>
  )
}
