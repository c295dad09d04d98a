/** A region in pieces that one task may have, and cells from one rectangle to another. */
import type { Region } from '../grid/geometry.ts'

/** What a `get` reads at most (docs/protocol.md, Limits); as many numbers of a `put` fit into a submission. */
const LSUS_MAX = 65_536

/** From top to bottom, of as many whole rows as fit. A width above the limit cannot be: a grid has at most 8,192. */
export function bandsOf({ x, y, w, h }: Region): Region[] {
  const rows = Math.max(1, Math.floor(LSUS_MAX / w))
  const bands: Region[] = []
  for (let top = 0; top < h; top += rows) {
    bands.push({ x, y: y + top, w, h: Math.min(rows, h - top) })
  }
  return bands
}

/** Copies what both rectangles have, of two that are equally wide and lie above each other. */
export function copyBand(
  from: ArrayLike<number>,
  source: Region,
  to: { [index: number]: number },
  target: Region,
): void {
  const first = Math.max(source.y, target.y)
  const last = Math.min(source.y + source.h, target.y + target.h)
  const length = (last - first) * source.w
  const [fromAt, toAt] = [source, target].map(({ y, w }) => (first - y) * w) as [number, number]
  for (let n = 0; n < length; n++) to[toAt + n] = from[fromAt + n]!
}
