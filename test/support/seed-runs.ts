/** Runs seeds of a fleet one after the other, up to the first that fails. */
import { setImmediate } from 'node:timers/promises'
import { FLEETS, type FleetName } from './fleets.ts'
import { MUTANTS, slugOf } from './mutants.ts'
import { loadMutated } from './mutated-programs.ts'
import { ORACLE, ORACLE_EDITS } from './oracle.ts'
import { type Programs, SHIPPED } from './programs.ts'

export interface SeedRange {
  readonly fleet: FleetName
  /** A slug of the table of mutants, or the oracle. */
  readonly mutant: string | undefined
  readonly first: number
  readonly count: number
}

export interface SeedFailure {
  readonly seed: number
  readonly message: string
  readonly stack: string
}

/** Plain, since it comes from another process. */
export interface SeedReport {
  readonly seeds: number
  readonly counts: Readonly<Record<string, number>>
  readonly failure: SeedFailure | undefined
}

const loaded = new Map<string, Promise<Programs>>()

function programsOf(slug: string | undefined): Promise<Programs> {
  if (slug === undefined) return Promise.resolve(SHIPPED)
  const edits = slug === ORACLE ? ORACLE_EDITS : MUTANTS.find((one) => slugOf(one) === slug)?.edits
  if (edits === undefined) throw new Error(`there is no mutant ${slug}`)
  if (!loaded.has(slug)) loaded.set(slug, loadMutated(edits))
  return loaded.get(slug)!
}

export async function runSeeds(
  { fleet: name, mutant, first, count }: SeedRange,
  onLine?: (line: string) => void,
): Promise<SeedReport> {
  const programs = await programsOf(mutant)
  const counts: Record<string, number> = {}
  for (let seed = first; seed < first + count; seed++) {
    // In between, a worker hears that nobody waits for it any more.
    await setImmediate()
    const fleet = FLEETS[name].create(seed, programs)
    fleet.onLine = onLine
    let failure: SeedFailure | undefined
    try {
      await fleet.run()
    } catch (error) {
      const { message, stack } = error as Error
      failure = { seed, message, stack: String(stack) }
    }
    for (const [what, times] of fleet.counts) counts[what] = (counts[what] ?? 0) + times
    if (failure !== undefined) return { seeds: seed - first + 1, counts, failure }
  }
  return { seeds: count, counts, failure: undefined }
}
