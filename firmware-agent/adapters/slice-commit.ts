/** What entries make of a slice: all of it goes to disk in one transaction. */
import type { TilePage } from '../../shared/grid/tile-page.ts'
import type { PartResult, StreamMark } from '../core/events.ts'
import { LEAF_VALUE_BYTES_MAX } from './store-room.ts'

export interface SliceCommit {
  /** Sealed pages by tile. */
  readonly pages: ReadonlyMap<number, TilePage>
  /** Tiles whose staged page is among them. */
  readonly adopted?: ReadonlySet<number>
  /** The version of each staged page that was adopted, whatever became of its tile after that. */
  readonly spent?: ReadonlyMap<number, number>
  /** Tiles that are not held any more. */
  readonly dropped?: ReadonlySet<number>
  /** Tiles whose page was found damaged. */
  readonly broken?: ReadonlySet<number>
  readonly mark: StreamMark
  readonly results: readonly PartResult[]
}

/** A page as it goes to disk. */
export interface PageRow {
  readonly tile: number
  readonly bytes: Uint8Array
  /** If no column of it were one value. */
  readonly wholeBytes: number
}

/**
 * Pages in the form that they are stored in: as single values only where that shares a leaf. Pages of the disk that lie
 * behind each other are whole tiles then, all alike: what one leaves fits the next, and the file does not grow for gaps.
 */
export function rowsOf({ pages }: SliceCommit, mayPack: boolean): PageRow[] {
  return Array.from(pages, ([tile, page]) => {
    return {
      tile,
      bytes: page.stored(mayPack, LEAF_VALUE_BYTES_MAX),
      wholeBytes: page.layout.bytes,
    }
  })
}

export function isPacked({ bytes, wholeBytes }: PageRow): boolean {
  return bytes.length < wholeBytes
}

export const NO_TILES: ReadonlySet<number> = new Set()

/** The tiles whose page is damaged once it is on disk; the same set if that changes nothing. */
export function brokenAfter(
  { adopted = NO_TILES, dropped = NO_TILES, broken = NO_TILES }: SliceCommit,
  before: ReadonlySet<number>,
): ReadonlySet<number> {
  const isSame = broken.size === 0 && (before.size === 0 || adopted.size + dropped.size === 0)
  if (isSame) return before
  const mended = [...before].filter((tile) => !adopted.has(tile) && !dropped.has(tile))
  return new Set([...mended, ...broken])
}
