/**
 * What a program computes, as values in the order in which they are: each a glyph of earlier values. Equal ones are
 * one, and what constants alone make is a constant, but never an infinite one. Parameters keep a place of their own in
 * the pool, so that the same code runs with other numbers.
 */

import { floorMod } from './arithmetic.ts'
import { type Bank, FIRST_COLUMN, glyphOf, numberOf } from './codex.ts'
import { ELEMENTARY } from './elementary.ts'

export interface Value {
  readonly glyph: number
  /** Registers that it takes: indexes of earlier values. */
  readonly args: readonly number[]
  readonly operand: number
  /** What stands in place of a register: of `near`, `look`, `histogram`, `top`. */
  readonly a?: number
  readonly b?: number
  readonly c?: number
  /** The class of a cell, of what is returned by class: a value as well. */
  readonly by?: number | undefined
}

/** The values that a value is made of. */
export function usedBy({ args, by }: Value): readonly number[] {
  return by === undefined ? args : [...args, by]
}

const FOLDED: ReadonlyMap<string, (left: number, right: number) => number> = new Map([
  ['add', (left, right) => left + right],
  ['sub', (left, right) => left - right],
  ['mul', (left, right) => left * right],
  ['div', (left, right) => (right === 0 ? Number.NaN : left / right)],
  ['mod', floorMod],
  ['sqrt', Math.sqrt],
  ['floor', Math.floor],
  ['abs', Math.abs],
  ...ELEMENTARY,
] as [string, (left: number, right: number) => number][])

export class ValueGraph {
  readonly values: Value[] = []
  readonly pool: number[] = []
  /** Places in the pool, by the parameter that goes there. */
  readonly parameters = new Map<string, number[]>()
  /** Places of constants, by their value. */
  readonly #places = new Map<number, number>()
  readonly #known = new Map<string, number>()

  bankOf(value: number): Bank | undefined {
    return glyphOf(this.values[value]!.glyph)!.gives
  }

  /** A value that depends on its arguments alone, or on `state`, which tells apart what a field held when. */
  emit(
    name: string,
    args: readonly number[],
    more: { operand?: number; a?: number; b?: number } = {},
    state = 0,
  ): number {
    const glyph = numberOf(name)
    const key = `${glyph} ${args.join()} ${more.operand} ${more.a} ${more.b} ${state}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const value = this.#folded(name, args) ?? this.#add({ glyph, args, operand: 0, ...more })
    this.#known.set(key, value)
    return value
  }

  /** One that acts: never shared, never left out. */
  act(
    name: string,
    args: readonly number[],
    more: { operand: number; c?: number; by?: number | undefined },
  ): void {
    this.#add({ glyph: numberOf(name), args, ...more })
  }

  constant(value: number): number {
    // The bits of a NaN that the processor made are its own affair; the pool has one.
    const held = value === 0 ? 0 : Number.isNaN(value) ? Number.NaN : value
    let place = this.#places.get(held)
    if (place === undefined) {
      place = this.#append([held])
      this.#places.set(held, place)
    }
    return this.emit('const', [], { operand: place })
  }

  /** A parameter that is one of `columns` has a number for each cell. */
  parameter(name: string, columns: readonly string[] = []): number {
    const column = columns.indexOf(name)
    if (column >= 0) return this.emit('field', [], { operand: FIRST_COLUMN + column })
    const known = this.parameters.get(name)?.[0]
    return this.emit('const', [], { operand: known ?? this.#appendParameter(name) })
  }

  /** A table's numbers, one behind the other; where they begin. */
  table(values: readonly number[]): number {
    return this.#append(values.map((value) => (value === 0 ? 0 : value)))
  }

  /** Constants one behind the other, which parameters may be; where they begin. */
  run(values: readonly number[]): number {
    const at = this.pool.length
    for (const value of values) {
      const place = this.values[value]!.operand
      const name = this.#nameAt(place)
      if (name === undefined) this.#append([this.pool[place]!])
      else this.#appendParameter(name)
    }
    return at
  }

  /** The place in the pool of a value that is a constant or a parameter. */
  placeOf(value: number): number | undefined {
    const { glyph, operand } = this.values[value]!
    return glyph === numberOf('const') ? operand : undefined
  }

  /** The number that a value is, if it is known. */
  constantOf(value: number): number | undefined {
    const place = this.placeOf(value)
    return place === undefined || this.#nameAt(place) !== undefined ? undefined : this.pool[place]
  }

  #nameAt(place: number): string | undefined {
    for (const [name, places] of this.parameters) if (places.includes(place)) return name
    return undefined
  }

  #appendParameter(name: string): number {
    const place = this.#append([0])
    const places = this.parameters.get(name)
    if (places === undefined) this.parameters.set(name, [place])
    else places.push(place)
    return place
  }

  #append(values: readonly number[]): number {
    const at = this.pool.length
    this.pool.push(...values)
    return at
  }

  #add(value: Value): number {
    return this.values.push(value) - 1
  }

  #folded(name: string, args: readonly number[]): number | undefined {
    const fold = FOLDED.get(name)
    if (fold === undefined) return undefined
    const [left, right = 0, ...rest] = args.map((arg) => this.constantOf(arg))
    const isKnown = left !== undefined && args.every((arg) => this.constantOf(arg) !== undefined)
    if (!isKnown || rest.length > 0) return undefined
    const result = fold(left, right)
    if (result === Number.POSITIVE_INFINITY || result === Number.NEGATIVE_INFINITY) return undefined
    return this.constant(result)
  }
}
