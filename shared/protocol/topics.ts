/**
 * Every topic of wire.md, built and parsed in this one place. All stand below a base, by default
 * `obelisk/v1`, and have at most 7 slashes.
 */

import { isId, isNodeId, isTaskId, type NodeId, type TaskId } from '../core/ids.ts'
import { closest } from '../core/near-match.ts'
import { own } from '../core/own.ts'

export const TOPIC_BASE_DEFAULT = 'obelisk/v1'

/** Of a topic of anybody, and of a filter: what is deeper is refused. */
export const TOPIC_LEVELS_MAX = 12

/** The base may have at most this many levels, so that no topic passes 7 slashes. */
const BASE_LEVELS_MAX = 4

const TASK_CHANNELS = {
  cancel: 'task-cancel',
  state: 'task-state',
  result: 'task-result',
  'result/json': 'task-result-json',
} as const

const NODE_CHANNELS = {
  state: 'node-state',
  info: 'node-info',
  telemetry: 'node-telemetry',
  'telemetry/json': 'node-telemetry-json',
  event: 'node-event',
  /** Internal: CBOR from the node to the gateway (messages.ts, `Up`). */
  up: 'node-up',
  /** Internal: CBOR from the gateway to the node (messages.ts, `Down`). */
  down: 'node-down',
} as const

const GATEWAY_CHANNELS = {
  state: 'gateway-state',
  ring: 'gateway-ring',
  event: 'gateway-event',
  summary: 'gateway-summary',
  codex: 'gateway-codex',
} as const

const RULE_CHANNELS = { event: 'rule-event', state: 'rule-state' } as const

/** Of a field: a cell that is told, many that are, and what one is that is watched. */
type CellTopic =
  | { readonly kind: 'cell-readings'; readonly field: string }
  | ({ readonly kind: 'cell-reading' } & CellName)
  | ({ readonly kind: 'cell-value' } & CellName)

export interface CellName {
  readonly field: string
  readonly x: number
  readonly y: number
}

type TaskKind = (typeof TASK_CHANNELS)[keyof typeof TASK_CHANNELS]
type NodeKind = (typeof NODE_CHANNELS)[keyof typeof NODE_CHANNELS]
type RuleKind = (typeof RULE_CHANNELS)[keyof typeof RULE_CHANNELS]
type GatewayKind = (typeof GATEWAY_CHANNELS)[keyof typeof GATEWAY_CHANNELS]

export type Topic =
  | { readonly kind: 'task-submit' | 'task-rejected' | GatewayKind }
  | { readonly kind: TaskKind; readonly task: TaskId }
  | { readonly kind: NodeKind; readonly node: NodeId }
  | CellTopic
  | { readonly kind: RuleKind; readonly rule: string }

export function isTopicBase(text: string): boolean {
  const levels = text.split('/')
  return (
    levels.length <= BASE_LEVELS_MAX && levels.every((level) => /^[A-Za-z0-9_-]{1,32}$/.test(level))
  )
}

function channelOf(channels: Record<string, string>, kind: string): string {
  return Object.keys(channels).find((channel) => own(channels, channel) === kind)!
}

export function buildTopic(base: string, topic: Topic): string {
  if ('task' in topic) return `${base}/task/${topic.task}/${channelOf(TASK_CHANNELS, topic.kind)}`
  if ('node' in topic) return `${base}/node/${topic.node}/${channelOf(NODE_CHANNELS, topic.kind)}`
  if ('rule' in topic) return `${base}/rule/${topic.rule}/${channelOf(RULE_CHANNELS, topic.kind)}`
  if ('field' in topic) {
    if (topic.kind === 'cell-readings') return `${base}/cell/${topic.field}`
    const cell = `${base}/cell/${topic.field}/${topic.x}/${topic.y}`
    return topic.kind === 'cell-value' ? `${cell}/value` : cell
  }
  if (topic.kind === 'task-submit') return `${base}/task/submit`
  if (topic.kind === 'task-rejected') return `${base}/task/rejected`
  return `${base}/gateway/${channelOf(GATEWAY_CHANNELS, topic.kind)}`
}

