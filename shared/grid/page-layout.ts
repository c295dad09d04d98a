/**
 * Where the columns of a tile's page lie, and how large the page is. Apart from the page itself, so
 * that the gateway can count bytes without loading the code that holds cells.
 */
import { FIELD_BYTES, type Field } from './fields.ts'

/** Format, `at` and digest (tile-page.ts) stand before the columns. */
export const HEADER_BYTES = 24

/** Where the columns of a page lie; one layout serves all tiles of equal LSU count. */
export interface PageLayout {
  readonly fields: readonly Field[]
  readonly lsus: number
  readonly offsets: readonly number[]
  readonly statusOffset: number
  readonly bytes: number
}

export function createLayout(fields: readonly Field[], lsus: number): PageLayout {
  const offsets = new Array<number>(fields.length).fill(0)
  let offset = HEADER_BYTES
  for (const size of [8, 4, 1]) {
    fields.forEach((field, index) => {
      if (FIELD_BYTES[field.type] !== size) return
      offsets[index] = offset
      offset += size * lsus
    })
  }
  return { fields, lsus, offsets, statusOffset: offset, bytes: offset + lsus }
}
