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
  /** What a commit leaves free on the disk, bytes. */
  readonly diskFreeBytesMin?: number
}

/** Of LMDB. */
export const PAGE_BYTES = 4096

const MIB = 1024 * 1024
const PAGE_HEADER_BYTES = 16
const DISK_FREE_BYTES_MIN = 16 * MIB
const DISK_CHECK_INTERVAL_MS = 5000
/** A new tile leaves this much below the bound: rewriting a tile needs free pages, too. */
const REWRITE_RESERVE_BYTES_MAX = 8 * MIB

/** A value that shares no leaf lies on whole pages of its own. */
export function diskBytesOf(bytes: number): number {
  return Math.ceil((bytes + PAGE_HEADER_BYTES) / PAGE_BYTES) * PAGE_BYTES
}

export class StoreRoom {
  readonly #options: Required<StoreRoomOptions>
  readonly #database: Database
  #diskFree = { bytes: 0, atMs: Number.NEGATIVE_INFINITY }

  constructor(
    { sliceBytesMax, diskFreeBytesMin = DISK_FREE_BYTES_MIN }: StoreRoomOptions,
    database: Database,
  ) {
    this.#options = { sliceBytesMax, diskFreeBytesMin }
    this.#database = database
  }

  /** Whether the disk has what must stay free. */
  get isLeftOnDisk(): boolean {
    return this.#diskFreeBytes() >= this.#options.diskFreeBytesMin
  }

  /** Fails with `store-full` if so many bytes do not go in; `grows` if there are new tiles among them. */
  require({ bytes, grows }: { bytes: number; grows: boolean }): void {
    const { sliceBytesMax } = this.#options
    if (!this.isLeftOnDisk) {
      throw new AppError('store-full', `${this.#diskFree.bytes} bytes are free on the disk`)
    }
    const reserve = grows ? Math.min(REWRITE_RESERVE_BYTES_MAX, sliceBytesMax / 8) : 0
    const room = sliceBytesMax - reserve - this.#database.fileBytes()
    if (bytes <= room || bytes <= room + this.#database.freeBytes()) return
    throw new AppError('store-full', `the slice has reached its ${sliceBytesMax} bytes`)
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
