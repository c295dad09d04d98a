/**
 * The base codex of the operation language: 33 glyphs and 13 functions, each one thing that a program does to the cells
 * of a block. The number is what a microglyph carries (microglyph.ts). A number is a float64 of which NaN means
 * missing; a condition is two bits: 1 true, 2 false, 0 missing.
 *
 * Costs are units a cell, in proportion to measured loops: about half a nanosecond each on a fast machine.
 * Nothing branches, so what a program costs is their sum.
 */

/** What a register holds, by the bank that it is of: a number or a condition. */
export type Bank = 'N' | 'T'

/** What stands in a microglyph's operand, and in the bytes that no register needs. */
export type Operand =
  | 'none'
  /** The index of a field, `STATUS`, or from `FIRST_COLUMN` on a column of numbers that comes with the cells. */
  | 'field'
  /** The index of a field; `a` and `b` are the distance to the neighbour. */
  | 'neighbour'
  /** A place in the pool. */
  | 'constant'
  /** The first place of a table in the pool; `b` is how long it is. */
  | 'table'
  /** An output's slot. */
  | 'output'
  /** An output's slot; `c` is the place in the pool of low, high and bins, or of how many. */
  | 'bins'
  | 'greatest'

export interface Glyph {
  readonly number: number
  /** As it is typed, where it is no operator. */
  readonly name: string
  readonly sign: string
  /** The banks of a, b and c; small: may be left out. In c of what is returned: the number of a cell's class. */
  readonly takes: string
  readonly gives: Bank | undefined
  readonly operand: Operand
  readonly cost: number
}

/** Cells that a register holds: a tile of more is cut into blocks of whole rows. */
export const BLOCK_CELLS = 256
export const NUMBER_REGISTERS = 32
export const CONDITION_REGISTERS = 16
/** Registers of conditions are counted from here. */
export const FIRST_CONDITION = 64
/** No register. */
export const NONE = 255
/** The operand of a field that is the status. */
export const STATUS = 0xffff
/** The operand of a field that is no field of the grid but the first column of numbers that a task brings along. */
export const FIRST_COLUMN = 0x8000
export const COLUMNS_MAX = 16
/** What `near` has for a neighbour that is none: both distances are counted from here. */
export const NEAR_ZERO = 128

export const MICROGLYPHS_MAX = 512
export const POOL_MAX = 255
export const OUTPUTS_MAX = 16
/** How far a neighbour is away at the most, in rows and columns. */
export const REACH_MAX = 4
/** Units a cell: half a millisecond a tile on a fast machine, and a board can rest between tiles only. */
export const COST_MAX = 4096
export const BINS_MAX = 1024
export const GREATEST_MAX = 64
/** Of what is returned by class; others than 0 … 255 are none. */
export const CLASSES_MAX = 256
/** What returning by class costs on top, units a cell. */
export const BY_CLASS_COST = 6
export const SOURCE_BYTES_MAX = 16 * 1024

type Row = readonly [name: string, sign: string, shape: string, operand: Operand, cost: number]

const ROWS: readonly Row[] = [
  ['field', '◈', '>N', 'field', 2],
  ['near', '⊹', '>N', 'neighbour', 4],
  ['const', '▪', '>N', 'constant', 1],
  ['x', '⇢', '>N', 'none', 2],
  ['y', '⇣', '>N', 'none', 2],
  ['hash', '⌗', 'NN>N', 'none', 12],
  ['add', '+', 'NN>N', 'none', 2],
  ['sub', '−', 'NN>N', 'none', 2],
  ['mul', '×', 'NN>N', 'none', 2],
  ['div', '÷', 'NN>N', 'none', 6],
  ['mod', '◿', 'NN>N', 'none', 24],
  ['abs', '⌵', 'N>N', 'none', 2],
  ['sqrt', '√', 'N>N', 'none', 8],
  ['floor', '⌊', 'N>N', 'none', 4],
  ['min', '↧', 'NN>N', 'none', 4],
  ['max', '↥', 'NN>N', 'none', 4],
  ['eq', '=', 'NN>T', 'none', 4],
  ['ne', '≠', 'NN>T', 'none', 4],
  ['lt', '<', 'NN>T', 'none', 4],
  ['le', '≤', 'NN>T', 'none', 4],
  ['and', '∧', 'TT>T', 'none', 4],
  ['or', '∨', 'TT>T', 'none', 4],
  ['not', '¬', 'T>T', 'none', 2],
  ['pick', '⍰', 'TNN>N', 'none', 4],
  ['missing', '∅', 'N>T', 'none', 2],
  ['look', '⌷', 'N>N', 'table', 4],
  ['store', '←', 'Nt>', 'field', 4],
  ['show', '▤', 'Nt>', 'output', 4],
  ['count', '№', 'Ttn>', 'output', 2],
  ['sum', 'Σ', 'Ntn>', 'output', 6],
  ['span', '⇕', 'Ntn>', 'output', 6],
  ['histogram', '▥', 'Nt>', 'bins', 10],
  ['top', '⋔', 'Nt>', 'greatest', 10],
]

