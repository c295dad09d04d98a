/**
 * No step misses a write that may go on, nor what one waits for: oracle.ts wakes everything after each and looks. Fresh
 * seeds run with some that are the same each time.
 */
import { randomInt } from 'node:crypto'
import t from 'tap'
import { FLEETS } from '../support/fleets.ts'
import { loadMutated } from '../support/mutated-programs.ts'
import { ORACLE, ORACLE_EDITS } from '../support/oracle.ts'
import { runSeeds } from '../support/seed-runs.ts'

t.setTimeout(600_000)

const SEEDS = 8
const FRESH = 4
/** Within so many seeds what is broken on purpose is found. */
const BROKEN_SEEDS_MAX = 60

t.test('a step lets go on what its event lets go on', async (t) => {
  const fresh = Number(process.env.SEED ?? randomInt(2 ** 31))
  t.comment(`SEED=${fresh} npx tap run test/simulation/oracle.test.ts`)
  for (const range of [
    { first: 1, count: SEEDS },
    { first: fresh, count: FRESH },
  ]) {
    const { failure } = await runSeeds({ fleet: 'small', mutant: ORACLE, ...range })
    t.equal(failure && `seed ${failure.seed}: ${failure.message}`, undefined)
  }
})

t.test('a step that forgets those who waited for a member is found', async (t) => {
  const forgetful = {
    file: 'broker/core/rules/settling.ts',
    from: 'writes.returned(member)',
    to: '',
  }
  const programs = await loadMutated([...ORACLE_EDITS, forgetful])
  for (let seed = 1; seed <= BROKEN_SEEDS_MAX; seed++) {
    const found = await FLEETS.small
      .create(seed, programs)
      .run()
      .then(
        () => undefined,
        (error: Error) => error.message,
      )
    if (found === undefined) continue
    t.match(found, /^\S+ missed \d+: /)
    return
  }
  t.fail(`not in ${BROKEN_SEEDS_MAX} seeds`)
})
