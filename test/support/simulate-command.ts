/**
 * What `npm run simulate` does: simulated fleets on fresh seeds, for as long as one likes. A seed that fails is
 * printed with the command that runs it again. At the end each fault and path is counted; one that
 * was never met fails the run, since what did not happen proves nothing.
 */
import { randomInt } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { FLEETS, type FleetName, isFleetName } from './fleets.ts'
import { fleetOf, MUTANT_SEEDS_MAX, MUTANTS, slugOf } from './mutants.ts'
import { ORACLE } from './oracle.ts'
import { runInPool } from './seed-pool.ts'
import { runSeeds, type SeedFailure, type SeedRange, type SeedReport } from './seed-runs.ts'
import { SeedTotals } from './seed-totals.ts'

const USAGE = `npm run simulate -- [options]
  --minutes N      fresh seeds for so long; without any other bound, 1
  --seeds N        so many seeds
  --seed S         from this seed on instead of fresh ones; one, unless --seeds says more
  --fleet NAME     ${Object.entries(FLEETS)
    .map(([name, { about }]) => `${name}: ${about}`)
    .join('; ')}
  --mutant NAME    a broken variant, which must be caught; "list" names them, "all" tries all
  --oracle         after each step of the coordinator everything is woken, and nothing may come of it
  --trace          every effect, on standard error; with --seed
  --processes N    one a core, unless this says otherwise`

export const SIMULATE_FLAGS = {
  minutes: { type: 'string' },
  seeds: { type: 'string' },
  seed: { type: 'string' },
  fleet: { type: 'string', default: 'small' },
  mutant: { type: 'string' },
  oracle: { type: 'boolean', default: false },
  trace: { type: 'boolean', default: false },
  processes: { type: 'string' },
} as const

const SEEDS = 2 ** 32
/** After so many failures more would tell nothing new. */
const FAILURES_MAX = 5

const EXIT_USAGE = 2

/** Where lines go. */
export interface Output {
  readonly print: (line: string) => void
  readonly printError: (line: string) => void
}

interface Asked {
  readonly fleet: FleetName
  readonly mutant: string | undefined
  readonly seed: number | undefined
  readonly seeds: number
  readonly minutes: number
  readonly processes: number
  readonly isTraced: boolean
}

function readArguments(args: string[]): Asked {
  const { values } = parseArgs({
    args,
    options: SIMULATE_FLAGS,
  })
  const { fleet, mutant, oracle, trace } = values
  if (!isFleetName(fleet)) throw new Error(`--fleet: there is no fleet ${fleet}`)
  if (mutant !== undefined && !['all', 'list', ...MUTANTS.map(slugOf)].includes(mutant)) {
    throw new Error(`--mutant: there is no mutant ${mutant}; "list" names them`)
  }
  if (trace && values.seed === undefined) throw new Error('--trace: needs --seed')
  const seed = numberOf('seed', values.seed, { min: 0, isWhole: true })
  const seeds = numberOf('seeds', values.seeds, { min: 1, isWhole: true })
  const minutes = numberOf('minutes', values.minutes, { min: 0, isWhole: false })
  const isUnbound = seeds === undefined && seed === undefined
  return {
    fleet,
    mutant: oracle ? ORACLE : mutant,
    seed,
    seeds: seeds ?? (isUnbound || minutes !== undefined ? SEEDS : 1),
    minutes: minutes ?? (isUnbound ? 1 : Number.POSITIVE_INFINITY),
    processes:
      numberOf('processes', values.processes, { min: 1, isWhole: true }) ?? availableParallelism(),
    isTraced: trace,
  }
}

function numberOf(
  name: string,
  text: string | undefined,
  { min, isWhole }: { min: number; isWhole: boolean },
): number | undefined {
  if (text === undefined) return undefined
  const number = Number(text)
  const isFit = text.trim() !== '' && number >= min && number < SEEDS
  if (isFit && (!isWhole || Number.isInteger(number))) return number
  throw new Error(`--${name}: ${text} is no ${isWhole ? 'whole ' : ''}number from ${min} on`)
}

