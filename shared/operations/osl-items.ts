/**
 * A program that returns values of records: the data of each item is one, its columns one behind the other as
 * `record` names them, little-endian. The program reads them as the fields of a cell, 256 records at a time. Records
 * lie nowhere: it has no places, no neighbours and no status.
 */
import { type Column, createColumn, FIELD_BYTES, type Field, parseFields } from '../grid/fields.ts'
import { BLOCK_CELLS, STATUS } from '../osl/codex.ts'
import { Interpreter } from '../osl/interpreter.ts'
import { faultOfSlots, mergedSlots, packSlots, shapeSlots, slotsOf } from '../osl/partials.ts'
import type { OutputKind } from '../osl/program.ts'
import { areKeys, byKey } from './keyed-items.ts'
import type { ItemsOperation, TileCells, Wire } from './operation.ts'
import { type CheckedProgram, OSL_ITEMS, type ProgramArgs, programOf } from './osl-program.ts'

export interface ItemsProgramArgs extends ProgramArgs {
  /** The columns of a record, `name:type,…`. */
  readonly record: string
}

interface ItemsPartial extends Wire {
  readonly keys: readonly string[]
  readonly slots: readonly Wire[]
}

/** What they name is a place, and a record has none. */
const OF_PLACES: readonly OutputKind[] = ['argmin', 'argmax', 'top']

/** Why a sound program cannot run over records. */
export function misfitOfItems({ program, sound }: CheckedProgram): string | undefined {
  if (sound.kind !== 'read') return 'a program over items returns values: it sets no field'
  const { loads, isAlike } = sound
  if (!isAlike) return 'items have no place: no x, y, random or neighbours'
  if (loads.includes(STATUS)) return 'items have no status'
  const ofPlace = program.outputs.find(({ kind }) => OF_PLACES.includes(kind))
  return ofPlace && `${ofPlace.kind} names a place, and items have none`
}

export function recordBytes(fields: readonly Field[]): number {
  return fields.reduce((sum, { type }) => sum + FIELD_BYTES[type], 0)
}

interface Asked extends CheckedProgram {
  readonly fields: readonly Field[]
}

function askedBy(args: Wire): Asked {
  const parsed = parseFields(String((args as Partial<ItemsProgramArgs>).record))
  if ('problems' in parsed) throw new Error(parsed.problems[0])
  const { fields } = parsed
  const checked = programOf(args, fields.length)
  const misfit = misfitOfItems(checked)
  if (misfit !== undefined) throw new Error(misfit)
  return { ...checked, fields }
}

export const oslItems: ItemsOperation = {
  kind: 'items',
  name: OSL_ITEMS,
  about: { does: 'runs a program that returns values of records', args: [] },
  parse: () => ({ ok: false, problems: [] }),
  run(args) {
    const { program, sound, fields } = askedBy(args)
    const interpreter = new Interpreter(program, sound, fields)
    const keys: string[] = []
    let records = new Records(fields)
    const flush = (): void => {
      const h = records.lsus
      if (h === 0) return
      const window = { tile: 0, stride: 1, left: 0, top: 0, w: 1, h }
      interpreter.run(records, window, { x: 0, y: 0, gridWidth: 1 })
      records = new Records(fields)
    }
    return {
      visit(key, bytes) {
        keys.push(key)
        records.add(bytes)
        if (records.lsus === BLOCK_CELLS) flush()
      },
      finish(): ItemsPartial {
        flush()
        return { keys, slots: packSlots(interpreter.reductions) }
      },
    }
  },
  faultOf(partial, asked, args) {
    const { keys, slots } = partial as Partial<ItemsPartial>
    if (!areKeys(keys, asked)) return 'it is not of the items that were asked for'
    const { length } = asked
    return faultOfSlots(slots, slotsOf(askedBy(args).program), { asked: length, grid: length })
  },
  merge(left, right) {
    const [a, b] = [left as ItemsPartial, right as ItemsPartial]
    return {
      keys: [...a.keys, ...b.keys],
      slots: mergedSlots(a.slots, b.slots),
    } satisfies ItemsPartial
  },
  finish(total, args) {
    const { program } = askedBy(args)
    const { keys, slots } = total as ItemsPartial
    return shapeSlots(slots, program.outputs, slotsOf(program), {
      shown: (values) => byKey(keys, (index) => values[index]),
      pointOf: () => undefined,
    })
  },
}

/** A block of records, as cells. */
class Records implements TileCells {
  lsus = 0
  readonly status = new Uint8Array(0)
  readonly #fields: readonly Field[]
  readonly #bytes: number
  readonly #columns: readonly Column[]

  constructor(fields: readonly Field[]) {
    this.#fields = fields
    this.#bytes = recordBytes(fields)
    this.#columns = fields.map(({ type }) => createColumn(type, BLOCK_CELLS))
  }

  add(bytes: Uint8Array): void {
    const { buffer, byteOffset, length } = bytes
    if (length !== this.#bytes) {
      throw new RangeError(`an item has ${length} bytes, a record ${this.#bytes}`)
    }
    const view = new DataView(buffer, byteOffset, length)
    let at = 0
    for (const [index, { type }] of this.#fields.entries()) {
      this.#columns[index]![this.lsus] = numberIn(view, type, at)
      at += FIELD_BYTES[type]
    }
    this.lsus += 1
  }

  column(index: number): Column {
    return this.#columns[index]!
  }

  valueOf(): undefined {
    return undefined
  }

  fill(index: number, value: number): void {
    this.#columns[index]!.fill(value)
  }
}

function numberIn(view: DataView, type: Field['type'], at: number): number {
  switch (type) {
    case 'u8':
      return view.getUint8(at)
    case 'i32':
      return view.getInt32(at, true)
    case 'f32':
      return view.getFloat32(at, true)
    case 'f64':
      return view.getFloat64(at, true)
  }
}
