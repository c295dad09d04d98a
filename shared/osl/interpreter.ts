/**
 * Runs a sound program over the cells of one tile at a time, a glyph after the other over a whole block: registers of
 * 256 cells, one loop a glyph (kernels.ts). A tile of more is cut into blocks of whole rows; the cut depends on the
 * window alone. Where every field that it loads holds one value in the tile, and it asks for no place, one cell is
 * computed and stands for all.
 *
 * Statements act one after the other on each cell: a load sees earlier stores of the same program.
 */
import type { Field, FieldType } from '../grid/fields.ts'
import { coversTile, type TileCells, type TileWindow } from '../operations/operation.ts'
import {
  ClassCount,
  type ClassReduction,
  ClassSpan,
  ClassSum,
  isByClass,
} from './class-reductions.ts'
import {
  BLOCK_CELLS,
  FIRST_COLUMN,
  glyphOf,
  isReducing,
  NEAR_ZERO,
  NONE,
  numberOf,
  STATUS,
} from './codex.ts'
import { KERNELS, type Kernel, pick } from './kernels.ts'
import { MICROGLYPH_BYTES, microglyphAt, type Program } from './program.ts'
import {
  type Block,
  Count,
  Histogram,
  type Mask,
  type Reduction,
  Shown,
  Span,
  Sum,
  Top,
} from './reductions.ts'
import { Registers } from './registers.ts'
import { LOADS, STORES, storedAs } from './stores.ts'
import type { Sound } from './verifier.ts'

/** Numbers of fields as they were before: a rectangle that reaches beyond what is run; NaN lies outside the grid. */
export interface Neighbours {
  /** Of its first cell, in coordinates of the grid. */
  readonly x: number
  readonly y: number
  /** Cells in a row. */
  readonly stride: number
  numbersOf(field: number): Float64Array
}

export interface Place {
  /** Of the tile's first cell, in coordinates of the grid. */
  readonly x: number
  readonly y: number
  readonly gridWidth: number
  /** Of cells that lie anywhere, in a window of one column: the LSU that each of them is. */
  readonly ids?: Uint32Array | undefined
}

/** Where the glyphs that need more than registers stand in `Instructions`. */
const GLYPH = 0
const RESULT = 1
const A = 2
const B = 3
const C = 4
const OPERAND = 5
const WORDS = 6

const FIELD = numberOf('field')
const NEAR = numberOf('near')
const CONST = numberOf('const')
const X = numberOf('x')
const Y = numberOf('y')
const PICK = numberOf('pick')
const LOOK = numberOf('look')
const STORE = numberOf('store')

export class Interpreter {
  /** By slot. */
  readonly reductions: (Reduction | ClassReduction)[] = []
  /** Cells that took a value in the tile that was run last, by field or `STATUS`: each once, however often it did. */
  readonly written = new Map<number, number>()
  readonly #program: Program
  readonly #sound: Sound
  readonly #fields: readonly Field[]
  readonly #neighbours: Neighbours | undefined
  readonly #instructions: Uint16Array
  readonly #registers = Registers.get()
  /** Of a field that is stored more than once: the cells of the block that took a value before. */
  readonly #taken = new Map<number, Uint8Array>()

  constructor(program: Program, sound: Sound, fields: readonly Field[], neighbours?: Neighbours) {
    this.#program = program
    this.#sound = sound
    this.#fields = fields
    this.#neighbours = neighbours
    const { code } = program
    const stored = new Set<number>()
    this.#instructions = new Uint16Array((code.length / MICROGLYPH_BYTES) * WORDS)
    for (let index = 0; index < sound.microglyphs; index++) {
      const { glyph, result, a, b, c, operand } = microglyphAt(code, index)
      this.#instructions.set([glyph, result, a, b, c, operand], index * WORDS)
      if (isReducing(glyph)) this.reductions[operand] = this.#newReduction(glyph, c)
      if (glyph !== STORE) continue
      if (stored.has(operand)) this.#taken.set(operand, new Uint8Array(BLOCK_CELLS))
      stored.add(operand)
    }
  }

