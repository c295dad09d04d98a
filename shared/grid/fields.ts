/**
 * The fields of an LSU: a fixed, ordered list of named numbers that every LSU of the grid has.
 * `takes` says whether a number may go into a type, `held` what it then is; `saturate` brings the result of
 * an addition back into the type. Both are pure, so that every replica gets the same bytes.
 */
export type FieldType = 'u8' | 'i32' | 'f32' | 'f64'

export interface Field {
  readonly name: string
  readonly type: FieldType
  /** What a cell holds of which nothing is known. Pages and nodes do not know it: what a task asks for says it. */
  readonly nodata?: number
}

export type Column = Uint8Array | Int32Array | Float32Array | Float64Array

export const FIELD_BYTES: Readonly<Record<FieldType, number>> = { u8: 1, i32: 4, f32: 4, f64: 8 }

const FIELD_TYPES = Object.keys(FIELD_BYTES) as readonly FieldType[]

/** At most this many fields: a page names its columns by position. */
export const FIELDS_MAX = 32

const F32_MAX = 3.4028234663852886e38
const NAME = /^[a-z][a-z0-9_]{0,31}$/
/** `status` is a column of its own; the others mean something to JavaScript objects. */
const RESERVED: readonly string[] = ['status', 'constructor', 'prototype']

/**
 * The type that `text` names, as a string of the program's own. Never `text` itself: V8 (seen in Node 20, 22
 * and 24) may take a string that came from outside for another than the literal that it equals, once code that
 * compares them is optimised while memory is collected (decision 0017).
 */
export function fieldTypeOf(text: string): FieldType | undefined {
  return FIELD_TYPES.find((type) => type === text)
}

/** `nodata=-9999`. */
const NODATA = /^nodata=(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)$/

/** Parses `name:type,name:type:nodata=number`. Returns the problems instead of fields when there are any. */
export function parseFields(text: string): { fields: Field[] } | { problems: string[] } {
  const fields: Field[] = []
  const problems: string[] = []
  const parts = text.split(',')
  if (parts.length > FIELDS_MAX) return { problems: [`more than ${FIELDS_MAX} fields`] }
  for (const part of parts) {
    const [name = '', typeText = '', nodataText, ...rest] = part.trim().split(':')
    const type = fieldTypeOf(typeText)
    const nodata = nodataText === undefined ? undefined : NODATA.exec(nodataText)
    if (!NAME.test(name) || nodata === null || rest.length > 0) {
      problems.push(
        `"${part.trim()}" is not name:type or name:type:nodata=number with a lower-case name of 1 to 32 letters`,
      )
    } else if (type === undefined) {
      problems.push(
        `field "${name}" has the unknown type "${typeText}" (${FIELD_TYPES.join(', ')})`,
      )
    } else if (RESERVED.includes(name)) {
      problems.push(`field "${name}" is a reserved name`)
    } else if (findField(fields, name) !== undefined) {
      problems.push(`field "${name}" is named twice`)
    } else if (nodata === undefined) {
      fields.push({ name, type })
    } else if (takes(type, Number(nodata[1]))) {
      fields.push({ name, type, nodata: held(type, Number(nodata[1])) })
    } else {
      problems.push(`field "${name}" is ${type}, which is never ${nodata[1]}`)
    }
  }
  return problems.length > 0 ? { problems } : { fields }
}

export function formatFields(fields: readonly Field[]): string {
  return fields
    .map(({ name, type, nodata }) => {
      return `${name}:${type}${nodata === undefined ? '' : `:nodata=${nodata}`}`
    })
    .join(',')
}

/** What pages are made by, which is what a ledger and its nodes agree on: names and types. */
export function formatColumns(fields: readonly Field[]): string {
  return fields.map(({ name, type }) => `${name}:${type}`).join(',')
}

export function findField(fields: readonly Field[], name: string): Field | undefined {
  return fields.find((field) => field.name === name)
}

export interface NumberRange {
  readonly min: number
  readonly max: number
  readonly isWhole: boolean
}

export const RANGES: Readonly<Record<FieldType, NumberRange>> = {
  u8: { min: 0, max: 255, isWhole: true },
  i32: { min: -2147483648, max: 2147483647, isWhole: true },
  f32: { min: -F32_MAX, max: F32_MAX, isWhole: false },
  f64: { min: -Number.MAX_VALUE, max: Number.MAX_VALUE, isWhole: false },
}

/** Whether a field of `type` takes `value`: in range, and whole where the type is. */
export function takes(type: FieldType, value: number): boolean {
  const { min, max, isWhole } = RANGES[type]
  return value >= min && value <= max && (!isWhole || Number.isInteger(value))
}

/** What a field of `type` holds of a number that it takes: the nearest, ties to even. */
export function held(type: FieldType, value: number): number {
  return withoutNegativeZero(type === 'f32' ? Math.fround(value) : value)
}

/** −0 is held as 0: the wire has one zero, and equal bodies must have equal bytes. */
export function withoutNegativeZero(value: number): number {
  return value === 0 ? 0 : value
}

/** Brings a sum into the range of `type`: integers clamp, floats stop at their largest number. */
export function saturate(type: FieldType, value: number): number {
  switch (type) {
    case 'u8':
      return value < 0 ? 0 : value > 255 ? 255 : value
    case 'i32':
      return value < -2147483648 ? -2147483648 : value > 2147483647 ? 2147483647 : value
    case 'f32':
      return value < -F32_MAX ? -F32_MAX : value > F32_MAX ? F32_MAX : Math.fround(value)
    case 'f64':
      return value < -Number.MAX_VALUE
        ? -Number.MAX_VALUE
        : value > Number.MAX_VALUE
          ? Number.MAX_VALUE
          : value
  }
}

/** A typed column over `bytes`; the offset must be a multiple of the type's size. */
export function columnOver(
  type: FieldType,
  buffer: ArrayBufferLike,
  byteOffset: number,
  length: number,
): Column {
  switch (type) {
    case 'u8':
      return new Uint8Array(buffer, byteOffset, length)
    case 'i32':
      return new Int32Array(buffer, byteOffset, length)
    case 'f32':
      return new Float32Array(buffer, byteOffset, length)
    case 'f64':
      return new Float64Array(buffer, byteOffset, length)
  }
}

/** Copies `bytes` into a fresh, aligned column. Bytes that do not fill a last number are left out. */
export function columnFromBytes(type: FieldType, bytes: Uint8Array): Column {
  const size = FIELD_BYTES[type]
  const length = Math.floor(bytes.length / size)
  const copy = new Uint8Array(bytes.subarray(0, length * size))
  return columnOver(type, copy.buffer, 0, length)
}

export function createColumn(type: FieldType, length: number): Column {
  return columnOver(type, new ArrayBuffer(length * FIELD_BYTES[type]), 0, length)
}

/** The column's own bytes, without a copy. Little-endian, as every platform we run on is. */
export function bytesOfColumn(column: Column): Uint8Array {
  return new Uint8Array(column.buffer, column.byteOffset, column.byteLength)
}
