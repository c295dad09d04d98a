/**
 * Whether bytes from anybody are a sound program: one pass, in which no register is read before it was set. What
 * passes cannot leave the block, always ends, and costs what is said here, since nothing branches. The gateway asks
 * before it accepts a task, a board again before it runs a part.
 */
import {
  BINS_MAX,
  BY_CLASS_COST,
  CONDITION_REGISTERS,
  COST_MAX,
  FIRST_COLUMN,
  FIRST_CONDITION,
  GLYPHS,
  GREATEST_MAX,
  MICROGLYPHS_MAX,
  NEAR_ZERO,
  NONE,
  NUMBER_REGISTERS,
  numberOf,
  type Operand,
  OUTPUTS_MAX,
  POOL_MAX,
  REACH_MAX,
  STATUS,
} from './codex.ts'
import { REDUCERS } from './functions.ts'
import { MICROGLYPH_BYTES, type Output, type Program } from './program.ts'

/** What is known of a program that is sound. */
export interface Sound {
  readonly ok: true
  readonly kind: 'write' | 'read'
  readonly microglyphs: number
  /** Microglyphs at the beginning that set constants in registers which nothing sets again: once a run. */
  readonly constants: number
  /** Units a cell. */
  readonly cost: number
  /** How far the farthest neighbour is away; 0 without any. */
  readonly reach: number
  /** Indexes of the fields that it loads, stores, and reads of neighbours, or `STATUS`; it loads columns, too. Ascending. */
  readonly loads: readonly number[]
  readonly stores: readonly number[]
  readonly nears: readonly number[]
  /** It does the same to equal cells, wherever they are. */
  readonly isAlike: boolean
}

export interface Unsound {
  readonly ok: false
  /** The index of the microglyph; 0 for what is wrong with all of it. */
  readonly at: number
  readonly message: string
}

export type Verdict = Sound | Unsound

/** Bit patterns of the one NaN that a pool may have, little-endian. */
const NAN_LOW = 0
const NAN_HIGH = 0x7ff80000
const NEGATIVE_ZERO_HIGH = -0x80000000

/** As numbers, by a glyph's number: what stands in a, b and c, what it gives, its operand, its cost. */
const NOTHING = 0
const NUMBER = 1
/** 2 is a condition that must be there. */
const CONDITION_OR_NONE = 3
const NUMBER_OR_NONE = 4
const OPERANDS: readonly Operand[] = [
  ...(['none', 'field', 'neighbour', 'constant', 'table', 'output', 'bins', 'greatest'] as const),
]
const [, FIELD, NEIGHBOUR, CONSTANT, TABLE, OUTPUT, BINS, GREATEST] =
  OPERANDS.keys() as unknown as [
    ...[number, number, number, number, number, number, number, number],
  ]
const SLOTS = 6
const LAST = GLYPHS.at(-1)!.number
/** Of a number that is no glyph's, all zeros: each glyph costs something. */
const SHAPES = new Uint8Array((LAST + 1) * SLOTS)
for (const { number, takes, gives, operand, cost } of GLYPHS) {
  const shape = [0, 1, 2].map((at) => ['', 'N', 'T', 't', 'n'].indexOf(takes[at] ?? ''))
  shape.push(['', 'N', 'T'].indexOf(gives ?? ''), OPERANDS.indexOf(operand), cost)
  SHAPES.set(shape, number * SLOTS)
}
const CONST = numberOf('const')
const STORE = numberOf('store')
const X = numberOf('x')
const Y = numberOf('y')

/** `fields` is how many the grid has, `columns` how many come with the cells. */
export function verify({ code, pool, outputs }: Program, fields: number, columns = 0): Verdict {
  const count = code.length / MICROGLYPH_BYTES
  if (count === 0 || !Number.isInteger(count)) return unsound(0, 'no whole microglyphs')
  if (count > MICROGLYPHS_MAX) return unsound(0, `more than ${MICROGLYPHS_MAX} microglyphs`)
  const wrong = faultOfPool(pool) ?? faultOfOutputs(outputs)
  if (wrong !== undefined) return unsound(0, wrong)
  return new Verifier({ code, pool, outputs }, fields, columns).run(count)
}

function unsound(at: number, message: string): Unsound {
  return { ok: false, at, message }
}

function faultOfPool(pool: Float64Array): string | undefined {
  if (pool.length > POOL_MAX) return `more than ${POOL_MAX} constants`
  const words = new Int32Array(pool.buffer, pool.byteOffset, pool.length * 2)
  for (let at = 0; at < pool.length; at++) {
    const value = pool[at]!
    const [low, high] = [words[2 * at]!, words[2 * at + 1]!]
    if (value - value === 0) {
      if (low === 0 && high === NEGATIVE_ZERO_HIGH) return 'a constant that is −0'
    } else if (low !== NAN_LOW || high !== NAN_HIGH) return 'a constant that is not finite'
  }
  return undefined
}

