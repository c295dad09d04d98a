/**
 * A rectangle of cells, band after band of whole rows, so that one band is in memory however large the rectangle is.
 * Bands end where tiles do: a tile is read, or written, in one piece. The same rectangle is always cut the same way.
 */
import type { Region } from '../../shared/grid/geometry.ts'
import { GET_LSUS_MAX } from '../../shared/operations/get.ts'

/** From above to below: some rows of tiles, at most 4 MiB of the largest type. */
export function* bandsOf({ x, y, w, h }: Region, tile: number): Generator<Region> {
  const rows = tile * Math.max(1, Math.floor(GET_LSUS_MAX / (w * tile)))
  const bottom = y + h
  for (let top = y; top < bottom; ) {
    const end = Math.min(bottom, top - (top % tile) + rows)
    yield { x, y: top, w, h: end - top }
    top = end
  }
}

/** The pieces of a band, each of which one read or write may have, from left to right. */
export function* piecesOf({ x, y, w, h }: Region, tile: number): Generator<Region> {
  const most = Math.floor(GET_LSUS_MAX / h)
  for (let left = x; left < x + w; ) {
    const end = left + most
    const right = end >= x + w ? x + w : end - (end % tile)
    yield { x: left, y, w: right - left, h }
    left = right
  }
}
