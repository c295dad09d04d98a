/**
 * Whether there is room for what is to be written: below the bound of the slice, and on the disk. It is
 * asked before a write, since LMDB cannot take back what does not fit. LMDB never writes over a page: a
 * tile that is rewritten needs new ones first, and so what is new leaves room for that.
 */
import type { PageLayout } from '../../shared/grid/page-layout.ts'
import {
  ENTRY_PAGE_BYTES_MAX,
  PART_BYTES_MAX,
  TILE_ID_BYTES,
} from '../../shared/operations/operation.ts'
import type { Clock } from '../../shared/runtime/clock.ts'
import { AppError } from '../../shared/runtime/errors.ts'
import type { Tables } from '../../shared/runtime/tables.ts'
import type { PageSizes } from './slice-commit.ts'
import type { TileSize } from './tile-set.ts'

export interface StoreRoomOptions {
  /** The file of the slice stays below this, bytes. */
  readonly sliceBytesMax: number
  /** Answers that wait for the gateway, bytes on disk. */
  readonly outboxBytesMax: number
  /** What a commit leaves free on the disk, bytes. */
  readonly diskFreeBytesMin?: number
  /** How long it is taken for granted that the disk has what it had, ms. */
  readonly diskCheckMs?: number
}

interface StoreParts {
  /** Of the table that holds the pages of tiles. */
  readonly leaves: () => number
  /** What that table would take more, bytes, if no page had a column as one value. */
  readonly owed: () => number
  readonly clock: Clock
  /** Bytes, up to now. */
  readonly written: number
}

/** Of LMDB. */
const PAGE_BYTES = 4096
const PAGE_HEADER_BYTES = 16
/** A larger value lies on pages of its own: a leaf holds at least two. */
export const LEAF_VALUE_BYTES_MAX = 2024
/** Head, key and place of a value in its leaf. */
const ROW_BYTES = 24
/** Of what lies in leaves: they are two thirds full. */
const LEAF_SHARE = 1.5
/** The path from the root to a leaf, in the tables and the free list, and the meta page. */
export const TREE_BYTES_PER_COMMIT = 10 * PAGE_BYTES

const MIB = 1024 * 1024
const DISK_FREE_BYTES_MIN = 16 * MIB
const DISK_CHECK_MS = 5000
/** As the gateway has it for its own disk. */
const ROOMY = 1.25
/** The next transaction, and the two before it, whose old pages LMDB does not give it yet. */
const TRANSACTIONS_AT_ONCE = 3

/** New tiles leave room for the outbox and for rewrites, answers and the time for rewrites. */
export type Purpose = 'new-tiles' | 'rewrite' | 'answer'

/** A value that shares no leaf lies on whole pages of its own. */
export function diskBytesOf(bytes: number): number {
  return Math.ceil((bytes + PAGE_HEADER_BYTES) / PAGE_BYTES) * PAGE_BYTES
}

/** What the page of a tile comes to, if no column of it is one value. */
export function sizeOf(layout: PageLayout | undefined): TileSize {
  if (layout === undefined) return { lsus: 0, diskBytes: 0 }
  return { lsus: layout.lsus, diskBytes: rowBytesOf(layout.bytes) }
}

/** What a value takes in a tree, about: leaves are not full. */
function rowBytesOf(bytes: number): number {
  if (bytes > LEAF_VALUE_BYTES_MAX) return diskBytesOf(bytes) + ROW_BYTES
  return LEAF_SHARE * (bytes + ROW_BYTES)
}

export class StoreRoom {
  readonly #options: Required<StoreRoomOptions>
  readonly #database: Tables
  readonly #parts: StoreParts
  #writtenBytes: number
  /** Of a whole tile; 0 while there is no grid. */
  #tileBytes = 0
  /**
   * What the last two writes freed. LMDB gives that to neither of the next two: one may still be read, and
   * one is not on the disk yet.
   */
  #recent: readonly [number, number] = [0, 0]
  /** The last write of pages, if there was no room for it. */
  #refused: { readonly bytes: number; readonly purpose: Purpose } | undefined
  #wasDiskFull = false
  #diskFree = { bytes: 0, atMs: Number.NEGATIVE_INFINITY }

  constructor(
    {
      diskFreeBytesMin = DISK_FREE_BYTES_MIN,
      diskCheckMs = DISK_CHECK_MS,
      ...bounds
    }: StoreRoomOptions,
    database: Tables,
    parts: StoreParts,
  ) {
    this.#options = { ...bounds, diskFreeBytesMin, diskCheckMs }
    this.#database = database
    this.#parts = parts
    this.#writtenBytes = parts.written
  }

  /** Written since the store was made, about. */
  get writtenBytes(): number {
    return this.#writtenBytes
  }

  /** The grid is known: the page of a whole tile has so many bytes. */
  expectTiles(tileBytes: number): void {
    this.#tileBytes = tileBytes
  }

  /** What a transaction that puts these pages takes: their own pages of the disk, and the leaves they are in. */
  #costOf({ count, own, shared }: Load): number {
    // Leaves that are split are half full.
    const grown = Math.ceil((2 * shared) / PAGE_BYTES)
    const leaves = Math.min(count, this.#parts.leaves() + grown)
    return own + leaves * PAGE_BYTES + TREE_BYTES_PER_COMMIT
  }

