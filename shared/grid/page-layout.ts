/**
 * Where the columns of a tile's page lie, and how large the page is. Apart from the page itself, so
 * that the gateway can count bytes without loading the code that holds cells.
 */
import { FIELD_BYTES, type Field, type FieldType } from './fields.ts'

/** Format, `at` and digest (tile-page.ts) stand before the columns. */
export const HEADER_BYTES = 24

/** All columns whole (tile-page.ts). */
export const PLAIN_FORMAT = 1

/** The newest format that is read here, and named in a hello (packed-page.ts). */
export const PACKED_FORMAT = 2

/** Where the columns of a page lie; one layout serves all tiles of equal LSU count. */
export interface PageLayout {
  readonly fields: readonly Field[]
  readonly lsus: number
  readonly offsets: readonly number[]
  readonly statusOffset: number
  readonly bytes: number
  /** Of a page in format 2 (packed-page.ts) whose columns hold one value each. */
  readonly uniformBytes: number
  /** All columns as they lie, status last, which has the index behind the last field. */
  readonly columns: readonly ColumnPlace[]
}

export interface ColumnPlace {
  readonly index: number
  readonly type: FieldType
  readonly offset: number
  /** Of one LSU. */
  readonly size: number
}

/** One bit for each column. */
export function flagBytesOf({ columns }: Pick<PageLayout, 'columns'>): number {
  return (columns.length + 7) >> 3
}

export function createLayout(fields: readonly Field[], lsus: number): PageLayout {
  const offsets = new Array<number>(fields.length).fill(0)
  const columns: ColumnPlace[] = []
  let offset = HEADER_BYTES
  for (const size of [8, 4, 1]) {
    fields.forEach(({ type }, index) => {
      if (FIELD_BYTES[type] !== size) return
      offsets[index] = offset
      columns.push({ index, type, offset, size })
      offset += size * lsus
    })
  }
  columns.push({ index: fields.length, type: 'u8', offset, size: 1 })
  const values = columns.reduce((sum, { size }) => sum + size, 0)
  const uniformBytes = HEADER_BYTES + values + flagBytesOf({ columns })
  const bytes = offset + lsus
  return { fields, lsus, offsets, statusOffset: offset, bytes, uniformBytes, columns }
}
