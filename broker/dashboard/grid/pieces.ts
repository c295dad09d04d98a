/**
 * The pieces of the map that the page has, and which to ask for. Given a time with each call; asks nobody itself.
 *
 * - At most 3 requests are under way: the gateway lets one client look 4 times at once, and cells are read, too. One for
 *   a piece that is out of sight is given up when another is wanted, and its place is taken once the gateway knows that.
 * - At most 48 pieces are kept, those that were wanted last.
 * - A write makes the squares stale that it touched. They alone are asked for again, at most every 2 s a piece, and
 *   only while the piece is wanted. The old squares are shown until then.
 * - A request that fails is made again after 2, 4, 8 and then every 16 s.
 */
import type { GridSize, Region } from '../../../shared/grid/geometry.ts'
import { pieceRegion } from './levels.ts'
import { boxOf, overlapOf, wholeSquares } from './regions.ts'

export const REQUESTS_MAX = 3
export const PIECES_MAX = 48
/** In which the gateway sees that a request was given up. */
const GIVEN_UP_MS = 60
const AGAIN_MS = 2_000
const AGAIN_MAX_MS = 16_000

/** What the squares of a piece are. */
export type Of = 'mean' | 'min' | 'max'

export interface PieceName {
  readonly field: string
  readonly of: Of
  readonly step: number
  readonly x: number
  readonly y: number
}

export interface Piece extends PieceName {
  /** Its cells. */
  readonly region: Region
  readonly columns: number
  readonly rows: number
  /** Row by row; NaN where nobody has the cells. Undefined until they came once. */
  readonly values: Float32Array | undefined
  /** Grows whenever `values` changes. */
  readonly version: number
}

export interface PieceRequest {
  readonly number: number
  readonly piece: Piece
  /** Whole squares of the piece, in cells. */
  readonly region: Region
}

interface Kept extends Piece {
  values: Float32Array | undefined
  version: number
  /** Cells that are to be asked for. */
  stale: Region | undefined
  underWay: PieceRequest | undefined
  /** Not asked again before. */
  notBeforeMs: number
  failures: number
  wantedAt: number
}

export class Pieces {
  readonly #grid: GridSize
  readonly #kept = new Map<string, Kept>()
  #wanted: Kept[] = []
  #turn = 0
  #requests = 0
  #underWay = 0
  /** Asks for nothing before. */
  #restsUntilMs = 0

  constructor(grid: GridSize) {
    this.#grid = grid
  }

  get underWay(): number {
    return this.#underWay
  }