  /** Acts on the window of one tile, or gathers it. */
  run(cells: TileCells, window: TileWindow, place: Place): void {
    if (this.#registers.take(this)) this.#setConstants()
    for (const field of this.#sound.stores) this.written.set(field, 0)
    if (this.#isOneValue(cells, window)) {
      const block = { ...place, width: 1, cells: 1, times: window.w * window.h }
      this.#runBlock(cells, window, 0, block)
      return
    }
    const rows = Math.max(1, Math.floor(BLOCK_CELLS / window.w))
    for (let row = 0; row < window.h; row += rows) {
      const block: Block = {
        x: place.x + window.left,
        y: place.y + window.top + row,
        width: window.w,
        cells: Math.min(rows, window.h - row) * window.w,
        gridWidth: place.gridWidth,
        ids: place.ids?.subarray(row),
        times: 1,
      }
      this.#runBlock(cells, window, row, block)
    }
  }

  /** Of `written`, in the order of the fields that the program stores. */
  get counts(): number[] {
    return this.#sound.stores.map((field) => this.written.get(field)!)
  }

  #newReduction(glyph: number, c: number): Reduction | ClassReduction {
    const { pool } = this.#program
    switch (glyphOf(glyph)!.name) {
      case 'count':
        return c === NONE ? new Count() : new ClassCount()
      case 'sum':
        return c === NONE ? new Sum() : new ClassSum()
      case 'span':
        return c === NONE ? new Span() : new ClassSpan()
      case 'histogram':
        return new Histogram(pool[c]!, pool[c + 1]!, pool[c + 2]!)
      case 'top':
        return new Top(pool[c]!)
      default:
        return new Shown()
    }
  }

  #setConstants(): void {
    const { pool } = this.#program
    for (let at = 0; at < this.#sound.constants * WORDS; at += WORDS) {
      const result = this.#instructions[at + RESULT]!
      this.#registers.numbers[result]!.fill(pool[this.#instructions[at + OPERAND]!]!)
    }
  }

  /** Top lists name every cell, so they want all of them. */
  #isOneValue(cells: TileCells, window: TileWindow): boolean {
    const { isAlike, loads } = this.#sound
    if (!isAlike || !coversTile(window, cells)) return false
    if (this.reductions.some((reduction) => reduction instanceof Top)) return false
    return loads.every((field) => cells.valueOf(this.#columnOf(field)) !== undefined)
  }

  #columnOf(field: number): number {
    if (field === STATUS) return this.#fields.length
    return field < FIRST_COLUMN ? field : this.#fields.length + 1 + field - FIRST_COLUMN
  }

