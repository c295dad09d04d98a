/**
 * The loops of the glyphs that compute one register of others, written out: four cells a turn, which is half as long
 * again as one. Lengths are rounded up to four; what is behind the block's end is computed and never looked at. No
 * branch depends on data. A condition is two bits, 1 true and 2 false, so that a comparison with NaN is missing by
 * itself. `Math` is used for abs, sqrt, floor, min and max alone: these are exact on every build.
 */
import { floorMod, mix } from './arithmetic.ts'
import { numberOf } from './codex.ts'
import { ELEMENTARY, type Elementary } from './elementary.ts'

type Numbers = Float64Array
type Conditions = Uint8Array

export type Kernel = (result: never, a: never, b: never, cells: number) => void

function add(d: Numbers, a: Numbers, b: Numbers, cells: number): void {
  for (let i = 0; i < cells; i += 4) {
    d[i] = a[i]! + b[i]!
    d[i + 1] = a[i + 1]! + b[i + 1]!
    d[i + 2] = a[i + 2]! + b[i + 2]!
    d[i + 3] = a[i + 3]! + b[i + 3]!
  }
}

function subtract(d: Numbers, a: Numbers, b: Numbers, cells: number): void {
  for (let i = 0; i < cells; i += 4) {
    d[i] = a[i]! - b[i]!
    d[i + 1] = a[i + 1]! - b[i + 1]!
    d[i + 2] = a[i + 2]! - b[i + 2]!
    d[i + 3] = a[i + 3]! - b[i + 3]!
  }
}

function multiply(d: Numbers, a: Numbers, b: Numbers, cells: number): void {
  for (let i = 0; i < cells; i += 4) {
    d[i] = a[i]! * b[i]!
    d[i + 1] = a[i + 1]! * b[i + 1]!
    d[i + 2] = a[i + 2]! * b[i + 2]!
    d[i + 3] = a[i + 3]! * b[i + 3]!
  }
}

function remainder(d: Numbers, a: Numbers, b: Numbers, cells: number): void {
  for (let i = 0; i < cells; i += 4) {
    d[i] = floorMod(a[i]!, b[i]!)
    d[i + 1] = floorMod(a[i + 1]!, b[i + 1]!)
    d[i + 2] = floorMod(a[i + 2]!, b[i + 2]!)
    d[i + 3] = floorMod(a[i + 3]!, b[i + 3]!)
  }
}

function hash(d: Numbers, a: Numbers, b: Numbers, cells: number): void {
  for (let i = 0; i < cells; i += 4) {
    d[i] = mix(a[i]!, b[i]!)
    d[i + 1] = mix(a[i + 1]!, b[i + 1]!)
    d[i + 2] = mix(a[i + 2]!, b[i + 2]!)
    d[i + 3] = mix(a[i + 3]!, b[i + 3]!)
  }
}

function least(d: Numbers, a: Numbers, b: Numbers, cells: number): void {
  for (let i = 0; i < cells; i += 4) {
    d[i] = Math.min(a[i]!, b[i]!)
    d[i + 1] = Math.min(a[i + 1]!, b[i + 1]!)
    d[i + 2] = Math.min(a[i + 2]!, b[i + 2]!)
    d[i + 3] = Math.min(a[i + 3]!, b[i + 3]!)
  }
}

function greatest(d: Numbers, a: Numbers, b: Numbers, cells: number): void {
  for (let i = 0; i < cells; i += 4) {
    d[i] = Math.max(a[i]!, b[i]!)
    d[i + 1] = Math.max(a[i + 1]!, b[i + 1]!)
    d[i + 2] = Math.max(a[i + 2]!, b[i + 2]!)
    d[i + 3] = Math.max(a[i + 3]!, b[i + 3]!)
  }
}

function divide(d: Numbers, a: Numbers, b: Numbers, cells: number): void {
  for (let i = 0; i < cells; i += 4) {
    d[i] = quotient(a[i]!, b[i]!)
    d[i + 1] = quotient(a[i + 1]!, b[i + 1]!)
    d[i + 2] = quotient(a[i + 2]!, b[i + 2]!)
    d[i + 3] = quotient(a[i + 3]!, b[i + 3]!)
  }
}

