/**
 * A rectangle of cells, band after band of whole rows: each is asked for when the one before has left, so that one
 * band is in memory however large the rectangle, and however slow its reader. Bands end where tiles do as far as that
 * goes, so that few tiles are read twice. Each read is as the cells were at one moment; two of them need not be.
 */
import type { Region } from '../../shared/grid/geometry.ts'
import { GET_LSUS_MAX } from '../../shared/operations/get.ts'

/** Cells of a band: 1 MiB of the largest type. */
const BAND_LSUS_MAX = 131_072

/** The rectangles of the bands, from above to below. */
export function* bandsOf({ x, y, w, h }: Region, tile: number): Generator<Region> {
  const tiles = Math.floor(GET_LSUS_MAX / (w * tile))
  const rows = tiles > 0 ? tiles * tile : Math.min(tile, Math.floor(BAND_LSUS_MAX / w))
  const bottom = y + h
  for (let top = y; top < bottom; ) {
    const inTile = tiles > 0 ? rows - (top % tile) : tile - (top % tile)
    const end = Math.min(bottom, top + Math.min(rows, inTile))
    yield { x, y: top, w, h: end - top }
    top = end
  }
}

/** The pieces of a band, each of which one read may have, from left to right. */
export function* piecesOf({ x, y, w, h }: Region, tile: number): Generator<Region> {
  const most = Math.floor(GET_LSUS_MAX / h)
  for (let left = x; left < x + w; ) {
    const end = left + most
    const right = Math.min(x + w, most >= tile ? end - (end % tile) : end)
    yield { x: left, y, w: right - left, h }
    left = right
  }
}
