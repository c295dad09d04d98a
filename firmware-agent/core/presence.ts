/**
 * What everybody may know of a node, on topics of its own: that it is here or gone, what it is, and
 * what troubles it. The state and the birth are retained, so that whoever comes later sees them too.
 */
import type { NodeId } from '../../shared/core/ids.ts'
import type { AgentEffect } from './effects.ts'

export interface Presence {
  readonly node: NodeId
  readonly operations: readonly string[]
  /** The birth message, but for id, operations and incarnation. */
  readonly birth: Readonly<Record<string, unknown>>
}

export function announce(
  { node, operations, birth }: Presence,
  incarnation: number,
): AgentEffect[] {
  const about = { id: node, incarnation, ...birth, ops: operations }
  return [stateOf(node, 'online'), publish('node-info', node, JSON.stringify(about), true)]
}

export function stateOf(node: NodeId, state: 'online' | 'offline'): AgentEffect {
  return publish('node-state', node, state, true)
}

/** For people who watch the fleet; the gateway is told by a message of its own. */
export function eventOf(
  node: NodeId,
  event: { level: 'error' | 'warn' | 'info'; code: string; message: string; ts: number },
): AgentEffect {
  return publish('node-event', node, JSON.stringify(event), false)
}

function publish(
  kind: 'node-state' | 'node-info' | 'node-event',
  node: NodeId,
  payload: string,
  retain: boolean,
): AgentEffect {
  return { type: 'publish', topic: { kind, node }, payload, qos: 1, retain }
}
