/**
 * What becomes of a publish (wire.md): who may publish what says access.ts, and a node speaks for itself only
 * while it is admitted. What is not allowed is dropped and counted; it is no reason to disconnect. Of a reading whose topic
 * is mistyped its sender is told besides.
 */
import type { NodeId, TaskId } from '../../shared/core/ids.ts'
import { mayPublish, type OwnerOf, type Principal } from '../../shared/protocol/access.ts'
import type { ReadingTopic } from '../../shared/protocol/readings.ts'
import {
  buildTopic,
  isBelowBase,
  isMistypedCell,
  parseTopic,
} from '../../shared/protocol/topics.ts'

/** Who publishes. */
export interface Speaker {
  readonly principal: Principal
  /** It was taken from whoever opened the connection, or is less than it was: it has no last word. */
  readonly isRevoked: boolean
  /** Set for the connection of a node. */
  readonly node: NodeId | undefined
  /** It is the one connection that speaks for the node. */
  readonly isAdmitted: boolean
}

export interface PublishRequest {
  readonly topic: string
  readonly payloadBytes: number
  readonly retain: boolean
  readonly isWill: boolean
}

export type DropReason =
  | 'topic-reserved'
  | 'topic-too-deep'
  | 'topic-not-allowed'
  | 'node-not-admitted'
  | 'will-superseded'
  | 'will-revoked'
  | 'node-payload-too-large'

export type PublishDecision =
  | { readonly verdict: 'submission' }
  | { readonly verdict: 'cancel'; readonly task: TaskId }
  | { readonly verdict: 'readings'; readonly of: ReadingTopic }
  | { readonly verdict: 'node-message'; readonly node: NodeId }
  | {
      readonly verdict: 'forward'
      readonly retain: boolean
      /** Of a node, if the gateway, too, is to know what it says of itself. */
      readonly report?: { readonly node: NodeId; readonly kind: 'node-info' | 'node-telemetry' }
      /** It counts against the bounds of what others may have retained. */
      readonly isForeign: boolean
    }
  | { readonly verdict: 'drop'; readonly reason: DropReason }

/** State, birth, telemetry and events of a node are small. */
const NODE_PAYLOAD_BYTES_MAX = 64 * 1024

export function decidePublish(
  base: string,
  speaker: Speaker,
  request: PublishRequest,
  levelsMax: number,
  ownerOf: OwnerOf,
): PublishDecision {
  const { topic } = request
  if (levelsOf(topic) > levelsMax) return drop('topic-too-deep')
  if (topic.startsWith('$')) return drop('topic-reserved')
  if (request.isWill && speaker.isRevoked) return drop('will-revoked')
  if (speaker.node !== undefined) return decideNode(base, speaker.node, speaker, request)
  const may = (one: string): boolean => mayPublish(base, speaker.principal, one, ownerOf)
  if (isMistypedCell(base, topic) && may(buildTopic(base, { kind: 'task-submit' }))) {
    return { verdict: 'readings', of: { kind: 'cell-mistyped' } }
  }
  if (!may(topic)) return drop('topic-not-allowed')
  if (!isBelowBase(base, topic)) {
    return { verdict: 'forward', retain: request.retain, isForeign: true }
  }
  const parsed = parseTopic(base, topic)
  if (parsed?.kind === 'task-submit') return { verdict: 'submission' }
  if (parsed?.kind === 'task-cancel') return { verdict: 'cancel', task: parsed.task }
  if (parsed?.kind === 'cell-reading' || parsed?.kind === 'cell-readings') {
    return { verdict: 'readings', of: parsed }
  }
  return drop('topic-not-allowed')
}

/** A node publishes below its own name and nowhere else. */
function decideNode(
  base: string,
  node: NodeId,
  speaker: Speaker,
  request: PublishRequest,
): PublishDecision {
  const parsed = parseTopic(base, request.topic)
  if (parsed === undefined || !('node' in parsed) || parsed.node !== node) {
    return drop('topic-not-allowed')
  }
  if (request.isWill) {
    if (parsed.kind !== 'node-state') return drop('topic-not-allowed')
    // The will of a connection that another one has followed must not say `offline` of it.
    if (!speaker.isAdmitted) return drop('will-superseded')
  }
  switch (parsed.kind) {
    case 'node-up':
      return { verdict: 'node-message', node }
    case 'node-state':
    case 'node-info':
    case 'node-telemetry':
    case 'node-event': {
      if (!speaker.isAdmitted) return drop('node-not-admitted')
      if (request.payloadBytes > NODE_PAYLOAD_BYTES_MAX) return drop('node-payload-too-large')
      const mayRetain = parsed.kind === 'node-state' || parsed.kind === 'node-info'
      return {
        verdict: 'forward',
        retain: request.retain && mayRetain,
        isForeign: false,
        ...(parsed.kind === 'node-info' || parsed.kind === 'node-telemetry'
          ? { report: { node, kind: parsed.kind } }
          : {}),
      }
    }
    default:
      return drop('topic-not-allowed')
  }
}

function drop(reason: DropReason): PublishDecision {
  return { verdict: 'drop', reason }
}

export function levelsOf(topic: string): number {
  let levels = 1
  for (let at = topic.indexOf('/'); at >= 0; at = topic.indexOf('/', at + 1)) levels++
  return levels
}

/** Where the gateway's own client hears itself. Nobody else may use a topic that begins with `$`. */
export function probeTopicOf(clientId: string): string {
  return `$probe/${clientId}`
}
