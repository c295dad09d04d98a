/**
 * The real coordinator and the real agents, in fleets drawn from seeds, with everything going wrong. What
 * must hold is in test/support/checkers.ts. A seed that fails prints the line that runs it again:
 *
 *   SEED=17 npx tap run test/simulation/fleet.test.ts            one seed
 *   SEED=17 TRACE=1 npx tap run test/simulation/fleet.test.ts    with every effect
 *   SEED=1000 SEEDS=5000 npx tap run test/simulation/fleet.test.ts
 */
import t from 'tap'
import { SimulatedFleet } from '../support/simulated-fleet.ts'

const seed = Number(process.env.SEED ?? 1)
const seeds = Number(process.env.SEEDS ?? (process.env.SEED === undefined ? 160 : 1))

/** What must have happened somewhere in the default seeds: else they prove less than they say. */
const MUST_HAPPEN = [
  ...['node-crash', 'node-crash-silent', 'node-crash-at-effect', 'node-stop', 'gateway-crash'],
  ...[
    'gateway-crash-at-effect',
    'gateway-freeze',
    'cut',
    'stall',
    'freeze',
    'slow',
    'full-disk',
    'shed',
  ],
  ...['torn-commit', 'card-lost', 'card-restored'],
]
  .map((fault) => `fault-${fault}`)
  .concat(
    ['dropped', 'gap', 'resend', 'lease-ended', 'read-reissued', 'answer-outlived-gateway'],
    ['replica-lagging', 'replica-in-sync', 'replica-stopped', 'cold-restart-with-open-writes'],
    ['node-suspect', 'node-alive', 'node-dead', 'id-taken', 'joined-late', 'exit-0', 'exit-77'],
    ['store-replaced', 'store-wiped', 'repeat', 'conflict', 'cancelled', 'cancel-too-late'],
    ['end-completed', 'end-completed-done', 'end-cancelled', 'end-cancelled-none', 'end-expired'],
    ['end-expired-none', 'end-expired-pending', 'effect-done', 'refused-no-node', 'digest'],
    ['consistent-get', 'inconsistent-get', 'consistent-stat', 'inconsistent-stat'],
    ['doubt-began-loop-lag', 'doubt-ended-loop-lag', 'doubt-began-probe-late'],
    ['doubt-ended-probe-late', 'doubt-began-mass-silence', 'doubt-ended-mass-silence'],
    ['copies-1', 'copies-2', 'copies-3'],
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
  for (const what of MUST_HAPPEN) t.ok(totals.has(what), `${what} happened`)
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
