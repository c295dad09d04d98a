/**
 * The map that is shown: which part, of which field, in which colours, and what is known of it. Signals, so that
 * whatever draws them does so when they change. It asks for what is missing only while somebody looks.
 */

import { computed, type Signal, signal } from '@preact/signals'
import { ObeliskError } from '../../../shared/client/obelisk-error.ts'
import type { FieldType } from '../../../shared/grid/fields.ts'
import type { Region } from '../../../shared/grid/geometry.ts'
import { TILE_UNBORN } from '../../../shared/protocol/ring-tiles.ts'
import type { GridView } from '../../../shared/protocol/views.ts'
import { levelFor, levelsOf, piecesOf } from './levels.ts'
import type { ColourMap } from './palette.ts'
import { type Of, type Piece, type PieceRequest, Pieces } from './pieces.ts'
import type { Cell } from './regions.ts'
import { balanced, middleRange, opened, type Range, wholeRange } from './scale.ts'
import { askEnds, askSquares, askTiles } from './sources.ts'
import { sampleOf, valueAt } from './squares.ts'
import { stateOf, type TileMap, tilesToAsk, written } from './tiles.ts'
import { type Frame, fitted, reframed, type Stage, type View, visibleOf } from './view.ts'

export type RangeMode = 'middle' | 'whole' | 'typed'

export interface Layers {
  readonly tiles: boolean
  readonly holders: boolean
  readonly missing: boolean
  readonly unborn: boolean
}

/** A hand that goes over many levels asks for none of them on its way. */
const STILL_MS = 80
/** The range follows what is in sight once that stands still, or colours would flicker. */
const RANGE_MS = 200
/** Of a canvas that has not been seen. */
const NO_FRAME: Frame = { width: 1, height: 1, ratio: 1 }
/** What no value has led to yet. */
const FIRST_RANGE: Range = { low: 0, high: 1 }
/** Numbers that the range of what is in sight is found by. */
const SAMPLE_MAX = 16_384
const TILES_AGAIN_MS = 2_000
/** And that much longer for each tile of the map. */
const TILE_MS = 0.02
const WHOLE_AGAIN_MS = 10_000
const AGAIN_MS = 5_000

export class GridMap {
  readonly head: GridView
  readonly levels: readonly number[]
  readonly field: Signal<string>
  readonly of = signal<Of>('mean')
  readonly colours = signal<ColourMap>('viridis')
  readonly rangeMode = signal<RangeMode>('middle')
  readonly range = signal<Range>(FIRST_RANGE)
  readonly layers = signal<Layers>({ tiles: true, holders: false, missing: true, unborn: true })
  /** One of the nodes, where the others are to be pale. */
  readonly chosenNode = signal<string | undefined>(undefined)
  readonly stage: Signal<Stage>
  readonly view: Signal<View>
  /** The cell that keys move. */
  readonly cross = signal<Cell | undefined>(undefined)
  /** The cell under the pointer. */
  readonly hover = signal<Cell | undefined>(undefined)
  readonly region = signal<Region | undefined>(undefined)
  readonly tileMap = signal<TileMap | undefined>(undefined)
  /** What is in sight; some of them have no values yet. */
  readonly shown = signal<readonly Piece[]>([])
  /** Why some of it does not come. */
  readonly trouble = signal<string | undefined>(undefined)
  readonly isLoading = signal(false)
  readonly visible = computed(() => visibleOf(this.view.value, this.stage.value))
  readonly step = computed(() => this.#step())

  readonly #pieces: Pieces
  readonly #underWay = new Map<PieceRequest, AbortController>()
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>()
  readonly #others = new Map<string, AbortController>()
  #isLookedAt = false
  #tilesAskedMs = Number.NEGATIVE_INFINITY
  #areTilesStale = true
  #wholeAskedMs = Number.NEGATIVE_INFINITY

  constructor(head: GridView) {
    this.head = head
    this.levels = levelsOf(head)
    this.#pieces = new Pieces(head)
    this.field = signal(head.fields[0]!.name)
    this.stage = signal({ grid: head, frame: NO_FRAME })
    this.view = signal(fitted(this.stage.peek()))
  }

  #step(): number {
    const { ratio } = this.stage.value.frame
    return levelFor(this.levels, {
      scale: this.view.value.scale,
      leastPixels: ratio,
      visible: this.visible.value,
    })
  }

  /** All that is known of the field, coarse pieces first, for where what is in sight has not come. */
  known(): Piece[] {
    const [field, of] = [this.field.peek(), this.of.peek()]
    const own = this.#pieces.all().filter((piece) => piece.field === field && piece.of === of)
    return own.sort((a, b) => b.step - a.step)
  }

  get fieldType(): FieldType {
    const field = this.field.peek()
    return this.head.fields.find(({ name }) => name === field)!.type
  }

  valueAt({ x, y }: Cell): number | undefined {
    return valueAt(this.shown.peek(), x, y)
  }

  /** Of the tile that has the cell, if that is known. */
  stateAt({ x, y }: Cell): number | undefined {
    const map = this.tileMap.peek()
    const { tile } = this.head
    return map && stateOf(map, Math.floor(x / tile), Math.floor(y / tile))
  }

  /** The canvas has this size from now on. */
  reframe(frame: Frame): void {
    const from = this.stage.peek()
    const to = { grid: this.head, frame }
    this.view.value = from.frame === NO_FRAME ? fitted(to) : reframed(this.view.peek(), from, to)
    this.stage.value = to
  }

