/**
 * Cells to registers and back, one function a type, since a loop over columns of several types is slow. A number that
 * is missing keeps the cell; whole types round half up; each type stops at its ends. Zero is added after the rounding,
 * so that no −0 is stored. How many cells took a value is returned.
 *
 * Four cells a turn are half the time of one. Four that are finite are stored without another look: a number less
 * itself is 0 then, and NaN else.
 */
import { type Column, type FieldType, RANGES } from '../grid/fields.ts'

function loadU8(
  to: Float64Array,
  at: number,
  from: Uint8Array,
  start: number,
  cells: number,
): void {
  let i = 0
  for (const end = cells - 3; i < end; i += 4) {
    to[at + i] = from[start + i]!
    to[at + i + 1] = from[start + i + 1]!
    to[at + i + 2] = from[start + i + 2]!
    to[at + i + 3] = from[start + i + 3]!
  }
  for (; i < cells; i++) to[at + i] = from[start + i]!
}

function loadI32(
  to: Float64Array,
  at: number,
  from: Int32Array,
  start: number,
  cells: number,
): void {
  let i = 0
  for (const end = cells - 3; i < end; i += 4) {
    to[at + i] = from[start + i]!
    to[at + i + 1] = from[start + i + 1]!
    to[at + i + 2] = from[start + i + 2]!
    to[at + i + 3] = from[start + i + 3]!
  }
  for (; i < cells; i++) to[at + i] = from[start + i]!
}

function loadF32(
  to: Float64Array,
  at: number,
  from: Float32Array,
  start: number,
  cells: number,
): void {
  let i = 0
  for (const end = cells - 3; i < end; i += 4) {
    to[at + i] = from[start + i]!
    to[at + i + 1] = from[start + i + 1]!
    to[at + i + 2] = from[start + i + 2]!
    to[at + i + 3] = from[start + i + 3]!
  }
  for (; i < cells; i++) to[at + i] = from[start + i]!
}

function loadF64(
  to: Float64Array,
  at: number,
  from: Float64Array,
  start: number,
  cells: number,
): void {
  to.set(from.subarray(start, start + cells), at)
}

const F32_MAX = RANGES.f32.max
const F64_MAX = Number.MAX_VALUE

function eachU8(
  to: Uint8Array,
  at: number,
  from: Float64Array,
  start: number,
  cells: number,
): number {
  let written = 0
  for (let i = 0; i < cells; i++) {
    const v = Math.floor(from[start + i]! + 0.5)
    if (Number.isNaN(v)) continue
    to[at + i] = v < 0 ? 0 : v > 255 ? 255 : v
    written++
  }
  return written
}

function storeU8(
  to: Uint8Array,
  at: number,
  from: Float64Array,
  start: number,
  cells: number,
): number {
  let [written, i] = [0, 0]
  for (const end = cells - 3; i < end; i += 4) {
    const a = Math.floor(from[start + i]! + 0.5)
    const b = Math.floor(from[start + i + 1]! + 0.5)
    const c = Math.floor(from[start + i + 2]! + 0.5)
    const d = Math.floor(from[start + i + 3]! + 0.5)
    if (a - a + (b - b) + (c - c) + (d - d) === 0) {
      to[at + i] = a < 0 ? 0 : a > 255 ? 255 : a
      to[at + i + 1] = b < 0 ? 0 : b > 255 ? 255 : b
      to[at + i + 2] = c < 0 ? 0 : c > 255 ? 255 : c
      to[at + i + 3] = d < 0 ? 0 : d > 255 ? 255 : d
      written += 4
    } else written += eachU8(to, at + i, from, start + i, 4)
  }
  return written + eachU8(to, at + i, from, start + i, cells - i)
}

function eachI32(
  to: Int32Array,
  at: number,
  from: Float64Array,
  start: number,
  cells: number,
): number {
  let written = 0
  for (let i = 0; i < cells; i++) {
    const v = Math.floor(from[start + i]! + 0.5)
    if (Number.isNaN(v)) continue
    to[at + i] = v < -2147483648 ? -2147483648 : v > 2147483647 ? 2147483647 : v
    written++
  }
  return written
}

