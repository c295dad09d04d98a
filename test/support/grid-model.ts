/**
 * What the grid must hold: every sequenced write applied once, in the order of sequences, to plain lists
 * of numbers. It shares no code with operations, pages or placement; programs are done cell by cell, from the tree of
 * their text. Every state that a tile ever had is kept, so that a page or an answer can be compared with the one it
 * claims to be.
 */
import type { GridContext } from '../../shared/operations/operation.ts'
import { actOnCells, type Cells } from './osl-evaluator.ts'

/** How far neighbours are away at the most. */
const REACH_MAX = 4

export interface PlainRegion {
  readonly x: number
  readonly y: number
  readonly w: number
  readonly h: number
}

/** A task as a client writes it. */
export interface PlainTask {
  readonly id?: string
  readonly op: string
  readonly region?: PlainRegion
  readonly items?: readonly { readonly key: string; readonly data: string }[]
  readonly args?: {
    readonly field?: string
    readonly value?: number
    readonly values?: readonly number[]
    readonly fields?: Readonly<Record<string, number>> | readonly string[]
    readonly bins?: number
    readonly x?: readonly number[]
    readonly y?: readonly number[]
    readonly cells?: readonly (readonly [x: number, y: number])[]
    readonly step?: number
    readonly of?: readonly string[]
    readonly holes?: boolean
    readonly source?: string
    readonly with?: Readonly<Record<string, number>>
    readonly steps?: number
    readonly context?: string
  }
  readonly deadline_ms: number
  readonly seal?: string
}

/** The cells that a task names one by one, if it does. */
export function namedCells({ args }: PlainTask): readonly (readonly [x: number, y: number])[] {
  const { x, y, cells } = args ?? {}
  return cells ?? x?.map((column, index) => [column, y![index]!]) ?? []
}

/** The tiles that a task has to do with, ascending. */
export function tilesOfPlain(task: PlainTask, { geometry }: GridContext): number[] {
  const named = namedCells(task)
  if (named.length === 0) return [...geometry.tilesOf(task.region ?? geometry.whole)]
  const tiles = named.map(([x, y]) => geometry.tilesOf({ x, y, w: 1, h: 1 })[0]!)
  return [...new Set(tiles)].sort((a, b) => a - b)
}

/** Cells of a tile, row-major. */
export interface TileState {
  /** The write that made it. */
  readonly seq: number
  readonly columns: readonly Float64Array[]
  readonly status: Uint8Array
}

export class GridModel {
  readonly #grid: GridContext
  /** By tile, oldest first; the first is how it was before any write. */
  readonly #states: TileState[][]
  /** By tile: how it was before its last copy was lost. */
  readonly #former: TileState[][]
  /** Of programs, by the write: how many cells took a value, by field. */
  readonly written = new Map<number, Readonly<Record<string, number>>>()
  /** Of all writes, ascending. */
  readonly sequences: number[] = []

