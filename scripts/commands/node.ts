import type { NodeView } from '../../broker/core/views.ts'
import { EXIT_DONE } from '../../shared/runtime/errors.ts'
import type { GatewayClient } from './gateway-client.ts'
import { type Colour, printable, type Streams, table, when } from './streams.ts'

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
      { title: 'STATE', text: (node) => node.state, colour: (node) => COLOUR_OF_STATE[node.state] },
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
