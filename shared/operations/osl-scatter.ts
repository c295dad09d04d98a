/**
 * A program that sets fields of LSUs that are named one by one. A parameter of it may be a column: a number for each of
 * them, which the program loads as if it were a field of theirs. A part carries the numbers of its tiles.
 */
import { columnFromBytes, FIELDS_MAX } from '../grid/fields.ts'
import { STATUS } from '../osl/codex.ts'
import { Interpreter } from '../osl/interpreter.ts'
import { ListedCells } from './listed-cells.ts'
import { cellOf, cutToTiles, mostInTile, runOfTile, unpackIds } from './named-lsus.ts'
import type { WriteOperation } from './operation.ts'
import { fieldsOfProgram, OSL_SCATTER, type ProgramArgs, programOf } from './osl-program.ts'

export interface ScatterProgramArgs extends ProgramArgs {
  /** Packed, in their order. */
  readonly ids: Uint8Array
  readonly columns: number
  /** Doubles, little-endian: all columns of an LSU, then those of the next. */
  readonly values: Uint8Array
}

export const oslScatter: WriteOperation = {
  kind: 'write',
  name: OSL_SCATTER,
  about: { does: 'runs a program that sets fields on single LSUs', args: [] },
  parse: () => ({ ok: false, problems: [] }),
  fieldsOf: (args) => fieldsOfProgram(programOf(args, FIELDS_MAX)),
  storesOf: (args) => programOf(args, FIELDS_MAX).sound.stores,
  idsOf: (args) => unpackIds((args as ScatterProgramArgs).ids),
  argumentBytesPerTile(args, { geometry }, tiles) {
    const { ids, columns } = args as ScatterProgramArgs
    const each = Uint32Array.BYTES_PER_ELEMENT + valueBytes(columns)
    return each * mostInTile(unpackIds(ids), tiles, geometry)
  },
  cut(args, _region, tiles, { geometry }) {
    const whole = args as ScatterProgramArgs
    const { ids, columns, values } = whole
    const cut = cutToTiles({ ids, beside: values, each: valueBytes(columns) }, tiles, geometry)
    return { ...whole, ids: cut.ids, values: cut.beside } satisfies ScatterProgramArgs
  },
  run(args, { fields, geometry }) {
    const { ids: packed, columns, values } = args as ScatterProgramArgs
    const { program, sound } = programOf(args, fields.length)
    if (sound.kind !== 'write') throw new Error('the program stores nothing')
    if (sound.reach > 0) throw new Error('the program reads neighbours')
    const ids = unpackIds(packed)
    const numbers = columnFromBytes('f64', values) as Float64Array
    if (numbers.length !== ids.length * columns) {
      throw new RangeError('args has not one value of each column for each id')
    }
    const interpreter = new Interpreter(program, sound, fields)
    return {
      act(cells, { tile }) {
        const own = geometry.tileRegion(tile)
        const { from, end } = runOfTile(ids, tile, geometry)
        const named = ids.subarray(from, end)
        const places = named.map((id) => cellOf(id, own, geometry))
        const brought = columnsOf(numbers.subarray(from * columns, end * columns), columns)
        const listed = new ListedCells(cells, places, fields, brought)
        const window = { tile, stride: 1, left: 0, top: 0, w: 1, h: named.length }
        interpreter.run(listed, window, { x: 0, y: 0, gridWidth: geometry.width, ids: named })
        for (const field of sound.stores) {
          if (interpreter.written.get(field) === 0) continue
          listed.putBack(field === STATUS ? fields.length : field)
        }
      },
      written: () => interpreter.counts,
      countIn({ tile }) {
        const { from, end } = runOfTile(ids, tile, geometry)
        return end - from
      },
    }
  },
}

function valueBytes(columns: number): number {
  return columns * Float64Array.BYTES_PER_ELEMENT
}

function columnsOf(numbers: Float64Array, columns: number): Float64Array[] {
  return Array.from({ length: columns }, (_, column) => {
    const own = new Float64Array(numbers.length / columns)
    for (let at = 0; at < own.length; at++) own[at] = numbers[at * columns + column]!
    return own
  })
}
