/**
 * What a node answers of a reading program, and what becomes of it on the gateway: partial results of each slot join in
 * any order to the same bits, and are shaped into the outputs' values at the end. Those that come from outside are
 * checked against what was asked for.
 */

import type { Region } from '../grid/geometry.ts'
import { areTiles, concatBytes, packTiles } from '../operations/columns.ts'
import type { AskedTiles, GridContext, Wire } from '../operations/operation.ts'
import {
  type ClassesPartial,
  isSoundByClass,
  mergedByClass,
  packedByClass,
  shapeByClass,
} from './class-partials.ts'
import { type ClassReduction, isByClass } from './class-reductions.ts'
import { CLASSES_MAX, glyphOf, isReducing, NONE } from './codex.ts'
import { MICROGLYPH_BYTES, microglyphAt, type Program } from './program.ts'
import type { Reduction } from './reductions.ts'
import {
  isSound,
  merged,
  type Over,
  overGrid,
  packed,
  type Slot,
  shapeOutput,
} from './slot-partials.ts'

/** `slots` in ascending order of their numbers; `tiles` in the order in which windows of `show` follow each other. */
export interface ReadPartial extends Wire {
  readonly tiles: Uint8Array
  readonly slots: readonly Wire[]
}

/** The slots of a sound program, ascending. */
export function slotsOf({ code, pool }: Program): Slot[] {
  const slots: Slot[] = []
  for (let index = 0; index < code.length / MICROGLYPH_BYTES; index++) {
    const { glyph, operand, c } = microglyphAt(code, index)
    if (!isReducing(glyph)) continue
    const { name, takes } = glyphOf(glyph)!
    const length = name === 'histogram' ? 3 : name === 'top' ? 1 : 0
    const constants = [...pool.subarray(c, c + length)]
    slots.push({ number: operand, name, constants, isByClass: takes[2] === 'n' && c !== NONE })
  }
  return slots.sort((left, right) => left.number - right.number)
}

/** The most that a class takes of a partial result, bytes: a sum of numbers of all sizes there are has 800 bytes. */
const CLASS_BYTES: ReadonlyMap<string, number> = new Map([
  ['count', 40],
  ['span', 72],
  ['sum', 880],
])

/** The most that results by class take of a part's partial result, bytes; with few sizes of numbers a tenth of it. */
export function classBytesOf(slots: readonly Slot[]): number {
  const byClass = slots.filter(({ isByClass }) => isByClass)
  return byClass.reduce((sum, { name }) => sum + CLASSES_MAX * CLASS_BYTES.get(name)!, 0)
}

/** What all else takes of it, whatever its tiles. */
export function fixedBytesOf(slots: readonly Slot[]): number {
  return slots.reduce((sum, { name, constants, isByClass }) => {
    if (isByClass) return sum
    if (name === 'histogram') return sum + 8 * constants[2]! + 64
    return sum + (name === 'top' ? 12 * constants[0]! + 64 : 640)
  }, 0)
}

export function packPartial(
  tiles: readonly number[],
  reductions: readonly (Reduction | ClassReduction)[],
): ReadPartial {
  return { tiles: packTiles(tiles), slots: packSlots(reductions) }
}

export function packSlots(reductions: readonly (Reduction | ClassReduction)[]): Wire[] {
  // Sparse, by slot: `filter` leaves out what is not there.
  return reductions
    .filter(() => true)
    .map((reduction) => {
      return isByClass(reduction) ? packedByClass(reduction) : packed(reduction)
    })
}

/** Why a partial result is not one of what was asked for. */
export function faultOfPartial(
  partial: Wire,
  slots: readonly Slot[],
  asked: AskedTiles,
  { geometry }: GridContext,
): string | undefined {
  const { tiles, slots: given } = partial as Partial<ReadPartial>
  if (!areTiles(tiles, asked.tiles)) return 'it is not of the tiles that were asked for'
  return faultOfSlots(given, slots, { asked: asked.lsus, grid: geometry.width * geometry.height })
}

/** Why these are not the partial results of the slots of a program. */
export function faultOfSlots(
  given: unknown,
  slots: readonly Slot[],
  lsus: { asked: number; grid: number },
): string | undefined {
  if (!Array.isArray(given) || given.length !== slots.length) return 'it has other outputs'
  for (const [index, slot] of slots.entries()) {
    const one: unknown = given[index]
    const isMap = typeof one === 'object' && one !== null
    const isRight = slot.isByClass ? isSoundByClass : isSound
    if (!isMap || !isRight(one as Wire, slot, lsus)) return `its ${slot.name} is none`
  }
  return undefined
}

export function mergePartials(left: ReadPartial, right: ReadPartial): ReadPartial {
  return {
    tiles: concatBytes([left.tiles, right.tiles]),
    slots: mergedSlots(left.slots, right.slots),
  }
}

export function mergedSlots(left: readonly Wire[], right: readonly Wire[]): Wire[] {
  return left.map((slot, index) => {
    const other = right[index]!
    const isOfClasses = 'classes' in slot
    if (!isOfClasses) return merged(slot, other)
    return mergedByClass(slot as ClassesPartial, other as ClassesPartial)
  })
}

/** The value of a read: each output by its name, in their order. */
export function shapeValue(
  total: ReadPartial,
  { outputs }: Program,
  slots: readonly Slot[],
  region: Region,
  context: GridContext,
): Record<string, unknown> {
  return shapeSlots(total.slots, outputs, slots, overGrid(total.tiles, region, context))
}

export function shapeSlots(
  partials: readonly Wire[],
  outputs: Program['outputs'],
  slots: readonly Slot[],
  over: Over,
): Record<string, unknown> {
  const index = new Map(slots.map(({ number }, at) => [number, at]))
  const shaped = outputs.map(({ name, kind, slot: number }) => {
    const at = index.get(number)!
    const [slot, partial] = [slots[at]!, partials[at]!]
    const value = slot.isByClass
      ? shapeByClass(kind, slot, partial as ClassesPartial, over)
      : shapeOutput(kind, slot, partial, over)
    return [name, value] as const
  })
  return Object.fromEntries(shaped)
}
