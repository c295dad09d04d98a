/**
 * The only place that opens LMDB. What it takes care of is known from lmdb-js breaking otherwise:
 * a file whose first creation was cut by a power loss, or that is damaged, kills the process that
 * opens it, so it is made aside and renamed, and after an unclean stop a child process opens it
 * first; a file of another word size does the same, so the word size is in the path; `transaction`
 * does not roll back, `childTransaction` does; only `flushed` says durable; a failed commit leaves
 * nothing to go on with. No iterator may be held across an await: it would pin pages for ever.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Database as LmdbTable, open, type RootDatabase, type Transaction } from 'lmdb'
import { Waits } from '../core/waits.ts'
import { AppError, EXIT_CONFIG, EXIT_NO_ROOM, EXIT_SOFTWARE, messageOf } from './errors.ts'
import { flush } from './flush.ts'
import { makeDirectory } from './make-directory.ts'
import { makeRoom, putAside } from './set-aside.ts'
import { DAMAGE, LOOK_KEY, type LookOptions, lookAtStore } from './store-look.ts'
import type { Key, KeyEncoding, Table, Tables } from './tables.ts'

/** `mapSizeBytes`: address space, not a cap: lmdb-js maps anew, and keeps the old map, when the file grows. */
export interface DatabaseOptions extends LookOptions {
  /** How many directories that were set aside are kept, newest first; all, if left out. */
  readonly brokenKept?: number
  /** What the file may grow to: those that were set aside go, the oldest first, where the disk has no room for it. */
  readonly bytesMax?: number
  /** A database that cannot be opened is an error, not set aside: what it holds is nowhere else. */
  readonly isIrreplaceable?: boolean
}

export const WORD_BITS = ['arm', 'ia32', 'mips', 'mipsel', 'ppc', 's390'].includes(process.arch)
  ? 32
  : 64
const DATA_FILE = 'data.mdb'
const CLEAN_MARKER = 'clean'
const FREE_BYTES_MIN = 256 * 1024

/** Where the database of `directory` lies on this machine. */
export function databasePath(directory: string): string {
  return join(directory, `state-${WORD_BITS}`)
}

/**
 * Opens the database of `directory`, making it if there is none. `onFatal` hears of a failed commit:
 * the process must end then, with exit code 70.
 */
export async function openDatabase(
  directory: string,
  options: DatabaseOptions,
  onFatal: (error: AppError) => void,
): Promise<Database> {
  const path = databasePath(directory)
  makeDirectory(directory)
  const found = statSync(path, { throwIfNoEntry: false })
  if (found?.isDirectory() === false) throw notOurs(path)
  const { bytesMax = 0 } = options
  makeRoom(path, join(path, DATA_FILE), bytesMax)
  requireRoom(directory)
  let setAside: string | undefined
  if (found !== undefined) {
    const wasClean = existsSync(join(path, CLEAN_MARKER))
    if (!wasClean && (await look(path, options)) === 'broken') {
      if (options.isIrreplaceable) throw broken(path)
      setAside = setAsideDatabase(directory, options.brokenKept)
      makeRoom(path, join(path, DATA_FILE), bytesMax)
    }
  }
  if (!existsSync(path)) await create(path, options)
  rmSync(join(path, CLEAN_MARKER), { force: true })
  flush(path)
  return new Database(path, openEnvironment(path, options), setAside, onFatal)
}

async function look(path: string, options: DatabaseOptions): Promise<'sound' | 'broken'> {
  const file = statSync(join(path, DATA_FILE), { throwIfNoEntry: false })
  return await lookAtStore(path, file?.size ?? 0, options)
}

/** LMDB writes its lock and its first pages through maps: on a full disk that is no error but a signal. */
function requireRoom(directory: string): void {
  const { bavail, bsize } = statfsSync(directory)
  const free = bavail * bsize
  if (free >= FREE_BYTES_MIN) return
  const message = `the disk of ${directory} is full: ${free} bytes are free, ${FREE_BYTES_MIN} are needed`
  throw new AppError('no-room', message, { exitCode: EXIT_NO_ROOM })
}

function broken(path: string, cause?: unknown): AppError {
  const message = `${path} is damaged: restore a backup, or move it away to begin anew`
  return new AppError('store-damaged', message, { cause, exitCode: EXIT_CONFIG })
}

function notOurs(path: string): AppError {
  const message = `${path} is a file, where the directory of a store belongs: move it away`
  return new AppError('store-damaged', message, { exitCode: EXIT_CONFIG })
}

