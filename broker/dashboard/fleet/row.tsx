import { Fragment } from 'preact'
import type { NodeRow } from '../answers.ts'
import { formatNumber } from '../format.ts'
import { Age } from '../parts/age.tsx'
import { Spark } from '../parts/chart.tsx'
import { Mark } from '../parts/mark.tsx'
import { formatRoute, route } from '../route.ts'
import { DrainBar } from './drain-bar.tsx'
import { progressOf } from './drains.ts'
import { sparks } from './history.ts'
import { NodeDetail } from './node-detail.tsx'
import { behindOf, conditionOf, memoryOf, SORT_KEYS } from './rows.ts'

/** A node with its figures, and what is opened below it. */
export function Row({ node, isOpen }: { readonly node: NodeRow; readonly isOpen: boolean }) {
  const { telemetry } = node
  const { word, shape, mood } = conditionOf(node)
  const behind = behindOf(node)
  const drain = progressOf(node)
  const told = sparks.value.get(node.id)
  const toggle = (): void => {
    const { query } = route.peek()
    location.hash = formatRoute({ view: 'fleet', query, ...(!isOpen && { item: node.id }) })
  }
  return (
    <Fragment>
      <tr class={isOpen ? 'open' : ''}>
        <th scope="row">
          <button type="button" class="row" aria-expanded={isOpen} onClick={toggle}>
            {node.id}
          </button>
        </th>
        <td class="state">
          <Mark shape={shape} mood={mood} /> {word}
        </td>
        <td class="number" data-title="heard">
          <Age ts={node.heard_ts ?? telemetry?.ts ?? undefined} />
        </td>
        <td class="number" data-title="tiles">
          {formatNumber(node.tiles)}
        </td>
        <td class="number" data-title="behind">
          {formatNumber(behind)}
        </td>
        <td class="number" data-title="CPU">
          {told?.cpu_percent && <Spark values={told.cpu_percent} least={{ low: 0, high: 100 }} />}
          <Measure value={telemetry?.cpu_percent} unit="%" />
        </td>
        <td class="number" data-title="memory">
          <Share value={memoryOf(node)} />
        </td>
        <td class="number" data-title="°C">
          {formatNumber(telemetry?.temp_celsius)}
        </td>
        <td class="number" data-title="trip">
          {told?.broker_rtt_ms && (
            <Spark values={told.broker_rtt_ms} least={{ low: 0, high: 10 }} />
          )}
          <Measure value={telemetry?.broker_rtt_ms} unit="ms" digits={1} />
        </td>
      </tr>
      {drain !== undefined && (
        <tr class="under">
          <td colSpan={SORT_KEYS.length}>
            <DrainBar node={node.id} progress={drain} />
          </td>
        </tr>
      )}
      {isOpen && (
        <tr class="under">
          <td colSpan={SORT_KEYS.length}>
            <NodeDetail node={node} />
          </td>
        </tr>
      )}
    </Fragment>
  )
}

interface MeasureProps {
  readonly value: number | null | undefined
  readonly unit: string
  readonly digits?: number
}

/** What is not known has no unit. */
function Measure({ value, unit, digits = 0 }: MeasureProps) {
  const isKnown = value !== null && value !== undefined
  return (
    <span>
      {formatNumber(value, digits)} {isKnown && <span class="soft">{unit}</span>}
    </span>
  )
}

/** A percentage, and the same as a small bar. */
function Share({ value }: { readonly value: number | undefined }) {
  return (
    <span class="share">
      {value !== undefined && (
        <svg viewBox="0 0 40 6" width="40" height="6" aria-hidden="true">
          <rect class="track" width="40" height="6" rx="3" />
          <rect class="fill" width={Math.max(3, 0.4 * Math.min(100, value))} height="6" rx="3" />
        </svg>
      )}
      <Measure value={value} unit="%" />
    </span>
  )
}
