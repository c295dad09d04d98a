/** A program that returns values of a region: counts, sums, extremes, histograms, the greatest, or columns themselves. */
import { FIELDS_MAX } from '../grid/fields.ts'
import { Interpreter } from '../osl/interpreter.ts'
import {
  faultOfPartial,
  mergedSlots,
  mergePartials,
  packPartial,
  packSlots,
  type ReadPartial,
  shapeValue,
  slotsOf,
} from '../osl/partials.ts'
import { ghostProgramOf } from './ghost.ts'
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
    const ghost = ghostSlotsIn(args) ?? []
    const columns = [...slotsIn(args), ...ghost].filter(({ name }) => name === 'show').length
    return TILE_ID_BYTES + columns * NUMBER_BYTES * geometry.tile ** 2
  },
  run(args, { fields, geometry }) {
    const { program, sound } = programOf(args, fields.length)
    if (sound.kind !== 'read') throw new Error('the program returns nothing')
    const interpreter = new Interpreter(program, sound, fields)
    const shadow = ghostProgramOf(args, 'read', fields.length)
    const ghost = shadow && new Interpreter(shadow.program, shadow.sound, fields)
    const tiles: number[] = []
    return {
      visit(cells, window) {
        tiles.push(window.tile)
        const { x, y } = geometry.tileRegion(window.tile)
        const place = { x, y, gridWidth: geometry.width }
        interpreter.run(cells, window, place)
        ghost?.run(cells, window, place)
      },
      finish: () => ({
        ...packPartial(tiles, interpreter.reductions),
        ...(ghost === undefined ? {} : { ghost: packSlots(ghost.reductions) }),
      }),
    }
  },
  faultOf: (partial, asked, context) =>
    faultOfPartial(partial, slotsIn(asked.args), asked, context),
  withSoundGhost(partial, asked, context) {
    const { ghost, ...rest } = partial as ShadowedPartial
    const slots = ghostSlotsIn(asked.args)
    if (ghost === undefined) return partial
    const isSound =
      slots !== undefined &&
      faultOfPartial({ ...rest, slots: ghost }, slots, asked, context) === undefined
    return isSound ? partial : rest
  },
  merge(left: ShadowedPartial, right: ShadowedPartial): ShadowedPartial {
    const merged = mergePartials(left, right)
    if (left.ghost === undefined || right.ghost === undefined) return merged
    return { ...merged, ghost: mergedSlots(left.ghost, right.ghost) }
  },
  finishGhost(rounds, args, region, context) {
    const { ghost, ...total } = rounds[0] as ShadowedPartial
    const shadow = ghostProgramOf(args, 'read')
    if (ghost === undefined || shadow === undefined) return undefined
    const slots = slotsOf(shadow.program)
    return shapeValue({ ...total, slots: ghost }, shadow.program, slots, region, context)
  },
  finish(rounds, args, region, context) {
    const { program } = programOf(args, context.fields.length)
    return shapeValue(rounds[0] as ReadPartial, program, slotsIn(args), region, context)
  },
}

/** With what its ghost came to, of the same tiles. */
interface ShadowedPartial extends ReadPartial {
  readonly ghost?: readonly Wire[]
}

function ghostSlotsIn(args: Wire) {
  const shadow = ghostProgramOf(args, 'read')
  return shadow && slotsOf(shadow.program)
}

function slotsIn(args: Wire) {
  return slotsOf(programOf(args, FIELDS_MAX).program)
}