/** A process of its own has looked at the database of `directory`: the next opening need not. */
export function trustDatabase(directory: string): void {
  writeFileSync(join(databasePath(directory), CLEAN_MARKER), '')
}

/** Moves a database that cannot be used out of the way and says where it is now. */
export function setAsideDatabase(directory: string, kept?: number): string {
  return putAside(databasePath(directory), kept)
}

export interface NamedRow<K extends Key> {
  readonly table: string
  readonly key: K
  readonly value: Uint8Array
}

export class Database implements Tables {
  readonly path: string
  /** Where an unusable predecessor was moved to at this opening. */
  readonly setAside: string | undefined
  readonly #root: RootDatabase<Uint8Array, Key>
  readonly #tables = new Map<string, LmdbTable<Uint8Array, Key>>()
  readonly #file: number
  readonly #onFatal: (error: AppError) => void
  readonly #writes = new Waits()
  #state: 'open' | 'failed' | 'closed' = 'open'
  /** Copies and looks at a moment that may be over: nothing may be taken away from them. */
  readonly #looks = new Set<Promise<unknown>>()

  constructor(
    path: string,
    root: RootDatabase<Uint8Array, Key>,
    setAside: string | undefined,
    onFatal: (error: AppError) => void,
  ) {
    this.path = path
    this.setAside = setAside
    this.#root = root
    this.#onFatal = onFatal
    this.#file = openSync(join(path, DATA_FILE), 'r')
  }

  table<K extends Key>(name: string, keyEncoding: KeyEncoding): Table<K> {
    const table = this.#root.openDB<Uint8Array, K>({ name, keyEncoding, encoding: 'binary' })
    this.#tables.set(name, table as unknown as LmdbTable<Uint8Array, Key>)
    return table
  }

  /**
   * Runs `change`, which only puts and removes, in one transaction; resolves once that is on disk.
   * Calls of the same moment share a flush. Bytes given to `put` may be reused after `change`.
   */
  async write(change: () => void): Promise<void> {
    if (this.#state !== 'open') throw new AppError('store-closed', 'the store is closed')
    const done = this.#writes.begin(performance.now())
    const committed = this.#root.childTransaction(() => {
      change()
    })
    const flushed = this.#root.flushed.then(() => undefined)
    flushed.catch(() => {})
    try {
      await committed
    } catch (error) {
      throw this.#fail(error)
    }
    await flushed
    done()
  }

  /**
   * Looks at a table that nothing can replace: damage that LMDB meets is the error that says so. Not by
   * `asArray`, which on a failure is a promise.
   */
  read<T>(look: () => T): T {
    try {
      return look()
    } catch (error) {
      throw DAMAGE.test(messageOf(error)) ? broken(this.path, error) : error
    }
  }

  /** Since when the oldest write waits for the disk, monotonic ms. */
  get waitingSinceMs(): number | undefined {
    return this.#writes.oldestMs
  }

  /** The bytes of the file on disk. */
  fileBytes(): number {
    return fstatSync(this.#file).size
  }

  /** Pages of a table that hold its records. */
  leavesOf<K extends Key>(table: Table<K>): number {
    return statsOf(table).treeLeafPageCount
  }

  bytesOf<K extends Key>(table: Table<K>): number {
    const stats = statsOf(table)
    return pagesOf(stats) * stats.pageSize
  }

  /** Bytes inside the file that hold nothing now and are used before it grows. */
  freeBytes(): number {
    const root = this.#root.getStats() as Stats & {
      root: Stats
      free: Stats
      lastPageNumber: number
    }
    const used = [
      root.free,
      root,
      ...[...this.#tables.values()].map((table) => table.getStats() as Stats),
    ]
      .map(pagesOf)
      .reduce((sum, pages) => sum + pages, 0)
    const metaPages = 2
    return Math.max(0, root.lastPageNumber + 1 - metaPages - used) * root.pageSize
  }

  /** What is free on the disk that the file lies on. */
  diskFreeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path)
    return bavail * bsize
  }

  /**
   * Copies what is committed, as of one moment, into a directory that there is not yet; others go on reading and writing.
   * It may die in the middle, and is not brought to the disk.
   */
  async copyTo(directory: string): Promise<void> {
    if (this.#state !== 'open') throw new AppError('store-closed', 'the store is closed')
    mkdirSync(directory, { mode: 0o700 })
    try {
      // Never compacted, which has made damaged copies (kriszyp/lmdb-js#198).
      await this.#looking(this.#root.backup(directory, false))
    } catch (error) {
      throw copyFault(error, directory)
    }
  }

  /**
   * All rows of these tables, by their names, as of this moment: so many at a time, between which others read, write and have
   * their turns. What is written meanwhile makes the file grow.
   */
  rowsOf<K extends Key>(names: readonly string[], atOnce: number): Promise<NamedRow<K>[]> {
    if (this.#state !== 'open') throw new AppError('store-closed', 'the store is closed')
    const moment = this.#root.useReadTransaction()
    return this.#looking(this.#rowsAt<K>(moment, names, atOnce).finally(() => moment.done()))
  }

  /** Who closes it waits for that. */
  #looking<T>(look: Promise<T>): Promise<T> {
    this.#looks.add(look)
    const over = (): boolean => this.#looks.delete(look)
    look.then(over, over)
    return look
  }

  /** A slice is read to its end at once: no iterator lives from one turn to the next. */
  async #rowsAt<K extends Key>(
    transaction: Transaction,
    names: readonly string[],
    limit: number,
  ): Promise<NamedRow<K>[]> {
    const rows: NamedRow<K>[] = []
    for (const name of names) {
      const table = this.#tables.get(name)! as unknown as LmdbTable<Uint8Array, K>
      let slice: NamedRow<K>[] = []
      do {
        const last = slice.at(-1)
        const after = last === undefined ? {} : { start: last.key, exclusiveStart: true }
        slice = this.read(() =>
          Array.from(table.getRange({ ...after, limit, transaction }), ({ key, value }) => ({
            table: name,
            key,
            value: new Uint8Array(value),
          })),
        )
        rows.push(...slice)
        await nextTurn()
      } while (slice.length === limit)
    }
    return rows
  }

  /** Waits for what is being written. Afterwards the process may end. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return
    const wasSound = this.#state === 'open'
    this.#state = 'closed'
    await Promise.allSettled(this.#looks)
    // After a failed commit the library would wait for a flush that never comes.
    if (wasSound) {
      await this.#root.flushed
      await this.#root.close()
    }
    closeSync(this.#file)
    if (wasSound) this.#markClean()
  }

  /** Without the marker the next opening only takes longer. */
  #markClean(): void {
    try {
      writeFileSync(join(this.path, CLEAN_MARKER), '')
    } catch {
      // A full disk, or a directory that is gone.
    }
  }

  #fail(error: unknown): AppError {
    detailOf(error)?.catch(() => {})
    if (this.#state === 'open') silenceLibrary()
    const fatal = new AppError('store-failed', `the store failed: ${messageOf(error)}`, {
      cause: error,
      exitCode: EXIT_SOFTWARE,
    })
    if (this.#state === 'open') {
      this.#state = 'failed'
      this.#onFatal(fatal)
    }
    return fatal
  }
}

