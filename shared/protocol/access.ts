/**
 * Who may publish, subscribe to and receive what (security.md, 8). A connection has one principal from the moment that
 * it is known who is there. Default is no: what no line here allows is not allowed.
 *
 * - A topic is parsed, and its ids are compared: no name is ever put into a filter, where `+` or `#` would mean more.
 * - A subscription is granted if its filter matches anything at all that the principal may receive; what of it is
 *   delivered is decided for each message.
 * - Where it matters whose a task is, its owner is asked for: who submitted it, as `ownerNameOf` says.
 */
import { isId, type NodeId } from '../core/ids.ts'
import { commonFilter, filterMatches } from './topic-filters.ts'
import { buildTopic, isBelowBase, parseTopic, type Topic } from './topics.ts'

export const ROLES = ['viewer', 'submitter', 'operator', 'admin'] as const
export type Role = (typeof ROLES)[number]

/** What a submitter may ask for. `*` is any. */
export interface Grant {
  /** Operations by name, not by glyph. */
  readonly ops: readonly string[] | '*'
  /** A task lies inside one of them. */
  readonly regions:
    | readonly { readonly x: number; readonly y: number; readonly w: number; readonly h: number }[]
    | '*'
  readonly fields: readonly string[] | '*'
  readonly tasksPerSecond?: number
  readonly openTasksMax?: number
}

export interface UserPrincipal {
  readonly kind: 'user'
  /** An id (ids.ts). */
  readonly name: string
  readonly roles: readonly Role[]
  /** Without one, a submitter may submit nothing. */
  readonly grant?: Grant
  /** Filters of what it may use outside the base. */
  readonly topics: readonly string[]
  /** How many of this name there were before, and were removed. */
  readonly generation?: number
  /** By which token he is here: it may end before he does. */
  readonly token?: string
}

export type Principal =
  /** Where nobody is asked who he is. */
  | { readonly kind: 'anyone' }
  /** Whose name and password are still to come. */
  | { readonly kind: 'stranger' }
  /** Whose key was that of a node, and was taken out: he is told so, and nothing else. */
  | { readonly kind: 'revoked'; readonly node: NodeId }
  /** The gateway's own client. */
  | { readonly kind: 'gateway' }
  /** By the key whose SHA-256 that is, hexadecimal. */
  | { readonly kind: 'node'; readonly node: NodeId; readonly key?: string }
  | UserPrincipal

export const ANYONE: Principal = { kind: 'anyone' }
export const GATEWAY: Principal = { kind: 'gateway' }
export const STRANGER: Principal = { kind: 'stranger' }

/** Of a task's topic, or of what was rejected: the identity that it concerns. */
export type OwnerOf = (topic: Topic) => string | undefined

/** Nodes and users have name spaces of their own, and no two principals have the same. */
export function identityOf(who: Principal): string {
  if (who.kind === 'node' || who.kind === 'revoked') return `node/${who.node}`
  return who.kind === 'user' ? `user/${who.name}` : who.kind
}

/** Whose his tasks are: of who was removed nobody inherits anything by having his name. */
export function ownerNameOf(who: UserPrincipal): string {
  const { generation = 0 } = who
  return generation === 0 ? identityOf(who) : `${identityOf(who)}.${generation + 1}`
}

/** It reads everything: tasks with their results, nodes, events, figures. */
export function readsAll({ roles }: UserPrincipal): boolean {
  return roles.some((role) => role !== 'submitter')
}

/** Any task, anywhere in the grid. */
export function submitsAny({ roles }: UserPrincipal): boolean {
  return roles.some((role) => role === 'operator' || role === 'admin')
}

export function submits(who: UserPrincipal): boolean {
  return submitsAny(who) || who.roles.includes('submitter')
}

/** Any task, or his own: to see one gives no right to end it. */
export function mayCancel(who: UserPrincipal, owner: string | undefined): boolean {
  return submitsAny(who) || (submits(who) && owner === ownerNameOf(who))
}

/** Outside the base nothing is ours. */
const isForeign = (base: string, text: string): boolean =>
  !text.startsWith('$') && !isBelowBase(base, text)

export function mayPublish(base: string, who: Principal, text: string, ownerOf: OwnerOf): boolean {
  switch (who.kind) {
    case 'stranger':
    case 'revoked':
      return false
    case 'gateway':
      return text.startsWith('$probe/')
    case 'anyone':
      if (isForeign(base, text)) return true
      return isOrder(parseTopic(base, text))
    case 'node': {
      const topic = parseTopic(base, text)
      return topic !== undefined && isNodesOwn(topic) && topic.node === who.node
    }
    case 'user':
      return mayUserPublish(base, who, text, ownerOf)
  }
}

function mayUserPublish(base: string, who: UserPrincipal, text: string, ownerOf: OwnerOf): boolean {
  if (text.startsWith('$')) return false
  if (!isBelowBase(base, text)) return mayUseOutside(who, text)
  const topic = parseTopic(base, text)
  // Which task, and which cells, is looked at when it is known what is asked.
  if (topic?.kind === 'task-submit' || isReading(topic)) return submits(who)
  if (topic?.kind !== 'task-cancel') return false
  return mayCancel(who, ownerOf(topic))
}