function absolute(d: Numbers, a: Numbers, _b: unknown, cells: number): void {
  for (let i = 0; i < cells; i += 4) {
    d[i] = Math.abs(a[i]!)
    d[i + 1] = Math.abs(a[i + 1]!)
    d[i + 2] = Math.abs(a[i + 2]!)
    d[i + 3] = Math.abs(a[i + 3]!)
  }
}

function squareRoot(d: Numbers, a: Numbers, _b: unknown, cells: number): void {
  for (let i = 0; i < cells; i += 4) {
    d[i] = Math.sqrt(a[i]!)
    d[i + 1] = Math.sqrt(a[i + 1]!)
    d[i + 2] = Math.sqrt(a[i + 2]!)
    d[i + 3] = Math.sqrt(a[i + 3]!)
  }
}

function floor(d: Numbers, a: Numbers, _b: unknown, cells: number): void {
  for (let i = 0; i < cells; i += 4) {
    d[i] = Math.floor(a[i]!)
    d[i + 1] = Math.floor(a[i + 1]!)
    d[i + 2] = Math.floor(a[i + 2]!)
    d[i + 3] = Math.floor(a[i + 3]!)
  }
}

function isLess(d: Conditions, a: Numbers, b: Numbers, cells: number): void {
  for (let i = 0; i < cells; i += 4) {
    d[i] = less(a[i]!, b[i]!)
    d[i + 1] = less(a[i + 1]!, b[i + 1]!)
    d[i + 2] = less(a[i + 2]!, b[i + 2]!)
    d[i + 3] = less(a[i + 3]!, b[i + 3]!)
  }
}

function isAtMost(d: Conditions, a: Numbers, b: Numbers, cells: number): void {
  for (let i = 0; i < cells; i += 4) {
    d[i] = atMost(a[i]!, b[i]!)
    d[i + 1] = atMost(a[i + 1]!, b[i + 1]!)
    d[i + 2] = atMost(a[i + 2]!, b[i + 2]!)
    d[i + 3] = atMost(a[i + 3]!, b[i + 3]!)
  }
}

function isEqual(d: Conditions, a: Numbers, b: Numbers, cells: number): void {
  for (let i = 0; i < cells; i += 4) {
    d[i] = equal(a[i]!, b[i]!)
    d[i + 1] = equal(a[i + 1]!, b[i + 1]!)
    d[i + 2] = equal(a[i + 2]!, b[i + 2]!)
    d[i + 3] = equal(a[i + 3]!, b[i + 3]!)
  }
}

function isOther(d: Conditions, a: Numbers, b: Numbers, cells: number): void {
  for (let i = 0; i < cells; i += 4) {
    d[i] = other(a[i]!, b[i]!)
    d[i + 1] = other(a[i + 1]!, b[i + 1]!)
    d[i + 2] = other(a[i + 2]!, b[i + 2]!)
    d[i + 3] = other(a[i + 3]!, b[i + 3]!)
  }
}

function and(d: Conditions, a: Conditions, b: Conditions, cells: number): void {
  for (let i = 0; i < cells; i += 4) {
    d[i] = (a[i]! & b[i]! & 1) | ((a[i]! | b[i]!) & 2)
    d[i + 1] = (a[i + 1]! & b[i + 1]! & 1) | ((a[i + 1]! | b[i + 1]!) & 2)
    d[i + 2] = (a[i + 2]! & b[i + 2]! & 1) | ((a[i + 2]! | b[i + 2]!) & 2)
    d[i + 3] = (a[i + 3]! & b[i + 3]! & 1) | ((a[i + 3]! | b[i + 3]!) & 2)
  }
}