function replayOf({ fleet, mutant }: Pick<SeedRange, 'fleet' | 'mutant'>, seed: number): string {
  const options = [`--seed ${seed}`]
  if (fleet !== 'small') options.push(`--fleet ${fleet}`)
  if (mutant !== undefined) options.push(mutant === ORACLE ? '--oracle' : `--mutant ${mutant}`)
  return `npm run simulate -- ${options.join(' ')}`
}

async function simulate(asked: Asked, { print, printError }: Output): Promise<boolean> {
  const { fleet, mutant } = asked
  const totals = new SeedTotals(FLEETS[fleet])
  const endMs = performance.now() + asked.minutes * 60_000
  let given = 0
  const next = (): SeedRange | undefined => {
    const isOver = totals.failures >= FAILURES_MAX || performance.now() >= endMs
    if (isOver || given >= asked.seeds) return undefined
    const first = asked.seed === undefined ? randomInt(SEEDS) : (asked.seed + given) % SEEDS
    given += 1
    return { fleet, mutant, first, count: 1 }
  }
  const add = (range: SeedRange, report: SeedReport): void => {
    totals.add(report)
    if (report.failure === undefined) return
    const { seed, message, stack } = report.failure
    // The stack is for one who looks at this one seed.
    print(`seed ${seed}: ${asked.seeds === 1 ? stack : message}\n  ${replayOf(range, seed)}`)
  }
  if (asked.isTraced) {
    for (let range = next(); range !== undefined; range = next()) {
      add(range, await runSeeds(range, printError))
    }
  } else await runInPool(Math.min(asked.processes, asked.seeds), next, add)
  for (const line of totals.lines) print(line)
  return totals.isProof
}

/** Whether each of these mutants is caught. */
async function catchMutants(
  asked: Asked,
  slugs: readonly string[],
  { print }: Output,
): Promise<boolean> {
  const count = asked.seeds === SEEDS ? MUTANT_SEEDS_MAX : asked.seeds
  const ranges = slugs.map(
    (mutant): SeedRange => ({
      ...{ fleet: fleetOf(mutant, asked.fleet), mutant },
      ...{ first: asked.seed ?? 1, count },
    }),
  )
  const caught: SeedFailure[] = []
  await runInPool(
    Math.min(asked.processes, slugs.length),
    () => ranges.shift(),
    (range, { failure }) => {
      if (failure === undefined) {
        print(`${range.mutant}: not caught in ${range.count} seeds`)
        return
      }
      caught.push(failure)
      print(`${range.mutant}: caught by seed ${failure.seed}: ${failure.message}`)
      print(`  ${replayOf(range, failure.seed)}`)
    },
  )
  print(`${caught.length} of ${slugs.length} mutants caught`)
  return caught.length === slugs.length
}

/** Returns the exit code. */
export async function simulateCommand(args: string[], output: Output): Promise<number> {
  let asked: Asked
  try {
    asked = readArguments(args)
  } catch (error) {
    output.printError(`${(error as Error).message}\n\n${USAGE}`)
    return EXIT_USAGE
  }
  const { mutant, seed, seeds } = asked
  if (mutant === 'list') {
    for (const one of MUTANTS) output.print(`${slugOf(one)}: ${one.name}`)
    return 0
  }
  // With a seed, a mutant is to be looked at, and is one fleet like another.
  const isLookedAt = seed !== undefined && seeds === 1
  const slugs = mutant === 'all' ? MUTANTS.map(slugOf) : [mutant!]
  const isGood =
    mutant === undefined || mutant === ORACLE || (mutant !== 'all' && isLookedAt)
      ? await simulate(asked, output)
      : await catchMutants(asked, slugs, output)
  return isGood ? 0 : 1
}
