/**
 * Moments, of which only the earliest is asked for: a binary heap (Williams, Communications of the ACM 7(6), 1964).
 * To add one and to take the earliest costs the logarithm of how many there are.
 *
 * Invariant: no entry is earlier than the one at half its place.
 */
export class TimeHeap<T extends { readonly atMs: number }> {
  readonly #entries: T[]

  /** Of entries that ascend: a sorted list is a heap. */
  constructor(ascending: T[] = []) {
    this.#entries = ascending
  }

  get size(): number {
    return this.#entries.length
  }

  get first(): T | undefined {
    return this.#entries[0]
  }

  push(entry: T): void {
    const heap = this.#entries
    let at = heap.push(entry) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]!.atMs <= entry.atMs) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = entry
  }

  /** Takes the first one out. */
  pop(): void {
    const heap = this.#entries
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
