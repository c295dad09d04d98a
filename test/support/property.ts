/** Runs a property of fast-check from the seed of this run, which a failure prints. */
import fc from 'fast-check'
import type { Test } from 'tap'

const seed = Number(process.env.SEED ?? 1)

export function check(t: Test, property: fc.IRawProperty<unknown>, numRuns = 100): void {
  fc.assert(property as fc.IProperty<unknown>, { seed, numRuns })
  t.pass(`${numRuns} runs from seed ${seed}`)
}
