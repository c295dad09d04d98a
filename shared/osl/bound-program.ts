/** A compiled program with numbers for its parameters. */
import type { Compiled } from './compiler.ts'
import type { Program } from './program.ts'

/** Every `$name` of the program, and no other, must have a finite number; who calls has checked that. */
export function bind(
  { program, parameters }: Compiled,
  values: ReadonlyMap<string, number>,
): Program {
  if (parameters.size === 0) return program
  const pool = program.pool.slice()
  for (const [name, places] of parameters) {
    const value = values.get(name)!
    for (const place of places) pool[place] = value === 0 ? 0 : value
  }
  return { ...program, pool }
}