/** The topic that a text names, or nothing if it is none of ours. */
export function parseTopic(base: string, text: string): Topic | undefined {
  if (!text.startsWith(`${base}/`)) return undefined
  const [family, name = '', ...rest] = text.slice(base.length + 1).split('/')
  const channel = rest.join('/')
  switch (family) {
    case 'task': {
      // Both words are task ids too, of topics with one level more.
      if (rest.length === 0) {
        return name === 'submit' || name === 'rejected' ? { kind: `task-${name}` } : undefined
      }
      const kind = own(TASK_CHANNELS, channel)
      return kind && isTaskId(name) ? { kind, task: name } : undefined
    }
    case 'node': {
      const kind = own(NODE_CHANNELS, channel)
      return kind && isNodeId(name) ? { kind, node: name } : undefined
    }
    case 'cell':
      return parseCell(name, rest)
    case 'rule': {
      const kind = own(RULE_CHANNELS, channel)
      return kind && isId(name) ? { kind, rule: name } : undefined
    }
    case 'gateway': {
      const kind = own(GATEWAY_CHANNELS, name)
      return kind && rest.length === 0 ? { kind } : undefined
    }
    default:
      return undefined
  }
}

const FIELD = /^[a-z][a-z0-9_]{0,31}$/
const COORDINATE = /^(0|[1-9]\d{0,8})$/

/** A column or a row, as a level of a topic says it. */
export function parseCoordinate(level: string): number | undefined {
  return COORDINATE.test(level) ? Number(level) : undefined
}

/** Whether there is such a field and such a cell is known to the grid alone. */
function parseCell(field: string, [x, y, ...rest]: readonly string[]): Topic | undefined {
  if (!FIELD.test(field)) return undefined
  if (x === undefined) return { kind: 'cell-readings', field }
  const [column, row] = [parseCoordinate(x), parseCoordinate(y ?? '')]
  if (column === undefined || row === undefined) return undefined
  const cell = { field, x: column, y: row }
  if (rest.length === 0) return { kind: 'cell-reading', ...cell }
  return rest.length === 1 && rest[0] === 'value' ? { kind: 'cell-value', ...cell } : undefined
}

/** Whether a text lies where cells are told, and names none. */
export function isMistypedCell(base: string, text: string): boolean {
  return text.startsWith(`${base}/cell/`) && parseTopic(base, text) === undefined
}

/** The topic for anybody's messages that a text below the base, which is none, was most likely meant to be. */
export function nearTopic(base: string, text: string): string | undefined {
  const given = text.slice(base.length + 1)
  const [, name, ...rest] = given.split('/')
  const known = [
    'task/submit',
    ...(rest.length === 1 && rest[0] !== '' ? [`task/${name}/cancel`] : []),
    ...(name === undefined ? [] : [['cell', name, ...rest].join('/')]),
  ]
  const near = closest(
    given,
    known.filter((one) => parseTopic(base, `${base}/${one}`) !== undefined),
  )
  return near && `${base}/${near}`
}

/** Whether a topic or filter text lies in our part of the topic tree. */
export function isBelowBase(base: string, text: string): boolean {
  return text === base || text.startsWith(`${base}/`)
}

/**
 * The MQTT client id of a node's connection. The nonce makes it new for each process, so that a
 * second device with the same node id does not push the first off the broker before the
 * coordinator has seen who it is.
 */
export function nodeClientId(node: NodeId, nonce: string): string {
  return `obelisk-node:${node}:${nonce}`
}

export function parseNodeClientId(clientId: string): NodeId | undefined {
  const [prefix, node, nonce, ...rest] = clientId.split(':')
  if (prefix !== 'obelisk-node' || !nonce || rest.length > 0) return undefined
  return isNodeId(node) ? node : undefined
}
