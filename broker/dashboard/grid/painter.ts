/**
 * Draws the map on a canvas: squares as pictures of one pixel each that are made anew only when their numbers or the
 * colours change, and above them who holds what, what nobody holds, borders, the region and the cross-hair.
 */

import type { GridSize, Region } from '../../../shared/grid/geometry.ts'
import { TILE_MISSING, TILE_UNBORN } from '../../../shared/protocol/ring-tiles.ts'
import type { Layers } from './model.ts'
import type { Piece } from './pieces.ts'
import type { Cell } from './regions.ts'
import type { Range } from './scale.ts'
import {
  byState,
  colourOf,
  kindsOf,
  type Run,
  runsOf,
  type TileMap,
  tilesOf,
  tileView,
} from './tiles.ts'
import { onCanvas, type Stage, type View } from './view.ts'

export interface Scene {
  readonly view: View
  readonly stage: Stage
  readonly visible: Region
  /** Those to see. */
  readonly shown: readonly Piece[]
  /** Others, to be seen where these have not come, coarse ones first. */
  readonly known: readonly Piece[]
  readonly pixels: Uint32Array
  readonly range: Range
  readonly layers: Layers
  readonly tileMap: TileMap | undefined
  readonly chosenNode: string | undefined
  /** The fleet has more nodes than there are colours. */
  readonly isLarge: boolean
  readonly region: Region | undefined
  readonly cross: Cell | undefined
  readonly ink: Ink
}

/** Colours of the page, as CSS has them. */
export interface Ink {
  readonly ground: string
  readonly text: string
  readonly soft: string
  readonly accent: string
  readonly bad: string
}

/** In pixels of CSS. */
const BORDERS_FROM = 24
const NAMES_FROM = 60

interface Picture {
  readonly canvas: HTMLCanvasElement
  readonly version: number
  readonly pixels: Uint32Array
  readonly range: Range
}

