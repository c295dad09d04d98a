/** Which fields a write stores into, and whether status: what reads none of them says the same after it. */
import { STATUS } from '../osl/codex.ts'
import type { FieldValues } from './field-values.ts'
import type { Wire, WriteOperation } from './operation.ts'
import { scale } from './scale.ts'

/** Indexes of fields, and `STATUS`. */
export function storedBy(operation: WriteOperation, args: Wire): readonly number[] | 'all' {
  const stores = operation.storesOf?.(args)
  if (stores !== undefined) return stores
  if (operation.name === scale.name) return [...(args as FieldValues).fields, STATUS]
  return operation.fieldsOf(args)
}
