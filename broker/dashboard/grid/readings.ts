/** What is said of a cell: the number in it, which tile it is of, who holds that, and what wrote into it last. */

import { type Signal, signal } from '@preact/signals'
import type { Region } from '../../../shared/grid/geometry.ts'
import { TILE_MISSING, TILE_UNBORN } from '../../../shared/protocol/ring-tiles.ts'
import { formatClock } from '../format.ts'
import { writes } from '../live.ts'
import type { GridMap } from './model.ts'
import { type Cell, overlapOf } from './regions.ts'
import { exactText, numberText } from './scale.ts'
import { askCell } from './sources.ts'
import { tileView } from './tiles.ts'

export interface Reading {
  readonly place: string
  readonly value: string
  /** What the value is of, if not of the cell alone. */
  readonly note: string
  readonly tile: string
}

/** A pointer that rests this long wants the number itself. */
const REST_MS = 150
/** A cell that is written all the time is read this often. */
const AGAIN_MS = 2_000

/** `exact` is the number that the cell itself holds, where it was asked for. */
function readingOf(map: GridMap, cell: Cell, exact: number | undefined): Reading {
  const { x, y } = cell
  const { tile: side, width } = map.head
  const [column, row] = [Math.floor(x / side), Math.floor(y / side)]
  const tileMap = map.tileMap.peek()
  const { holders = [], state } = (tileMap && tileView(tileMap, column, row)) ?? {}
  const number = `tile ${row * Math.ceil(width / side) + column}`
  const place = `${x}, ${y}`
  if (state === TILE_MISSING) {
    return { place, value: 'missing', note: 'every copy is lost', tile: number }
  }
  const names = holders.length === 0 ? '' : ` on ${holders.join(', ')}`
  const unborn = state === TILE_UNBORN ? ', never written' : ''
  const square = map.valueAt(cell)
  const isSquare = exact === undefined && map.step.peek() > 1
  return {
    place,
    value: exact === undefined ? squareText(square) : exactText(exact, map.fieldType),
    note: isSquare ? `${map.of.peek()} of ${map.step.peek()} × ${map.step.peek()}` : '',
    tile: `${number}${names}${unborn}${lastWriteText({ x: column * side, y: row * side, w: side, h: side })}`,
  }
}

/** The newest write that the page was told of, if it may have touched these cells. */
function lastWriteText(cells: Region): string {
  const [last] = writes
    .filter(({ region }) => overlapOf(region, cells) !== undefined)
    .sort((a, b) => b.seq - a.seq)
  return last === undefined ? '' : ` · write ${last.seq} at ${formatClock(last.ts, Date.now())}`
}

function squareText(square: number | undefined): string {
  return square === undefined ? '…' : numberText(square)
}

export function readingText({ place, value, note, tile }: Reading): string {
  return `${place}: ${value}${note === '' ? '' : ` (${note})`} · ${tile}`
}

export class Readings {
  readonly hovered: Signal<Reading | undefined> = signal(undefined)
  /** Of the cell at the cross-hair, when it was last asked for. */
  readonly chosen: Signal<Reading | undefined> = signal(undefined)
  readonly #map: GridMap
  #rest: ReturnType<typeof setTimeout> | undefined
  #again: ReturnType<typeof setTimeout> | undefined
  #hovering = new AbortController()
  #choosing = new AbortController()
  #readMs = 0

  constructor(map: GridMap) {
    this.#map = map
  }

  /** The pointer is there, or nowhere. */
  hover(cell: Cell | undefined): void {
    clearTimeout(this.#rest)
    this.#hovering.abort()
    this.hovered.value = cell && readingOf(this.#map, cell, undefined)
    if (cell === undefined || this.#map.stateAt(cell) === TILE_MISSING) return
    const end = (this.#hovering = new AbortController())
    this.#rest = setTimeout(() => {
      askCell(this.#map.field.peek(), cell, end.signal).then(
        (exact) => {
          if (!end.signal.aborted) this.hovered.value = readingOf(this.#map, cell, exact)
        },
        () => {},
      )
    }, REST_MS)
  }

  /** Reads the cell at the cross-hair. */
  async choose(): Promise<void> {
    const cell = this.#map.cross.peek()
    if (cell === undefined) return
    this.#choosing.abort()
    const { signal } = (this.#choosing = new AbortController())
    this.#readMs = performance.now()
    const isMissing = this.#map.stateAt(cell) === TILE_MISSING
    const exact = isMissing
      ? undefined
      : await askCell(this.#map.field.peek(), cell, signal).catch(() => undefined)
    if (!signal.aborted) this.chosen.value = readingOf(this.#map, cell, exact)
  }

  /** A write touched these cells: what was read of one of them is read again. */
  touched(region: Region | undefined): void {
    const cell = this.#map.cross.peek()
    if (cell === undefined || this.chosen.peek() === undefined) return
    if (region !== undefined && overlapOf({ ...cell, w: 1, h: 1 }, region) === undefined) return
    clearTimeout(this.#again)
    const waitMs = this.#readMs + AGAIN_MS - performance.now()
    this.#again = setTimeout(() => void this.choose(), Math.max(0, waitMs))
  }

  /** Another field: what was said is of the one before. */
  forget(): void {
    this.chosen.value = undefined
  }

  end(): void {
    clearTimeout(this.#rest)
    clearTimeout(this.#again)
    this.#hovering.abort()
    this.#choosing.abort()
  }
}
