/**
 * Everything the coordinator waits for, as named instants on the monotonic clock. The core exports
 * only the earliest one; the driver keeps a single timer for it. A binary heap whose stale entries
 * are passed over when they surface: setting a name again moves it.
 */
export class Deadlines {
  readonly #due = new Map<string, { readonly atMs: number; readonly act: () => void }>()
  readonly #heap: { atMs: number; name: string }[] = []

  /** Sets or moves the deadline of this name. */
  set(name: string, atMs: number, act: () => void): void {
    this.#due.set(name, { atMs, act })
    this.#push({ atMs, name })
  }

  has(name: string): boolean {
    return this.#due.has(name)
  }

  clear(name: string): void {
    this.#due.delete(name)
  }

  nextMs(): number | undefined {
    this.#dropStale()
    return this.#heap[0]?.atMs
  }

  /** Removes and performs what is due, earliest first. */
  run(nowMs: number): void {
    for (;;) {
      this.#dropStale()
      const first = this.#heap[0]
      if (first === undefined || first.atMs > nowMs) return
      const { act } = this.#due.get(first.name)!
      this.#due.delete(first.name)
      act()
    }
  }

  #dropStale(): void {
    while (
      this.#heap.length > 0 &&
      this.#due.get(this.#heap[0]!.name)?.atMs !== this.#heap[0]!.atMs
    ) {
      this.#pop()
    }
  }

  #push(entry: { atMs: number; name: string }): void {
    const heap = this.#heap
    let at = heap.push(entry) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]!.atMs <= entry.atMs) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = entry
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]!.atMs < heap[child]!.atMs) child++
      if (heap[child]!.atMs >= last.atMs) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}
