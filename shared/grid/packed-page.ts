/**
 * Format 2 of a tile's page: format 1 (tile-page.ts) with each column that holds one value throughout as that one
 * value, and behind the columns one bit for each of them, in the order of the fields and then status, lowest first:
 * whether it is so. The digest in the header is still that of format 1, so that copies are compared and
 * named alike whatever form they have. What follows from a wrong bit is another size or other cells.
 *
 * Columns lie at multiples of their size here, too, none further behind than in format 1.
 */
import type { FieldType } from './fields.ts'
import { flagBytesOf, HEADER_BYTES, type PageLayout } from './page-layout.ts'

/** By the index of the column: whether it holds one value. */
export type UniformColumns = readonly boolean[]

const number = new DataView(new ArrayBuffer(8))
const numberBytes = new Uint8Array(number.buffer)

export function packedBytesOf(layout: PageLayout, isUniform: UniformColumns): number {
  let bytes = HEADER_BYTES + flagBytesOf(layout)
  for (const { index, size } of layout.columns) {
    bytes += isUniform[index] ? size : size * layout.lsus
  }
  return bytes
}

/** What the end of `packed` says of its columns; nothing if its length is another one, or a bit is of no column. */
export function flagsOf(layout: PageLayout, packed: Uint8Array): boolean[] | undefined {
  const start = packed.length - flagBytesOf(layout)
  if (start < HEADER_BYTES) return undefined
  const count = layout.columns.length
  const isUniform: boolean[] = []
  for (let index = 0; index < count; index++) {
    isUniform.push((packed[start + (index >> 3)]! & (1 << (index & 7))) !== 0)
  }
  const spare = packed[packed.length - 1]! >> (((count - 1) & 7) + 1)
  if (spare !== 0 || packed.length !== packedBytesOf(layout, isUniform)) return undefined
  return isUniform
}

/** All of them, unless it is said which. */
export function writeFlags(
  layout: PageLayout,
  packed: Uint8Array,
  isUniform?: UniformColumns,
): void {
  const start = packed.length - flagBytesOf(layout)
  packed.fill(0, start)
  for (let index = 0; index < layout.columns.length; index++) {
    if (isUniform?.[index] ?? true) packed[start + (index >> 3)]! |= 1 << (index & 7)
  }
}

/** From memory at any offset. */
export function readNumber(type: FieldType, bytes: Uint8Array, at: number): number {
  switch (type) {
    case 'u8':
      return bytes[at]!
    case 'i32':
      copyNumber(bytes, at, 4)
      return number.getInt32(0, true)
    case 'f32':
      copyNumber(bytes, at, 4)
      return number.getFloat32(0, true)
    case 'f64':
      copyNumber(bytes, at, 8)
      return number.getFloat64(0, true)
  }
}

function copyNumber(bytes: Uint8Array, at: number, size: number): void {
  for (let index = 0; index < size; index++) numberBytes[index] = bytes[at + index]!
}

export function writeNumber(type: FieldType, bytes: Uint8Array, at: number, value: number): void {
  setNumber(type, value)
  const size = type === 'f64' ? 8 : type === 'u8' ? 1 : 4
  for (let index = 0; index < size; index++) bytes[at + index] = numberBytes[index]!
}

/** What a column of `type` makes of a number. */
export function numberIn(type: FieldType, value: number): number {
  setNumber(type, value)
  return readNumber(type, numberBytes, 0)
}

function setNumber(type: FieldType, value: number): void {
  if (type === 'u8') number.setUint8(0, value)
  else if (type === 'i32') number.setInt32(0, value, true)
  else if (type === 'f32') number.setFloat32(0, value, true)
  else number.setFloat64(0, value, true)
}
