/**
 * Whether there is room for what is to be written: below the bound of the slice, and on the disk. It is
 * asked before a write, since LMDB cannot take back what does not fit.
 */
import { statfsSync } from 'node:fs'
import { AppError } from '../../shared/runtime/errors.ts'
import type { Database } from '../../shared/runtime/lmdb.ts'

export interface StoreRoomOptions {
  /** The file of the slice stays below this, bytes. */
  readonly sliceBytesMax: number
  /** Answers that wait for the gateway, bytes on disk. */
  readonly outboxBytesMax: number
  /** What a commit leaves free on the disk, bytes. */
  readonly diskFreeBytesMin?: number
}

/** Of LMDB. */
export const PAGE_BYTES = 4096

const MIB = 1024 * 1024
const PAGE_HEADER_BYTES = 16
const DISK_FREE_BYTES_MIN = 16 * MIB
const DISK_CHECK_INTERVAL_MS = 5000
/** Rewriting a tile needs free pages, too: whatever can wait leaves this much. */
const REWRITE_RESERVE_BYTES_MAX = 8 * MIB

/** New tiles leave room for the outbox and for rewrites, answers and the time for rewrites. */
export type Purpose = 'new-tiles' | 'rewrite' | 'answer'

/** A value that shares no leaf lies on whole pages of its own. */
export function diskBytesOf(bytes: number): number {
  return Math.ceil((bytes + PAGE_HEADER_BYTES) / PAGE_BYTES) * PAGE_BYTES
}

export class StoreRoom {
  readonly #options: Required<StoreRoomOptions>
  readonly #database: Database
  /**
   * What the last two writes took. They freed about as much, and LMDB gives that to neither of the next two:
   * one may still be read, and one is not on the disk yet.
   */
  #recent: readonly [number, number] = [0, 0]
  #diskFree = { bytes: 0, atMs: Number.NEGATIVE_INFINITY }

  constructor(
    { diskFreeBytesMin = DISK_FREE_BYTES_MIN, ...bounds }: StoreRoomOptions,
    database: Database,
  ) {
    this.#options = { ...bounds, diskFreeBytesMin }
    this.#database = database
  }

  /** Whether the disk has what must stay free. */
  get isLeftOnDisk(): boolean {
    return this.#diskFreeBytes() >= this.#options.diskFreeBytesMin
  }

  /** Claims so many bytes for the next write; fails with `store-full` if they do not go in. */
  require(bytes: number, purpose: Purpose): void {
    if (!this.isLeftOnDisk) {
      throw new AppError('store-full', `${this.#diskFree.bytes} bytes are free on the disk`)
    }
    if (!this.#fitsInSlice(bytes, purpose)) {
      const { sliceBytesMax } = this.#options
      throw new AppError('store-full', `the slice has reached its ${sliceBytesMax} bytes`)
    }
    this.take(bytes)
  }

  /** Whether so many bytes go in. */
  fits(bytes: number, purpose: Purpose): boolean {
    return this.isLeftOnDisk && this.#fitsInSlice(bytes, purpose)
  }

  /** The next write takes these bytes, which fit. */
  take(bytes: number): void {
    this.#recent = [this.#recent[1], bytes]
  }

  #fitsInSlice(bytes: number, purpose: Purpose): boolean {
    const { sliceBytesMax } = this.#options
    const room = sliceBytesMax - this.#reserveFor(purpose) - this.#database.fileBytes()
    return bytes <= room || bytes <= room + this.#reusableBytes()
  }

  #reserveFor(purpose: Purpose): number {
    if (purpose === 'rewrite') return 0
    const { sliceBytesMax, outboxBytesMax } = this.#options
    const forRewrites = Math.min(REWRITE_RESERVE_BYTES_MAX, sliceBytesMax / 8)
    if (purpose === 'answer') return forRewrites
    return forRewrites + Math.min(outboxBytesMax, sliceBytesMax / 8)
  }

  #reusableBytes(): number {
    return Math.max(0, this.#database.freeBytes() - this.#recent[0] - this.#recent[1])
  }

  #diskFreeBytes(): number {
    const nowMs = performance.now()
    if (nowMs - this.#diskFree.atMs >= DISK_CHECK_INTERVAL_MS) {
      const { bavail, bsize } = statfsSync(this.#database.path)
      this.#diskFree = { bytes: bavail * bsize, atMs: nowMs }
    }
    return this.#diskFree.bytes
  }
}
