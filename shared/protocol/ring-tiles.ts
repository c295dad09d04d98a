/**
 * How `GET /api/ring/tiles` tells of each tile whether it was written: a byte a tile, row by row. Beside it, each
 * tile has its holders as u32, by their place in `members` + 1.
 */

export const TILE_UNBORN = 0
export const TILE_BORN = 1
/** Every copy is lost. */
export const TILE_MISSING = 2

/** That many at a time: all of the widest grid with tiles of 16, and 2.4 MB with two replicas. */
export const TILES_SHOWN_MAX = 262_144
