/** Runs a property of fast-check on the seed of this run; a failure prints it. */
import fc from 'fast-check'
import type { Test } from 'tap'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
// A `maxLength` is meant: by default lists are far shorter.
fc.configureGlobal({ defaultSizeToMaxWhenMaxSpecified: true })

export function check(t: Test, property: fc.IRawProperty<unknown>, numRuns = 100): void {
  t.comment(`SEED=${seed}`)
  fc.assert(property as fc.IProperty<unknown>, { seed, numRuns })
  t.pass(`${numRuns} runs`)
}

/** The same for a property that has to wait, as for a disk. */
export async function checkAsync(
  t: Test,
  property: fc.IAsyncProperty<unknown>,
  numRuns = 30,
): Promise<void> {
  t.comment(`SEED=${seed}`)
  await fc.assert(property, { seed, numRuns })
  t.pass(`${numRuns} runs`)
}