function isOrder(topic: Topic | undefined): boolean {
  return topic?.kind === 'task-submit' || topic?.kind === 'task-cancel' || isReading(topic)
}

function isReading(topic: Topic | undefined): boolean {
  return topic?.kind === 'cell-reading' || topic?.kind === 'cell-readings'
}

/** What a node says of itself. */
function isNodesOwn(topic: Topic): topic is Topic & { readonly node: NodeId } {
  switch (topic.kind) {
    case 'node-up':
    case 'node-state':
    case 'node-info':
    case 'node-telemetry':
    case 'node-event':
      return true
    default:
      return false
  }
}

function mayUseOutside(who: UserPrincipal, text: string): boolean {
  return submitsAny(who) || who.topics.some((filter) => filterMatches(filter, text))
}

/** `ownerOf` is asked only of topics that are somebody's. */
export function mayReceive(base: string, who: Principal, text: string, ownerOf: OwnerOf): boolean {
  switch (who.kind) {
    case 'stranger':
    case 'revoked':
      return false
    case 'gateway':
      return text.startsWith('$probe/')
    case 'anyone':
      return isToldToAll(text)
    case 'node':
      return text === downTopicOf(base, who.node)
    case 'user':
      return mayUserReceive(base, who, text, ownerOf)
  }
}

/** Aedes tells itself about each client below `$SYS/<its id>`: that is nobody else's business. */
function isToldToAll(text: string): boolean {
  return !text.startsWith('$') || text.startsWith('$SYS/broker/')
}

function mayUserReceive(base: string, who: UserPrincipal, text: string, ownerOf: OwnerOf): boolean {
  if (text.startsWith('$')) return readsAll(who) && text.startsWith('$SYS/broker/')
  if (!isBelowBase(base, text)) return mayUseOutside(who, text)
  const topic = parseTopic(base, text)
  const isReader = readsAll(who)
  if (topic === undefined) {
    return isReader && READ_BESIDE.some((rest) => filterMatches(`${base}/${rest}`, text))
  }
  if (isReader) return isReadByAll(topic)
  if (!submits(who)) return false
  return topic.kind === 'gateway-state' || (isOfTask(topic) && ownerOf(topic) === ownerNameOf(who))
}

/** What stands below the base beside the topics of topics.ts. */
const READ_BESIDE = ['cell/+/+/+/value', 'rule/#']

function isReadByAll(topic: Topic): boolean {
  const { kind } = topic
  return !(isOrder(topic) || kind === 'node-up' || kind === 'node-down')
}

function isOfTask({ kind }: Topic): boolean {
  return (
    kind === 'task-state' ||
    kind === 'task-result' ||
    kind === 'task-result-json' ||
    kind === 'task-rejected'
  )
}

function downTopicOf(base: string, node: NodeId): string {
  return buildTopic(base, { kind: 'node-down', node })
}

/** Whether the filter matches anything at all that `who` may receive, now or later. */
export function maySubscribe(base: string, who: Principal, filter: string): boolean {
  switch (who.kind) {
    case 'stranger':
    case 'revoked':
      return false
    case 'gateway':
      return filter.startsWith('$probe/')
    case 'anyone':
      return !filter.startsWith('$') || filter.startsWith('$SYS/')
    case 'node':
      return filter === downTopicOf(base, who.node)
    case 'user':
      return mayUserSubscribe(base, who, filter)
  }
}

const SUBMITTER_TOPICS = [
  'task/+/state',
  'task/+/result',
  'task/+/result/json',
  'task/rejected',
  'gateway/state',
]
/** Beside those of a submitter. */
const READER_TOPICS = [
  'node/+/state',
  'node/+/info',
  'node/+/telemetry',
  'node/+/telemetry/json',
  'node/+/event',
  'gateway/ring',
  'gateway/event',
  'gateway/summary',
  'gateway/codex',
]

function mayUserSubscribe(base: string, who: UserPrincipal, filter: string): boolean {
  if (filter.startsWith('$')) {
    return readsAll(who) && commonFilter(filter, '$SYS/broker/+/#') !== undefined
  }
  const isReader = readsAll(who)
  const forms = [
    ...(isReader || submits(who) ? SUBMITTER_TOPICS : []),
    ...(isReader ? READER_TOPICS : []),
  ]
  if (forms.some((form) => hasBelowBase(base, filter, form))) return true
  if (
    isReader &&
    READ_BESIDE.some((rest) => commonFilter(filter, `${base}/${rest}`) !== undefined)
  ) {
    return true
  }
  const outside = submitsAny(who) ? ['#'] : who.topics
  return outside.some((allowed) => {
    const both = commonFilter(filter, allowed)
    return both !== undefined && !both.startsWith('$') && leavesBase(base, both)
  })
}

/** Whether the filter matches a topic of ours of this form, where `+` stands for an id. */
function hasBelowBase(base: string, filter: string, form: string): boolean {
  const both = commonFilter(filter, `${base}/${form}`)
  return both?.split('/').every((level) => level === '+' || isId(level)) ?? false
}

/** Whether a filter matches anything that is not below the base. */
function leavesBase(base: string, filter: string): boolean {
  const levels = filter.split('/')
  return base.split('/').some((level, at) => levels[at] !== level)
}
