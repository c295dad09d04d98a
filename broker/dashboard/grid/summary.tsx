/** What is in sight as a table of at most 8 × 8 numbers, for who cannot see the picture. */
import { useSignal } from '@preact/signals'
import { Heads } from '../parts/heads.tsx'
import type { GridMap } from './model.ts'
import { numberText } from './scale.ts'
import { summaryOf } from './squares.ts'

const CELLS_MAX = 8

export function Summary({ map }: { readonly map: GridMap }) {
  const isOpen = useSignal(false)
  return (
    <details
      class="summary"
      onToggle={(event) => {
        isOpen.value = event.currentTarget.open
      }}
    >
      <summary>what is shown, as a table</summary>
      {isOpen.value && <Table map={map} />}
    </details>
  )
}

function Table({ map }: { readonly map: GridMap }) {
  const of = map.of.value
  const { xs, ys, cells } = summaryOf(map.shown.value, map.visible.value, { of, most: CELLS_MAX })
  return (
    <div class="sideways">
      <table>
        <caption>
          {of} of {map.field.value} in each part of what is in sight, by where the part begins
        </caption>
        <Heads of={['y \\ x', ...xs]} numbers={xs} />
        <tbody>
          {ys.map((y, row) => (
            <tr key={y}>
              <th scope="row">{y}</th>
              {xs.map((x, column) => {
                const value = cells[row * xs.length + column]
                return (
                  <td key={x} class="number">
                    {value === undefined ? '–' : numberText(Number(value.toPrecision(4)))}
                  </td>
                )
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
