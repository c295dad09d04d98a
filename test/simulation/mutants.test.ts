/** Every mutant of test/support/mutants.ts is caught by the simulator, or it proves nothing. */
import t from 'tap'
import { MUTANT_SEEDS_MAX, MUTANTS, slugOf } from '../support/mutants.ts'
import { runSeeds } from '../support/seed-runs.ts'

// A busy machine may take some minutes over all of them.
t.setTimeout(600_000)

const SEEDS_MAX = Number(process.env.SEEDS ?? MUTANT_SEEDS_MAX)

for (const mutant of MUTANTS) {
  t.test(`caught: ${mutant.name}`, async (t) => {
    const range = { fleet: 'small', mutant: slugOf(mutant), first: 1, count: SEEDS_MAX } as const
    const { failure } = await runSeeds(range)
    t.ok(failure !== undefined, `within ${SEEDS_MAX} seeds`)
    t.comment(`seed ${failure?.seed}: ${failure?.message}`)
  })
}

t.test('the names of mutants tell them apart', async (t) => {
  t.equal(new Set(MUTANTS.map(slugOf)).size, MUTANTS.length)
})
