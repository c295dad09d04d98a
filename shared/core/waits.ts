/**
 * Things that are under way and end in any order; tells since when the oldest of them is. For the
 * watchdog: what does not come to an end shows as an age that grows.
 */
export class Waits {
  /** In the order of their beginnings. */
  readonly #open = new Set<{ readonly sinceMs: number }>()

  /** Something begins; the returned function says that it has ended. */
  begin(nowMs: number): () => void {
    const wait = { sinceMs: nowMs }
    this.#open.add(wait)
    return () => {
      this.#open.delete(wait)
    }
  }

  get oldestMs(): number | undefined {
    for (const { sinceMs } of this.#open) return sinceMs
    return undefined
  }
}