function storeI32(
  to: Int32Array,
  at: number,
  from: Float64Array,
  start: number,
  cells: number,
): number {
  let [written, i] = [0, 0]
  for (const end = cells - 3; i < end; i += 4) {
    const a = Math.floor(from[start + i]! + 0.5)
    const b = Math.floor(from[start + i + 1]! + 0.5)
    const c = Math.floor(from[start + i + 2]! + 0.5)
    const d = Math.floor(from[start + i + 3]! + 0.5)
    if (a - a + (b - b) + (c - c) + (d - d) === 0) {
      to[at + i] = a < -2147483648 ? -2147483648 : a > 2147483647 ? 2147483647 : a
      to[at + i + 1] = b < -2147483648 ? -2147483648 : b > 2147483647 ? 2147483647 : b
      to[at + i + 2] = c < -2147483648 ? -2147483648 : c > 2147483647 ? 2147483647 : c
      to[at + i + 3] = d < -2147483648 ? -2147483648 : d > 2147483647 ? 2147483647 : d
      written += 4
    } else written += eachI32(to, at + i, from, start + i, 4)
  }
  return written + eachI32(to, at + i, from, start + i, cells - i)
}

function eachStatus(
  to: Uint8Array,
  at: number,
  from: Float64Array,
  start: number,
  cells: number,
): number {
  let written = 0
  for (let i = 0; i < cells; i++) {
    const v = Math.floor(from[start + i]! + 0.5)
    if (Number.isNaN(v)) continue
    to[at + i] = v < 1 ? 0 : 1
    written++
  }
  return written
}

function eachF32(
  to: Float32Array,
  at: number,
  from: Float64Array,
  start: number,
  cells: number,
): number {
  let written = 0
  for (let i = 0; i < cells; i++) {
    const v = from[start + i]!
    if (Number.isNaN(v)) continue
    to[at + i] = Math.fround(v < -F32_MAX ? -F32_MAX : v > F32_MAX ? F32_MAX : v) + 0
    written++
  }
  return written
}

function storeF32(
  to: Float32Array,
  at: number,
  from: Float64Array,
  start: number,
  cells: number,
): number {
  let [written, i] = [0, 0]
  for (const end = cells - 3; i < end; i += 4) {
    const a = Math.fround(from[start + i]!)
    const b = Math.fround(from[start + i + 1]!)
    const c = Math.fround(from[start + i + 2]!)
    const d = Math.fround(from[start + i + 3]!)
    if (a - a + (b - b) + (c - c) + (d - d) === 0) {
      to[at + i] = a + 0
      to[at + i + 1] = b + 0
      to[at + i + 2] = c + 0
      to[at + i + 3] = d + 0
      written += 4
    } else written += eachF32(to, at + i, from, start + i, 4)
  }
  return written + eachF32(to, at + i, from, start + i, cells - i)
}

function eachF64(
  to: Float64Array,
  at: number,
  from: Float64Array,
  start: number,
  cells: number,
): number {
  let written = 0
  for (let i = 0; i < cells; i++) {
    const v = from[start + i]!
    if (Number.isNaN(v)) continue
    to[at + i] = (v < -F64_MAX ? -F64_MAX : v > F64_MAX ? F64_MAX : v) + 0
    written++
  }
  return written
}

function storeF64(
  to: Float64Array,
  at: number,
  from: Float64Array,
  start: number,
  cells: number,
): number {
  let [written, i] = [0, 0]
  for (const end = cells - 3; i < end; i += 4) {
    const a = from[start + i]!
    const b = from[start + i + 1]!
    const c = from[start + i + 2]!
    const d = from[start + i + 3]!
    if (a - a + (b - b) + (c - c) + (d - d) === 0) {
      to[at + i] = a + 0
      to[at + i + 1] = b + 0
      to[at + i + 2] = c + 0
      to[at + i + 3] = d + 0
      written += 4
    } else written += eachF64(to, at + i, from, start + i, 4)
  }
  return written + eachF64(to, at + i, from, start + i, cells - i)
}

export type Load = (to: Float64Array, at: number, from: never, start: number, cells: number) => void
export type Store = (
  to: never,
  at: number,
  from: Float64Array,
  start: number,
  cells: number,
) => number

export const LOADS: Readonly<Record<FieldType | 'status', Load>> = {
  ...{ u8: loadU8, i32: loadI32, f32: loadF32, f64: loadF64, status: loadU8 },
}

export const STORES: Readonly<Record<FieldType | 'status', Store>> = {
  ...{ u8: storeU8, i32: storeI32, f32: storeF32, f64: storeF64, status: eachStatus },
}

const one = { u8: new Uint8Array(1), i32: new Int32Array(1), f32: new Float32Array(1) }
const ONE: Readonly<Record<FieldType | 'status', Column>> = {
  ...{ ...one, f64: new Float64Array(1), status: new Uint8Array(1) },
}

/** What a cell of that type holds once a number was stored in it; nothing if it keeps what it has. */
export function storedAs(type: FieldType | 'status', from: Float64Array): number | undefined {
  const cell = ONE[type]
  return STORES[type](cell as never, 0, from, 0, 1) === 0 ? undefined : cell[0]
}
