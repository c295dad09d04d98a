/**
 * LSUs of a tile that are named one by one, as cells of their own: one column of them, in the order of their ids, and
 * behind the status what was brought along for each. What is looked at is copied; what was changed is put back.
 */
import { type Column, createColumn, type Field } from '../grid/fields.ts'
import type { TileCells } from './operation.ts'

export class ListedCells implements TileCells {
  readonly #cells: TileCells
  readonly #places: Uint32Array
  readonly #fields: readonly Field[]
  readonly #brought: readonly Float64Array[]
  readonly #copied: (Column | undefined)[] = []

  /** `places`: where each of them stands in its tile. */
  constructor(
    cells: TileCells,
    places: Uint32Array,
    fields: readonly Field[],
    brought: readonly Float64Array[],
  ) {
    this.#cells = cells
    this.#places = places
    this.#fields = fields
    this.#brought = brought
  }

  get lsus(): number {
    return this.#places.length
  }

  get status(): Uint8Array {
    return this.column(this.#fields.length) as Uint8Array
  }

  column(index: number): Column {
    const known = this.#brought[index - this.#fields.length - 1] ?? this.#copied[index]
    if (known !== undefined) return known
    const copy = createColumn(this.#fields[index]?.type ?? 'u8', this.lsus)
    this.#copied[index] = copy
    const one = this.#cells.valueOf(index)
    if (one !== undefined) return copy.fill(one)
    const column = this.#cells.column(index)
    for (let at = 0; at < copy.length; at++) copy[at] = column[this.#places[at]!]!
    return copy
  }

  valueOf(index: number): number | undefined {
    const isOwn = index > this.#fields.length || this.#copied[index] !== undefined
    return isOwn ? undefined : this.#cells.valueOf(index)
  }

  fill(index: number, value: number): void {
    this.column(index).fill(value)
  }

  putBack(index: number): void {
    const copy = this.column(index)
    const column = this.#cells.column(index)
    for (let at = 0; at < copy.length; at++) column[this.#places[at]!] = copy[at]!
  }
}
