import type { Region } from '../../../shared/grid/geometry.ts'
import { counted, formatNumber, formatSpan, formatValue } from '../format.ts'
import { Bars } from '../parts/bars.tsx'
import { Facts } from '../parts/facts.tsx'
import { SmallMap } from './small-map.tsx'
import { isHistogram, numbersOf, squaresOf, textOf } from './values.ts'

export interface TaskResult {
  readonly value?: unknown
  readonly sealed?: unknown
  readonly consistent?: boolean
  readonly copies?: number
  readonly lsus?: number
  readonly nodes?: number
  readonly ms?: number
}

interface Props {
  readonly result: TaskResult
  /** What the task went over, if that is known. */
  readonly region: Region | undefined
}

/** What a task has found out: its numbers, a histogram as bars, and the rest as it came. */
export function Result({ result, region }: Props) {
  const { value, sealed, consistent, copies, lsus, nodes, ms } = result
  const { histogram } = (value ?? {}) as { readonly histogram?: unknown }
  const { numbers, rest } = numbersOf(value)
  const about = [
    ...(lsus === undefined ? [] : [`${formatNumber(lsus)} LSUs`]),
    ...(nodes === undefined ? [] : [counted(nodes, 'node')]),
    ...(copies === undefined ? [] : [`${copies} copies on disk`]),
    ...(ms === undefined ? [] : [formatSpan(ms)]),
  ]
  return (
    <div class="result">
      <p class="soft">{about.join(' · ')}</p>
      {consistent === false && (
        <p class="mild">Writes came between its parts: it is of no single moment.</p>
      )}
      {sealed !== undefined && <p>It is sealed: its recipient alone can open it.</p>}
      {numbers.length > 0 && (
        <Facts class="figures" of={numbers.map(({ name, value }) => [name, formatValue(value)])} />
      )}
      {isHistogram(histogram) && <Bars histogram={histogram} />}
      {squaresOf(value, region).map((squares) => (
        <SmallMap key={squares.of} {...squares} />
      ))}
      {rest !== undefined && <pre>{textOf(rest)}</pre>}
    </div>
  )
}
