/** How an upgrade stands, in words. */
import { own } from '../../shared/core/own.ts'
import type { UpgradePlanRow, UpgradeView } from '../../shared/protocol/views.ts'
import { type Colour, printable, type Streams, table, when } from './streams.ts'

const COLOUR_OF_STATE: Readonly<Record<string, Colour>> = {
  done: 'green',
  fetching: 'yellow',
  installing: 'yellow',
  'went-back': 'red',
  lost: 'red',
  skipped: 'grey',
}

/** In the order in which a node goes through them. */
const STATES = [
  ...['waiting', 'fetching', 'fetched', 'installing'],
  ...['done', 'skipped', 'went-back', 'lost'],
]

const WAITS: Readonly<Record<string, string>> = {
  fetching: 'nodes fetch it',
  wave: 'a wave is under way',
  pause: 'pause between waves',
  doubting: 'the gateway doubts itself: obelisk doctor',
  repairing: 'copies are missing, and come first',
  'sole-copies': 'tiles would be away, for no other node has them in sync',
  'nodes-away': 'nodes are away, or do not follow yet',
}

const REASONS: Readonly<Record<string, string>> = {
  'by-hand': 'not the gateway’s to upgrade: obelisk install on the board',
  'no-package': 'no package is for its architecture',
  'package-older': 'it runs a newer version',
  'failed-before': 'this package failed on it before: --again',
  'package-untrusted': 'not signed by the keys of what it runs',
  'upgrade-went-back': 'did not become ready; the version before runs',
  'upgrade-timeout': 'did not catch up within 15 min',
  'not-back': 'did not come back',
  'fetch-timeout': 'did not have it after 10 min',
  'no-room': 'its disk has no room for it',
  'by-operator': 'somebody stopped it',
  'node-left': 'it was drained and has left',
}

/** Nodes that are none of the gateway's, are ahead, or have left: nothing is wrong with the upgrade. */
const LEFT_OUT = ['by-hand', 'package-older', 'node-left']

/** Whether all nodes run it that could. */
export function isWellDone({ state, nodes }: UpgradeView): boolean {
  const isWell = ({ state: its, code = '' }: UpgradePlanRow): boolean =>
    its === 'done' || (its === 'skipped' && LEFT_OUT.includes(code))
  return state === 'done' && nodes.every(isWell)
}

/** One line. */
export function progressOf({ version, state, counts, waits_for, stopped }: UpgradeView): string {
  const parts = STATES.flatMap((name) => {
    const count = own(counts, name) ?? 0
    return count === 0 ? [] : [`${count} ${name}`]
  })
  const waits = waits_for === undefined ? '' : ` (${own(WAITS, waits_for) ?? waits_for})`
  const why = stopped === undefined ? '' : `: ${whyStopped(stopped)}`
  return `to ${version}, ${state}${why}: ${parts.join(', ') || 'no nodes'}${waits}`
}

function whyStopped({ code, node }: NonNullable<UpgradeView['stopped']>): string {
  return node === undefined ? reasonOf(code) : `${node}: ${reasonOf(code)}`
}

function reasonOf(code: string | undefined): string {
  if (code === undefined) return ''
  const words = own(REASONS, code)
  return words === undefined ? code : `${code}, ${words}`
}

/** The whole, and of each node what became of it. */
export function upgradeTable(view: UpgradeView, streams: Streams): string {
  const head = `upgrade ${view.id}, begun ${when(view.started_ts)}; ${progressOf(view)}`
  return `${printable(head)}\n${outcomeTable(view.nodes, streams)}`
}

export function outcomeTable(nodes: readonly UpgradePlanRow[], streams: Streams): string {
  return table(streams, nodes, [
    { title: 'NODE', text: ({ node }) => node },
    {
      title: 'STATE',
      text: ({ state }) => state,
      colour: ({ state }) => own(COLOUR_OF_STATE, state),
    },
    { title: 'WHY', text: ({ code }) => reasonOf(code) },
  ])
}
