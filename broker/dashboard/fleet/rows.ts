/** Which nodes are shown, in which order, and what is wrong with each: plain functions of the rows. */
import type { NodeRow } from '../answers.ts'
import { BY_NAME } from '../format.ts'
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
  /** Which hundred, from 0 on. */
  readonly page: number
}

export const PAGE_ROWS = 100

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

export interface Counts {
  /** Those that left, too. */
  readonly all: number
  readonly members: number
  readonly alive: number
  readonly troubled: number
}

export function countsOf(rows: readonly NodeRow[]): Counts {
  const inState = (wanted: string): number => rows.filter(({ state }) => state === wanted).length
  return {
    all: rows.length,
    members: rows.length - inState('left'),
    alive: inState('alive'),
    troubled: rows.filter(isTroubled).length,
  }
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
      if (a.key === b.key) return BY_NAME.compare(a.node.id, b.node.id)
      if (a.key === undefined) return 1
      if (b.key === undefined) return -1
      return sign * compare(a.key, b.key) || BY_NAME.compare(a.node.id, b.node.id)
    })
    .map(({ node }) => node)
}

function compare(a: string | number, b: string | number): number {
  return typeof a === 'string' ? BY_NAME.compare(a, `${b}`) : a - Number(b)
}

function wordsOf(node: NodeRow): string {
  return `${node.id} ${node.state} ${conditionOf(node).word}`.toLowerCase()
}

export function choiceOf(query: Readonly<Record<string, string>>): Choice {
  const { troubles, find = '', sort = 'node', down, page = '1' } = query
  const known = SORT_KEYS.find((key) => key === sort) ?? 'node'
  return {
    ...{ troubles: troubles === '1', find, sort: known, isDown: down === '1' },
    page: /^[1-9]\d{0,3}$/.test(page) ? Number(page) - 1 : 0,
  }
}

/** As the gateway calls them; with a `-` what it puts the other way round. */
const COLUMNS: Readonly<Record<SortKey, string>> = {
  ...{ node: 'id', state: '-state', heard: '-heard', tiles: 'tiles', behind: 'behind' },
  ...{ cpu: 'cpu', memory: 'memory', temp: 'temperature', trip: 'trip' },
}

/** The same question for `GET /api/nodes`, which looks for `find` in ids alone. */
export function queryOf({ troubles, find, sort, isDown, page }: Choice): string {
  const column = COLUMNS[sort]
  const turned = column.startsWith('-') ? column.slice(1) : `-${column}`
  return `${new URLSearchParams({
    ...(troubles && { troubles: 'true' }),
    ...(find.trim() !== '' && { q: find.trim().slice(0, 64) }),
    sort: isDown ? turned : column,
    limit: `${PAGE_ROWS}`,
    offset: `${page * PAGE_ROWS}`,
  })}`
}
