/** Which fields a write stores into, and whether status: what reads none of them says the same after it. */
import { FIELDS_MAX } from '../grid/fields.ts'
import { STATUS } from '../osl/codex.ts'
import type { FieldValues } from './field-values.ts'
import type { Wire, WriteOperation } from './operation.ts'
import { OSL_SCATTER, OSL_WRITE, programOf } from './osl-program.ts'
import { scale } from './scale.ts'

/** Indexes of fields, and `STATUS`. */
export function storedBy(operation: WriteOperation, args: Wire): readonly number[] | 'all' {
  const isProgram = operation.name === OSL_WRITE || operation.name === OSL_SCATTER
  if (isProgram) return programOf(args, FIELDS_MAX).sound.stores
  if (operation.name === scale.name) return [...(args as FieldValues).fields, STATUS]
  return operation.fieldsOf(args)
}
