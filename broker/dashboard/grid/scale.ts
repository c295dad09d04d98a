/** From values to colours: the range of a legend, its ticks, and how numbers are written. */
import type { FieldType } from '../../../shared/grid/fields.ts'

export interface Range {
  readonly low: number
  readonly high: number
}

/** Without the lowest and the highest 2 %: a few outliers do not make all the rest one colour. */
const TAIL = 0.02

/** The range of what is in sight. `sample` is put in order. */
export function middleRange(sample: Float32Array): Range | undefined {
  if (sample.length === 0) return undefined
  sample.sort()
  const at = (share: number): number => sample[Math.round(share * (sample.length - 1))]!
  const range = { low: at(TAIL), high: at(1 - TAIL) }
  // A field that is nearly everywhere the same shows what differs.
  return range.low < range.high ? range : wholeRange(sample)
}

/** From the least to the greatest of them. */
export function wholeRange(values: Float32Array): Range | undefined {
  let low = Number.POSITIVE_INFINITY
  let high = Number.NEGATIVE_INFINITY
  for (const value of values) {
    if (value < low) low = value
    if (value > high) high = value
  }
  return low <= high ? { low, high } : undefined
}

/** As wide on both sides of 0, for colours that have a middle. */
export function balanced({ low, high }: Range): Range {
  const most = Math.max(Math.abs(low), Math.abs(high))
  return { low: -most, high: most }
}

/** A range of one number has a place in the middle of the colours. */
export function opened({ low, high }: Range): Range {
  if (low < high) return { low, high }
  const room = low === 0 ? 1 : Math.abs(low) / 2
  return { low: low - room, high: low + room }
}

/** What was typed as two numbers, or what is wrong with it. */
export function typedRange(
  lowText: string,
  highText: string,
): { readonly range: Range } | { readonly problem: string } {
  const [low, high] = [lowText, highText].map((text) =>
    text.trim() === '' ? Number.NaN : Number(text.trim().replaceAll('−', '-')),
  ) as [number, number]
  if (!Number.isFinite(low)) return { problem: 'the low end is no number' }
  if (!Number.isFinite(high)) return { problem: 'the high end is no number' }
  if (low >= high) return { problem: 'the low end must be below the high end' }
  return { range: { low, high } }
}

/** Round numbers from low to high, at most `most` of them: 1, 2 or 5 times a power of ten apart. */
export function ticksOf({ low, high }: Range, most: number): number[] {
  const rough = (high - low) / most
  const power = 10 ** Math.floor(Math.log10(rough))
  if (!Number.isFinite(power) || power === 0) return []
  const gap = [1, 2, 5, 10].map((times) => times * power).find((one) => one >= rough * 0.999999)!
  const ticks: number[] = []
  const first = Math.ceil(low / gap - 1e-9)
  for (let at = first; at * gap <= high + gap * 1e-9 && ticks.length < most + 1; at++) {
    // As short as it can be written: 0.3 and not 0.30000000000000004.
    ticks.push(Number((at * gap).toPrecision(12)))
  }
  return ticks
}

/** A number to read: whole ones as they are, others with six digits; a true minus; exponents where it would be long. */
export function numberText(value: number): string {
  if (Number.isNaN(value)) return 'missing'
  const size = Math.abs(value)
  const short = Number.isInteger(value) && size < 1e12 ? value : Number(value.toPrecision(6))
  const text = size >= 1e12 || (size !== 0 && size < 1e-4) ? short.toExponential() : String(short)
  return text.replaceAll('-', '−')
}

/** The number that a cell holds, with as few digits as tell it from all others of its type. */
export function exactText(value: number, type: FieldType): string {
  let text = String(value)
  for (let digits = 1; type === 'f32' && digits <= 9; digits++) {
    const shorter = Number(value.toPrecision(digits))
    if (Math.fround(shorter) !== value) continue
    text = String(shorter)
    break
  }
  return text.replaceAll('-', '−')
}
