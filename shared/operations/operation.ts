/**
 * What an operation is. One file an operation, in three kinds: a grid write changes the LSUs of a
 * region, a grid read answers something about them, an items operation is a pure function of items.
 *
 * `parse`, `cut`, `merge` and `finish` are the gateway's part: they check arguments, cut them to
 * the tiles of one part, join partial results and shape the value. `run` is the node's part: the
 * only code that sees cells, one tile at a time, so that the runner can pause between tiles. The
 * tile it sees is an interface: the gateway never loads the code that holds cells.
 *
 * Determinism (recovery.md): + − × ÷, sqrt, fround and integers only in writes; aggregates
 * are exact until they are shaped, so that parts join to the same bits in whatever order.
 */
import type { Column, Field } from '../grid/fields.ts'
import type { Geometry, Region } from '../grid/geometry.ts'
import type { Parsed } from '../protocol/problems.ts'

export interface GridContext {
  readonly geometry: Geometry
  readonly fields: readonly Field[]
}

/**
 * The cells of one tile, row-major, `width` LSUs a row. A column is that of a field, by its index, or status, behind the
 * last field. One that is asked for gets memory of its own, if all of it is one value so far.
 */
export interface TileCells {
  readonly lsus: number
  readonly status: Uint8Array
  column(index: number): Column
  /** What every LSU has in this column, where that is known to be one value. */
  valueOf(column: number): number | undefined
  /** Gives every LSU this value in that column. */
  fill(column: number, value: number): void
}

/** The part of a region inside one tile, in coordinates of the tile. */
export interface TileWindow {
  readonly tile: number
  /** LSUs in one row of the tile. */
  readonly stride: number
  readonly left: number
  readonly top: number
  readonly w: number
  readonly h: number
}

/** Arguments and partial results travel as plain CBOR maps: text keys, numbers, byte strings. */
export type Wire = Record<string, unknown>

/** The largest answer part or log entry, bytes (recovery.md: parts of at most 32 KB). */
export const PART_BYTES_MAX = 32 * 1024

/** Pages of one log entry, bytes, unless a single one has more: a node applies an entry in one transaction. */
export const ENTRY_PAGE_BYTES_MAX = 1024 * 1024

/** What a tile's number takes of a part. */
export const TILE_ID_BYTES = 4

/** What an argument is, for those who make forms and help of it. */
export type ArgumentKind =
  /** The name of a field; a list of names; a number for each of some fields, by name. */
  | 'field'
  | 'fields'
  | 'values'
  | 'number'
  | 'whole'
  /** A list of numbers of the field's type; a list of whole numbers. */
  | 'numbers'
  | 'wholes'
  /** One of `choices`; a list of some of them; true or false. */
  | 'choice'
  | 'choices'
  | 'flag'
  /** A list of places, `[x, y]` each. */
  | 'cells'
  /** The text of a program; a number for each of its parameters, by name. */
  | 'source'
  | 'numbered'

export interface Argument {
  readonly name: string
  readonly kind: ArgumentKind
  readonly isOptional?: true
  /** Bounds of a number, or of how many a list has. */
  readonly min?: number
  readonly max?: number
  /** What counts if it is left out, where that can be said as a value. */
  readonly default?: string | number | boolean | readonly string[]
  readonly choices?: readonly string[]
}

export interface About {
  /** One sentence. */
  readonly does: string
  readonly args: readonly Argument[]
}

/** What an operation says of itself, as JSON has it. */
export interface OperationShown {
  readonly op: string
  readonly kind: Operation['kind'] | 'program'
  /** What it runs over: a region, LSUs that it names one by one, or items. */
  readonly over: 'region' | 'lsus' | 'items'
  readonly does: string
  readonly args: readonly (Omit<Argument, 'isOptional'> & { readonly optional?: true })[]
}

export interface WriteOperation {
  readonly kind: 'write'
  readonly name: string
  readonly about: About
  /**
   * Checks user arguments and gives them their normal form. Without a region (it was malformed)
   * what depends on its size is not checked.
   */
  parse(args: unknown, region: Region | undefined, context: GridContext): Parsed<Wire>
  /** The indexes of the fields that it goes over, of arguments in their normal form. */
  fieldsOf(args: Wire): readonly number[] | 'all'
  /**
   * The ids of the LSUs that it names one by one, each once, in their order (named-lsus.ts). Such an operation is
   * given no region: the task's is the box around them. Without this it goes over all of the region.
   */
  idsOf?(args: Wire): Uint32Array
  /**
   * Of one that sets some cells and not others: the fields that it may set, ascending, or `STATUS`. It is told then how
   * many took a value.
   */
  storesOf?(args: Wire): readonly number[]
  /** The most bytes of arguments that one of these tiles adds to a part. */
  argumentBytesPerTile(args: Wire, context: GridContext, tiles: Uint32Array): number
  /** The arguments of a part that covers `tiles` of the region. */
  cut(args: Wire, region: Region, tiles: Uint32Array, context: GridContext): Wire
  /** Prepares to act on a part; `act` is called once a tile, in the order of the part's tiles. */
  run(args: Wire, context: GridContext): WriteRun
}

