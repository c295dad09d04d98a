import { own } from '../../../shared/core/own.ts'
import { REMEDIES } from './manual.ts'

export interface Remedy {
  readonly meaning: string
  readonly remedy: string
}

/** What a code means and what helps, where the manual says so. */
export function remedyOf(code: string): Remedy | undefined {
  const [meaning, remedy] = own(REMEDIES, code) ?? []
  return meaning === undefined || remedy === undefined ? undefined : { meaning, remedy }
}
