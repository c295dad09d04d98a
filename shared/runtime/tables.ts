/**
 * What a store is to the parts that keep something in it: tables of bytes, and transactions over all of
 * them. lmdb.ts is the one that ships; the simulator has another. Both keep the contract in
 * test/support/tables-contract.ts.
 */
export type Key = string | number
export type KeyEncoding = 'uint32' | 'ordered-binary'

export interface Table<K extends Key = Key> {
  getBinary(key: K): Uint8Array | undefined
  /** Without a copy: only until the next read, and only as far as its length says. */
  getBinaryFast(key: K): Uint8Array | undefined
  /** Ascending. */
  getRange(): Iterable<{ key: K; value: Uint8Array }>
  getKeys(): Iterable<K>
  /** The three that change something are called in a transaction only. */
  put(key: K, value: Uint8Array): unknown
  remove(key: K): unknown
  clearSync(): void
}

export interface Tables {
  table<K extends Key>(name: string, keyEncoding: KeyEncoding): Table<K>
  /**
   * Runs `change`, which only puts and removes, in one transaction; resolves once that is on disk.
   * Calls of the same moment share a flush. Bytes given to `put` may be reused after `change`.
   */
  write(change: () => void): Promise<void>
  /** Looks at a table that nothing can replace: damage is the error that says so. */
  read<T>(look: () => T): T
  /** Since when the oldest write waits for the disk, monotonic ms. */
  readonly waitingSinceMs: number | undefined
  /** The bytes of the file on disk. */
  fileBytes(): number
  /** Pages of a table that hold its records. */
  leavesOf<K extends Key>(table: Table<K>): number
  /** What a table takes of the file, bytes. */
  bytesOf<K extends Key>(table: Table<K>): number
  /** Bytes inside the file that hold nothing now and are used before it grows. */
  freeBytes(): number
  /** What is free on the disk that the file lies on, bytes. */
  diskFreeBytes(): number
  /** Waits for what is being written. */
  close(): Promise<void>
}
