import { setTimeout as pause } from 'node:timers/promises'
import type { GatewayClient } from '../../shared/client/http.ts'
import { count } from '../../shared/core/count.ts'
import type { DetectorView, MovesView, NodeView } from '../../shared/protocol/views.ts'
import { fault, usage } from '../fault.ts'
import { type Asked, type CommandGroup, type Flags, say, show } from './command-place.ts'
import { fleetLines } from './detector.ts'
import { interruptible } from './interruption.ts'
import { showLog } from './node-logs.ts'
import { Patience } from './patience.ts'
import { progressOf, stallLines } from './ring.ts'
import { type Colour, printable, type Streams, table, when } from './streams.ts'
import { parseSeconds } from './task-request.ts'
import { revokeNode, rotateKeys } from './token.ts'

/** How often the gateway is asked whether a node has left. */
const ASK_AGAIN_MS = 500

const COLOUR_OF_STATE: Readonly<Record<NodeView['state'], Colour>> = {
  alive: 'green',
  suspect: 'yellow',
  dead: 'red',
  left: 'grey',
}

export function addNodeCommands(obelisk: CommandGroup): void {
  const node = obelisk.group('node', 'look at the nodes of the fleet, empty one, and forget it')
  node.asks('ls', listNodes).description('list the nodes')
  node.asks('info <id>', showNode).description('show what is known of a node')
  node
    .asks('drain <id>', drainNode)
    .description('take all tiles from a node, so that it can go')
    .option('--undo', 'let it stay after all')
    .option('--force', 'even if it can never leave as the fleet is')
    .option('--wait [seconds]', 'wait until it has left, without a number as long as that takes')
  node
    .asks('logs <id>', showLog)
    .description('show the last lines that the agent of a node logged')
    .option('-f, --follow', 'and what comes, for 10 minutes')
    .option('-n, --lines <count>', 'how many', '100')
    .option('--level <level>', 'of this level and above: debug, info, warn or error', 'debug')
  node
    .asks('revoke <id>', revokeNode)
    .description('take its identity from a node that was lost or stolen, and its tiles')
  node
    .asks('rotate-key [id]', rotateKeys)
    .description('have a node make another key; the old one works until the new one was used')
    .option('--all', 'every node that has one')
  node
    .asks('rm <id>', removeNode)
    .description('forget a node that has left, or is dead and nobody needs')
}

/** `node ls`. */
async function listNodes(asked: Asked): Promise<number> {
  const { gateway, streams, flags } = asked
  const nodes = await gateway.json<NodeView[]>({ path: '/api/nodes' })
  if (flags.json) return show(asked, nodes, '')
  const fleet = await gateway.json<DetectorView>({ path: '/api/detector' })
  const list = table(
    streams,
    [
      { title: 'ID', text: (node) => node.id },
      { title: 'STATE', text: stateOf, colour: colourOf },
      { title: 'TILES', text: (node) => String(node.tiles), isNumber: true },
      { title: 'WRITTEN', text: (node) => String(node.tiles_written), isNumber: true },
      { title: 'WEIGHT', text: (node) => String(node.weight), isNumber: true },
      { title: 'BEHIND', text: behindOf, isNumber: true },
      { title: 'STARTS', text: (node) => String(node.incarnation), isNumber: true },
      { title: 'JOINED', text: (node) => when(node.joined_ts) },
    ],
    nodes,
  )
  // While its ledger is rebuilt a gateway has no members.
  const shown = fleet.recovery === undefined ? list : ''
  return show(asked, nodes, [shown, ...fleetLines(fleet).map((line) => `${line}\n`)].join(''))
}

export function stateOf(node: NodeView): string {
  const { state, draining, stopped, quarantined, probation_seconds: probation } = node
  const more = [
    ...(state === 'alive' && probation !== undefined ? [`on probation for ${probation} s`] : []),
    ...(draining ? ['draining'] : []),
    ...(stopped === undefined ? [] : [`stopped: ${stopped.code}`]),
    ...(quarantined ? ['quarantined'] : []),
  ]
  return [state, ...more].join(', ')
}

export function colourOf({ state, draining, stopped, quarantined }: NodeView): Colour {
  const isTroubled = draining || quarantined || stopped !== undefined
  return state === 'alive' && isTroubled ? 'yellow' : COLOUR_OF_STATE[state]
}

