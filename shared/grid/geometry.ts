/**
 * The LSU grid: `width` × `height` cells, `id = y * width + x`, cut into square tiles of `tile` × `tile`
 * LSUs, `tileId = tileY * tilesAcross + tileX`. Tiles at the right and lower edge are clipped.
 * Inside a tile and inside a region, order is row-major everywhere.
 */
import { assert } from '../core/assert.ts'

/** A rectangle of LSUs. All four are whole numbers; `w` and `h` are at least 1. */
export interface Region {
  readonly x: number
  readonly y: number
  readonly w: number
  readonly h: number
}

export interface GridSize {
  readonly width: number
  readonly height: number
  readonly tile: number
}

/** The widest and highest grid: 8192 × 8192 = 67,108,864 LSUs (mission.md). */
export const GRID_SIDE_MAX = 8192
export const TILE_SIDE_MIN = 4
export const TILE_SIDE_MAX = 64

export class Geometry {
  readonly width: number
  readonly height: number
  readonly tile: number
  readonly tilesAcross: number
  readonly tilesDown: number
  readonly tiles: number

  constructor(size: GridSize) {
    assert(isWhole(size.width, 1, GRID_SIDE_MAX), 'grid width in range')
    assert(isWhole(size.height, 1, GRID_SIDE_MAX), 'grid height in range')
    assert(isWhole(size.tile, TILE_SIDE_MIN, TILE_SIDE_MAX), 'tile side in range')
    this.width = size.width
    this.height = size.height
    this.tile = size.tile
    this.tilesAcross = Math.ceil(size.width / size.tile)
    this.tilesDown = Math.ceil(size.height / size.tile)
    this.tiles = this.tilesAcross * this.tilesDown
  }

  get whole(): Region {
    return { x: 0, y: 0, w: this.width, h: this.height }
  }

  get lsus(): number {
    return this.width * this.height
  }

  contains(region: Region): boolean {
    return (
      region.x >= 0 &&
      region.y >= 0 &&
      region.w >= 1 &&
      region.h >= 1 &&
      region.x + region.w <= this.width &&
      region.y + region.h <= this.height
    )
  }

  /** The rectangle that a tile covers, clipped at the edge of the grid. */
  tileRegion(tile: number): Region {
    const x = (tile % this.tilesAcross) * this.tile
    const y = Math.floor(tile / this.tilesAcross) * this.tile
    return {
      x,
      y,
      w: Math.min(this.tile, this.width - x),
      h: Math.min(this.tile, this.height - y),
    }
  }

  /** LSUs in a tile. This, as what follows, is asked of thousands at a time, so it makes no object. */
  tileLsus(tile: number): number {
    const x = (tile % this.tilesAcross) * this.tile
    const y = Math.floor(tile / this.tilesAcross) * this.tile
    return Math.min(this.tile, this.width - x) * Math.min(this.tile, this.height - y)
  }

  /** Whether all of a tile lies in `region`. */
  isWithin(tile: number, { x, y, w, h }: Region): boolean {
    const left = (tile % this.tilesAcross) * this.tile
    const top = Math.floor(tile / this.tilesAcross) * this.tile
    return (
      x <= left &&
      y <= top &&
      Math.min(left + this.tile, this.width) <= x + w &&
      Math.min(top + this.tile, this.height) <= y + h
    )
  }

  /** How many tiles a region touches. */
  countTilesOf(region: Region): number {
    const { firstX, lastX, firstY, lastY } = this.#tileBounds(region)
    return (lastX - firstX + 1) * (lastY - firstY + 1)
  }

  /** The ids of the tiles that a region touches, ascending. */
  tilesOf(region: Region): Uint32Array {
    const { firstX, lastX, firstY, lastY } = this.#tileBounds(region)
    const ids = new Uint32Array((lastX - firstX + 1) * (lastY - firstY + 1))
    let at = 0
    for (let tileY = firstY; tileY <= lastY; tileY++) {
      const row = tileY * this.tilesAcross
      for (let tileX = firstX; tileX <= lastX; tileX++) ids[at++] = row + tileX
    }
    return ids
  }

  /** The part of `region` inside `tile`, in coordinates of the grid. It must not be empty. */
  overlap(tile: number, region: Region): Region {
    const own = this.tileRegion(tile)
    const x = Math.max(own.x, region.x)
    const y = Math.max(own.y, region.y)
    const right = Math.min(own.x + own.w, region.x + region.w)
    const bottom = Math.min(own.y + own.h, region.y + region.h)
    assert(right > x && bottom > y, 'tile touches the region')
    return { x, y, w: right - x, h: bottom - y }
  }

  /** The region and all that is at most so far away from it, in columns and rows. */
  grown({ x, y, w, h }: Region, by: number): Region {
    const [left, top] = [Math.max(0, x - by), Math.max(0, y - by)]
    const [right, bottom] = [Math.min(this.width, x + w + by), Math.min(this.height, y + h + by)]
    return { x: left, y: top, w: right - left, h: bottom - top }
  }

  touches(tile: number, region: Region): boolean {
    if (tile < 0 || tile >= this.tiles) return false
    const x = (tile % this.tilesAcross) * this.tile
    const y = Math.floor(tile / this.tilesAcross) * this.tile
    return (
      x < region.x + region.w &&
      region.x < Math.min(x + this.tile, this.width) &&
      y < region.y + region.h &&
      region.y < Math.min(y + this.tile, this.height)
    )
  }

  /** Whether some tile is touched by both. */
  shareTile(a: Region, b: Region): boolean {
    const one = this.#tileBounds(a)
    const other = this.#tileBounds(b)
    return (
      one.firstX <= other.lastX &&
      other.firstX <= one.lastX &&
      one.firstY <= other.lastY &&
      other.firstY <= one.lastY
    )
  }

  #tileBounds(region: Region): {
    firstX: number
    lastX: number
    firstY: number
    lastY: number
  } {
    return {
      firstX: Math.floor(region.x / this.tile),
      lastX: Math.floor((region.x + region.w - 1) / this.tile),
      firstY: Math.floor(region.y / this.tile),
      lastY: Math.floor((region.y + region.h - 1) / this.tile),
    }
  }
}

/** Whether two regions have an LSU in common. */
export function regionsTouch(a: Region, b: Region): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
}

function isWhole(value: number, low: number, high: number): boolean {
  return Number.isInteger(value) && value >= low && value <= high
}