export class Painter {
  readonly #canvas: HTMLCanvasElement
  readonly #pen: CanvasRenderingContext2D
  readonly #pictures = new WeakMap<Piece, Picture>()
  #tilePicture:
    | { readonly map: TileMap; readonly what: string; readonly canvas: HTMLCanvasElement }
    | undefined
  #patterns:
    | { readonly of: string; readonly hatch: CanvasPattern; readonly dots: CanvasPattern }
    | undefined

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas
    this.#pen = canvas.getContext('2d')!
  }

  draw(scene: Scene): void {
    const pen = this.#pen
    const { frame, grid } = scene.stage
    // A canvas that is given a size is emptied, even when it is the same.
    if (this.#canvas.width !== frame.width) this.#canvas.width = frame.width
    if (this.#canvas.height !== frame.height) this.#canvas.height = frame.height
    pen.clearRect(0, 0, frame.width, frame.height)
    pen.save()
    pen.beginPath()
    this.#rectangle(scene, { x: 0, y: 0, w: grid.width, h: grid.height })
    pen.fillStyle = scene.ink.ground
    pen.fill()
    pen.clip()
    this.#squares(scene)
    if (scene.tileMap !== undefined) this.#tiles(scene, scene.tileMap)
    if (scene.layers.tiles) this.#borders(scene)
    pen.restore()
    this.#marks(scene)
  }

  #squares({ shown, known, ...scene }: Scene): void {
    this.#pen.imageSmoothingEnabled = false
    const isComplete = shown.every(({ values }) => values !== undefined)
    for (const piece of isComplete ? shown : [...known, ...shown]) {
      if (piece.values === undefined) continue
      const box = edgesOf(scene.view, {
        ...{ x: piece.x, y: piece.y },
        ...{ w: piece.columns * piece.step, h: piece.rows * piece.step },
      })
      const { width, height } = scene.stage.frame
      if (box.x >= width || box.y >= height || box.x + box.w <= 0 || box.y + box.h <= 0) continue
      // What a finer piece knows to be nobody's must not show what a coarser one has there.
      this.#pen.clearRect(box.x, box.y, box.w, box.h)
      this.#pen.drawImage(this.#picture(piece, scene), box.x, box.y, box.w, box.h)
    }
  }

  #picture(piece: Piece, { pixels, range }: Pick<Scene, 'pixels' | 'range'>): HTMLCanvasElement {
    const { columns, rows, values, version } = piece
    const made = this.#pictures.get(piece)
    if (made?.version === version && made.pixels === pixels && made.range === range) {
      return made.canvas
    }
    const canvas = made?.canvas ?? document.createElement('canvas')
    if (made === undefined) Object.assign(canvas, { width: columns, height: rows })
    const pen = canvas.getContext('2d')!
    const image = pen.createImageData(columns, rows)
    colour(values!, new Uint32Array(image.data.buffer), { pixels, range })
    pen.putImageData(image, 0, 0)
    this.#pictures.set(piece, { canvas, version, pixels, range })
    return canvas
  }

  #tiles(scene: Scene, map: TileMap): void {
    const { layers, ink } = scene
    if (layers.holders) this.#holders(scene, map)
    const { hatch, dots } = this.#patternsOf(scene)
    if (layers.unborn) {
      const runs = runsOf(map, scene, byState(map, TILE_UNBORN))
      this.#pen.globalAlpha = 0.8
      this.#fill(scene, runs, ink.ground)
      this.#pen.globalAlpha = 1
      this.#fill(scene, runs, dots)
    }
    if (layers.missing) {
      const runs = runsOf(map, scene, byState(map, TILE_MISSING))
      this.#fill(scene, runs, ink.ground)
      this.#fill(scene, runs, hatch)
    }
  }

  #holders(scene: Scene, map: TileMap): void {
    const { isLarge, chosenNode: node } = scene
    const kindOf = kindsOf(map, { isLarge, node })
    this.#pen.globalAlpha = 0.88
    this.#pixels(scene, map, `holders ${isLarge} ${node}`, (place) => {
      const kind = kindOf(place)
      return kind === 0 ? undefined : colourOf(kind)
    })
    this.#pen.globalAlpha = 1
  }

  /** A pixel a tile, made once for a map and enlarged: as many tiles as there may be are drawn at once. */
  #pixels(
    scene: Scene,
    map: TileMap,
    what: string,
    paint: (place: number) => readonly [number, number, number] | undefined,
  ): void {
    const { x, y, w, h } = map.area
    if (this.#tilePicture?.map !== map || this.#tilePicture.what !== what) {
      const canvas = Object.assign(document.createElement('canvas'), { width: w, height: h })
      const pen = canvas.getContext('2d')!
      const image = pen.createImageData(w, h)
      for (let place = 0; place < w * h; place++) {
        const colour = paint(place)
        if (colour !== undefined) image.data.set([...colour, 255], place * 4)
      }
      pen.putImageData(image, 0, 0)
      this.#tilePicture = { map, what, canvas }
    }
    const side = scene.stage.grid.tile
    const box = edgesOf(scene.view, { x: x * side, y: y * side, w: w * side, h: h * side })
    this.#pen.drawImage(this.#tilePicture.canvas, box.x, box.y, box.w, box.h)
  }

  #fill(scene: Scene, runs: readonly Run[], style: string | CanvasPattern): void {
    this.#pen.beginPath()
    for (const { region } of runs) this.#rectangle(scene, region)
    this.#pen.fillStyle = style
    this.#pen.fill()
  }

  #rectangle({ view }: Pick<Scene, 'view'>, region: Region): void {
    const { x, y, w, h } = edgesOf(view, region)
    this.#pen.rect(x, y, w, h)
  }

  #borders(scene: Scene): void {
    const { view, stage, visible, tileMap, ink } = scene
    const { grid, frame } = stage
    const { ratio } = frame
    const side = grid.tile * view.scale
    if (side < BORDERS_FROM * ratio) return
    const pen = this.#pen
    const tiles = tilesOf(visible, grid)
    pen.beginPath()
    for (let column = 0; column <= tiles.w; column++) {
      const x = Math.round(((tiles.x + column) * grid.tile - view.x) * view.scale) + 0.5
      pen.moveTo(x, 0)
      pen.lineTo(x, frame.height)
    }
    for (let row = 0; row <= tiles.h; row++) {
      const y = Math.round(((tiles.y + row) * grid.tile - view.y) * view.scale) + 0.5
      pen.moveTo(0, y)
      pen.lineTo(frame.width, y)
    }
    this.#strokeTwice(ratio, 0.3)
    if (side < NAMES_FROM * ratio || tileMap === undefined) return
    pen.font = `${11 * ratio}px system-ui, sans-serif`
    pen.textBaseline = 'top'
    for (let row = tiles.y; row < tiles.y + tiles.h; row++) {
      for (let column = tiles.x; column < tiles.x + tiles.w; column++) {
        const { holders = [] } = tileView(tileMap, column, row) ?? {}
        const { x, y } = onCanvas(view, cellsOf(column, row, grid))
        // In sight also where the corner of the tile is not.
        const at = { x: Math.max(0, x) + 4 * ratio, y: Math.max(0, y) + 4 * ratio }
        this.#names(holders, at, { side, ratio, ink })
      }
    }
  }

  /** One below the other, each on a ground of its own, so that it can be read on any colour. */
  #names(
    holders: readonly string[],
    at: { readonly x: number; readonly y: number },
    { side, ratio, ink }: { readonly side: number; readonly ratio: number; readonly ink: Ink },
  ): void {
    const pen = this.#pen
    const room = side - 8 * ratio
    holders.forEach((name, index) => {
      const y = at.y + index * 16 * ratio
      if (y + 16 * ratio > at.y + room) return
      const text = fitting(pen, name, room - 8 * ratio)
      pen.globalAlpha = 0.82
      pen.fillStyle = ink.ground
      pen.fillRect(at.x, y, pen.measureText(text).width + 8 * ratio, 15 * ratio)
      pen.globalAlpha = 1
      pen.fillStyle = ink.text
      pen.fillText(text, at.x + 4 * ratio, y + 2 * ratio)
    })
  }

  #marks({ view, stage, region, cross, ink }: Scene): void {
    const pen = this.#pen
    const { ratio } = stage.frame
    if (region !== undefined) {
      const { x, y, w, h } = edgesOf(view, region)
      pen.beginPath()
      pen.rect(x + 0.5, y + 0.5, Math.max(w - 1, 1), Math.max(h - 1, 1))
      pen.globalAlpha = 0.18
      pen.fillStyle = ink.accent
      pen.fill()
      pen.globalAlpha = 1
      pen.setLineDash([6 * ratio, 4 * ratio])
      this.#strokeTwice(1.5 * ratio, 1)
      pen.setLineDash([])
    }
    if (cross === undefined) return
    const { x, y, w, h } = onCanvas(view, { ...cross, w: 1, h: 1 })
    const [midX, midY] = [Math.round(x + w / 2), Math.round(y + h / 2)]
    const reach = Math.max(w / 2, 5 * ratio)
    pen.beginPath()
    pen.rect(Math.round(midX - reach), Math.round(midY - reach), 2 * reach, 2 * reach)
    for (const [dx, dy] of [
      [1, 0],
      [-1, 0],
      [0, 1],
      [0, -1],
    ] as const) {
      pen.moveTo(midX + dx * reach, midY + dy * reach)
      pen.lineTo(midX + dx * (reach + 8 * ratio), midY + dy * (reach + 8 * ratio))
    }
    this.#strokeTwice(1.5 * ratio, 1)
  }

  /** Dark and light beside each other are seen on every colour. */
  #strokeTwice(width: number, alpha: number): void {
    const pen = this.#pen
    pen.globalAlpha = alpha
    pen.lineWidth = width * 2
    pen.strokeStyle = 'rgb(0 0 0 / 60%)'
    pen.stroke()
    pen.lineWidth = width
    pen.strokeStyle = '#ffffff'
    pen.stroke()
    pen.globalAlpha = 1
  }

  #patternsOf({ stage, ink }: Scene): { hatch: CanvasPattern; dots: CanvasPattern } {
    const of = `${stage.frame.ratio} ${ink.bad} ${ink.soft}`
    if (this.#patterns?.of === of) return this.#patterns
    const { ratio } = stage.frame
    const hatch = this.#pattern(8 * ratio, (pen, side) => {
      pen.strokeStyle = ink.bad
      pen.lineWidth = 1.5 * ratio
      for (const shift of [-side, 0, side]) {
        pen.moveTo(shift, side)
        pen.lineTo(shift + side, 0)
      }
      pen.stroke()
    })
    const dots = this.#pattern(8 * ratio, (pen, side) => {
      pen.arc(side / 2, side / 2, ratio, 0, 7)
      pen.fillStyle = ink.soft
      pen.fill()
    })
    this.#patterns = { of, hatch, dots }
    return this.#patterns
  }

  #pattern(
    side: number,
    paint: (pen: CanvasRenderingContext2D, side: number) => void,
  ): CanvasPattern {
    const canvas = Object.assign(document.createElement('canvas'), { width: side, height: side })
    paint(canvas.getContext('2d')!, canvas.width)
    return this.#pen.createPattern(canvas, 'repeat')!
  }
}

