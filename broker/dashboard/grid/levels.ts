/**
 * The levels of the pyramid that the map is drawn from. A level is a `step`: how many cells a square of an
 * overview is wide and high. Each step divides the next, so that a coarse piece covers whole finer ones, and each
 * divides the tile or is the tile times a power of two, as `overview` wants it. A piece is 256 × 256 squares,
 * aligned to the grid: panning changes no piece.
 */
import type { GridSize, Region } from '../../../shared/grid/geometry.ts'

/** Squares of a piece, across and down. */
export const PIECE_SQUARES = 256

/** Above this the next coarser level is drawn: as many pieces again are kept while one pans and zooms. */
export const PIECES_SHOWN_MAX = 30

/** Where a piece begins, in cells. */
export interface PieceStart {
  readonly x: number
  readonly y: number
}

/** The steps, finest first, up to the first one that has the whole grid in one piece. */
export function levelsOf({ width, height, tile }: GridSize): number[] {
  const steps: number[] = []
  for (let step = tile; step > 1; step /= leastFactor(step)) steps.unshift(step)
  steps.unshift(1)
  const isEnough = (step: number): boolean => step * PIECE_SQUARES >= Math.max(width, height)
  const first = steps.findIndex(isEnough)
  if (first >= 0) return steps.slice(0, first + 1)
  let step = tile
  while (!isEnough(step)) steps.push((step *= 2))
  return steps
}

function leastFactor(whole: number): number {
  for (let factor = 2; factor * factor <= whole; factor++) if (whole % factor === 0) return factor
  return whole
}

/**
 * The finest of `levels` whose squares are at least `leastPixels` wide at `scale` pixels a cell, and that shows
 * `visible` in at most `PIECES_SHOWN_MAX` pieces; the coarsest if none is.
 */
export function levelFor(
  levels: readonly number[],
  at: { readonly scale: number; readonly leastPixels: number; readonly visible: Region },
): number {
  const fits = (step: number): boolean =>
    step * at.scale >= at.leastPixels && piecesOf(at.visible, step).length <= PIECES_SHOWN_MAX
  return levels.find(fits) ?? levels.at(-1)!
}

/** Where the pieces of a level begin that `region` touches, those nearest to its middle first. */
export function piecesOf(region: Region, step: number): PieceStart[] {
  const side = PIECE_SQUARES * step
  const starts: PieceStart[] = []
  for (let y = Math.floor(region.y / side) * side; y < region.y + region.h; y += side) {
    for (let x = Math.floor(region.x / side) * side; x < region.x + region.w; x += side) {
      starts.push({ x, y })
    }
  }
  const away = ({ x, y }: PieceStart): number =>
    Math.hypot(x + side / 2 - region.x - region.w / 2, y + side / 2 - region.y - region.h / 2)
  return starts.sort((a, b) => away(a) - away(b))
}

/** The cells of a piece, clipped at the edge of the grid. */
export function pieceRegion({ x, y }: PieceStart, step: number, grid: GridSize): Region {
  const side = PIECE_SQUARES * step
  return { x, y, w: Math.min(side, grid.width - x), h: Math.min(side, grid.height - y) }
}
