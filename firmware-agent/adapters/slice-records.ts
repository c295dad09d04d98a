/** The small records of a slice's store, each under its name and behind its own digest. */
import type { Table, Tables } from '../../shared/runtime/tables.ts'
import { openRecord } from './sealed-record.ts'

export interface SliceStats {
  readonly tiles: number
  readonly lsus: number
  readonly storeBytes: number
  /** Written to the disk since the store was made, about. */
  readonly writtenBytesTotal: number
  readonly outboxRecords: number
  readonly outboxBytes: number
  readonly answersShed: number
}

export function metaTable(database: Tables): Table<string> {
  return database.table<string>('meta', 'ordered-binary')
}

/** Whether each small record is there or absent, but not damaged. */
export function recordsAreSound(meta: Table<string>): boolean {
  return ['identity', 'mark', 'written', 'broken'].every((key) => {
    const stored = meta.getBinary(key)
    return stored === undefined || openRecord(stored) !== undefined
  })
}

export function readRecord<T>(meta: Table<string>, key: string): T | undefined {
  const stored = meta.getBinary(key)
  return stored && openRecord<T>(stored)
}

/** A number on eight bytes, little-endian. */
export function bytesOfNumber(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setFloat64(0, value, true)
  return bytes
}

export function numberOf({ buffer, byteOffset, byteLength }: Uint8Array): number {
  return new DataView(buffer, byteOffset, byteLength).getFloat64(0, true)
}
