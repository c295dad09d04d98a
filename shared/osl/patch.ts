/**
 * A patch of the grid to run a program on that reads neighbours: some cells of a tile and those around them, as columns
 * of their types; and the numbers that neighbours are read of, as they were before the step. Both are made once and
 * used for one tile after the other, so that the cells of the tile itself change at the end alone.
 */
import { type Column, createColumn, type Field } from '../grid/fields.ts'
import type { Region } from '../grid/geometry.ts'
import type { TileCells } from '../operations/operation.ts'
import type { Neighbours } from './interpreter.ts'
import { LOADS } from './stores.ts'

export class Patch implements TileCells {
  /** In coordinates of the grid. */
  region: Region = { x: 0, y: 0, w: 0, h: 0 }
  readonly #fields: readonly Field[]
  readonly #cells: number
  readonly #columns: Column[] = []

  /** `cells` is how many it has at the most. */
  constructor(fields: readonly Field[], cells: number) {
    this.#fields = fields
    this.#cells = cells
  }

  get lsus(): number {
    return this.region.w * this.region.h
  }

  get status(): Uint8Array {
    return this.column(this.#fields.length) as Uint8Array
  }

  column(index: number): Column {
    const type = this.#fields[index]?.type ?? 'u8'
    this.#columns[index] ??= createColumn(type, this.#cells)
    return this.#columns[index]
  }

  valueOf(): undefined {
    return undefined
  }

  fill(index: number, value: number): void {
    this.column(index).fill(value)
  }

  placeOf(x: number, y: number): number {
    return (y - this.region.y) * this.region.w + (x - this.region.x)
  }
}

/** What a step reads of neighbours: the patch, and missing numbers where it would reach beyond the grid. */
export class Surroundings implements Neighbours {
  x = 0
  y = 0
  stride = 0
  readonly #fields: readonly Field[]
  readonly #numbers = new Map<number, Float64Array>()

  constructor(fields: readonly Field[], nears: readonly number[], cells: number) {
    this.#fields = fields
    for (const field of nears) this.#numbers.set(field, new Float64Array(cells))
  }

  numbersOf(field: number): Float64Array {
    return this.#numbers.get(field)!
  }

  /** Takes the patch as it is; `outer` is the same rectangle, beyond the grid, too. */
  take(patch: Patch, outer: Region): void {
    const { x, y, w, h } = patch.region
    this.x = outer.x
    this.y = outer.y
    this.stride = outer.w
    for (const [field, numbers] of this.#numbers) {
      if (w * h < outer.w * outer.h) numbers.fill(Number.NaN, 0, outer.w * outer.h)
      const load = LOADS[this.#fields[field]!.type]
      const column = patch.column(field) as never
      for (let row = 0; row < h; row++) {
        load(numbers, (y + row - outer.y) * outer.w + (x - outer.x), column, row * w, w)
      }
    }
  }
}
