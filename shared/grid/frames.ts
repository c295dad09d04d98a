/**
 * A frame: the cells of a rectangle but for those of a hole in it, row by row. The edges of a tile are one, and so is
 * what lies around a tile.
 */
import type { Region } from './geometry.ts'

export interface Frame {
  readonly outer: Region
  /** Inside `outer`; empty where its width or height is 0. */
  readonly hole: Region
}

/** `hole` may reach beyond, or lie elsewhere. */
export function frameOf(outer: Region, hole: Region): Frame {
  const x = Math.max(outer.x, hole.x)
  const y = Math.max(outer.y, hole.y)
  const w = Math.min(outer.x + outer.w, hole.x + hole.w) - x
  const h = Math.min(outer.y + outer.h, hole.y + hole.h) - y
  return { outer, hole: w > 0 && h > 0 ? { x, y, w, h } : { x: outer.x, y: outer.y, w: 0, h: 0 } }
}

export function cellsOf({ outer, hole }: Frame): number {
  return outer.w * outer.h - hole.w * hole.h
}

/** The cells that lie beside one another, in their order. */
export function eachRun(
  { outer, hole }: Frame,
  visit: (x: number, y: number, cells: number) => void,
): void {
  const right = outer.x + outer.w
  const end = hole.x + hole.w
  for (let y = outer.y; y < outer.y + outer.h; y++) {
    if (y < hole.y || y >= hole.y + hole.h) {
      visit(outer.x, y, outer.w)
      continue
    }
    if (hole.x > outer.x) visit(outer.x, y, hole.x - outer.x)
    if (right > end) visit(end, y, right - end)
  }
}

/** How many cells come before that one, which is none of the hole. */
export function placeIn({ outer, hole }: Frame, x: number, y: number): number {
  const holeRows = Math.min(hole.h, Math.max(0, y - hole.y))
  const isBehind = y >= hole.y && y < hole.y + hole.h && x >= hole.x + hole.w
  const missing = holeRows * hole.w + (isBehind ? hole.w : 0)
  return (y - outer.y) * outer.w + (x - outer.x) - missing
}
