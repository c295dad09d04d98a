/** The small records of a slice's store, each under its name and behind its own digest. */
import type { Database, Table } from '../../shared/runtime/lmdb.ts'
import { openRecord } from './sealed-record.ts'

export function metaTable(database: Database): Table<string> {
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
