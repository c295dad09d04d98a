/** The colours of the map and the numbers that they stand for, and how these are found. */
import { useSignal } from '@preact/signals'
import { Problem } from '../parts/problem.tsx'
import type { GridMap, RangeMode } from './model.ts'
import { gradientOf } from './palette.ts'
import { numberText, ticksOf, typedRange } from './scale.ts'

const TICKS_MAX = 5
const MODES: readonly { readonly mode: RangeMode; readonly title: string }[] = [
  { mode: 'middle', title: '2–98 % of what is in sight' },
  { mode: 'whole', title: 'whole field' },
  { mode: 'typed', title: 'typed' },
]

export function Legend({ map }: { readonly map: GridMap }) {
  const { low, high } = map.range.value
  const ticks = ticksOf({ low, high }, TICKS_MAX)
  const place = (tick: number): string => `${((tick - low) / (high - low)) * 100}%`
  return (
    <figure class="legend">
      <figcaption class="unseen">
        {map.colours.value} from {numberText(low)} to {numberText(high)}
      </figcaption>
      <div class="ramp" style={{ background: gradientOf(map.colours.value) }} />
      <div class="ticks" aria-hidden="true">
        {ticks.map((tick) => (
          <span key={tick} style={{ left: place(tick) }}>
            {numberText(tick)}
          </span>
        ))}
      </div>
    </figure>
  )
}

export function RangeChooser({ map }: { readonly map: GridMap }) {
  const problem = useSignal('')
  const low = useSignal('')
  const high = useSignal('')

  function choose(mode: RangeMode): void {
    const { low: from, high: to } = map.range.peek()
    low.value = numberText(from)
    high.value = numberText(to)
    problem.value = ''
    map.rangeMode.value = mode
    map.rangeChanged()
  }
  function type(): void {
    const typed = typedRange(low.peek(), high.peek())
    problem.value = 'problem' in typed ? typed.problem : ''
    if ('range' in typed) map.range.value = typed.range
  }

  return (
    <>
      <label class="choice">
        range
        <select
          value={map.rangeMode.value}
          onChange={(event) => choose(event.currentTarget.value as RangeMode)}
        >
          {MODES.map(({ mode, title }) => (
            <option key={mode} value={mode}>
              {title}
            </option>
          ))}
        </select>
      </label>
      {map.rangeMode.value === 'typed' && (
        <fieldset class="ends">
          <legend class="unseen">range of the colours</legend>
          {[
            { title: 'low', end: low },
            { title: 'high', end: high },
          ].map(({ title, end }) => (
            <label key={title} class="choice">
              {title}
              <input
                type="text"
                inputMode="decimal"
                size={8}
                value={end.value}
                onInput={(event) => {
                  end.value = event.currentTarget.value
                  type()
                }}
              />
            </label>
          ))}
          <Problem of={problem.value} />
        </fieldset>
      )}
    </>
  )
}
