/**
 * The text of a program of the codex, compiled: for the cells of the grid, or, where it comes with columns, for records
 * of items. What it is written for is part of it: the same text for other columns is another version.
 */
import { columnsIn } from '../../../shared/operations/items-program.ts'
import { misfitOfItems } from '../../../shared/operations/osl-items.ts'
import { problemOf } from '../../../shared/operations/program.ts'
import { compileSound, type SoundSource } from '../../../shared/osl/checked-source.ts'
import type { OslGrid } from '../../../shared/osl/compiler.ts'
import type { Parsed } from '../../../shared/protocol/problems.ts'

export interface WrittenProgram {
  readonly source: string
  /** Of one over items: what a record has. */
  readonly columns?: string
}

export function compileWritten(
  { source, columns }: WrittenProgram,
  grid: OslGrid,
  path: string,
): Parsed<SoundSource> {
  const named = columns === undefined ? undefined : columnsIn(columns, 'columns')
  if (named?.ok === false) return named
  const fields = named?.value ?? grid.fields
  const result = compileSound(source, { ...grid, fields })
  if (!result.ok) {
    return { ok: false, problems: result.problems.map((one) => problemOf(source, one, path)) }
  }
  const message = named && misfitOfItems(result.compiled)
  if (message === undefined) return { ok: true, value: result.compiled }
  return { ok: false, problems: [{ path, code: 'not-allowed', message }] }
}
