/**
 * How much of the core's code runs in a step, counted and not timed: V8's block coverage says how often each
 * function and each block within one was entered. A loop over members shows as so many blocks, on any machine.
 * What runs within V8 itself (a copy of an array, a sort without a function) is not seen.
 *
 * V8 counts blocks only of functions that it compiles later, and exactly only where it does not optimise: so the
 * modules are to be imported after `begin`, in a process of their own.
 */
import { type Profiler, Session } from 'node:inspector'
import { setFlagsFromString } from 'node:v8'

export interface BlockCount {
  readonly total: number
  /** By file and function. */
  readonly byPlace: ReadonlyMap<string, number>
}

export class BlockCounts {
  readonly #session = new Session()
  readonly #counted: RegExp

  /** `counted` says of which files, by their URLs. */
  constructor(counted: RegExp) {
    this.#counted = counted
  }

  begin(): void {
    setFlagsFromString('--no-opt')
    this.#session.connect()
    this.#session.post('Profiler.enable')
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  end(): void {
    this.#session.disconnect()
  }

  /** Of what `act` does, which is synchronous. */
  of(act: () => void): BlockCount {
    this.#take()
    act()
    const byPlace = new Map<string, number>()
    let total = 0
    for (const { url, functions } of this.#take()) {
      if (!this.#counted.test(url)) continue
      for (const { functionName, ranges } of functions) {
        const count = ranges.reduce((sum, range) => sum + range.count, 0)
        if (count === 0) continue
        const place = `${url.slice(url.lastIndexOf('/') + 1)} ${functionName}`
        byPlace.set(place, (byPlace.get(place) ?? 0) + count)
        total += count
      }
    }
    return { total, byPlace }
  }

  #take(): readonly Profiler.ScriptCoverage[] {
    let taken: readonly Profiler.ScriptCoverage[] | undefined
    this.#session.post('Profiler.takePreciseCoverage', (error, { result }) => {
      if (error !== null) throw error
      taken = result
    })
    if (taken === undefined) throw new Error('the inspector answers at once')
    return taken
  }
}

/** Where the second count is above the first, and by how much, most first. */
export function growthOf(small: BlockCount, large: BlockCount): string {
  return [...large.byPlace]
    .map(([place, count]) => [place, count - (small.byPlace.get(place) ?? 0)] as const)
    .filter(([, more]) => more > 0)
    .sort((a, b) => b[1] - a[1])
    .slice(0, 5)
    .map(([place, more]) => `${place} +${more}`)
    .join(', ')
}
