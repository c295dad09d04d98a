/** How nodes were doing, as the gateway remembers it: read while somebody looks, and again each half minute. */
import { signal } from '@preact/signals'
import { useEffect, useState } from 'preact/hooks'
import {
  HISTORY_NODES_MAX,
  type HistoryMetric,
  type HistorySpan,
} from '../../../shared/protocol/history.ts'
import { link } from '../link.ts'
import type { Series } from '../parts/lines.ts'
import { ask } from '../session.ts'

/** Nothing of what it does not know. */
export type NodeHistory = Readonly<Partial<Record<HistoryMetric, Series>>>

interface Answer {
  readonly nodes: readonly ({ readonly id: string } & NodeHistory)[]
}

const AGAIN_MS = 30_000
const SPARK_POINTS = 30
const CHART_POINTS = 120

/** Of the nodes that the table shows, by id. */
export const sparks = signal<ReadonlyMap<string, NodeHistory>>(new Map())

async function read(ids: readonly string[], query: string): Promise<Map<string, NodeHistory>> {
  if (ids.length === 0) return new Map()
  const named = ids.slice(0, HISTORY_NODES_MAX).map(encodeURIComponent).join(',')
  const { nodes } = await ask<Answer>(`api/history?nodes=${named}&${query}`)
  return new Map(nodes.map((node) => [node.id, node]))
}

/** Keeps `sparks` of these nodes. */
export function useSparks(ids: readonly string[]): void {
  const key = ids.slice(0, HISTORY_NODES_MAX).join(',')
  useRepeated(key, async () => {
    const metrics = 'metrics=cpu_percent,broker_rtt_ms'
    sparks.value = await read(key.split(',').filter(Boolean), `${metrics}&points=${SPARK_POINTS}`)
  })
}

export function useHistory(id: string, span: HistorySpan): NodeHistory | undefined {
  const [found, setFound] = useState<NodeHistory | undefined>(undefined)
  useRepeated(`${id} ${span}`, async () => {
    const answer = await read([id], `span=${span}&points=${CHART_POINTS}`)
    setFound(answer.get(id) ?? {})
  })
  return found
}

/** Does it now, when `key` is another one, when the gateway is back, and each half minute if somebody looks. */
function useRepeated(key: string, work: () => Promise<void>): void {
  const isLive = link.value === 'live'
  useEffect(() => {
    if (!isLive) return
    // What is not answered is asked again; that the gateway is away is said elsewhere.
    const go = (): void => void work().catch(() => {})
    go()
    const timer = setInterval(() => {
      if (!document.hidden) go()
    }, AGAIN_MS)
    return () => clearInterval(timer)
  }, [key, isLive])
}
