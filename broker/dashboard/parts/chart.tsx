import { formatValue } from '../format.ts'
import { pathOf, type Scale, type Series, scaleOf, wordsOf } from './lines.ts'

interface SparkProps {
  readonly name: string
  readonly values: Series
  readonly least: Scale
}

/** A line within a cell of a table, whose number stands beside it. */
export function Spark({ values, least }: Omit<SparkProps, 'name'>) {
  const size = { width: 60, height: 16 }
  return (
    <svg class="spark" viewBox="-1 -1 62 18" width="62" height="18" aria-hidden="true">
      <path d={pathOf(values, scaleOf(values, least), size)} />
    </svg>
  )
}

interface ChartProps extends SparkProps {
  readonly unit: string
}

export function Chart({ name, values, least, unit }: ChartProps) {
  const scale = scaleOf(values, least)
  const size = { width: 300, height: 60 }
  return (
    <figure class="chart">
      <figcaption>
        {name} <span class="soft">{unit}</span>
      </figcaption>
      <div class="plot">
        <div class="scale" aria-hidden="true">
          <span>{formatValue(scale.high)}</span>
          <span>{formatValue(scale.low)}</span>
        </div>
        <svg
          viewBox="0 -1 300 62"
          preserveAspectRatio="none"
          role="img"
          aria-label={wordsOf(name, values, unit)}
        >
          <path d={pathOf(values, scale, size)} vector-effect="non-scaling-stroke" />
        </svg>
      </div>
    </figure>
  )
}