const OUTPUT_NAME = /^[A-Za-z][A-Za-z0-9_]*$/
const NAME_MAX = 64

function faultOfOutputs(outputs: readonly Output[]): string | undefined {
  if (outputs.length > OUTPUTS_MAX) return `more than ${OUTPUTS_MAX} outputs`
  for (const [index, { name, kind, slot }] of outputs.entries()) {
    if (!OUTPUT_NAME.test(name) || name.length > NAME_MAX) return 'an output without a name'
    if (outputs.findIndex((other) => other.name === name) < index) return `two outputs "${name}"`
    if (kind !== 'show' && !REDUCERS.has(kind)) return 'an output of no kind'
    if (outputs[slot]?.slot !== slot) return 'an output of no microglyph'
  }
  return undefined
}

class Verifier {
  readonly #code: Uint8Array
  readonly #pool: Float64Array
  readonly #outputs: readonly Output[]
  readonly #fields: number
  readonly #columns: number
  /** Registers that were set, a bit each. */
  #numbers = 0
  #conditions = 0
  #cost = 0
  #constants = 0
  /** Registers of numbers that the first microglyphs set to constants, a bit each. */
  #constant = 0
  #reach = 0
  #isAlike = true
  readonly #loads = new Set<number>()
  readonly #stores = new Set<number>()
  readonly #nears = new Set<number>()
  /** The glyph that gives the output of each slot. */
  readonly #givers = new Map<number, number>()

  constructor({ code, pool, outputs }: Program, fields: number, columns: number) {
    this.#code = code
    this.#pool = pool
    this.#outputs = outputs
    this.#fields = fields
    this.#columns = columns
  }

