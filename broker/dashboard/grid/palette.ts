/** Colours of the map as a canvas has them. */
import { COLOUR_MAPS, type ColourMap, colourTable } from '../../../shared/grid/colours.ts'

export { COLOUR_MAPS, type ColourMap }

const made = new Map<ColourMap, Uint32Array>()

/** 256 colours, each the four bytes of a pixel as one number. The same list for the same name. */
export function pixelsOf(name: ColourMap): Uint32Array {
  const known = made.get(name)
  if (known !== undefined) return known
  const table = colourTable(name)
  const pixels = Uint32Array.from({ length: 256 }, (_, index) => {
    const [red, green, blue] = [...table.subarray(index * 3, index * 3 + 3)]
    return ((255 << 24) | (blue! << 16) | (green! << 8) | red!) >>> 0
  })
  made.set(name, pixels)
  return pixels
}

/** The same as a gradient of CSS, from left to right. */
export function gradientOf(name: ColourMap): string {
  const table = colourTable(name)
  const stops = Array.from({ length: 17 }, (_, stop) => {
    const index = Math.min(255, stop * 16) * 3
    return `rgb(${table[index]} ${table[index + 1]} ${table[index + 2]})`
  })
  return `linear-gradient(to right, ${stops.join(', ')})`
}
