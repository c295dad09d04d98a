/** From the squares of an overview to the colours of a picture. Pure: the gateway draws PNG with it. */
import type { ColourMap } from './colours.ts'

export interface Range {
  readonly low: number
  readonly high: number
}

/** The colours of a picture are 0 to this; the next one is that of what nobody knows. */
const COLOUR_LAST = 254
export const UNKNOWN = 255
/** Of those that are enlarged. */
const SLICE_PIXELS = 16_384

/** From the least to the greatest number; `change` has 0 in its middle. Of what nobody knows anything, 0 to 1. */
export function rangeOf(values: Float32Array, colours: ColourMap): Range {
  let low = Number.POSITIVE_INFINITY
  let high = Number.NEGATIVE_INFINITY
  for (const value of values) {
    if (value < low) low = value
    if (value > high) high = value
  }
  if (low > high) return { low: 0, high: 1 }
  if (colours !== 'change') return { low, high }
  const most = Math.max(Math.abs(low), Math.abs(high))
  return { low: -most, high: most }
}

/** The colour of each value: what is beyond the range has that of its end. */
export function coloursOf(values: Float32Array, { low, high }: Range): Uint8Array {
  const pixels = new Uint8Array(values.length)
  // A range of one number has the colour of the middle.
  const scale = high > low ? (COLOUR_LAST + 1) / (high - low) : 0
  const start = high > low ? 0 : Math.ceil(COLOUR_LAST / 2)
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!
    const colour = Math.floor(start + (value - low) * scale)
    if (Number.isNaN(value)) pixels[index] = UNKNOWN
    else pixels[index] = colour < 0 ? 0 : colour > COLOUR_LAST ? COLOUR_LAST : colour
  }
  return pixels
}

/** Each pixel as a square of `scale` × `scale`, so many of them a slice. */
export function* enlarged(
  pixels: Uint8Array,
  width: number,
  scale: number,
): Generator<void, Uint8Array> {
  if (scale === 1) return pixels
  const large = new Uint8Array(pixels.length * scale * scale)
  const row = width * scale
  let done = 0
  for (let from = 0, to = 0; from < pixels.length; from += width, to += row * scale) {
    for (let x = 0; x < width; x++) {
      large.fill(pixels[from + x]!, to + x * scale, to + (x + 1) * scale)
    }
    for (let copy = 1; copy < scale; copy++) large.copyWithin(to + copy * row, to, to + row)
    done += width
    if (done < SLICE_PIXELS) continue
    done = 0
    yield
  }
  return large
}

/** 255 colours of a table of 256, and a last one for what nobody knows. */
export function paletteOf(table: Uint8Array): Uint8Array {
  const palette = new Uint8Array(3 * (UNKNOWN + 1))
  for (let colour = 0; colour <= COLOUR_LAST; colour++) {
    const from = 3 * Math.round((colour * 255) / COLOUR_LAST)
    palette.set(table.subarray(from, from + 3), 3 * colour)
  }
  return palette
}
