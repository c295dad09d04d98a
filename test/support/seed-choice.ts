/** Of many seeds, few that meet as much: the greedy cover, where each thing is met so many times. */

/** What each seed met. */
export type Met = ReadonlyMap<number, ReadonlySet<string>>

/** Seeds in which each of `wanted` is met in `times` of them, or in all that meet it. */
export function seedsThatMeet(wanted: readonly string[], met: Met, times: number): number[] {
  const missing = new Map(wanted.map((what) => [what, times]))
  const left = new Map(met)
  const chosen: number[] = []
  for (;;) {
    let best: number | undefined
    let most = 0
    for (const [seed, things] of left) {
      const found = wanted.filter((what) => missing.get(what)! > 0 && things.has(what)).length
      if (found > most) [best, most] = [seed, found]
    }
    if (best === undefined) return chosen.sort((a, b) => a - b)
    for (const what of left.get(best)!) missing.set(what, (missing.get(what) ?? 0) - 1)
    left.delete(best)
    chosen.push(best)
  }
}