  constructor(grid: GridContext) {
    this.#grid = grid
    const { geometry, fields } = grid
    this.#states = Array.from({ length: geometry.tiles }, (_, tile) => {
      const lsus = geometry.tileLsus(tile)
      const columns = fields.map(() => new Float64Array(lsus))
      return [{ seq: 0, columns, status: new Uint8Array(lsus) }]
    })
    this.#former = this.#states.map(() => [])
  }

  get grid(): GridContext {
    return this.#grid
  }

  get lastSeq(): number {
    return this.sequences.at(-1) ?? 0
  }

  apply(seq: number, task: PlainTask): void {
    this.sequences.push(seq)
    if (task.op === 'program') this.#run(seq, task)
    else this.#actByTile(seq, task)
  }

  /** A program sees coordinates of the grid, each cell by itself, and its neighbours as they were. */
  #run(seq: number, { region, args }: PlainTask): void {
    const { geometry, fields } = this.#grid
    const over = region ?? geometry.whole
    const cells = this.cellsAt(geometry.grown(over, REACH_MAX), seq)
    const { source, with: values, steps = 1 } = args!
    for (let step = 0; step < steps; step++) {
      this.written.set(seq, actOnCells(source!, cells, over, values))
    }
    for (const tile of geometry.tilesOf(over)) {
      const numbersOf = (name: string): number[] =>
        this.#idsOf(tile).map((id) => cells.columns.get(name)![id]!)
      const columns = fields.map(({ name }) => Float64Array.from(numbersOf(name)))
      const status = Uint8Array.from(numbersOf('status'))
      this.#states[tile]!.push({ seq, columns, status })
    }
  }

  /** Of each cell of a tile, row-major. */
  #idsOf(tile: number): number[] {
    const { geometry } = this.#grid
    const { x, y, w, h } = geometry.tileRegion(tile)
    return Array.from({ length: w * h }, (_, at) => {
      return (y + Math.floor(at / w)) * geometry.width + x + (at % w)
    })
  }

  /** The cells of all tiles of a region, once all writes up to `seq` are applied. */
  cellsAt(region: PlainRegion, seq: number): Cells {
    const { geometry, fields } = this.#grid
    const { width, height } = geometry
    const names = [...fields.map(({ name }) => name), 'status']
    const columns = names.map(() => new Array<number>(width * height).fill(0))
    for (const tile of geometry.tilesOf(region)) {
      const state = this.tileAt(tile, seq)
      for (const [at, id] of this.#idsOf(tile).entries()) {
        for (const [index, column] of columns.entries()) {
          column[id] = (state.columns[index] ?? state.status)[at]!
        }
      }
    }
    const named = new Map(names.map((name, index) => [name, columns[index]!]))
    return { width, height, fields, columns: named }
  }

  #actByTile(seq: number, task: PlainTask): void {
    const { geometry } = this.#grid
    const region = task.region ?? geometry.whole
    const named = namedCells(task)
    const places = new Map(named.map(([x, y], index) => [y * geometry.width + x, index]))
    for (let tile = 0; tile < geometry.tiles; tile++) {
      const own = geometry.tileRegion(tile)
      const last = this.#states[tile]!.at(-1)!
      const columns = last.columns.map((column) => column.slice())
      const status = last.status.slice()
      let isTouched = false
      for (let at = 0; at < own.w * own.h; at++) {
        const x = own.x + (at % own.w)
        const y = own.y + Math.floor(at / own.w)
        if (x < region.x || x >= region.x + region.w) continue
        if (y < region.y || y >= region.y + region.h) continue
        const inRegion = (y - region.y) * region.w + (x - region.x)
        const index = named.length === 0 ? inRegion : places.get(y * geometry.width + x)
        if (index === undefined) continue
        isTouched = true
        this.#write(task, columns, status, at, index)
      }
      if (isTouched) this.#states[tile]!.push({ seq, columns, status })
    }
  }

  #write(
    { op, args = {} }: PlainTask,
    columns: readonly Float64Array[],
    status: Uint8Array,
    at: number,
    index: number,
  ): void {
    const column = (name: string): Float64Array =>
      columns[this.#grid.fields.findIndex((field) => field.name === name)]!
    if (op === 'scale') status[at] = 1
    if (op === 'scale' || op === 'set') {
      for (const [name, value] of Object.entries(args.fields ?? {})) column(name)[at] = value
    }
    if (op === 'put' || op === 'scatter') column(args.field!)[at] = args.values![index]!
    if (op === 'add') {
      const { type } = this.#grid.fields.find(({ name }) => name === args.field)!
      const sum = column(args.field!)[at]! + args.value!
      column(args.field!)[at] = type === 'u8' ? Math.min(255, Math.max(0, sum)) : sum
    }
  }

  /** What came after `seq` on this tile was lost. */
  truncate(tile: number, seq: number): void {
    this.#states[tile] = this.#states[tile]!.filter((state) => state.seq <= seq)
  }

  /** Every copy of this tile was lost: it is as it never was. */
  restart(tile: number): void {
    const [first, ...rest] = this.#states[tile]!
    this.#states[tile] = [first!]
    this.#former[tile]!.push(...rest)
  }

  /** How a tile was after this write, before its last copy was lost. */
  formerAt(tile: number, seq: number): TileState | undefined {
    return this.#former[tile]!.find((state) => state.seq === seq)
  }

  /** How a tile is once all writes up to `seq` are applied. */
  tileAt(tile: number, seq: number): TileState {
    const states = this.#states[tile]!
    let at = states.length - 1
    while (states[at]!.seq > seq) at--
    return states[at]!
  }

  /** All states of a tile from `seq` on, the one that holds at `seq` first. */
  statesFrom(tile: number, seq: number): readonly TileState[] {
    const states = this.#states[tile]!
    return states.slice(states.indexOf(this.tileAt(tile, seq)))
  }
}
