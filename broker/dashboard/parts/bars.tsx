import { formatNumber, formatValue } from '../format.ts'
import { Heads } from './heads.tsx'
import { barsOf, type Histogram, summaryOf } from './histogram.ts'

/** A histogram: to be looked at, summed up in words, and as a table for who wants the numbers. */
export function Bars({ histogram }: { readonly histogram: Histogram }) {
  const { edges, counts } = histogram
  return (
    <figure class="bars">
      <svg
        viewBox="0 0 1000 120"
        preserveAspectRatio="none"
        role="img"
        aria-label={summaryOf(histogram)}
      >
        {barsOf(histogram, { width: 1000, height: 120 }).map(({ x, y, width, height }, index) => (
          <rect key={x} x={x} y={y} width={width} height={height}>
            <title>
              {formatValue(edges[index]!)} to {formatValue(edges[index + 1]!)}: {counts[index]}
            </title>
          </rect>
        ))}
      </svg>
      <figcaption>
        <span>{formatValue(edges[0]!)}</span>
        <span>{formatValue(edges.at(-1)!)}</span>
      </figcaption>
      <details>
        <summary>as a table</summary>
        <div class="scroll">
          <table class="small">
            <Heads of={['from', 'to', 'count']} numbers={['count']} />
            <tbody>
              {counts.map((count, index) => (
                <tr key={index}>
                  <td>{formatValue(edges[index]!)}</td>
                  <td>{formatValue(edges[index + 1]!)}</td>
                  <td class="number">{formatNumber(count)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  )
}
