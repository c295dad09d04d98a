/** A program that returns values of a region: counts, sums, extremes, histograms, the greatest, or columns themselves. */
import { FIELDS_MAX } from '../grid/fields.ts'
import { Interpreter } from '../osl/interpreter.ts'
import {
  faultOfPartial,
  mergePartials,
  packPartial,
  type ReadPartial,
  shapeValue,
  slotsOf,
} from '../osl/partials.ts'
import { type ReadOperation, TILE_ID_BYTES, type Wire } from './operation.ts'
import { fieldsOfProgram, OSL_READ, programOf } from './osl-program.ts'

const NUMBER_BYTES = 8

export const oslRead: ReadOperation = {
  kind: 'read',
  name: OSL_READ,
  about: { does: 'runs a program that returns values', args: [] },
  parse: () => ({ ok: false, problems: [] }),
  fieldsOf: (args) => fieldsOfProgram(programOf(args, FIELDS_MAX)),
  resultBytesPerTile(args, { geometry }) {
    const columns = slotsIn(args).filter(({ name }) => name === 'show').length
    return TILE_ID_BYTES + columns * NUMBER_BYTES * geometry.tile ** 2
  },
  run(args, { fields, geometry }) {
    const { program, sound } = programOf(args, fields.length)
    if (sound.kind !== 'read') throw new Error('the program returns nothing')
    const interpreter = new Interpreter(program, sound, fields)
    const tiles: number[] = []
    return {
      visit(cells, window) {
        tiles.push(window.tile)
        const { x, y } = geometry.tileRegion(window.tile)
        interpreter.run(cells, window, { x, y, gridWidth: geometry.width })
      },
      finish: () => packPartial(tiles, interpreter.reductions),
    }
  },
  faultOf: (partial, asked, context) =>
    faultOfPartial(partial, slotsIn(asked.args), asked, context),
  merge: (left, right) => mergePartials(left as ReadPartial, right as ReadPartial),
  finish(rounds, args, region, context) {
    const { program } = programOf(args, context.fields.length)
    return shapeValue(rounds[0] as ReadPartial, program, slotsIn(args), region, context)
  },
}

function slotsIn(args: Wire) {
  return slotsOf(programOf(args, FIELDS_MAX).program)
}
