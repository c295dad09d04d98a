/** What the seeds of one run came to. What did not happen proves nothing: it fails the run. */
import type { FleetKind } from './fleets.ts'
import type { SeedReport } from './seed-runs.ts'

export class SeedTotals {
  readonly #kind: FleetKind
  readonly #startedMs = performance.now()
  readonly #counts = new Map<string, number>()
  #seeds = 0
  failures = 0

  constructor(kind: FleetKind) {
    this.#kind = kind
  }

  add({ seeds, counts, failure }: SeedReport): void {
    this.#seeds += seeds
    for (const [what, times] of Object.entries(counts)) {
      this.#counts.set(what, (this.#counts.get(what) ?? 0) + times)
    }
    if (failure !== undefined) this.failures += 1
  }

  /** Nothing failed, and what must happen did, as far as that can be asked of so many seeds. */
  get isProof(): boolean {
    return this.failures === 0 && (!this.#isEnough || this.#missed.length === 0)
  }

  get lines(): string[] {
    const seconds = (performance.now() - this.#startedMs) / 1000
    const perMinute = ((60 * this.#seeds) / seconds).toFixed(1)
    const lines = [...this.#counts].sort().map(([what, count]) => `${what} ${count}`)
    lines.push(
      `${this.#seeds} seeds in ${seconds.toFixed(1)} s, ${perMinute} a minute, ${this.failures} failed`,
    )
    if (!this.#isEnough) {
      lines.push(`too few to ask whether everything was met: ${this.#kind.seedsForAll} are needed`)
    } else if (this.#missed.length > 0) lines.push(`never met: ${this.#missed.join(', ')}`)
    return lines
  }

  get #isEnough(): boolean {
    return this.#seeds >= this.#kind.seedsForAll
  }

  get #missed(): string[] {
    return this.#kind.mustHappen.filter((what) => !this.#counts.has(what))
  }
}
