/** Whether a fleet has come to rest: nothing is under way, and nothing is left over. */
import type { LedgerDisk } from './ledger-disk.ts'
import type { SimulatedClients } from './simulated-clients.ts'
import type { SimulatedGateway } from './simulated-gateway.ts'
import type { SimulatedNode } from './simulated-node.ts'
import type { TaskStories } from './task-stories.ts'

interface RestingFleet {
  readonly gateway: SimulatedGateway
  readonly nodes: readonly SimulatedNode[]
  readonly ledger: LedgerDisk
}

/** What is nothing at rest. */
const QUIET = [
  'writesWaiting',
  'writesInLog',
  'readsOpen',
  'openBytes',
  'logBytes',
  'movesOpen',
  'tilesMissing',
  'cellsPending',
]

/** What has not come to rest. */
export function unrestOf(
  fleet: RestingFleet,
  clients: SimulatedClients,
  stories: TaskStories,
): string | undefined {
  const { gateway, nodes, ledger } = fleet
  const { view } = gateway
  if (view === undefined) return 'the gateway is down'
  const away = nodes.find((node) => !node.isAdmitted)
  if (away !== undefined) return `node ${away.id} is not admitted`
  if (!clients.isIdle) return 'a client waits for an answer'
  const open = stories.accepted.find(({ ends }) => ends === 0)
  if (open !== undefined) return `task ${open.id} is ${open.state}`
  const rotten = nodes.find(({ card }) => card.isRotten)
  if (rotten !== undefined) return `node ${rotten.id} has a damaged page`
  const counts = view.counts()
  // Who comes and goes gets no more tiles for longer than a simulation lasts.
  const { planned_tiles: planned, waiting } = view.moves()
  if (planned > (waiting['on-probation'] ?? 0)) return `moves wait: ${JSON.stringify(waiting)}`
  for (const what of QUIET) {
    if (counts[what] !== 0) return `${what} is ${counts[what]}`
  }
  const streams = new Map(view.nodes().map(({ id, stream }) => [id as string, stream!]))
  for (const { id, card } of nodes) {
    const { head, acked } = streams.get(id)!
    if (acked !== head || card.position !== head) {
      return `node ${id} stands at ${card.position}, acknowledged ${acked} of ${head}`
    }
  }
  for (const table of ['write', 'body', 'control', 'move', 'cell'] as const) {
    if (ledger.count(table) !== 0) return `the ledger keeps a ${table}`
  }
  return undefined
}
