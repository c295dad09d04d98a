/** Bars of a histogram, as `stat` gives it: one edge more than counts. */
import { counted, formatNumber, formatValue } from '../format.ts'

export interface Histogram {
  readonly edges: readonly number[]
  readonly counts: readonly number[]
}

export interface Bar {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** Side by side; what is not nothing is a pixel high at least. */
export function barsOf(
  { counts }: Histogram,
  size: { readonly width: number; readonly height: number },
): Bar[] {
  const most = counts.reduce((a, b) => Math.max(a, b), 0)
  const step = size.width / Math.max(1, counts.length)
  return counts.map((count, index) => {
    const height = count === 0 ? 0 : Math.max(1, (size.height * count) / most)
    return { x: index * step, y: size.height - height, width: 0.92 * step, height }
  })
}

/** For who cannot see them. */
export function summaryOf({ edges, counts }: Histogram): string {
  const most = counts.indexOf(counts.reduce((a, b) => Math.max(a, b), 0))
  const where = `from ${formatValue(edges[most] ?? Number.NaN)} to ${formatValue(edges[most + 1] ?? Number.NaN)}`
  return `Histogram of ${counted(counts.length, 'bin')}; most, ${formatNumber(counts[most])}, ${where}`
}
