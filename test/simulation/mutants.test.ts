/**
 * Every mutant of test/support/mutants.ts is caught by the simulator, or it proves nothing. The seed that caught it
 * is written down and tried first. It may not any more when the cores have changed, since they then draw other
 * numbers: then others are tried, from 1 on.
 *
 *   UPDATE=1 npx tap run test/simulation/mutants.test.ts    looks at as many as it takes, and writes them down
 *   SEEDS=400 npx tap run test/simulation/mutants.test.ts   so many from 1 on, whatever is written down
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import t from 'tap'
import { fleetOf, MUTANT_SEEDS_MAX, MUTANTS, slugOf } from '../support/mutants.ts'
import { runInPool } from '../support/seed-pool.ts'
import type { SeedFailure, SeedRange } from '../support/seed-runs.ts'

// Looking at many seeds takes many minutes.
t.setTimeout(3_600_000)

const FILE = new URL('./mutant-seeds.json', import.meta.url)
const recorded = new Map<string, number>(Object.entries(JSON.parse(readFileSync(FILE, 'utf8'))))
const isUpdate = process.env.UPDATE !== undefined
const given = process.env.SEEDS === undefined ? undefined : Number(process.env.SEEDS)
const seedsMax = given ?? (isUpdate ? MUTANT_SEEDS_MAX : 50)
const slugs = MUTANTS.map(slugOf)

const searched = (mutant: string): SeedRange => {
  return { fleet: fleetOf(mutant, 'small'), mutant, first: 1, count: seedsMax }
}
const left = slugs.map((mutant): SeedRange => {
  const first = recorded.get(mutant)
  if (first === undefined || given !== undefined) return searched(mutant)
  return { fleet: fleetOf(mutant, 'small'), mutant, first, count: 1 }
})
const caught = new Map<string, SeedFailure>()
await runInPool(
  availableParallelism(),
  () => left.shift(),
  (range, { failure }) => {
    const mutant = range.mutant!
    if (failure !== undefined) caught.set(mutant, failure)
    else if (range.count < seedsMax) left.push(searched(mutant))
  },
)

if (isUpdate) {
  const seeds = slugs.map((slug) => [slug, caught.get(slug)?.seed])
  writeFileSync(FILE, `${JSON.stringify(Object.fromEntries(seeds), undefined, 2)}\n`)
}

for (const [index, { name }] of MUTANTS.entries()) {
  t.test(`caught: ${name}`, async (t) => {
    const slug = slugs[index]!
    const failure = caught.get(slug)
    const more = 'UPDATE=1 npx tap run test/simulation/mutants.test.ts'
    t.ok(failure !== undefined, `within ${seedsMax} seeds, or look at more: ${more}`)
    t.notMatch(failure?.message, /^the process ended/, 'by a rule, not by a crash')
    t.comment(`seed ${failure?.seed}, ${recorded.get(slug)} is written down: ${failure?.message}`)
  })
}

t.test('the names of mutants tell them apart', async (t) => {
  t.equal(new Set(slugs).size, slugs.length)
})
