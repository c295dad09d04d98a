/** Rectangles of cells: where two meet, what has both, which squares they are, and what somebody typed. */
import type { GridSize, Region } from '../../../shared/grid/geometry.ts'

export interface Cell {
  readonly x: number
  readonly y: number
}

/** What two have in common, if anything. */
export function overlapOf(a: Region, b: Region): Region | undefined {
  const x = Math.max(a.x, b.x)
  const y = Math.max(a.y, b.y)
  const w = Math.min(a.x + a.w, b.x + b.w) - x
  const h = Math.min(a.y + a.h, b.y + b.h) - y
  return w > 0 && h > 0 ? { x, y, w, h } : undefined
}

/** The least rectangle that has both. */
export function boxOf(a: Region | undefined, b: Region): Region {
  if (a === undefined) return b
  const x = Math.min(a.x, b.x)
  const y = Math.min(a.y, b.y)
  const right = Math.max(a.x + a.w, b.x + b.w)
  const bottom = Math.max(a.y + a.h, b.y + b.h)
  return { x, y, w: right - x, h: bottom - y }
}

/** `region` grown to whole squares of `step` cells, and cut to `bounds`, which begins with a square. */
export function wholeSquares(region: Region, step: number, bounds: Region): Region {
  const x = Math.floor(region.x / step) * step
  const y = Math.floor(region.y / step) * step
  const right = Math.ceil((region.x + region.w) / step) * step
  const bottom = Math.ceil((region.y + region.h) / step) * step
  return overlapOf({ x, y, w: right - x, h: bottom - y }, bounds) ?? bounds
}

/** The rectangle from one cell to another, both of them in it, cut to the grid. */
export function regionBetween(from: Cell, to: Cell, grid: GridSize): Region {
  const left = clamped(Math.min(from.x, to.x), grid.width)
  const top = clamped(Math.min(from.y, to.y), grid.height)
  const right = clamped(Math.max(from.x, to.x), grid.width)
  const bottom = clamped(Math.max(from.y, to.y), grid.height)
  return { x: left, y: top, w: right - left + 1, h: bottom - top + 1 }
}

function clamped(at: number, side: number): number {
  return Math.max(0, Math.min(side - 1, at))
}

/** What `x, y, w, h` as they were typed mean, or what is wrong with them, each in a few words. */
export function typedRegion(
  text: string,
  grid: GridSize,
): { readonly region: Region } | { readonly problem: string } {
  const parts = text.split(/[\s,;×]+/).filter((part) => part !== '')
  if (parts.length !== 4) return { problem: 'four numbers: x, y, width, height' }
  if (!parts.every((part) => /^\d{1,5}$/.test(part))) return { problem: 'whole numbers from 0 on' }
  const [x, y, w, h] = parts.map(Number) as [number, number, number, number]
  if (w < 1 || h < 1) return { problem: 'width and height are at least 1' }
  if (x + w > grid.width) return { problem: `x + width is ${x + w}, at most ${grid.width}` }
  if (y + h > grid.height) return { problem: `y + height is ${y + h}, at most ${grid.height}` }
  return { region: { x, y, w, h } }
}

export function regionText({ x, y, w, h }: Region): string {
  return `${x}, ${y}, ${w}, ${h}`
}