function or(d: Conditions, a: Conditions, b: Conditions, cells: number): void {
  for (let i = 0; i < cells; i += 4) {
    d[i] = ((a[i]! | b[i]!) & 1) | (a[i]! & b[i]! & 2)
    d[i + 1] = ((a[i + 1]! | b[i + 1]!) & 1) | (a[i + 1]! & b[i + 1]! & 2)
    d[i + 2] = ((a[i + 2]! | b[i + 2]!) & 1) | (a[i + 2]! & b[i + 2]! & 2)
    d[i + 3] = ((a[i + 3]! | b[i + 3]!) & 1) | (a[i + 3]! & b[i + 3]! & 2)
  }
}

function not(d: Conditions, a: Conditions, _b: unknown, cells: number): void {
  for (let i = 0; i < cells; i += 4) {
    d[i] = (a[i]! >> 1) | ((a[i]! & 1) << 1)
    d[i + 1] = (a[i + 1]! >> 1) | ((a[i + 1]! & 1) << 1)
    d[i + 2] = (a[i + 2]! >> 1) | ((a[i + 2]! & 1) << 1)
    d[i + 3] = (a[i + 3]! >> 1) | ((a[i + 3]! & 1) << 1)
  }
}

function isMissing(d: Conditions, a: Numbers, _b: unknown, cells: number): void {
  for (let i = 0; i < cells; i += 4) {
    d[i] = missing(a[i]!)
    d[i + 1] = missing(a[i + 1]!)
    d[i + 2] = missing(a[i + 2]!)
    d[i + 3] = missing(a[i + 3]!)
  }
}

// Each is inlined where it is called.

function quotient(a: number, b: number): number {
  return b === 0 ? Number.NaN : a / b
}

function less(a: number, b: number): number {
  return Number(a < b) | (Number(a >= b) << 1)
}

function atMost(a: number, b: number): number {
  return Number(a <= b) | (Number(a > b) << 1)
}

function equal(a: number, b: number): number {
  return Number(a === b) | (Number(a < b) << 1) | (Number(a > b) << 1)
}

function other(a: number, b: number): number {
  return Number(a < b) | Number(a > b) | (Number(a === b) << 1)
}

function missing(a: number): number {
  return Number.isNaN(a) ? 1 : 2
}

const NAN_HIGH = 0x7ff80000

/** Registers of numbers are seen as words here: two a cell, little-endian. */
export function pick(
  d: Int32Array,
  asked: Conditions,
  a: Int32Array,
  b: Int32Array,
  cells: number,
): void {
  for (let i = 0; i < cells; i++) {
    const t = asked[i]!
    const yes = -(t & 1)
    const no = -(t >> 1)
    const at = 2 * i
    d[at] = (a[at]! & yes) | (b[at]! & no)
    d[at + 1] = (a[at + 1]! & yes) | (b[at + 1]! & no) | (NAN_HIGH & ~(yes | no))
  }
}

/** A call a cell, which is little beside what is called. */
function calling(of: Elementary): Kernel {
  if (of.length === 1) {
    const ofOne = of as (x: number) => number
    return (d: Numbers, a: Numbers, _b: unknown, cells: number): void => {
      for (let i = 0; i < cells; i++) d[i] = ofOne(a[i]!)
    }
  }
  return (d: Numbers, a: Numbers, b: Numbers, cells: number): void => {
    for (let i = 0; i < cells; i++) d[i] = of(a[i]!, b[i]!)
  }
}

/** By the number of the glyph; nothing where more than registers is needed. */
export const KERNELS: readonly (Kernel | undefined)[] = (() => {
  const kernels: (Kernel | undefined)[] = []
  const named: Record<string, unknown> = {
    ...{ add, sub: subtract, mul: multiply, div: divide, mod: remainder, hash },
    ...{ abs: absolute, sqrt: squareRoot, floor, min: least, max: greatest },
    ...{ lt: isLess, le: isAtMost, eq: isEqual, ne: isOther, and, or, not, missing: isMissing },
  }
  for (const [name, kernel] of Object.entries(named)) kernels[numberOf(name)] = kernel as Kernel
  for (const [name, of] of ELEMENTARY) kernels[numberOf(name)] = calling(of)
  return kernels
})()
