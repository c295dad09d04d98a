import { computed } from '@preact/signals'
import { Fragment } from 'preact'
import type { NodeRow } from '../answers.ts'
import { counted, formatNumber } from '../format.ts'
import { doubts, isLoaded, nodes } from '../live.ts'
import { Age } from '../parts/age.tsx'
import { Spark } from '../parts/chart.tsx'
import { Mark } from '../parts/mark.tsx'
import { route, setQuery } from '../route.ts'
import { Doubts } from './doubts.tsx'
import { DrainBar } from './drain-bar.tsx'
import { progressOf } from './drains.ts'
import { sparks, useSparks } from './history.ts'
import { MovesLine, WhatIf } from './moves.tsx'
import { NodeDetail } from './node-detail.tsx'
import {
  behindOf,
  choiceOf,
  chosenRows,
  conditionOf,
  isTroubled,
  memoryOf,
  SORT_KEYS,
  type SortKey,
} from './rows.ts'

const choice = computed(() => choiceOf(route.value.query))
const shown = computed(() => chosenRows(nodes.value, choice.value))
const troubled = computed(() => nodes.value.filter(isTroubled).length)

export function Fleet() {
  if (!isLoaded.value) return null
  return (
    <section aria-labelledby="fleet">
      <h2 id="fleet" class="unseen">
        Fleet
      </h2>
      {doubts.value.length > 0 && <Doubts />}
      <Tools />
      {nodes.value.length === 0 ? <Nobody /> : <Table />}
      <MovesLine />
      <WhatIf />
    </section>
  )
}

function Tools() {
  const { troubles, find, sort, isDown } = choice.value
  return (
    <search class="tools">
      <fieldset class="segments">
        <legend class="unseen">Which nodes</legend>
        <button
          type="button"
          aria-pressed={troubles}
          onClick={() => setQuery({ troubles: '1' })}
          class={troubled.value > 0 ? 'warns' : ''}
        >
          troubles {troubled.value}
        </button>
        <button type="button" aria-pressed={!troubles} onClick={() => setQuery({ troubles: '' })}>
          all {nodes.value.length}
        </button>
      </fieldset>
      <label>
        <span class="unseen">Find a node</span>
        <input
          type="search"
          placeholder="find"
          value={find}
          onInput={(event) => setQuery({ find: event.currentTarget.value })}
        />
      </label>
      <label class="phone-only">
        <span class="unseen">Sort by</span>
        <select value={sort} onChange={(e) => setQuery({ sort: e.currentTarget.value })}>
          {SORT_KEYS.map((key) => (
            <option key={key} value={key}>
              {TITLES[key]}
            </option>
          ))}
        </select>
      </label>
      <button
        type="button"
        class="phone-only"
        aria-label={isDown ? 'largest first' : 'smallest first'}
        onClick={() => setQuery({ down: isDown ? '' : '1' })}
      >
        {isDown ? '↓' : '↑'}
      </button>
    </search>
  )
}

const TITLES: Readonly<Record<SortKey, string>> = {
  node: 'node',
  state: 'state',
  heard: 'heard',
  tiles: 'tiles',
  behind: 'behind',
  cpu: 'CPU',
  memory: 'memory',
  temp: '°C',
  trip: 'round trip',
}

function SortHead({ of }: { readonly of: SortKey }) {
  const { sort, isDown } = choice.value
  const isSorted = sort === of
  const direction = isDown ? 'descending' : 'ascending'
  const next = isSorted && !isDown ? '1' : ''
  return (
    <th
      scope="col"
      class={of === 'node' || of === 'state' ? '' : 'number'}
      aria-sort={isSorted ? direction : 'none'}
    >
      <button type="button" class="sort" onClick={() => setQuery({ sort: of, down: next })}>
        {TITLES[of]}
        <span aria-hidden="true">{isSorted ? (isDown ? ' ↓' : ' ↑') : ''}</span>
      </button>
    </th>
  )
}

function Table() {
  useSparks(shown.value.map(({ id }) => id))
  return (
    <div class="panel">
      <table class="nodes">
        <caption class="unseen">Nodes of the fleet</caption>
        <thead>
          <tr>
            {SORT_KEYS.map((key) => (
              <SortHead key={key} of={key} />
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.value.map((node) => (
            <Row key={node.id} node={node} isOpen={route.value.item === node.id} />
          ))}
        </tbody>
      </table>
      {shown.value.length === 0 && <p class="empty">No node is like that.</p>}
    </div>
  )
}

function Row({ node, isOpen }: { readonly node: NodeRow; readonly isOpen: boolean }) {
  const { telemetry } = node
  const { word, shape, mood } = conditionOf(node)
  const behind = behindOf(node)
  const drain = progressOf(node)
  const told = sparks.value.get(node.id)
  const toggle = (): void => {
    location.hash = isOpen ? '#fleet' : `#fleet/${encodeURIComponent(node.id)}`
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
          {formatNumber(telemetry?.cpu_percent)} <span class="soft">%</span>
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
          {formatNumber(telemetry?.broker_rtt_ms, 1)} <span class="soft">ms</span>
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
      {formatNumber(value)} <span class="soft">%</span>
    </span>
  )
}

function Nobody() {
  return (
    <div class="panel empty">
      <p>No node has joined yet.</p>
      <p class="soft">
        Start one with <code>obelisk agent --id edge-1</code>, and it appears here.{' '}
        {counted(0, 'tile')} have been written.
      </p>
    </div>
  )
}