  /** Why there is no room for any write, or for the one that was refused last. */
  get missing(): string | undefined {
    const diskMissing = this.#missingOnDisk()
    if (diskMissing !== undefined) {
      this.#wasDiskFull = true
      return diskMissing
    }
    this.#wasDiskFull = false
    const refused = this.#refused
    if (refused === undefined || this.#fitsInSlice(refused.bytes, refused.purpose)) return undefined
    return this.#sliceMissing()
  }

  /** A disk that was full must have a little more than enough, or each write would make it full again. */
  #missingOnDisk(): string | undefined {
    const needed = this.#options.diskFreeBytesMin * (this.#wasDiskFull ? ROOMY : 1)
    const free = this.#diskFreeBytes()
    if (free >= needed) return undefined
    return `${free} bytes are free on the disk, ${needed} are needed`
  }

  #sliceMissing(): string {
    return `the slice has reached its ${this.#options.sliceBytesMax} bytes`
  }

  /** Whether the disk has what must stay free. */
  get isLeftOnDisk(): boolean {
    return this.#diskFreeBytes() >= this.#options.diskFreeBytesMin
  }

  /**
   * Takes room for these pages; fails with `store-full` if they do not go in. A new one goes in only as a whole page,
   * however small it is now: the next write may make it that.
   */
  require(sizes: PageSizes, isNew: (tile: number) => boolean): void {
    const [all, rewritten, needed] = [new Load(), new Load(), new Load()]
    sizes((tile, bytes, wholeBytes) => {
      const isOfNew = isNew(tile)
      all.add(bytes)
      needed.add(isOfNew ? wholeBytes : bytes)
      if (!isOfNew) rewritten.add(bytes)
    })
    const purpose = rewritten.count === all.count ? 'rewrite' : 'new-tiles'
    const bytesNeeded = this.#costOf(needed)
    const isLeft = this.isLeftOnDisk
    if (!isLeft) this.#wasDiskFull = true
    if (!isLeft || !this.#fitsInSlice(bytesNeeded, purpose)) {
      this.#refused = { bytes: bytesNeeded, purpose }
      throw new AppError('store-full', this.#missingOnDisk() ?? this.#sliceMissing())
    }
    this.#refused = undefined
    this.take(this.#costOf(all), this.#costOf(rewritten))
  }

  /** Whether so many bytes go in. */
  fits(bytes: number, purpose: Purpose): boolean {
    return this.isLeftOnDisk && this.#fitsInSlice(bytes, purpose)
  }

  /** The next write, which fits, has and frees about so many bytes. */
  take(bytes: number, freed = bytes): void {
    this.#recent = [this.#recent[1], freed]
    this.#writtenBytes += bytes
  }

  #fitsInSlice(bytes: number, purpose: Purpose): boolean {
    const { sliceBytesMax } = this.#options
    const owed = this.#leavesOwed(purpose) ? Math.max(0, this.#parts.owed()) : 0
    const room = sliceBytesMax - this.#reserveFor(purpose) - owed - this.#database.fileBytes()
    return bytes <= room || bytes <= room + this.#reusableBytes()
  }

  /** What new tiles left for answers is theirs, as long as it is all that they may take: what is owed is a guess. */
  #leavesOwed(purpose: Purpose): boolean {
    const { sliceBytesMax, outboxBytesMax } = this.#options
    if (purpose === 'answer') return outboxBytesMax > sliceBytesMax / 8
    return purpose === 'new-tiles'
  }

  #reserveFor(purpose: Purpose): number {
    if (purpose === 'rewrite') return 0
    const { sliceBytesMax, outboxBytesMax } = this.#options
    const forAnswers = Math.min(outboxBytesMax, sliceBytesMax / 8)
    const forRewrites = this.#reserveForRewrites(sliceBytesMax - forAnswers)
    return purpose === 'answer' ? forRewrites : forRewrites + forAnswers
  }

  /** Of so many bytes. No transaction rewrites more than all that there is. */
  #reserveForRewrites(bytesMax: number): number {
    if (this.#tileBytes === 0) return 0
    const tilesMax = Math.floor(ENTRY_PAGE_BYTES_MAX / this.#tileBytes)
    const count = Math.max(1, Math.min(PART_BYTES_MAX / TILE_ID_BYTES, tilesMax))
    const largest = this.#costOf(new Load().add(this.#tileBytes, count))
    const ofAll = bytesMax / (TRANSACTIONS_AT_ONCE + 1) + TREE_BYTES_PER_COMMIT
    return TRANSACTIONS_AT_ONCE * Math.min(largest, ofAll)
  }

  #reusableBytes(): number {
    return Math.max(0, this.#database.freeBytes() - this.#recent[0] - this.#recent[1])
  }

  #diskFreeBytes(): number {
    const nowMs = this.#parts.clock.monotonicMs
    if (nowMs - this.#diskFree.atMs >= this.#options.diskCheckMs) {
      this.#diskFree = { bytes: this.#database.diskFreeBytes(), atMs: nowMs }
    }
    return this.#diskFree.bytes
  }
}

/** What pages come to that are put together. */
class Load {
  count = 0
  /** Bytes of the disk, of those that share no leaf. */
  own = 0
  /** Bytes of those that do. */
  shared = 0

  add(bytes: number, times = 1): this {
    this.count += times
    if (bytes > LEAF_VALUE_BYTES_MAX) this.own += times * diskBytesOf(bytes)
    else this.shared += times * bytes
    return this
  }
}
