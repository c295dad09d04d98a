/**
 * A program as people read it: each microglyph with its registers, the line of the codex that it is, and what it costs.
 * Made of the bytes alone, so it says what runs, whatever the source said.
 */
import { FIRST_COLUMN, FIRST_CONDITION, glyphOf, NEAR_ZERO, NONE, STATUS } from './codex.ts'
import type { Compiled } from './compiler.ts'
import {
  bytesOfPool,
  hashOfProgram,
  MICROGLYPH_BYTES,
  microglyphAt,
  type Program,
} from './program.ts'
import type { Sound } from './verifier.ts'

export interface Explained {
  readonly kind: 'write' | 'read'
  readonly hash: string
  readonly microglyphs: readonly { readonly text: string; readonly cost: number }[]
  /** Units a cell, beside those that are once a run. */
  readonly cost: number
  readonly reach: number
  /** Of code and constants, as they travel. */
  readonly bytes: number
}

/** `program` is sound; `fields` are the names of the grid's. Numbers that are not bound yet are shown by their names. */
export function explain(
  program: Program,
  sound: Sound,
  fields: readonly string[],
  parameters: Compiled['parameters'] = new Map(),
): Explained {
  const { code, pool } = program
  const numbers = Array.from(pool, numberText)
  for (const [name, places] of parameters) for (const place of places) numbers[place] = `$${name}`
  const microglyphs = Array.from({ length: code.length / MICROGLYPH_BYTES }, (_, index) => {
    const { cost } = glyphOf(microglyphAt(code, index).glyph)!
    const isOnce = index < sound.constants
    return { text: textOf(program, index, fields, numbers), cost: isOnce ? 0 : cost }
  })
  return {
    kind: sound.kind,
    hash: hashOfProgram(program),
    microglyphs,
    cost: sound.cost,
    reach: sound.reach,
    bytes: code.length + bytesOfPool(pool).length,
  }
}

/** One microglyph, as `×  r4 ← r4 r0`. */
function textOf(
  { code, outputs }: Program,
  index: number,
  fields: readonly string[],
  numbers: readonly string[],
): string {
  const { glyph, result, a, b, c, operand } = microglyphAt(code, index)
  const { sign, name, takes, operand: kind } = glyphOf(glyph)!
  const registers = [a, b, c].slice(0, takes.length).filter((register) => register !== NONE)
  const words = registers.map(registerName)
  const field =
    operand === STATUS ? 'status' : (fields[operand] ?? `column ${operand - FIRST_COLUMN}`)
  switch (kind) {
    case 'field':
      words.push(field)
      break
    case 'neighbour':
      words.push(`${field}[${a - NEAR_ZERO}, ${b - NEAR_ZERO}]`)
      break
    case 'constant':
      words.push(numbers[operand]!)
      break
    case 'table':
      words.push(`[${numbers.slice(operand, operand + b).join(', ')}]`)
      break
    case 'bins':
      words.push(numbers.slice(c, c + 3).join(' '))
      break
    case 'greatest':
      words.push(numbers[c]!)
  }
  if (kind === 'output' || kind === 'bins' || kind === 'greatest') {
    const named = outputs.filter(({ slot }) => slot === operand)
    words.push(`→ ${named.map((output) => `${output.name} (${output.kind})`).join(', ')}`)
  }
  const target = result === NONE ? '' : `${registerName(result)} ← `
  return `${sign} ${name.padEnd(9)} ${target}${words.join(' ')}`.trimEnd()
}

function registerName(register: number): string {
  return register >= FIRST_CONDITION ? `t${register - FIRST_CONDITION}` : `r${register}`
}

function numberText(value: number): string {
  return Number.isNaN(value) ? 'missing' : String(value)
}
