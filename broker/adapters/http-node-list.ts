/** What part of the nodes is asked for: filtered, in an order, and a page of that. */
import { own } from '../../shared/core/own.ts'
import { MEMBER_STATES, type MemberState } from '../../shared/protocol/states.ts'
import type { NodeView } from '../../shared/protocol/views.ts'
import { FLAG_RULE, type QueryRule, type QueryValues, wholeRule } from './http-request.ts'
import { LIMIT_RULE, LISTED_MAX } from './http-task-routes.ts'

const SOUGHT_CHARACTERS_MAX = 64

type SortKey = (node: NodeView) => number | string | undefined

/** By what rows are put in order, as the columns that people look at are called. */
const SORT_KEYS: Readonly<Record<string, SortKey>> = {
  id: ({ id }) => id,
  state: ({ state }) => MEMBER_STATES.indexOf(state),
  heard: ({ heard_ts }) => heard_ts,
  joined: ({ joined_ts }) => joined_ts,
  tiles: ({ tiles }) => tiles,
  written: ({ tiles_written }) => tiles_written,
  behind: ({ behind }) => behind,
  weight: ({ weight }) => weight,
  version: ({ version }) => version,
  cpu: ({ telemetry }) => numberIn(telemetry, 'cpu_percent'),
  memory: memoryUsed,
  temperature: ({ telemetry }) => numberIn(telemetry, 'temp_celsius'),
  trip: ({ telemetry }) => numberIn(telemetry, 'broker_rtt_ms'),
}

interface Order {
  readonly key: SortKey
  readonly isDescending: boolean
}

export const NODE_LIST_RULES = {
  q: {
    read: (text) => (text.length <= SOUGHT_CHARACTERS_MAX ? text.toLowerCase() : undefined),
    expected: `a part of an id, at most ${SOUGHT_CHARACTERS_MAX} characters`,
  } as QueryRule<string>,
  state: {
    read(text) {
      const states = text.split(',').map((name) => MEMBER_STATES.find((state) => state === name))
      return states.every((state) => state !== undefined) ? states : undefined
    },
    expected: `one or more of ${MEMBER_STATES.join(', ')}, with a comma and no space between them`,
  } as QueryRule<readonly MemberState[]>,
  troubles: FLAG_RULE,
  sort: {
    read(text) {
      const isDescending = text.startsWith('-')
      const key = own(SORT_KEYS, isDescending ? text.slice(1) : text)
      return key && { key, isDescending }
    },
    expected: `one of ${Object.keys(SORT_KEYS).join(', ')}, with a - before it for the other order`,
  } as QueryRule<Order>,
  limit: LIMIT_RULE,
  offset: wholeRule(0, 999_999),
}

/** The rows that are asked for, and how many there are without `limit` and `offset`. */
export function selectNodes(
  nodes: readonly NodeView[],
  query: QueryValues<typeof NODE_LIST_RULES>,
): { rows: readonly NodeView[]; total: number } {
  const { q = '', state, troubles, sort, limit = LISTED_MAX, offset = 0 } = query
  const found = nodes.filter(
    (node) =>
      node.id.toLowerCase().includes(q) &&
      (state === undefined || state.includes(node.state)) &&
      (troubles === undefined || troubles === (node.troubled ?? false)),
  )
  if (sort !== undefined) found.sort((a, b) => compare(a, b, sort))
  return { rows: found.slice(offset, offset + limit), total: found.length }
}

/** What is not known comes last, in both orders; equals are in the order of their ids. */
function compare(a: NodeView, b: NodeView, { key, isDescending }: Order): number {
  const [one, other] = [key(a), key(b)]
  if (one === other) return a.id < b.id ? -1 : 1
  if (one === undefined || other === undefined) return one === undefined ? 1 : -1
  return one < other === isDescending ? 1 : -1
}

function numberIn(telemetry: NodeView['telemetry'], name: string): number | undefined {
  const value = telemetry?.[name]
  return typeof value === 'number' ? value : undefined
}

/** A share of all that the board has. */
function memoryUsed({ telemetry }: NodeView): number | undefined {
  const all = numberIn(telemetry, 'mem_total_bytes')
  const free = numberIn(telemetry, 'mem_available_bytes')
  return all && free !== undefined ? 1 - free / all : undefined
}
