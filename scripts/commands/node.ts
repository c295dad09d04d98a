import { count } from '../../shared/core/count.ts'
import type { DetectorView, MovesView, NodeView } from '../../shared/protocol/views.ts'
import { fault, usage } from '../fault.ts'
import {
  type Asked,
  at,
  type CommandGroup,
  demand,
  type Flags,
  remove,
  say,
  show,
} from './command-place.ts'
import { fleetLines } from './detector.ts'
import { showLog } from './node-logs.ts'
import { type Patience, patiently } from './patience.ts'
import { progressOf, stallLines } from './ring.ts'
import { type Colour, printable, table, when } from './streams.ts'
import { parseWait } from './task-request.ts'
import { revokeNode, rotateKeys } from './token.ts'

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
    .asks('rm <id>', (asked, id: string) =>
      remove(asked, at`/api/nodes/${id}`, `${id} is forgotten`),
    )
    .description('forget a node that has left, or is dead and nobody needs')
}

/** `node ls`. */
async function listNodes(asked: Asked): Promise<number> {
  const { gateway, streams, flags } = asked
  const nodes = await gateway.json<NodeView[]>({ path: '/api/nodes' })
  if (flags.json) return show(asked, nodes, '')
  const fleet = await gateway.json<DetectorView>({ path: '/api/detector' })
  const list = table(streams, nodes, [
    { title: 'ID', text: (node) => node.id },
    { title: 'STATE', text: stateOf, colour: colourOf },
    { title: 'TILES', text: (node) => String(node.tiles), isNumber: true },
    { title: 'WRITTEN', text: (node) => String(node.tiles_written), isNumber: true },
    { title: 'WEIGHT', text: (node) => String(node.weight), isNumber: true },
    { title: 'BEHIND', text: behindOf, isNumber: true },
    { title: 'STARTS', text: (node) => String(node.incarnation), isNumber: true },
    { title: 'JOINED', text: (node) => when(node.joined_ts) },
  ])
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
  const path = at`/api/nodes/${id}`
  const node = await asked.gateway.json<Record<string, unknown>>({ path })
  return show(asked, node, linesOf('', node).join(''))
}

type DrainFlags = Flags<never, 'undo' | 'force'> & { readonly wait?: string | true }

/** `node drain`. */
async function drainNode(asked: Asked<DrainFlags>, id: string): Promise<number> {
  const { gateway, streams, flags } = asked
  const { wait, undo, force } = flags
  if (undo && wait !== undefined) throw usage('--wait is for a node that is to leave')
  if (undo && force) throw usage('--force is for a node that is to leave')
  const limitSeconds = parseWait(wait)
  const path = at`/api/nodes/${id}`
  let node = undo
    ? await demand<NodeView>(gateway, 'DELETE', `${path}/drain`)
    : await demand<NodeView>(gateway, 'POST', `${path}/drain`, { drain: true, force })
  if (wait !== undefined) {
    const interrupted = `${id} still drains; this ends that: obelisk node drain ${id} --undo`
    const goesOn = `node ${id} still drains; this shows it: obelisk node info ${id}`
    node = await patiently({ limitSeconds, streams, goesOn, interrupted }, (patience) =>
      waitUntilLeft(asked, path, patience),
    )
  } else if (node.draining) {
    const moves = await gateway.json<MovesView>({ path: '/api/ring/moves' })
    for (const line of stallLines(moves, node.id)) streams.stderr.write(`${line}\n`)
  }
  const text = undo ? `${node.id} stays` : `${node.id} ${node.draining ? 'drains' : 'left'}`
  return say(asked, node, text)
}

async function waitUntilLeft(
  { gateway, streams }: Asked,
  path: string,
  patience: Patience,
): Promise<NodeView> {
  const said = new Set<string>()
  const ask = <T>(path: string): Promise<T> =>
    patience.ask((signal) => gateway.json<T>({ path, signal }))
  for (let last = ''; ; ) {
    const node = await ask<NodeView>(path)
    if (node.state === 'left') return node
    if (!node.draining) {
      const message = `node ${node.id} is to stay after all: somebody else said so`
      throw fault('drain-undone', message)
    }
    const moves = await ask<MovesView>('/api/ring/moves')
    const { drain_tiles: before } = node
    const has = count(before ?? node.tiles, 'tile')
    const progress = `${node.id} has ${before === undefined ? '' : `${node.tiles_written} of `}${has}; ${progressOf(moves, node)}`
    if (progress !== last) streams.stderr.write(`${printable(progress)}\n`)
    last = progress
    for (const line of stallLines(moves, node.id)) {
      if (!said.has(line)) streams.stderr.write(`${line}\n`)
      said.add(line)
    }
    if (patience.leftMs === 0) throw patience.over(`node ${node.id} has not left`)
    await patience.pause()
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