  run(count: number): Verdict {
    for (let index = 0; index < count; index++) {
      const fault = this.#faultAt(index * MICROGLYPH_BYTES)
      if (fault !== undefined) return unsound(index, fault)
      this.#followConstants(index)
    }
    const fault = this.#faultOfAll()
    if (fault !== undefined) return unsound(0, fault)
    return {
      ok: true,
      kind: this.#stores.size > 0 ? 'write' : 'read',
      microglyphs: count,
      constants: this.#constants,
      cost: this.#cost - this.#constants,
      reach: this.#reach,
      loads: ascending(this.#loads),
      stores: ascending(this.#stores),
      nears: ascending(this.#nears),
      isAlike: this.#isAlike,
    }
  }

  #followConstants(index: number): void {
    const register = this.#code[index * MICROGLYPH_BYTES + 2]!
    const isNumber = register < NUMBER_REGISTERS
    if (isNumber && ((this.#constant >>> register) & 1) === 1) {
      let first = 0
      while (first < this.#constants && this.#code[first * MICROGLYPH_BYTES + 2] !== register) {
        first++
      }
      this.#constants = first
    } else if (this.#constants === index && this.#glyphAt(index) === CONST) {
      this.#constants++
      this.#constant |= 1 << register
    }
  }

  #glyphAt(index: number): number {
    const at = index * MICROGLYPH_BYTES
    return this.#code[at]! | (this.#code[at + 1]! << 8)
  }

  #faultAt(at: number): string | undefined {
    const code = this.#code
    const glyph = code[at]! | (code[at + 1]! << 8)
    const shape = glyph * SLOTS
    if (glyph > LAST || SHAPES[shape + 5] === 0) return `no glyph ${glyph}`
    const operandKind = SHAPES[shape + 4]!
    for (let slot = 0; slot < 3; slot++) {
      const register = code[at + 3 + slot]!
      const takes = SHAPES[shape + slot]!
      if (takes === NOTHING) {
        if (register !== NONE && !hasOwnByte(operandKind, slot)) return 'a byte that means nothing'
      } else if (!this.#isSet(register, takes))
        return 'a register that was not set, or of the other kind'
    }
    const operand = code[at + 6]! | (code[at + 7]! << 8)
    const fault = this.#faultOfOperand(operandKind, operand, at, glyph)
    if (fault !== undefined) return fault
    this.#cost += SHAPES[shape + 5]!
    if (SHAPES[shape + 2] === NUMBER_OR_NONE && code[at + 5] !== NONE) this.#cost += BY_CLASS_COST
    if (glyph === X || glyph === Y || operandKind === NEIGHBOUR) this.#isAlike = false
    return this.#setResult(SHAPES[shape + 3]!, code[at + 2]!)
  }

  #isSet(register: number, takes: number): boolean {
    if (takes >= CONDITION_OR_NONE && register === NONE) return true
    if (takes === NUMBER || takes === NUMBER_OR_NONE) {
      return register < NUMBER_REGISTERS && ((this.#numbers >>> register) & 1) === 1
    }
    const index = register - FIRST_CONDITION
    return index >= 0 && index < CONDITION_REGISTERS && ((this.#conditions >>> index) & 1) === 1
  }

  #setResult(gives: number, register: number): string | undefined {
    if (gives === NOTHING) return register === NONE ? undefined : 'it has no result'
    if (gives === NUMBER) {
      if (register >= NUMBER_REGISTERS) return 'no register of a number'
      this.#numbers |= 1 << register
      return undefined
    }
    const index = register - FIRST_CONDITION
    if (index < 0 || index >= CONDITION_REGISTERS) return 'no register of a condition'
    this.#conditions |= 1 << index
    return undefined
  }

  #faultOfOperand(kind: number, operand: number, at: number, glyph: number): string | undefined {
    switch (kind) {
      case FIELD:
        if (operand >= this.#fields && !this.#isOther(operand, glyph)) return 'no such field'
        ;(glyph === STORE ? this.#stores : this.#loads).add(operand)
        return undefined
      case NEIGHBOUR:
        return this.#faultOfNeighbour(operand, this.#code[at + 3]!, this.#code[at + 4]!)
      case CONSTANT:
        return operand < this.#pool.length ? undefined : 'no such constant'
      case TABLE: {
        const length = this.#code[at + 4]!
        const isThere = length > 0 && operand + length <= this.#pool.length
        return isThere ? undefined : 'a table beyond the constants'
      }
      case OUTPUT:
      case BINS:
      case GREATEST:
        return this.#faultOfOutput(kind, operand, this.#code[at + 5]!, glyph)
      default:
        return operand === 0 ? undefined : 'an operand that means nothing'
    }
  }

  /** The status, or a column, which nothing stores to. */
  #isOther(operand: number, glyph: number): boolean {
    if (operand === STATUS) return true
    return glyph !== STORE && operand >= FIRST_COLUMN && operand < FIRST_COLUMN + this.#columns
  }

  #faultOfNeighbour(field: number, a: number, b: number): string | undefined {
    if (field >= this.#fields) return 'no such field'
    if (this.#stores.size > 0) return 'a neighbour that is read after a store'
    const reach = Math.max(Math.abs(a - NEAR_ZERO), Math.abs(b - NEAR_ZERO))
    if (reach > REACH_MAX) return 'a neighbour that is too far away'
    this.#reach = Math.max(this.#reach, reach)
    this.#nears.add(field)
    return undefined
  }

  #faultOfOutput(kind: number, slot: number, c: number, glyph: number): string | undefined {
    if (this.#outputs[slot]?.slot !== slot) return 'no such output'
    if (this.#givers.has(slot)) return 'an output that is given twice'
    this.#givers.set(slot, glyph)
    const pool = this.#pool
    if (kind === BINS) {
      const fault = faultOfBins(pool[c], pool[c + 1], pool[c + 2])
      if (fault !== undefined) return fault
    }
    return kind === GREATEST ? faultOfGreatest(pool[c]) : undefined
  }

  #faultOfAll(): string | undefined {
    const isWrite = this.#stores.size > 0
    if (isWrite === this.#givers.size > 0) return 'it must store or return, not both'
    if (this.#cost > COST_MAX)
      return `it costs ${this.#cost} units a cell, at most ${COST_MAX} are taken`
    for (const { kind, slot } of this.#outputs) {
      const glyph = kind === 'show' ? 'show' : REDUCERS.get(kind)!.glyph
      if (this.#givers.get(slot) !== numberOf(glyph))
        return 'an output of another kind than its microglyph'
    }
    return undefined
  }
}

/** Why these are no bounds and no number of bins of a histogram. */
export function faultOfBins(low = 0, high = 0, bins = 0): string | undefined {
  if (!(low < high)) return 'the low of a histogram must be below its high'
  if (!isWithin(bins, BINS_MAX)) return `a histogram has 1 to ${BINS_MAX} bins`
  return Number.isFinite(high - low) ? undefined : 'a histogram must have a finite width'
}

export function faultOfGreatest(k: number | undefined): string | undefined {
  return isWithin(k, GREATEST_MAX) ? undefined : `top lists 1 to ${GREATEST_MAX}`
}

/** Whether the byte of that slot is no register but something of the operand's. */
function hasOwnByte(operand: number, slot: number): boolean {
  if (operand === NEIGHBOUR) return slot < 2
  if (operand === TABLE) return slot === 1
  return slot === 2 && (operand === BINS || operand === GREATEST)
}

function isWithin(value: number | undefined, max: number): boolean {
  return value !== undefined && Number.isInteger(value) && value >= 1 && value <= max
}

function ascending(indexes: ReadonlySet<number>): number[] {
  return [...indexes].sort((left, right) => left - right)
}
