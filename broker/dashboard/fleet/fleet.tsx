import { computed } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { counted, formatNumber } from '../format.ts'
import { doubts, isLoaded, recovery } from '../live.ts'
import { counts, found, isLarge, nodes, want } from '../nodes.ts'
import { Segments } from '../parts/segments.tsx'
import { route, setQuery } from '../route.ts'
import { Doubts } from './doubts.tsx'
import { useSparks } from './history.ts'
import { MovesLine, WhatIf } from './moves.tsx'
import { Missing, Recovering } from './recovering.tsx'
import { Row } from './row.tsx'
import { choiceOf, chosenRows, PAGE_ROWS, queryOf, SORT_KEYS, type SortKey } from './rows.ts'

const choice = computed(() => choiceOf(route.value.query))
const chosen = computed(() => (isLarge.value ? [] : chosenRows(nodes.value, choice.value)))
const total = computed(() => (isLarge.value ? found.value : chosen.value.length))
const shown = computed(() => {
  if (isLarge.value) return nodes.value
  const { item } = route.value
  const first = choice.value.page * PAGE_ROWS
  const page = chosen.value.slice(first, first + PAGE_ROWS)
  // One that was opened by its address is on another page, perhaps.
  const opened = nodes.value.filter(({ id }) => id === item && !page.some((row) => row.id === id))
  return [...opened, ...page]
})
const isEmpty = computed(() => counts.value.all === 0)
const query = computed(() => queryOf(choice.value))
/** Somebody who types does not want what each letter finds. */
const STILL_MS = 150

export function Fleet() {
  if (!isLoaded.value) return null
  return (
    <>
      {doubts.value.length > 0 && <Doubts />}
      <Missing />
      <Tools />
      {isEmpty.value ? <Nobody /> : <Table />}
      <MovesLine />
      <WhatIf />
    </>
  )
}

/** Other rows, from the first on. */
function choose(change: Readonly<Record<string, string>>): void {
  setQuery({ ...change, page: '' })
}

function Tools() {
  const { troubles, find, sort, isDown } = choice.value
  const { troubled, all } = counts.value
  return (
    <search class="tools">
      <Segments
        title="Which nodes"
        options={[
          ['1', `troubles ${formatNumber(troubled)}`, troubled > 0 ? 'warns' : ''],
          ['', `all ${formatNumber(all)}`],
        ]}
        chosen={troubles ? '1' : ''}
        choose={(troubles) => choose({ troubles })}
      />
      <label>
        <span class="unseen">Find a node</span>
        <input
          type="search"
          placeholder="find"
          value={find}
          onInput={(event) => choose({ find: event.currentTarget.value })}
        />
      </label>
      <label class="phone-only">
        <span class="unseen">Sort by</span>
        <select value={sort} onChange={(e) => choose({ sort: e.currentTarget.value })}>
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
        onClick={() => choose({ down: isDown ? '' : '1' })}
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
      <button type="button" class="sort" onClick={() => choose({ sort: of, down: next })}>
        {TITLES[of]}
        <span aria-hidden="true">{isSorted ? (isDown ? ' ↓' : ' ↑') : ''}</span>
      </button>
    </th>
  )
}

/** Has the gateway look for them, where not all are here. */
function useWanted(): void {
  const { item: id } = route.value
  const asked = query.value
  useEffect(() => {
    const timer = setTimeout(() => want({ query: asked, id }), STILL_MS)
    return () => clearTimeout(timer)
  }, [asked, id])
  useEffect(() => () => want(undefined), [])
}

function Table() {
  useWanted()
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
      {total.value > PAGE_ROWS && <Pages />}
    </div>
  )
}

function Pages() {
  const { page } = choice.value
  const first = page * PAGE_ROWS
  const last = Math.min(total.value, first + PAGE_ROWS)
  const turn = (to: number): void => {
    setQuery({ page: to === 0 ? '' : `${to + 1}` })
    document.querySelector('.nodes')?.scrollIntoView()
  }
  return (
    <nav class="pages" aria-label="Pages of nodes">
      <button type="button" disabled={page === 0} onClick={() => turn(page - 1)}>
        previous
      </button>
      <span role="status">
        {first + 1}–{formatNumber(last)} of {formatNumber(total.value)}
      </span>
      <button type="button" disabled={last === total.value} onClick={() => turn(page + 1)}>
        next
      </button>
    </nav>
  )
}

function Nobody() {
  const now = recovery.value
  if (now !== undefined) return <Recovering of={now} />
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
