/**
 * Squares of LSUs, the levels of a pyramid over the grid: `step` LSUs a side, a divisor of the tile's
 * or that times a power of two. They are aligned to the grid and not to a region, so that each tile is
 * cut into whole squares or lies in one, and two regions that overlap have the same squares.
 */
import { GRID_SIDE_MAX, type Region } from '../grid/geometry.ts'

/** Of one answer, as many as a picture of 512 × 512 has. */
export const SQUARES_MAX = 262_144

/** A square of this side holds any grid, whatever the tile. */
export const STEP_MAX = 2 * GRID_SIDE_MAX

/** The squares that a region touches. */
export interface Squares {
  readonly step: number
  /** The first LSU of the first square. */
  readonly x: number
  readonly y: number
  readonly columns: number
  readonly rows: number
}

export function squaresOf({ x, y, w, h }: Region, step: number): Squares {
  const column = Math.floor(x / step)
  const row = Math.floor(y / step)
  return {
    step,
    x: column * step,
    y: row * step,
    columns: Math.floor((x + w - 1) / step) - column + 1,
    rows: Math.floor((y + h - 1) / step) - row + 1,
  }
}

/** How many squares a region touches. */
export function countSquares(region: Region, step: number): number {
  const { columns, rows } = squaresOf(region, step)
  return columns * rows
}

/** Every step that there is for tiles of this side, ascending. */
export function stepsOf(tile: number): number[] {
  const steps: number[] = []
  for (let step = 1; step < tile; step++) if (tile % step === 0) steps.push(step)
  for (let step = tile; step <= STEP_MAX; step *= 2) steps.push(step)
  return steps
}

/** The least step with at most this many columns and rows, and no more squares than there may be. */
export function leastStep(
  region: Region,
  tile: number,
  { width, height }: { width: number; height: number },
): number {
  const steps = stepsOf(tile)
  const fits = (step: number): boolean => {
    const { columns, rows } = squaresOf(region, step)
    return columns <= width && rows <= height && columns * rows <= SQUARES_MAX
  }
  return steps.find(fits) ?? steps.at(-1)!
}
