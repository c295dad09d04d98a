/** Which fields a write stores into, and whether status: what reads none of them says the same after it. */
import { FIELDS_MAX } from '../grid/fields.ts'
import { STATUS } from '../osl/codex.ts'
import type { FieldValues } from './field-values.ts'
import type { Wire, WriteOperation } from './operation.ts'
import { OSL_NEAR } from './osl-near.ts'
import { OSL_SCATTER, OSL_WRITE, programOf } from './osl-program.ts'
import { scale } from './scale.ts'

const PROGRAMS: readonly string[] = [OSL_WRITE, OSL_SCATTER, OSL_NEAR]

/** Indexes of fields, and `STATUS`. */
export function storedBy(operation: WriteOperation, args: Wire): readonly number[] | 'all' {
  if (PROGRAMS.includes(operation.name)) return programOf(args, FIELDS_MAX).sound.stores
  if (operation.name === scale.name) return [...(args as FieldValues).fields, STATUS]
  return operation.fieldsOf(args)
}
