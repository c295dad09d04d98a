/**
 * A list of numbers for a field, one an LSU: numbers, or in CBOR the bytes of a column of the field's
 * type, little-endian. Both become a column of that type.
 */
import * as v from 'valibot'
import {
  type Column,
  columnFromBytes,
  createColumn,
  FIELD_BYTES,
  type Field,
  held,
  takes,
} from '../grid/fields.ts'
import { PROBLEMS_MAX, type Problem } from '../protocol/problems.ts'
import { notTaken } from './field-values.ts'

export type NumberList = unknown[] | Uint8Array

export function isNumberList(input: unknown): input is NumberList {
  return Array.isArray(input) || input instanceof Uint8Array
}

/** Its members are checked one by one: many wrong ones must not become as many issues. */
export const numberListSchema = v.custom<NumberList>(
  isNumberList,
  'a list of numbers, or their bytes',
)

/** How many numbers it has for a field of this type, which bytes may have no whole number of. */
export function lengthOf(list: NumberList, field: Field | undefined): number {
  if (Array.isArray(list) || field === undefined) return list.length
  return list.length / FIELD_BYTES[field.type]
}

/** What it has, in words. */
export function describeList(list: NumberList, field: Field | undefined): string {
  if (Array.isArray(list)) return `${list.length} numbers`
  return `${list.length} bytes${field === undefined ? '' : ` of ${field.type}`}`
}

/** Its numbers, held to the field's type if there is one. Nothing, once something is wrong: that is pushed. */
export function columnOf(
  list: NumberList,
  field: Field | undefined,
  path: string,
  problems: Problem[],
): Column | undefined {
  const before = problems.length
  const type = field?.type ?? 'f64'
  // Bytes are held where they were copied to.
  const column = Array.isArray(list) ? createColumn(type, list.length) : columnFromBytes(type, list)
  const given = Array.isArray(list) ? list : column
  for (let index = 0; index < given.length && problems.length < PROBLEMS_MAX; index++) {
    const value: unknown = given[index]
    if (typeof value !== 'number') {
      const name = `${path}[${index}]`
      problems.push({ path: name, code: 'wrong-type', message: `${name} must be a number` })
    } else if (field === undefined || takes(type, value)) column[index] = held(type, value)
    else problems.push(notTaken(`${path}[${index}]`, field, value))
  }
  return problems.length > before ? undefined : column
}
