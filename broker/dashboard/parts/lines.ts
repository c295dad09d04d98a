/** Lines of charts, from values that are equally far apart; null is a gap. */
import { formatValue } from '../format.ts'

export type Series = readonly (number | null)[]

export interface Scale {
  readonly low: number
  readonly high: number
}

/** Round numbers around what there is; `least` is what it spans in any case. */
export function scaleOf(values: Series, least: Scale): Scale {
  const known = values.filter((value) => value !== null)
  const low = known.reduce((a, b) => Math.min(a, b), least.low)
  const high = known.reduce((a, b) => Math.max(a, b), least.high)
  const step = 10 ** Math.floor(Math.log10(high - low || 1))
  return { low: Math.floor(low / step) * step, high: Math.ceil(high / step) * step }
}

/** The `d` of a path. A value alone between gaps is a dot: a line of no length, with round ends. */
export function pathOf(
  values: Series,
  { low, high }: Scale,
  size: { readonly width: number; readonly height: number },
): string {
  const step = size.width / Math.max(1, values.length - 1)
  const parts: string[] = []
  values.forEach((value, index) => {
    if (value === null) return
    const share = (Math.min(high, Math.max(low, value)) - low) / (high - low || 1)
    const point = `${rounded(index * step)},${rounded(size.height * (1 - share))}`
    const isBeginning = index === 0 || values[index - 1] === null
    const isAlone = isBeginning && (values[index + 1] ?? null) === null
    parts.push(isBeginning ? `M${point}` : `L${point}`, isAlone ? 'h0' : '')
  })
  return parts.join('')
}

/** For who cannot see it. */
export function wordsOf(name: string, values: Series, unit: string): string {
  const known = values.filter((value) => value !== null)
  if (known.length === 0) return `${name}: nothing is known`
  const [low, high] = [
    known.reduce((a, b) => Math.min(a, b)),
    known.reduce((a, b) => Math.max(a, b)),
  ]
  const told = (value: number): string => `${formatValue(rounded(value))} ${unit}`.trim()
  return `${name}: now ${told(known.at(-1)!)}, from ${told(low)} to ${told(high)}`
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10
}
