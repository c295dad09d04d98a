/**
 * The real coordinator and the real agents, in fleets drawn from seeds, with everything going wrong. What
 * must hold is in test/support/checkers.ts. A seed that fails prints the line that runs it again:
 *
 *   SEED=17 npx tap run test/simulation/fleet.test.ts            one seed
 *   SEED=17 TRACE=1 npx tap run test/simulation/fleet.test.ts    with every effect
 *   SEED=1000 SEEDS=5000 npx tap run test/simulation/fleet.test.ts
 */
import t from 'tap'
import { FLEETS } from '../support/fleets.ts'
import { runSeeds } from '../support/seed-runs.ts'
import { SimulatedFleet } from '../support/simulated-fleet.ts'

t.setTimeout(600_000)

const seed = Number(process.env.SEED ?? 1)
const seeds = Number(
  process.env.SEEDS ?? (process.env.SEED === undefined ? FLEETS.small.seedsForAll : 1),
)

t.test(`every promise holds in ${seeds} seeds from ${seed}`, { timeout: 0 }, async (t) => {
  const totals = new Map<string, number>()
  const failed: number[] = []
  for (let one = seed; one < seed + seeds; one++) {
    const fleet = new SimulatedFleet(one)
    if (process.env.TRACE !== undefined) fleet.onLine = (line) => process.stderr.write(`${line}\n`)
    try {
      fleet.run()
    } catch (error) {
      failed.push(one)
      t.comment(`SEED=${one} npx tap run test/simulation/fleet.test.ts`)
      t.fail(`seed ${one}: ${(error as Error).message}`, { stack: String((error as Error).stack) })
      if (failed.length >= 5) break
    }
    for (const [what, count] of fleet.counts) totals.set(what, (totals.get(what) ?? 0) + count)
  }
  t.same(failed, [], 'no seed fails')
  const report = [...totals].sort().map(([what, count]) => `${what} ${count}`)
  t.comment(report.join(', '))
  if (process.env.SEED !== undefined || process.env.SEEDS !== undefined) return
  for (const what of FLEETS.small.mustHappen) t.ok(totals.has(what), `${what} happened`)
})

t.test('the same seed gives the same run', async (t) => {
  const [first, second, other] = [seed, seed, seed + 1].map((one) => {
    const fleet = new SimulatedFleet(one)
    fleet.run()
    return fleet.fingerprint
  })
  t.equal(first, second)
  t.not(first, other)
})

t.test('every promise holds where nodes are many and some always fail', async (t) => {
  const range = { fleet: 'hundred', mutant: undefined, first: 1, count: 2 } as const
  const { failure, counts } = await runSeeds(range)
  t.equal(
    failure?.message,
    undefined,
    `npm run simulate -- --fleet hundred --seed ${failure?.seed}`,
  )
  for (const fault of ['node-crash', 'node-crash-silent', 'node-stop', 'cut', 'stall']) {
    t.ok(counts[`fault-${fault}`]! > 5, fault)
  }
})

t.test('5,000 simple agents: every task ends once, and nothing stays behind', async (t) => {
  const range = { fleet: 'many', mutant: undefined, first: 1, count: 1 } as const
  const { failure, counts } = await runSeeds(range)
  t.equal(failure?.message, undefined, `npm run simulate -- --fleet many --seed ${failure?.seed}`)
  for (const what of FLEETS.many.mustHappen) t.ok(counts[what]! > 0, what)
})
