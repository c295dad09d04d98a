/**
 * Colour maps of pictures of the grid, the same in the page and in the PNG of the gateway. All but `change` get
 * lighter from low to high, so that they are read without colours, too; `cividis` looks nearly alike to whoever sees
 * no red or no green. `change` is lightest in its middle, where nothing has changed. Each is given by some colours an
 * equal way apart, with straight lines between them.
 */
export const COLOUR_MAPS = ['viridis', 'cividis', 'magma', 'grey', 'change'] as const
export type ColourMap = (typeof COLOUR_MAPS)[number]

const STOPS: Readonly<Record<ColourMap, readonly number[]>> = {
  viridis: [
    ...[0x440154, 0x482878, 0x3e4989, 0x31688e, 0x26828e],
    ...[0x1f9e89, 0x35b779, 0x6ece58, 0xb5de2b, 0xfde725],
  ],
  cividis: [
    ...[0x00224e, 0x123570, 0x3b496c, 0x575d6d, 0x707173],
    ...[0x8a8678, 0xa59c74, 0xc3b369, 0xe1cc55, 0xfee838],
  ],
  magma: [
    ...[0x000004, 0x180f3d, 0x440f76, 0x721f81, 0x9e2f7f],
    ...[0xcd4071, 0xf1605d, 0xfd9668, 0xfeca8d, 0xfcfdbf],
  ],
  grey: [0x101010, 0xf4f4f4],
  change: [0x1d4f91, 0x6c9bd2, 0xf3f1ee, 0xe08a5b, 0x96311c],
}

const COLOURS = 256

/** 256 colours from low to high: red, green and blue of each, a byte each. */
export function colourTable(name: ColourMap): Uint8Array {
  const stops = STOPS[name]
  const table = new Uint8Array(3 * COLOURS)
  for (let colour = 0; colour < COLOURS; colour++) {
    const place = (colour / (COLOURS - 1)) * (stops.length - 1)
    const before = Math.min(Math.floor(place), stops.length - 2)
    for (let channel = 0; channel < 3; channel++) {
      const shift = 16 - 8 * channel
      const [from, to] = [stops[before]!, stops[before + 1]!].map((rgb) => (rgb >> shift) & 255)
      table[3 * colour + channel] = Math.round(from! + (to! - from!) * (place - before))
    }
  }
  return table
}