/** Entries that the node has not acknowledged. */
function behindOf({ stream }: NodeView): string {
  return stream === undefined ? '' : String(stream.head - stream.acked)
}

/** `node info`. */
async function showNode(asked: Asked, id: string): Promise<number> {
  const path = `/api/nodes/${encodeURIComponent(id)}`
  const node = await asked.gateway.json<Record<string, unknown>>({ path })
  return show(asked, node, linesOf('', node).join(''))
}

/** `node rm`. */
async function removeNode(asked: Asked, id: string): Promise<number> {
  const path = `/api/nodes/${encodeURIComponent(id)}`
  const answer = await asked.gateway.json<{ id: string }>({ method: 'DELETE', path })
  return say(asked, answer, `${answer.id} is forgotten`)
}

type DrainFlags = Flags<never, 'undo' | 'force'> & { readonly wait?: string | true }

/** `node drain`. */
async function drainNode(asked: Asked<DrainFlags>, id: string): Promise<number> {
  const { gateway, streams, flags } = asked
  const { wait, undo, force } = flags
  if (undo && wait !== undefined) throw usage('--wait is for a node that is to leave')
  if (undo && force) throw usage('--force is for a node that is to leave')
  const limitSeconds =
    typeof wait === 'string' ? parseSeconds(wait, '--wait') : Number.POSITIVE_INFINITY
  const path = `/api/nodes/${encodeURIComponent(id)}`
  const demand = undo
    ? ({ method: 'DELETE' } as const)
    : ({ method: 'POST', body: { drain: true, force: force || undefined } } as const)
  let node = await gateway.json<NodeView>({ path: `${path}/drain`, ...demand })
  if (wait !== undefined) {
    const interrupted = `${id} still drains; this ends that: obelisk node drain ${id} --undo`
    const goesOn = `node ${id} still drains; this shows it: obelisk node info ${id}`
    node = await interruptible(interrupted, (signal) => {
      const patience = new Patience({ limitSeconds, streams, signal, goesOn })
      return waitUntilLeft({ gateway, streams, path, patience, signal })
    })
  } else if (node.draining) {
    const moves = await gateway.json<MovesView>({ path: '/api/ring/moves' })
    for (const line of stallLines(moves, node.id)) streams.stderr.write(`${line}\n`)
  }
  const text = undo ? `${node.id} stays` : `${node.id} ${node.draining ? 'drains' : 'left'}`
  return say(asked, node, text)
}

interface Waiting {
  readonly gateway: GatewayClient
  readonly streams: Streams
  readonly path: string
  readonly patience: Patience
  readonly signal: AbortSignal
}

async function waitUntilLeft(waiting: Waiting): Promise<NodeView> {
  const { gateway, streams, path, patience, signal } = waiting
  const said = new Set<string>()
  for (let last = ''; ; ) {
    const node = await patience.ask(() => gateway.json<NodeView>({ path, signal }))
    if (node.state === 'left') return node
    if (!node.draining) {
      const message = `node ${node.id} is to stay after all: somebody else said so`
      throw fault('drain-undone', message)
    }
    const moves = await patience.ask(() =>
      gateway.json<MovesView>({ path: '/api/ring/moves', signal }),
    )
    const { drain_tiles: before } = node
    const has = count(before ?? node.tiles, 'tile')
    const progress = `${node.id} has ${before === undefined ? '' : `${node.tiles_written} of `}${has}; ${progressOf(moves, node)}`
    if (progress !== last) streams.stderr.write(`${printable(progress)}\n`)
    last = progress
    for (const line of stallLines(moves, node.id)) {
      if (!said.has(line)) streams.stderr.write(`${line}\n`)
      said.add(line)
    }
    const { leftMs } = patience
    if (leftMs === 0) throw patience.over(`node ${node.id} has not left`)
    await pause(Math.min(ASK_AGAIN_MS, leftMs), undefined, { signal })
  }
}

export function linesOf(prefix: string, value: Record<string, unknown>): string[] {
  return Object.entries(value).flatMap(([key, member]) => {
    const name = prefix + key
    if (Array.isArray(member)) return line(name, member.join(', '))
    if (typeof member === 'object' && member !== null) {
      return linesOf(`${name}.`, member as Record<string, unknown>)
    }
    return line(name, key.endsWith('_ts') ? when(Number(member)) : String(member ?? '–'))
  })
}

function line(name: string, text: string): string {
  return `${printable(name).padEnd(24)} ${printable(text)}\n`
}
