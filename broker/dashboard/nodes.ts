/**
 * The nodes as rows: all of a fleet that can be kept whole, else those that are shown, which the gateway finds and puts
 * in order.
 */
import { batch, computed, signal } from '@preact/signals'
import type { NodeRow } from './answers.ts'
import { type Counts, countsOf } from './fleet/rows.ts'
import { answerTo, ask, textOf } from './session.ts'

/** What is shown of a fleet that is not kept whole. */
export interface Wanted {
  /** Of `GET /api/nodes`. */
  readonly query: string
  /** A node that is shown besides. */
  readonly id: string | undefined
}

/** The gateway tells every change of so many as it happens. */
const KEPT_MAX = 500
const LISTED_MAX = 1000
/** Rows that are not kept have come, gone or changed. */
const AGAIN_MS = 5_000

export const nodes = signal<readonly NodeRow[]>([])
/** Of a fleet that is not kept whole. */
const counted = signal<(Counts & { readonly found: number }) | undefined>(undefined)
export const isLarge = computed(() => counted.value !== undefined)
/** How many the gateway has found of what is wanted. */
export const found = computed(() => counted.value?.found ?? 0)
export const counts = computed<Counts>(() => counted.value ?? countsOf(nodes.value))

let wanted: Wanted | undefined
let again: ReturnType<typeof setTimeout> | undefined

/** Of a fleet that is not kept whole, shows others. */
export function want(others: Wanted | undefined): void {
  wanted = others
  if (isLarge.peek() && others !== undefined) void readNodes().catch(() => {})
}

/** Throws what the gateway refused. */
export async function readNodes(): Promise<void> {
  clearTimeout(again)
  again = undefined
  if (!isLarge.peek()) {
    const { rows, total } = await part(`limit=${KEPT_MAX}`)
    if (total <= KEPT_MAX) {
      nodes.value = rows
      return
    }
  }
  const asked = wanted
  const [{ rows, total }, all, members, alive, troubled] = await Promise.all([
    asked === undefined ? { rows: [], total: 0 } : part(asked.query),
    countOf(''),
    countOf('&state=alive,suspect,dead'),
    countOf('&state=alive'),
    countOf('&troubles=true'),
  ])
  const opened = await openedOf(asked?.id, rows)
  // Something else is wanted now, and asked for.
  if (asked !== wanted) return
  batch(() => {
    counted.value = { all, members, alive, troubled, found: total }
    nodes.value = [...opened, ...rows]
  })
  if (all > KEPT_MAX) return
  counted.value = undefined
  await readNodes()
}

/** Every row, a thousand at a time, of a fleet however large. */
export async function readEveryNode(): Promise<readonly NodeRow[]> {
  const every: NodeRow[] = []
  for (;;) {
    const { rows, total } = await part(`sort=id&limit=${LISTED_MAX}&offset=${every.length}`)
    every.push(...rows)
    if (rows.length === 0 || every.length >= total) return every
  }
}

/** These are others than before. */
export function takeNodes(rows: readonly (NodeRow & { readonly removed?: true })[]): void {
  const changed = new Map(rows.map((row) => [row.id, row]))
  const kept = nodes.peek().flatMap((row) => {
    const now = changed.get(row.id) ?? row
    changed.delete(row.id)
    return 'removed' in now ? [] : [now]
  })
  if (!isLarge.peek()) {
    const added = [...changed.values()].filter((row) => !('removed' in row))
    nodes.value = [...kept, ...added]
    return
  }
  nodes.value = kept
  again ??= setTimeout(() => void readNodes().catch(() => {}), AGAIN_MS)
}

async function part(query: string): Promise<{ rows: readonly NodeRow[]; total: number }> {
  const { body, headers } = await answerTo(`api/nodes?${query}`)
  return { rows: JSON.parse(textOf(body)), total: Number(headers.get('x-total-count')) }
}

async function countOf(filter: string): Promise<number> {
  return (await part(`limit=1${filter}`)).total
}

/** A node that was opened by its address, where it is not among the rows. */
async function openedOf(id: string | undefined, rows: readonly NodeRow[]): Promise<NodeRow[]> {
  if (id === undefined || rows.some((row) => row.id === id)) return []
  return await ask<NodeRow>(`api/nodes/${encodeURIComponent(id)}`).then(
    (row) => [row],
    () => [],
  )
}
