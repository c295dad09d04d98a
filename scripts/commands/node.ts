import { setTimeout as pause } from 'node:timers/promises'
import type { MovesView, NodeView } from '../../broker/core/views.ts'
import { AppError, EXIT_DONE, EXIT_FAILED, EXIT_TIMED_OUT } from '../../shared/runtime/errors.ts'
import type { GatewayClient } from './gateway-client.ts'
import { progressOf } from './ring.ts'
import { type Colour, printable, type Streams, table, when } from './streams.ts'
import { parseSeconds, usage } from './task-request.ts'

/** How often the gateway is asked whether a node has left. */
const ASK_AGAIN_MS = 500

const COLOUR_OF_STATE: Readonly<Record<NodeView['state'], Colour>> = {
  alive: 'green',
  suspect: 'yellow',
  dead: 'red',
  left: 'grey',
}

/** `node ls`. */
export async function listNodes(
  gateway: GatewayClient,
  streams: Streams,
  flags: { readonly json?: boolean },
): Promise<number> {
  const nodes = await gateway.json<NodeView[]>({ path: '/api/nodes' })
  if (flags.json) {
    streams.stdout.write(`${JSON.stringify(nodes)}\n`)
    return EXIT_DONE
  }
  const text = table(
    streams,
    [
      { title: 'ID', text: (node) => node.id },
      { title: 'STATE', text: stateOf, colour: colourOf },
      { title: 'TILES', text: (node) => String(node.tiles), isNumber: true },
      { title: 'WEIGHT', text: (node) => String(node.weight), isNumber: true },
      { title: 'BEHIND', text: behindOf, isNumber: true },
      { title: 'STARTS', text: (node) => String(node.incarnation), isNumber: true },
      { title: 'JOINED', text: (node) => when(node.joined_ts) },
    ],
    nodes,
  )
  streams.stdout.write(text)
  return EXIT_DONE
}

function stateOf({ state, draining, quarantined }: NodeView): string {
  const more = [...(draining ? ['draining'] : []), ...(quarantined ? ['quarantined'] : [])]
  return [state, ...more].join(', ')
}

function colourOf({ state, draining, quarantined }: NodeView): Colour {
  return state === 'alive' && (draining || quarantined) ? 'yellow' : COLOUR_OF_STATE[state]
}

/** Entries that the node has not acknowledged. */
function behindOf({ stream }: NodeView): string {
  return stream === undefined ? '' : String(stream.head - stream.acked)
}

/** `node info`. */
export async function showNode(
  gateway: GatewayClient,
  streams: Streams,
  id: string,
  flags: { readonly json?: boolean },
): Promise<number> {
  const path = `/api/nodes/${encodeURIComponent(id)}`
  const node = await gateway.json<Record<string, unknown>>({ path })
  if (flags.json) streams.stdout.write(`${JSON.stringify(node)}\n`)
  else streams.stdout.write(linesOf('', node).join(''))
  return EXIT_DONE
}

export interface DrainFlags {
  readonly json?: boolean
  readonly undo?: boolean
  readonly wait?: string | true
}

/** `node drain`. */
export async function drainNode(
  gateway: GatewayClient,
  streams: Streams,
  id: string,
  flags: DrainFlags,
): Promise<number> {
  const { wait } = flags
  if (flags.undo && wait !== undefined) throw usage('--wait is for a node that is to leave')
  const limitSeconds =
    typeof wait === 'string' ? parseSeconds(wait, '--wait') : Number.POSITIVE_INFINITY
  const path = `/api/nodes/${encodeURIComponent(id)}`
  let node = await gateway.json<NodeView>(
    flags.undo
      ? { method: 'DELETE', path: `${path}/drain` }
      : {
          method: 'POST',
          path: `${path}/drain`,
          contentType: 'application/json',
          body: Buffer.from('{"drain":true}'),
        },
  )
  if (wait !== undefined) node = await waitUntilLeft(gateway, streams, { path, limitSeconds })
  const text = flags.undo ? `${node.id} stays` : `${node.id} ${node.draining ? 'drains' : 'left'}`
  streams.stdout.write(`${flags.json ? JSON.stringify(node) : printable(text)}\n`)
  return EXIT_DONE
}

async function waitUntilLeft(
  gateway: GatewayClient,
  streams: Streams,
  { path, limitSeconds }: { path: string; limitSeconds: number },
): Promise<NodeView> {
  const untilMs = performance.now() + limitSeconds * 1000
  for (let said = ''; ; ) {
    const node = await gateway.json<NodeView>({ path })
    if (node.state === 'left') return node
    if (!node.draining) {
      const message = `node ${node.id} is to stay after all: somebody else said so`
      throw new AppError('drain-undone', message, { exitCode: EXIT_FAILED })
    }
    const moves = await gateway.json<MovesView>({ path: '/api/ring/moves' })
    const progress = `${node.id} has ${node.tiles} tiles; ${progressOf(moves)}`
    if (progress !== said) streams.stderr.write(`${printable(progress)}\n`)
    said = progress
    const leftMs = untilMs - performance.now()
    if (leftMs <= 0) {
      const message = `node ${node.id} has not left within ${limitSeconds} s; it still drains`
      throw new AppError('timed-out', message, { exitCode: EXIT_TIMED_OUT })
    }
    await pause(Math.min(ASK_AGAIN_MS, leftMs))
  }
}

function linesOf(prefix: string, value: Record<string, unknown>): string[] {
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