/** Written out in + − × ÷ (exponentials.ts, trigonometry.ts). */
const FUNCTIONS_FROM = 41
const FUNCTION_ROWS: readonly Row[] = [
  ['exp', 'ⅇ', 'N>N', 'none', 80],
  ['log', '㏑', 'N>N', 'none', 180],
  ['exp2', '⇑', 'N>N', 'none', 110],
  ['log2', '⇓', 'N>N', 'none', 200],
  ['pow', '⌃', 'NN>N', 'none', 250],
  ['tanh', '∫', 'N>N', 'none', 150],
  ['sin', '∿', 'N>N', 'none', 100],
  ['cos', '◠', 'N>N', 'none', 110],
  ['tan', '⟋', 'N>N', 'none', 200],
  ['asin', '∢', 'N>N', 'none', 200],
  ['acos', '∟', 'N>N', 'none', 220],
  ['atan', '∠', 'N>N', 'none', 130],
  ['atan2', '∡', 'NN>N', 'none', 200],
]

/** Ascending by their numbers. */
export const GLYPHS: readonly Glyph[] = [
  ...numbered(ROWS, 1),
  ...numbered(FUNCTION_ROWS, FUNCTIONS_FROM),
]

function numbered(rows: readonly Row[], from: number): Glyph[] {
  return rows.map(([name, sign, shape, operand, cost], index) => {
    const [takes, gives] = shape.split('>') as [string, string]
    return {
      number: from + index,
      name,
      sign,
      takes,
      gives: gives === '' ? undefined : (gives as Bank),
      operand,
      cost,
    }
  })
}

/** The built-in operations, so that they have a glyph, too. */
export const OPERATION_GLYPHS: readonly { number: number; name: string; sign: string }[] = [
  { number: 34, name: 'scale', sign: '⤢' },
  { number: 35, name: 'put', sign: '⤓' },
  { number: 36, name: 'set', sign: '≔' },
  { number: 37, name: 'add', sign: '⊕' },
  { number: 38, name: 'get', sign: '⤒' },
  { number: 39, name: 'stat', sign: '⊜' },
  { number: 40, name: 'digest', sign: '⌘' },
]

const numbers: ReadonlyMap<string, number> = new Map(
  GLYPHS.map(({ name, number }) => [name, number]),
)

/** Those between, of the operations, are in no program. */
const byNumber: (Glyph | undefined)[] = []
for (const glyph of GLYPHS) byNumber[glyph.number] = glyph

/** The number of a glyph of ours. */
export function numberOf(name: string): number {
  return numbers.get(name)!
}

/** The glyph with that number, or nothing. */
export function glyphOf(number: number): Glyph | undefined {
  return byNumber[number]
}

/** Whether a glyph gathers what is returned. */
export function isReducing(number: number): boolean {
  const operand = glyphOf(number)?.operand
  return operand === 'output' || operand === 'bins' || operand === 'greatest'
}

/** What a value of a glyph is no more used after: it acts, and gives nothing. */
export function isEffect({ gives }: Glyph): boolean {
  return gives === undefined
}
