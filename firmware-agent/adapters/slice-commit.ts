/** What entries make of a slice: all of it goes to disk in one transaction. */
import { TilePage } from '../../shared/grid/tile-page.ts'
import type { UniformPage } from '../../shared/grid/uniform-page.ts'
import type { RuleRecord } from '../../shared/protocol/rule-changes.ts'
import type { PartResult, StreamMark } from '../core/events.ts'
import type { TilePages } from './page-table.ts'
import type { RuleEvaluator } from './rule-evaluator.ts'
import { LEAF_VALUE_BYTES_MAX } from './store-room.ts'

export interface SliceCommit {
  /** Sealed pages by tile. */
  readonly pages: TilePages<TilePage | UniformPage>
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
  /** What was changed in rules. */
  readonly records?: readonly RuleRecord[]
  /** Of the rule book that counts from here on; nothing without one. */
  readonly evaluator?: RuleEvaluator | undefined
  /** The book, where it is another one than before. */
  readonly book?: Record<string, unknown>
}

/** Shows what each of some pages takes of the disk, and what it would if no column of it were one value. */
export type PageSizes = (visit: (tile: number, bytes: number, wholeBytes: number) => void) => void

/**
 * A page in the form that it is stored in, until the next is asked for: as single values only where that shares a leaf.
 * Pages of the disk that lie behind each other are whole tiles then, all alike: what one leaves fits the next, and the
 * file does not grow for gaps.
 */
export function storedPage(page: TilePage | UniformPage, tile: number, mayPack: boolean) {
  return page instanceof TilePage
    ? page.stored(mayPack, LEAF_VALUE_BYTES_MAX)
    : page.stored(tile, mayPack, LEAF_VALUE_BYTES_MAX)
}

export function sizesOf({ pages }: SliceCommit, mayPack: boolean): PageSizes {
  return (visit) => {
    pages.forEach((page, tile) => {
      const bytes =
        page instanceof TilePage
          ? page.stored(mayPack, LEAF_VALUE_BYTES_MAX).length
          : page.storedBytes(mayPack, LEAF_VALUE_BYTES_MAX)
      visit(tile, bytes, page.layout.bytes)
    })
  }
}

export function arePacked(sizes: PageSizes): boolean {
  let isSome = false
  sizes((_tile, bytes, wholeBytes) => {
    isSome ||= bytes < wholeBytes
  })
  return isSome
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
