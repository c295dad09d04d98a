/** `none` for terminals without, or whose user does not want, colours. */
export type ColourDepth = 'none' | 'indexed' | 'true'

/** The parameters that name a colour, after 38 for the foreground or 48 for the background. */
export type Colour = string

type Rgb = readonly [red: number, green: number, blue: number]

/** From dry to wet: one colour to be shaded, and a ramp of xterm's 256 for terminals with only those. */
interface Hue {
  readonly full: Rgb
  readonly ramp: readonly number[]
}

const RESET = '\u001b[0m'

const HUES: readonly Hue[] = [
  { full: [52, 168, 255], ramp: [23, 24, 31, 38, 45, 123, 195] },
  { full: [255, 158, 44], ramp: [58, 94, 130, 172, 208, 221, 230] },
  { full: [92, 205, 92], ramp: [22, 28, 34, 40, 83, 157, 194] },
  { full: [228, 100, 216], ramp: [53, 90, 127, 164, 207, 219, 225] },
]
const GREY: Hue = { full: [134, 134, 134], ramp: [233, 235, 237, 240, 243, 247, 251] }

const BLACK: Rgb = [0, 0, 0]
const WHITE: Rgb = [255, 255, 255]
const DARKEST = 0.12
/** Up to this strength a colour gets stronger; beyond it gets lighter. */
const FULL_AT = 0.65
const LIGHTEST = 0.7

/**
 * From the bits of `tty.WriteStream.getColorDepth`, which knows NO_COLOR and TERM, but takes tmux for
 * a terminal of 256 colours whatever it says of itself.
 */
export function colourDepthOf(
  bits: number,
  { COLORTERM }: Readonly<Record<string, string | undefined>>,
): ColourDepth {
  if (bits < 8) return 'none'
  return bits >= 24 || COLORTERM === 'truecolor' || COLORTERM === '24bit' ? 'true' : 'indexed'
}

/** The colour of a node, or grey for nobody, at a strength of 0 … 1. */
export function shadeOf(node: number | undefined, strength: number, depth: ColourDepth): Colour {
  const { full, ramp } = node === undefined ? GREY : HUES[node % HUES.length]!
  if (depth !== 'true')
    return `5;${ramp[Math.min(ramp.length - 1, Math.floor(strength * ramp.length))]}`
  const colour =
    strength < FULL_AT
      ? mix(mix(BLACK, full, DARKEST), full, strength / FULL_AT)
      : mix(full, WHITE, ((strength - FULL_AT) / (1 - FULL_AT)) * LIGHTEST)
  return `2;${colour.join(';')}`
}

function mix(from: Rgb, to: Rgb, share: number): Rgb {
  const at = (index: 0 | 1 | 2): number =>
    Math.round(from[index] + (to[index] - from[index]) * share)
  return [at(0), at(1), at(2)]
}

/** Two pixels, one above the other, in each character; colours are only said where they change. */
export function halfBlocks(upper: readonly Colour[], lower: readonly Colour[]): string {
  let line = ''
  let before = ''
  for (const [column, colour] of upper.entries()) {
    const parameters = `38;${colour};48;${lower[column]}`
    line += parameters === before ? '▀' : `\u001b[${parameters}m▀`
    before = parameters
  }
  return `${line}${RESET}`
}

export type Emphasis = 'bold' | 'dim' | 'good' | 'bad'

const EMPHASIS: Readonly<Record<Emphasis, string>> = {
  bold: '1',
  dim: '2',
  good: '32',
  bad: '1;31',
}

/** Writes text with emphasis or in a node's colour, as far as the terminal has it. */
export class Ink {
  readonly depth: ColourDepth

  constructor(depth: ColourDepth) {
    this.depth = depth
  }

  stress(emphasis: Emphasis, text: string): string {
    return this.#wrap(EMPHASIS[emphasis], text)
  }

  node(node: number | undefined, text: string): string {
    return this.#wrap(`38;${shadeOf(node, FULL_AT, this.depth)}`, text)
  }

  #wrap(parameters: string, text: string): string {
    return this.depth === 'none' ? text : `\u001b[${parameters}m${text}${RESET}`
  }
}
