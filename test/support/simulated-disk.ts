/**
 * A disk with the tables of one store on it. A transaction changes what its process reads; on the disk it
 * is only once it was flushed, and what was not flushed goes with the process. Kept to the same
 * contract as LMDB (tables-contract.ts).
 */
import type { Key, Table, Tables } from '../../shared/runtime/tables.ts'

/** How long the disk takes, for the process that uses it. */
export interface DiskTiming {
  readonly nowMs: number
  /** A transaction begins, and takes the changes that wait. */
  begin(act: () => void): void
  /** It is brought to the disk. */
  flush(act: () => void): void
}

/** For who simulates no time: all is on the disk at once. */
export const AT_ONCE: DiskTiming = { nowMs: 0, begin: (act) => act(), flush: (act) => act() }

interface Change {
  readonly table: string
  readonly key: Key
  /** Nothing: the row goes. */
  readonly value: Uint8Array | undefined
}

interface Write {
  readonly change: () => void
  readonly sinceMs: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

type Rows<Value> = Map<string, Map<Key, Value>>

const FREE_BYTES = 2 ** 40

export class SimulatedDisk {
  #rows: Rows<Uint8Array> = new Map()
  /** Of transactions that are not flushed. */
  #young: Rows<Uint8Array | undefined> = new Map()
  #usedBytes = 0
  #fileBytes = 0
  #process: OpenDisk | undefined
  isFull = false
  /** Hears what a flush brought to the disk. */
  onFlushed: (changes: readonly Change[]) => void = () => {}

  /** For a process that starts; the one before is gone, and with it what was not flushed. */
  open(timing: DiskTiming): Tables {
    this.crash()
    this.#process = new OpenDisk(this, timing)
    return this.#process
  }

  /** `tears`: of the transaction that was under way, rows for which that is so are on the disk all the same. */
  crash(tears: (change: Change, all: readonly Change[]) => boolean = () => false): void {
    const changes = [...this.#young].flatMap(([table, rows]) =>
      [...rows].map(([key, value]) => ({ table, key, value })),
    )
    this.#young = new Map()
    this.#process?.die()
    this.#process = undefined
    const torn = changes.filter((change) => tears(change, changes))
    if (torn.length > 0) this.flushed(torn)
  }

  /** What was flushed. */
  get(table: string, key: Key): Uint8Array | undefined {
    return this.#rows.get(table)?.get(key)
  }