  /** What is in sight from now on, in the order in which it is to come. */
  want(names: readonly PieceName[]): readonly Piece[] {
    this.#turn++
    this.#wanted = names.map((name) => this.#of(name))
    for (const piece of this.#wanted) piece.wantedAt = this.#turn
    this.#forget()
    return this.#wanted
  }

  /** All that is known, whether in sight or not. */
  all(): Piece[] {
    return [...this.#kept.values()].filter(({ values }) => values !== undefined)
  }

  /** What to ask for, and which requests nobody needs any more. */
  due(nowMs: number): { readonly ask: PieceRequest[]; readonly drop: PieceRequest[] } {
    const waiting = this.#wanted.filter((piece) => isDue(piece, nowMs))
    const ask: PieceRequest[] = []
    const drop: PieceRequest[] = []
    const unwanted = [...this.#kept.values()].filter(
      ({ underWay, wantedAt }) => underWay !== undefined && wantedAt !== this.#turn,
    )
    const isCrowded = this.#underWay + waiting.length > REQUESTS_MAX
    for (const other of isCrowded ? unwanted : []) {
      drop.push(other.underWay!)
      this.#end(other, other.underWay)
      other.notBeforeMs = nowMs
    }
    if (drop.length > 0) this.#restsUntilMs = nowMs + GIVEN_UP_MS
    if (nowMs < this.#restsUntilMs) return { ask, drop }
    for (const piece of waiting) {
      if (this.#underWay >= REQUESTS_MAX) break
      const region = wholeSquares(piece.stale!, piece.step, piece.region)
      const request = { number: ++this.#requests, piece, region }
      Object.assign(piece, { stale: undefined, underWay: request, notBeforeMs: nowMs + AGAIN_MS })
      this.#underWay++
      ask.push(request)
    }
    return { ask, drop }
  }

  /** When `due` will have something again, if nothing else happens. */
  nextMs(): number | undefined {
    if (this.#underWay >= REQUESTS_MAX) return undefined
    const times = this.#wanted
      .filter(({ stale, underWay }) => stale !== undefined && underWay === undefined)
      .map(({ notBeforeMs }) => notBeforeMs)
    return times.length === 0 ? undefined : Math.max(this.#restsUntilMs, Math.min(...times))
  }

  /** False when these are not as many squares as were asked for: the request counts as failed then. */
  arrived(request: PieceRequest, squares: Float32Array, nowMs: number): boolean {
    const piece = request.piece as Kept
    if (piece.underWay !== request) return true
    const { step, region, columns, rows } = piece
    const across = Math.ceil(request.region.w / step)
    const down = Math.ceil(request.region.h / step)
    if (squares.length !== across * down) {
      this.failed(request, nowMs)
      return false
    }
    this.#end(piece, undefined)
    piece.failures = 0
    piece.version++
    if (across === columns && down === rows) {
      piece.values = squares
      return true
    }
    const left = (request.region.x - region.x) / step
    const top = (request.region.y - region.y) / step
    for (let row = 0; row < down; row++) {
      const line = squares.subarray(row * across, (row + 1) * across)
      piece.values!.set(line, (top + row) * columns + left)
    }
    return true
  }

  failed(request: PieceRequest, nowMs: number): void {
    const piece = request.piece as Kept
    if (piece.underWay !== request) return
    this.#end(piece, request)
    piece.notBeforeMs = nowMs + Math.min(AGAIN_MAX_MS, AGAIN_MS * 2 ** piece.failures++)
  }

  /** A write touched these cells; without a region anything may have changed. */
  touch(region?: Region): void {
    for (const piece of this.#kept.values()) {
      const touched = overlapOf(region ?? piece.region, piece.region)
      if (touched === undefined) continue
      piece.stale = piece.values === undefined ? piece.region : boxOf(piece.stale, touched)
    }
  }

  #of(name: PieceName): Kept {
    const { field, of, step, x, y } = name
    const key = `${field}/${of}/${step}/${x}/${y}`
    const known = this.#kept.get(key)
    if (known !== undefined) return known
    const region = pieceRegion(name, step, this.#grid)
    const piece: Kept = {
      ...{ field, of, step, x, y, region },
      ...{ columns: Math.ceil(region.w / step), rows: Math.ceil(region.h / step) },
      ...{ values: undefined, version: 0, stale: region, underWay: undefined },
      ...{ notBeforeMs: 0, failures: 0, wantedAt: this.#turn },
    }
    this.#kept.set(key, piece)
    return piece
  }

  /** The request is over; what it was for is stale again unless it came. */
  #end(piece: Kept, unanswered: PieceRequest | undefined): void {
    piece.underWay = undefined
    this.#underWay--
    if (unanswered !== undefined) piece.stale = boxOf(piece.stale, unanswered.region)
  }

  #forget(): void {
    const oldest = [...this.#kept]
      .filter(([, { underWay, wantedAt }]) => underWay === undefined && wantedAt !== this.#turn)
      .sort(([, a], [, b]) => a.wantedAt - b.wantedAt)
    for (const [key] of oldest) {
      if (this.#kept.size <= PIECES_MAX) return
      this.#kept.delete(key)
    }
  }
}

function isDue({ stale, underWay, notBeforeMs }: Kept, nowMs: number): boolean {
  return stale !== undefined && underWay === undefined && notBeforeMs <= nowMs
}