  /** Whether somebody looks: only then anything is asked for. */
  lookedAt(isLookedAt: boolean): void {
    this.#isLookedAt = isLookedAt
    if (isLookedAt) this.pump()
    else for (const name of [...this.#timers.keys()]) this.#cancel(name)
  }

  /** What is in sight has changed. */
  moved(): void {
    if (!this.#timers.has('pump')) this.#later('pump', STILL_MS, () => this.pump())
  }

  /** Another field, or something else of it. */
  chosen(): void {
    if (this.rangeMode.peek() !== 'typed') this.range.value = FIRST_RANGE
    this.#wholeAskedMs = Number.NEGATIVE_INFINITY
    this.pump()
  }

  /** A write touched these cells; nobody knows which without a region. */
  touch(region?: Region): void {
    this.#pieces.touch(region)
    const map = this.tileMap.peek()
    const later = region && map && written(map, region, this.head)
    if (later !== undefined) this.tileMap.value = later
    // Who holds them may be others than was thought.
    if (region === undefined || later !== undefined) this.#areTilesStale = true
    this.pump()
  }

  /** Tiles may have gone to other nodes. */
  tilesChanged(): void {
    this.#areTilesStale = true
    this.pump()
  }

  pump(): void {
    if (!this.#isLookedAt || this.stage.peek().frame === NO_FRAME) return
    const [field, of, step] = [this.field.peek(), this.of.peek(), this.step.peek()]
    const starts = piecesOf(this.visible.peek(), step)
    this.shown.value = this.#pieces.want(starts.map((start) => ({ field, of, step, ...start })))
    const nowMs = performance.now()
    const { ask, drop } = this.#pieces.due(nowMs)
    for (const request of drop) this.#underWay.get(request)?.abort()
    for (const request of ask) void this.#ask(request)
    const nextMs = this.#pieces.nextMs()
    if (nextMs !== undefined) this.#later('again', nextMs - nowMs, () => this.pump())
    this.isLoading.value = this.#pieces.underWay > 0
    this.#askTiles(nowMs)
    this.rangeChanged()
  }

  /** The range, or how it is found, is to be another one. */
  rangeChanged(): void {
    if (this.rangeMode.peek() === 'whole') this.#askWhole(performance.now())
    else if (this.range.peek() === FIRST_RANGE) this.#rescale()
    else this.#later('range', RANGE_MS, () => this.#rescale())
  }

  #rescale(): void {
    if (this.rangeMode.peek() !== 'middle') return
    // Zeros of cells that nobody has written yet would hide what others hold.
    const sample = sampleOf(this.shown.peek(), this.visible.peek(), {
      most: SAMPLE_MAX,
      isLeftOut: (x, y) => this.layers.peek().unborn && this.stateAt({ x, y }) === TILE_UNBORN,
    })
    this.#setRange(middleRange(sample))
  }

  #setRange(found: Range | undefined): void {
    if (found === undefined) return
    const wide = this.colours.peek() === 'change' ? balanced(found) : found
    const { low, high } = opened(wide)
    const before = this.range.peek()
    if (before.low !== low || before.high !== high) this.range.value = { low, high }
  }

  async #ask(request: PieceRequest): Promise<void> {
    const end = new AbortController()
    this.#underWay.set(request, end)
    try {
      const squares = await askSquares(request, end.signal)
      const isWhole = this.#pieces.arrived(request, squares, performance.now())
      this.trouble.value = isWhole ? undefined : 'the gateway sent a picture of another size'
    } catch (error) {
      if (end.signal.aborted) return
      this.#pieces.failed(request, performance.now())
      this.trouble.value = error instanceof ObeliskError ? error.message : undefined
    } finally {
      this.#underWay.delete(request)
    }
    this.pump()
  }

  #askTiles(nowMs: number): void {
    const area = tilesToAsk(this.head, this.visible.peek())
    const map = this.tileMap.peek()
    const isOther =
      area !== undefined && map !== undefined && JSON.stringify(area) !== JSON.stringify(map.area)
    if (area === undefined || !(this.#areTilesStale || map === undefined || isOther)) return
    const waitMs = this.#tilesAskedMs + TILES_AGAIN_MS + TILE_MS * area.w * area.h - nowMs
    if (waitMs > 0 && !isOther) {
      this.#later('tiles', waitMs, () => this.pump())
      return
    }
    this.#areTilesStale = false
    this.#tilesAskedMs = nowMs
    void this.#askOther('tiles', async (signal) => {
      this.tileMap.value = await askTiles(area, signal)
      this.rangeChanged()
    })
  }

  #askWhole(nowMs: number): void {
    const waitMs = this.#wholeAskedMs + WHOLE_AGAIN_MS - nowMs
    if (waitMs > 0) {
      this.#later('whole', waitMs, () => this.rangeChanged())
      return
    }
    this.#wholeAskedMs = nowMs
    const field = this.field.peek()
    const step = this.levels.at(-1)!
    void this.#askOther('whole', async (signal) => {
      const found = wholeRange(await askEnds(field, step, signal))
      if (this.rangeMode.peek() === 'whole' && this.field.peek() === field) this.#setRange(found)
    })
  }

  /** One at a time of a kind: a newer one ends the older. */
  async #askOther(name: string, act: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.#others.get(name)?.abort()
    const end = new AbortController()
    this.#others.set(name, end)
    await act(end.signal).catch(() => {
      if (end.signal.aborted) return
      if (name === 'tiles') this.#areTilesStale = true
      this.#later(name, AGAIN_MS, () => this.pump())
    })
  }

  #later(name: string, ms: number, act: () => void): void {
    this.#cancel(name)
    const fire = (): void => {
      this.#timers.delete(name)
      act()
    }
    this.#timers.set(name, setTimeout(fire, Math.max(0, ms)))
  }

  #cancel(name: string): void {
    clearTimeout(this.#timers.get(name))
    this.#timers.delete(name)
  }
}
