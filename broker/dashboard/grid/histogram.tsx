/** How many cells have about which value, as bars. The numbers stand beside it. */
import { formatNumber } from '../format.ts'
import { numberText } from './scale.ts'

const WIDTH = 240
const HEIGHT = 72

export function Histogram({
  edges,
  counts,
}: {
  readonly edges: readonly number[]
  readonly counts: readonly number[]
}) {
  const most = Math.max(1, ...counts)
  const side = WIDTH / counts.length
  const fullest = counts.indexOf(most)
  const label = `histogram from ${numberText(edges[0]!)} to ${numberText(edges.at(-1)!)}; most cells, ${formatNumber(most)}, from ${numberText(edges[fullest] ?? 0)} to ${numberText(edges[fullest + 1] ?? 0)}`
  return (
    <figure class="histogram">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={label}
        preserveAspectRatio="none"
      >
        {counts.map((count, bin) => {
          const tall = count === 0 ? 0 : Math.max(1, (count / most) * HEIGHT)
          return (
            <rect
              key={edges[bin]}
              x={bin * side + 0.5}
              y={HEIGHT - tall}
              width={Math.max(0.5, side - 1)}
              height={tall}
            />
          )
        })}
      </svg>
      <p class="soft ends" aria-hidden="true">
        <span>{numberText(edges[0]!)}</span>
        <span>{numberText(edges.at(-1)!)}</span>
      </p>
    </figure>
  )
}
