import { ObeliskError } from '../../../shared/client/obelisk-error.ts'
import type { NodeRow } from '../answers.ts'
import {
  asWords,
  counted,
  formatAge,
  formatBytes,
  formatNumber,
  formatTime,
  UNKNOWN,
} from '../format.ts'
import { refresh } from '../live.ts'
import { confirm } from '../parts/confirm.tsx'
import { type Fact, Facts } from '../parts/facts.tsx'
import { ask, may } from '../session.ts'
import { HistoryCharts } from './history-charts.tsx'
import { NodeLog } from './node-log.tsx'

/** What is known of one node, and what can be done with it. */
export function NodeDetail({ node }: { readonly node: NodeRow }) {
  return (
    <div class="detail">
      {node.stopped !== undefined && (
        <p class="bad">
          It takes no more of its stream: {node.stopped.message} ({node.stopped.code})
        </p>
      )}
      <Facts of={factsOf(node)} />
      {may('operate') && <Orders node={node} />}
      <HistoryCharts node={node.id} />
      {may('operate') && <NodeLog node={node.id} />}
    </div>
  )
}

function factsOf({ telemetry: told, ...node }: NodeRow): Fact[] {
  const since = (ts: number | undefined): string => (ts === undefined ? UNKNOWN : formatTime(ts))
  const info = Object.entries(node.info ?? {})
    .filter(([, value]) => typeof value === 'string' || typeof value === 'number')
    .map(([name, value]): Fact => [asWords(name), `${value}`])
  return [
    ['connected', node.connected ? 'yes' : 'no'],
    ...(node.version === undefined ? [] : [['version', node.version] as Fact]),
    ['joined', since(node.joined_ts)],
    ['tiles written', formatNumber(node.tiles_written)],
    ['weight', formatNumber(node.weight)],
    ['starts of its store', formatNumber(node.incarnation)],
    ['disk free', formatBytes(told?.disk_free_bytes)],
    ['store', formatBytes(told?.store_bytes)],
    ['written to disk', formatBytes(told?.store_written_bytes_total)],
    ['memory of the agent', formatBytes(told?.rss_bytes)],
    ['load', formatNumber(told?.load1, 2)],
    ['board is up', told?.uptime_seconds == null ? UNKNOWN : formatAge(1000 * told.uptime_seconds)],
    ...(node.probation_seconds === undefined
      ? []
      : [['no tiles of others for', formatAge(1000 * node.probation_seconds)] as Fact]),
    ...info,
  ]
}

function Orders({ node }: { readonly node: NodeRow }) {
  const { id, state, draining, tiles } = node
  const isGone = state === 'dead' || state === 'left'
  return (
    <div class="buttons">
      {!draining && state !== 'left' && (
        <button type="button" onClick={() => drain(id, tiles)}>
          drain…
        </button>
      )}
      {isGone && (
        <button type="button" onClick={() => remove(id)}>
          forget…
        </button>
      )}
    </div>
  )
}

function drain(id: string, tiles: number, isForced = false): void {
  const path = `api/nodes/${encodeURIComponent(id)}/drain`
  confirm({
    title: isForced ? `Drain ${id} as far as it goes?` : `Drain ${id}?`,
    lines: [
      `Its ${counted(tiles, 'tile')} go to other nodes, and then it leaves the fleet. Nothing is lost, and it can be kept after all until it has left.`,
      ...(isForced ? ['What finds no other node stays until one joins.'] : []),
    ],
    verb: `drain ${id}`,
    run: async () => {
      try {
        await ask(path, { method: 'POST', body: { drain: true, ...(isForced && { force: true }) } })
        await refresh()
      } catch (error) {
        const isStuck = error instanceof ObeliskError && error.code === 'too-few-nodes'
        if (!isStuck || isForced) throw error
        // Asked again, as another question with its own words.
        setTimeout(() => drain(id, tiles, true))
      }
    },
  })
}

function remove(id: string): void {
  confirm({
    title: `Forget ${id}?`,
    lines: [
      `It goes out of the table, and all that is kept of ${id} with it. If it ever comes back, it comes as a new node, and empty.`,
    ],
    verb: `forget ${id}`,
    run: async () => {
      await ask(`api/nodes/${encodeURIComponent(id)}`, { method: 'DELETE' })
      location.hash = '#fleet'
      await refresh()
    },
  })
}