export interface WriteRun {
  /**
   * It does the same to all tiles that it covers and that hold the same values, one in each column: to one of thousands
   * is enough then. Without this it may look at which tile it is.
   */
  readonly isAlike?: true
  /**
   * Acts on one tile. `cellsBefore` is how many LSUs the part's earlier tiles hold of those that it goes
   * over, whether or not they were acted on.
   */
  act(cells: TileCells, window: TileWindow, cellsBefore: number): void
  /** How many LSUs of a tile it names; without this, all of the window. */
  countIn?(window: TileWindow): number
  /** How many cells of the tile that was acted on last took a value, by the fields of `storesOf`. */
  written?(): readonly number[]
  /** What acts beside it on copies (ghost.ts). */
  readonly ghost?: GhostRun
}

export interface GhostRun {
  /** What it costs, of what the write itself costs. */
  readonly costRatio: number
  /** Acts on the copy of a tile from before the write, and says where it differs then from what the write made. */
  compare(copy: TileCells, cells: TileCells, window: TileWindow): TileDifference
}

export interface TileDifference {
  /** Cells in which some field differs by more than is tolerated. */
  differ: number
  /** The greatest difference, tolerated or not. */
  max: number
  /** The first of those cells, row by row. */
  first?: CellDifference
}

export interface CellDifference {
  /** Its index, or `STATUS`. */
  readonly field: number
  readonly lsu: number
  readonly current: number
  readonly ghost: number
}

export interface ReadOperation {
  readonly kind: 'read'
  readonly name: string
  readonly about: About
  parse(args: unknown, region: Region | undefined, context: GridContext): Parsed<Wire>
  /** As of a write. */
  fieldsOf(args: Wire): readonly number[] | 'all'
  /** As of a write. */
  idsOf?(args: Wire): Uint32Array
  /** The most bytes that one of these tiles adds to a part's partial result. */
  resultBytesPerTile(args: Wire, context: GridContext, tiles: Uint32Array): number
  /** The arguments of a part; without this, those of the whole. */
  cut?(args: Wire, tiles: Uint32Array, context: GridContext): Wire
  run(args: Wire, context: GridContext): ReadRun
  /** What keeps a partial result, which comes from outside, from being one of all that was asked for. */
  faultOf(partial: Wire, asked: AskedTiles, context: GridContext): string | undefined
  /** Joins two partial results; associative. */
  merge(left: Wire, right: Wire): Wire
  /** Arguments for one more round over the same tiles, or nothing when the result is complete. */
  nextRound?(total: Wire, args: Wire): Wire | undefined
  /** Whether tiles of which every copy is lost are left out instead of refused. */
  leavesHoles?(args: Wire): boolean
  /** Without what came along of a ghost (ghost.ts), where that is none of what was asked for. */
  withSoundGhost?(partial: Wire, asked: AskedTiles, context: GridContext): Wire
  /** What the value would be by the ghost; nothing if not every part was answered with it. */
  finishGhost?(rounds: readonly Wire[], args: Wire, region: Region, context: GridContext): unknown
  /** Shapes the value; `rounds` holds the merged partial result of each round. */
  finish(rounds: readonly Wire[], args: Wire, region: Region, context: GridContext): unknown
}

/** What one part of a read was asked for. */
export interface AskedTiles {
  readonly args: Wire
  /** Ascending. */
  readonly tiles: Uint32Array
  readonly region: Region
  /** That it goes over in these tiles. */
  readonly lsus: number
}

export interface ReadRun {
  visit(cells: TileCells, window: TileWindow): void
  finish(): Wire
}

export interface ItemsOperation {
  readonly kind: 'items'
  readonly name: string
  readonly about: About
  parse(args: unknown): Parsed<Wire>
  run(args: Wire): ItemsRun
  /** As of a read; `keys` are those that the part was asked for, in order. */
  faultOf(partial: Wire, keys: readonly string[], args: Wire): string | undefined
  merge(left: Wire, right: Wire): Wire
  finish(total: Wire, args: Wire): unknown
}

export interface ItemsRun {
  visit(key: string, bytes: Uint8Array): void
  finish(): Wire
}

export type Operation = WriteOperation | ReadOperation | ItemsOperation

/** The window of `region` in `tile`. */
export function windowOf(geometry: Geometry, tile: number, region: Region): TileWindow {
  const own = geometry.tileRegion(tile)
  const part = geometry.overlap(tile, region)
  return {
    tile,
    stride: own.w,
    left: part.x - own.x,
    top: part.y - own.y,
    w: part.w,
    h: part.h,
  }
}

export function coversTile({ w, h }: TileWindow, { lsus }: TileCells): boolean {
  return w * h === lsus
}
