/**
 * The real coordinator and the real agents, in fleets drawn from seeds, with everything going wrong. What
 * must hold is in test/support/checkers.ts. A seed that fails prints the line that runs it again; `SEEDS=5000`
 * runs so many. The seeds are the same each time: `npm run simulate` draws fresh ones.
 */
import { availableParallelism } from 'node:os'
import t from 'tap'
import { FLEETS, type FleetName } from '../support/fleets.ts'
import { runInPool } from '../support/seed-pool.ts'
import type { SeedFailure, SeedRange } from '../support/seed-runs.ts'
import { SimulatedFleet } from '../support/simulated-fleet.ts'

t.setTimeout(600_000)

const SEEDS = Number(process.env.SEEDS ?? FLEETS.small.seedsForAll)
/** So few at a time that no process is left with many at the end. */
const SEEDS_AT_A_TIME = 10

const rangeOf = (fleet: FleetName, count: number, first = 1): SeedRange => {
  return { fleet, mutant: undefined, first, count }
}

const small = Array.from({ length: Math.ceil(SEEDS / SEEDS_AT_A_TIME) }, (_, index) => {
  const done = index * SEEDS_AT_A_TIME
  return rangeOf('small', Math.min(SEEDS_AT_A_TIME, SEEDS - done), 1 + done)
})
// What takes longest first.
const left = [rangeOf('many', 1), rangeOf('hundred', 2), ...small]
const counts: Record<string, Record<string, number>> = { small: {}, hundred: {}, many: {} }
const failures: Record<string, SeedFailure[]> = { small: [], hundred: [], many: [] }
await runInPool(
  availableParallelism(),
  () => left.shift(),
  ({ fleet }, report) => {
    const sums = counts[fleet]!
    for (const [what, times] of Object.entries(report.counts)) {
      sums[what] = (sums[what] ?? 0) + times
    }
    if (report.failure !== undefined) failures[fleet]!.push(report.failure)
  },
)

for (const [fleet, what] of Object.entries({
  small: `every promise holds in ${SEEDS} seeds`,
  hundred: 'every promise holds where nodes are many and some always fail',
  many: '5,000 simple agents: every task ends once, and nothing stays behind',
})) {
  t.test(what, async (t) => {
    for (const { seed, message, stack } of failures[fleet]!) {
      t.comment(`npm run simulate -- --fleet ${fleet} --seed ${seed}`)
      t.fail(`seed ${seed}: ${message}`, { stack })
    }
    const met = Object.entries(counts[fleet]!).sort()
    t.comment(met.map(([name, times]) => `${name} ${times}`).join(', '))
    t.ok(met.length > 0, 'something happened')
  })
}

t.test('every fault and path was met', async (t) => {
  if (SEEDS >= FLEETS.small.seedsForAll) {
    for (const what of FLEETS.small.mustHappen) t.ok(counts.small![what]! > 0, what)
  }
  for (const what of FLEETS.many.mustHappen) t.ok(counts.many![what]! > 0, what)
  for (const fault of ['node-crash', 'node-crash-silent', 'node-stop', 'cut', 'stall']) {
    t.ok(counts.hundred![`fault-${fault}`]! > 5, fault)
  }
})

t.test('the same seed gives the same run', async (t) => {
  const fingerprints: string[] = []
  for (const seed of [1, 1, 2]) {
    const fleet = new SimulatedFleet(seed)
    await fleet.run()
    fingerprints.push(fleet.fingerprint)
  }
  const [first, second, other] = fingerprints
  t.equal(first, second)
  t.not(first, other)
})