  keys(table: string): Key[] {
    return sorted(this.#rows.get(table)?.keys() ?? [])
  }

  count(table: string): number {
    return this.#rows.get(table)?.size ?? 0
  }

  bytesOf(table: string): number {
    let bytes = 0
    for (const value of this.#rows.get(table)?.values() ?? []) bytes += value.length
    return bytes
  }

  /** Behind the back of whoever uses it. */
  overwrite(table: string, key: Key, value: Uint8Array): void {
    this.#rows.get(table)!.set(key, value)
  }

  image(): unknown {
    return new Map([...this.#rows].map(([table, rows]) => [table, new Map(rows)]))
  }

  /** Another disk is put in: an empty one, or one with an older image. */
  replace(image?: unknown): void {
    this.crash()
    this.#rows = new Map()
    this.#usedBytes = 0
    this.#fileBytes = 0
    const changes = [...((image as Rows<Uint8Array>) ?? [])].flatMap(([table, rows]) =>
      [...rows].map(([key, value]) => ({ table, key, value })),
    )
    this.flushed(changes)
  }

  // What follows is for the process.

  read(table: string, key: Key): Uint8Array | undefined {
    const young = this.#young.get(table)
    return young?.has(key) ? young.get(key) : this.get(table, key)
  }

  keysRead(table: string): Key[] {
    const keys = new Set(this.#rows.get(table)?.keys())
    for (const [key, value] of this.#young.get(table) ?? []) {
      if (value === undefined) keys.delete(key)
      else keys.add(key)
    }
    return sorted(keys)
  }

  taken(changes: readonly Change[]): void {
    for (const { table, key, value } of changes) rowsOf(this.#young, table).set(key, value)
  }

  flushed(changes: readonly Change[]): void {
    for (const { table, key, value } of changes) {
      const rows = rowsOf(this.#rows, table)
      this.#usedBytes += (value?.length ?? 0) - (rows.get(key)?.length ?? 0)
      if (value === undefined) rows.delete(key)
      else rows.set(key, value)
    }
    this.#young.clear()
    this.#fileBytes = Math.max(this.#fileBytes, this.#usedBytes)
    this.onFlushed(changes)
  }

  fileBytes(): number {
    return this.#fileBytes
  }

  freeBytes(): number {
    return this.#fileBytes - this.#usedBytes
  }

  diskFreeBytes(): number {
    return this.isFull ? 0 : FREE_BYTES
  }
}

class OpenDisk implements Tables {
  readonly #disk: SimulatedDisk
  readonly #timing: DiskTiming
  #waiting: Write[] = []
  #running: Write[] = []
  /** Of the transaction that is being filled. */
  #changes: Change[] | undefined
  #onIdle: (() => void)[] = []
  #isDead = false

  constructor(disk: SimulatedDisk, timing: DiskTiming) {
    this.#disk = disk
    this.#timing = timing
  }

  leavesOf<K extends Key>(table: Table<K>): number {
    return this.#disk.count((table as Table<K> & { name: string }).name)
  }

  bytesOf<K extends Key>(table: Table<K>): number {
    return this.#disk.bytesOf((table as Table<K> & { name: string }).name)
  }

  table<K extends Key>(name: string): Table<K> & { name: string } {
    const disk = this.#disk
    const change = (key: K, value: Uint8Array | undefined): void => {
      if (this.#changes === undefined) throw new Error(`${name} is changed outside a transaction`)
      this.#changes.push({ table: name, key, value })
    }
    return {
      name,
      getBinary: (key) => copyOf(disk.read(name, key)),
      getBinaryFast: (key) => disk.read(name, key),
      getRange: () =>
        disk.keysRead(name).map((key) => ({ key: key as K, value: copyOf(disk.read(name, key))! })),
      getKeys: () => disk.keysRead(name) as K[],
      put: (key, value) => change(key, copyOf(value)),
      remove: (key) => change(key, undefined),
      clearSync: () => {
        const put = this.#changes!.filter(({ table }) => table === name).map(({ key }) => key)
        for (const key of [...disk.keysRead(name), ...put]) change(key as K, undefined)
      },
    }
  }

  write(change: () => void): Promise<void> {
    if (this.#isDead) return new Promise(() => {})
    return new Promise((resolve, reject) => {
      this.#waiting.push({ change, sinceMs: this.#timing.nowMs, resolve, reject })
      if (this.#running.length === 0 && this.#waiting.length === 1) this.#begin()
    })
  }

  read<T>(look: () => T): T {
    return look()
  }

  get waitingSinceMs(): number | undefined {
    return (this.#running[0] ?? this.#waiting[0])?.sinceMs
  }

  fileBytes(): number {
    return this.#disk.fileBytes()
  }

  freeBytes(): number {
    return this.#disk.freeBytes()
  }

  diskFreeBytes(): number {
    return this.#disk.diskFreeBytes()
  }

  async close(): Promise<void> {
    if (this.waitingSinceMs === undefined) return
    await new Promise<void>((resolve) => {
      this.#onIdle.push(resolve)
    })
  }

  die(): void {
    this.#isDead = true
  }

  #begin(): void {
    this.#timing.begin(() => {
      if (this.#isDead) return
      this.#running = this.#waiting
      this.#waiting = []
      const changes: Change[] = []
      for (const write of this.#running)
        for (const change of this.#fill(write)) changes.push(change)
      this.#timing.flush(() => {
        if (this.#isDead) return
        this.#disk.flushed(changes)
        const written = this.#running
        this.#running = []
        if (this.#waiting.length > 0) this.#begin()
        for (const { resolve } of written) resolve()
        if (this.waitingSinceMs === undefined) for (const idle of this.#onIdle.splice(0)) idle()
      })
    })
  }

  /** All of a change, or nothing. */
  #fill({ change, reject }: Write): readonly Change[] {
    const changes: Change[] = []
    this.#changes = changes
    try {
      change()
      this.#disk.taken(changes)
      return changes
    } catch (error) {
      reject(error)
      return []
    } finally {
      this.#changes = undefined
    }
  }
}

/** Never by `slice`, which for a Buffer is a view: of a few bytes, the megabytes would stay that they were encoded in. */
function copyOf(bytes: Uint8Array | undefined): Uint8Array | undefined {
  return bytes && Buffer.from(bytes)
}

function rowsOf<Value>(tables: Rows<Value>, table: string): Map<Key, Value> {
  let rows = tables.get(table)
  if (rows === undefined) {
    rows = new Map()
    tables.set(table, rows)
  }
  return rows
}

function sorted(keys: Iterable<Key>): Key[] {
  return [...keys].sort((left, right) => (left < right ? -1 : 1))
}