  #typeOf(field: number): FieldType | 'status' {
    if (field === STATUS) return 'status'
    return field < FIRST_COLUMN ? this.#fields[field]!.type : 'f64'
  }

  #runBlock(cells: TileCells, window: TileWindow, row: number, block: Block): void {
    const instructions = this.#instructions
    const { all, words } = this.#registers
    const rounded = (block.cells + 3) & ~3
    for (const cells of this.#taken.values()) cells.fill(0)
    for (let at = this.#sound.constants * WORDS; at < instructions.length; at += WORDS) {
      const glyph = instructions[at + GLYPH]!
      const result = instructions[at + RESULT]!
      const a = instructions[at + A]!
      const b = instructions[at + B]!
      const kernel = KERNELS[glyph]
      if (kernel !== undefined) {
        ;(kernel as Kernel)(all[result] as never, all[a] as never, all[b] as never, rounded)
      } else if (glyph === PICK) {
        const c = instructions[at + C]!
        pick(words[result]!, all[a] as Uint8Array, words[b]!, words[c]!, rounded)
      } else if (glyph === FIELD) {
        this.#load(result, instructions[at + OPERAND]!, cells, window, row, block)
      } else if (glyph === STORE) {
        this.#store(instructions[at + OPERAND]!, a, b, cells, window, row, block)
      } else if (isReducing(glyph)) this.#reduce(at, block)
      else this.#source(at, block)
    }
  }

  #load(
    register: number,
    field: number,
    cells: TileCells,
    window: TileWindow,
    row: number,
    block: Block,
  ): void {
    const to = this.#registers.numbers[register]!
    const index = this.#columnOf(field)
    const one = cells.valueOf(index)
    if (one !== undefined) {
      to.fill(one, 0, block.cells)
      return
    }
    const load = LOADS[this.#typeOf(field)]
    const column = cells.column(index) as never
    const { left, top, w, stride } = window
    if (w === stride) load(to, 0, column, (top + row) * stride, block.cells)
    else {
      for (let at = 0, y = top + row; at < block.cells; at += w, y++) {
        load(to, at, column, y * stride + left, w)
      }
    }
  }

  #store(
    field: number,
    register: number,
    condition: number,
    cells: TileCells,
    window: TileWindow,
    row: number,
    block: Block,
  ): void {
    const registers = this.#registers
    const from =
      condition === NONE
        ? registers.numbers[register]!
        : registers.masked(register, condition, block.cells)
    if (from === undefined) return
    const type = this.#typeOf(field)
    const index = this.#columnOf(field)
    const taken = this.#taken.get(field)
    let written = 0
    if (block.times > 1) {
      const value = storedAs(type, from)
      if (value === undefined) return
      cells.fill(index, value)
      written = block.times
    } else {
      const store = STORES[type]
      const column = cells.column(index) as never
      const { left, top, w, stride } = window
      if (w === stride) written = store(column, (top + row) * stride, from, 0, block.cells)
      else {
        for (let at = 0, y = top + row; at < block.cells; at += w, y++) {
          written += store(column, y * stride + left, from, at, w)
        }
      }
    }
    if (taken !== undefined) written = block.times * takeMore(taken, from, block.cells)
    this.written.set(field, this.written.get(field)! + written)
  }

  /** Glyphs that make numbers of the block's place, of the pool, or of neighbours. */
  #source(at: number, block: Block): void {
    const instructions = this.#instructions
    const { numbers } = this.#registers
    const to = numbers[instructions[at + RESULT]!]!
    const operand = instructions[at + OPERAND]!
    const { x, y, width, cells, ids, gridWidth } = block
    switch (instructions[at + GLYPH]) {
      case CONST:
        to.fill(this.#program.pool[operand]!)
        break
      case X:
        if (ids) for (let i = 0; i < cells; i++) to[i] = ids[i]! % gridWidth
        else for (let i = 0; i < cells; i++) to[i] = x + (i % width)
        break
      case Y:
        if (ids) for (let i = 0; i < cells; i++) to[i] = Math.floor(ids[i]! / gridWidth)
        else for (let i = 0; i < cells; i++) to[i] = y + Math.floor(i / width)
        break
      case LOOK: {
        const { pool } = this.#program
        const from = numbers[instructions[at + A]!]!
        const length = instructions[at + B]!
        for (let i = 0; i < cells; i++) {
          const index = Math.floor(from[i]!)
          to[i] = index >= 0 && index < length ? pool[operand + index]! : Number.NaN
        }
        break
      }
      case NEAR: {
        const near = this.#neighbours!
        const from = near.numbersOf(operand)
        const dx = instructions[at + A]! - NEAR_ZERO
        const dy = instructions[at + B]! - NEAR_ZERO
        let start = (y + dy - near.y) * near.stride + (x + dx - near.x)
        for (let row = 0; row < cells; row += width, start += near.stride) {
          for (let i = 0; i < width; i++) to[row + i] = from[start + i]!
        }
      }
    }
  }

  #reduce(at: number, block: Block): void {
    const instructions = this.#instructions
    const { all, numbers, words } = this.#registers
    const values = all[instructions[at + A]!] as never
    const mask = all[instructions[at + B]!] as Mask
    const reduction = this.reductions[instructions[at + OPERAND]!]!
    if (isByClass(reduction)) reduction.add(values, mask, block, numbers[instructions[at + C]!]!)
    else reduction.add(values, mask, block, words[instructions[at + A]!]!)
  }
}

/** How many cells take a value that have not before; from now on they have. */
function takeMore(taken: Uint8Array, from: Float64Array, cells: number): number {
  let more = 0
  for (let i = 0; i < cells; i++) {
    if (taken[i] === 1 || Number.isNaN(from[i]!)) continue
    taken[i] = 1
    more++
  }
  return more
}
