/** Which nodes are shown, in which order, and what is wrong with each: plain functions of the rows. */
import type { NodeRow } from '../answers.ts'
import type { Condition } from '../parts/condition.ts'

export type SortKey =
  | 'node'
  | 'state'
  | 'heard'
  | 'tiles'
  | 'behind'
  | 'cpu'
  | 'memory'
  | 'temp'
  | 'trip'

export interface Choice {
  readonly troubles: boolean
  readonly find: string
  readonly sort: SortKey
  readonly isDown: boolean
}

export function conditionOf(node: NodeRow): Condition {
  if (node.state === 'dead') return { word: 'dead', shape: 'cross', mood: 'bad' }
  if (node.state === 'left') return { word: 'left', shape: 'ring', mood: 'none' }
  if (node.stopped !== undefined) {
    return { word: `stopped: ${node.stopped.code}`, shape: 'cross', mood: 'bad' }
  }
  if (node.state === 'suspect') return { word: 'suspect', shape: 'half', mood: 'mild' }
  if (node.draining) return { word: 'draining', shape: 'arrow', mood: 'mild' }
  if (node.quarantined) return { word: 'comes and goes', shape: 'half', mood: 'mild' }
  return { word: 'alive', shape: 'disc', mood: 'good' }
}

/** Whether somebody should look at it. */
export function isTroubled({ state, stopped, quarantined }: NodeRow): boolean {
  return state === 'suspect' || state === 'dead' || stopped !== undefined || quarantined === true
}

/** Entries of its stream that it has not on disk yet. */
export function behindOf({ behind, stream }: NodeRow): number | undefined {
  return behind ?? (stream && stream.head - stream.acked)
}

/** Percent of the memory that is used. */
export function memoryOf({ telemetry }: NodeRow): number | undefined {
  const { mem_total_bytes: total, mem_available_bytes: available } = telemetry ?? {}
  return total && available != null ? 100 * (1 - available / total) : undefined
}

const ORDER = ['dead', 'suspect', 'alive', 'left']

type Sortable = string | number | null | undefined

const KEYS: Readonly<Record<SortKey, (node: NodeRow) => Sortable>> = {
  node: ({ id }) => id,
  state: (node) => ORDER.indexOf(node.state) + (isTroubled(node) || node.draining ? 0 : 0.5),
  heard: ({ heard_ts: ts, telemetry }) => -(ts ?? telemetry?.ts ?? 0),
  tiles: ({ tiles }) => tiles,
  behind: behindOf,
  cpu: ({ telemetry }) => telemetry?.cpu_percent,
  memory: memoryOf,
  temp: ({ telemetry }) => telemetry?.temp_celsius,
  trip: ({ telemetry }) => telemetry?.broker_rtt_ms,
}
export const SORT_KEYS = Object.keys(KEYS) as SortKey[]

const BY_ID = new Intl.Collator('en', { numeric: true })

/** What is not known comes last, whichever way; equal ones by their ids. */
export function chosenRows(rows: readonly NodeRow[], choice: Choice): NodeRow[] {
  const { troubles, find, sort, isDown } = choice
  const wanted = find.trim().toLowerCase()
  const keyOf = KEYS[sort]
  const sign = isDown ? -1 : 1
  return rows
    .filter((node) => !troubles || isTroubled(node))
    .filter((node) => wanted === '' || wordsOf(node).includes(wanted))
    .map((node) => ({ node, key: keyOf(node) ?? undefined }))
    .sort((a, b) => {
      if (a.key === b.key) return BY_ID.compare(a.node.id, b.node.id)
      if (a.key === undefined) return 1
      if (b.key === undefined) return -1
      return sign * compare(a.key, b.key) || BY_ID.compare(a.node.id, b.node.id)
    })
    .map(({ node }) => node)
}

function compare(a: string | number, b: string | number): number {
  return typeof a === 'string' ? BY_ID.compare(a, `${b}`) : a - Number(b)
}

function wordsOf(node: NodeRow): string {
  return `${node.id} ${node.state} ${conditionOf(node).word}`.toLowerCase()
}

export function choiceOf(query: Readonly<Record<string, string>>): Choice {
  const { troubles, find = '', sort = 'node', down } = query
  const known = SORT_KEYS.find((key) => key === sort) ?? 'node'
  return { troubles: troubles === '1', find, sort: known, isDown: down === '1' }
}