function cellsOf(column: number, row: number, { tile }: GridSize): Region {
  return { x: column * tile, y: row * tile, w: tile, h: tile }
}

/** On whole pixels, so that nothing is between two that are beside each other. */
function edgesOf(view: View, region: Region): Region {
  const box = onCanvas(view, region)
  const x = Math.round(box.x)
  const y = Math.round(box.y)
  return { x, y, w: Math.round(box.x + box.w) - x, h: Math.round(box.y + box.h) - y }
}

/** Pixels of `values`; what nobody has stays clear. */
function colour(
  values: Float32Array,
  out: Uint32Array,
  { pixels, range }: { readonly pixels: Uint32Array; readonly range: Range },
): void {
  const { low, high } = range
  const scale = 255 / (high - low)
  for (let at = 0; at < values.length; at++) {
    const value = values[at]!
    const index = Math.max(0, Math.min(255, Math.round((value - low) * scale)))
    if (!Number.isNaN(value)) out[at] = pixels[index]!
  }
}

function fitting(pen: CanvasRenderingContext2D, text: string, room: number): string {
  if (pen.measureText(text).width <= room) return text
  let length = text.length
  while (length > 1 && pen.measureText(`${text.slice(0, length)}…`).width > room) length--
  return `${text.slice(0, length)}…`
}