/** The library says only what the system said, in words. */
function copyFault(error: unknown, directory: string): unknown {
  if (!/No space left|quota/i.test(messageOf(error))) return error
  const message = `the disk of ${directory} has no room for a copy`
  return new AppError('no-room', message, { cause: error, exitCode: EXIT_NO_ROOM })
}

function detailOf(error: unknown): Promise<never> | undefined {
  return (error as { commitError?: Promise<never> } | undefined)?.commitError
}

/**
 * With a commit the library also fails promises that it gave to nobody. They would end the process
 * with another exit code than the one that the failure means.
 */
function silenceLibrary(): void {
  process.on('unhandledRejection', (reason) => {
    if (detailOf(reason) === undefined) throw reason
  })
}

interface Stats {
  readonly pageSize: number
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
}

function statsOf<K extends Key>(table: Table<K>): Stats {
  return (table as Table<K> & { getStats(): Stats }).getStats()
}

function pagesOf(stats: Stats): number {
  return stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages
}

function openEnvironment(path: string, options: DatabaseOptions): RootDatabase<Uint8Array, Key> {
  const undeclared = { noReadAhead: true }
  return open<Uint8Array, Key>(path, {
    noSubdir: false,
    encoding: 'binary',
    compression: false,
    mapSize: options.mapSizeBytes,
    maxDbs: options.maxDbs,
    maxReaders: 8,
    ...undeclared,
  })
}

/** A database that exists under its name is one whose first pages are all on disk. */
async function create(path: string, options: DatabaseOptions): Promise<void> {
  const temporary = `${path}.new`
  rmSync(temporary, { recursive: true, force: true })
  mkdirSync(temporary)
  const root = openEnvironment(temporary, options)
  await root.put(LOOK_KEY, Buffer.from([0]))
  await root.flushed
  await root.close()
  writeFileSync(join(temporary, CLEAN_MARKER), '')
  flush(join(temporary, DATA_FILE))
  flush(temporary)
  renameSync(temporary, path)
  flush(dirname(path))
}
