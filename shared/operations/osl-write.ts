/** A program that sets fields, over every LSU of the region: each cell by itself, as it is at that place in the order. */
import { FIELDS_MAX } from '../grid/fields.ts'
import { Interpreter } from '../osl/interpreter.ts'
import { GhostWrite, ghostIn, ghostProgramOf } from './ghost.ts'
import type { WriteOperation } from './operation.ts'
import { fieldsOfProgram, OSL_WRITE, programOf } from './osl-program.ts'

export const oslWrite: WriteOperation = {
  kind: 'write',
  name: OSL_WRITE,
  about: { does: 'runs a program that sets fields', args: [] },
  parse: () => ({ ok: false, problems: [] }),
  fieldsOf: (args) => fieldsOfProgram(programOf(args, FIELDS_MAX)),
  storesOf: (args) => programOf(args, FIELDS_MAX).sound.stores,
  argumentBytesPerTile: () => 0,
  cut: (args) => args,
  run(args, context) {
    const { fields, geometry } = context
    const { program, sound } = programOf(args, fields.length)
    if (sound.kind !== 'write') throw new Error('the program stores nothing')
    const interpreter = new Interpreter(program, sound, fields)
    const shadow = ghostProgramOf(args, 'write', fields.length)
    const tolerance = ghostIn(args)?.tolerance ?? 0
    const ghost = shadow && new GhostWrite(shadow, sound, tolerance, context)
    const isAlike = sound.isAlike && shadow?.sound.isAlike !== false
    return {
      ...(isAlike ? { isAlike } : {}),
      ...(ghost === undefined ? {} : { ghost }),
      act(cells, window) {
        const { x, y } = geometry.tileRegion(window.tile)
        interpreter.run(cells, window, { x, y, gridWidth: geometry.width })
      },
      written: () => interpreter.counts,
    }
  },
}
