/**
 * What part of the grid the canvas shows: the cell in its upper left corner, and pixels a cell. Pixels are those of
 * the device. A grid that is smaller than the canvas stands in the middle; a larger one never leaves its edges.
 */
import type { GridSize, Region } from '../../../shared/grid/geometry.ts'
import type { Cell } from './regions.ts'

export interface View {
  /** In cells, with fractions. */
  readonly x: number
  readonly y: number
  /** Pixels a cell. */
  readonly scale: number
}

/** The canvas, in pixels of the device. */
export interface Frame {
  readonly width: number
  readonly height: number
  /** Pixels of the device for one of CSS. */
  readonly ratio: number
}

export interface Point {
  readonly x: number
  readonly y: number
}

/** A cell can be made this large, in pixels of CSS. */
const CELL_PIXELS_MAX = 64

/** The grid and the canvas that a view is between. */
export interface Stage {
  readonly grid: GridSize
  readonly frame: Frame
}

/** All of the grid, as large as it fits. */
export function fitted(stage: Stage): View {
  return settled({ x: 0, y: 0, scale: 0 }, stage)
}

function scaleOfAll({ grid, frame }: Stage): number {
  return Math.min(frame.width / grid.width, frame.height / grid.height)
}

/** `view` as it may be: not smaller than all of the grid, not too large, and not beside it. */
export function settled(view: View, stage: Stage): View {
  const { grid, frame } = stage
  const least = scaleOfAll(stage)
  const most = Math.max(least, CELL_PIXELS_MAX * frame.ratio)
  const scale = Math.min(most, Math.max(least, view.scale))
  return {
    x: within(view.x, grid.width, frame.width / scale),
    y: within(view.y, grid.height, frame.height / scale),
    scale,
  }
}

/** Where `shown` cells begin, of `side`. */
function within(start: number, side: number, shown: number): number {
  if (shown >= side) return (side - shown) / 2
  return Math.max(0, Math.min(side - shown, start))
}

/** Larger by `factor`; what is at `point` stays there. */
export function zoomed(view: View, factor: number, point: Point, stage: Stage): View {
  const { scale } = settled({ ...view, scale: view.scale * factor }, stage)
  return settled(
    {
      x: view.x + point.x / view.scale - point.x / scale,
      y: view.y + point.y / view.scale - point.y / scale,
      scale,
    },
    stage,
  )
}

/** Moved by so many pixels, as a hand that holds the grid moves it. */
export function panned(view: View, by: Point, stage: Stage): View {
  return settled({ ...view, x: view.x - by.x / view.scale, y: view.y - by.y / view.scale }, stage)
}

/** The canvas has another size: what was in its middle still is, and all of the grid still is all of it. */
export function reframed(view: View, from: Stage, to: Stage): View {
  if (view.scale <= scaleOfAll(from)) return fitted(to)
  const scale = view.scale * (to.frame.ratio / from.frame.ratio)
  return settled(
    {
      x: view.x + from.frame.width / view.scale / 2 - to.frame.width / scale / 2,
      y: view.y + from.frame.height / view.scale / 2 - to.frame.height / scale / 2,
      scale,
    },
    to,
  )
}

/** So far moved that `cell` is in sight. */
export function following(view: View, cell: Cell, stage: Stage): View {
  const { frame } = stage
  const along = (start: number, at: number, shown: number): number =>
    at < start ? at : at + 1 > start + shown ? at + 1 - shown : start
  return settled(
    {
      x: along(view.x, cell.x, frame.width / view.scale),
      y: along(view.y, cell.y, frame.height / view.scale),
      scale: view.scale,
    },
    stage,
  )
}

/** So that `region` is in the middle, with room around it. */
export function showing(region: Region, stage: Stage): View {
  const { frame } = stage
  const scale = 0.8 * Math.min(frame.width / region.w, frame.height / region.h)
  const { scale: taken } = settled({ x: 0, y: 0, scale }, stage)
  return settled(
    {
      x: region.x + region.w / 2 - frame.width / taken / 2,
      y: region.y + region.h / 2 - frame.height / taken / 2,
      scale: taken,
    },
    stage,
  )
}

/** The cells of which something can be seen. */
export function visibleOf(view: View, { grid, frame }: Stage): Region {
  const x = Math.max(0, Math.floor(view.x))
  const y = Math.max(0, Math.floor(view.y))
  const right = Math.min(grid.width, Math.ceil(view.x + frame.width / view.scale))
  const bottom = Math.min(grid.height, Math.ceil(view.y + frame.height / view.scale))
  return { x, y, w: right - x, h: bottom - y }
}

/** The cell at a pixel; none beside the grid. */
export function cellAt(view: View, point: Point, grid: GridSize): Cell | undefined {
  const cell = nearestCell(view, point)
  const isInside = cell.x >= 0 && cell.y >= 0 && cell.x < grid.width && cell.y < grid.height
  return isInside ? cell : undefined
}

/** The same for a drag that may end beside the grid. */
export function nearestCell(view: View, point: Point): Cell {
  return {
    x: Math.floor(view.x + point.x / view.scale),
    y: Math.floor(view.y + point.y / view.scale),
  }
}

/** Where a rectangle of cells is on the canvas, in pixels with fractions. */
export function onCanvas(view: View, { x, y, w, h }: Region): Region {
  const { scale } = view
  return { x: (x - view.x) * scale, y: (y - view.y) * scale, w: w * scale, h: h * scale }
}
