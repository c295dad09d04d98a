/**
 * Everything the coordinator waits for, as named instants on the monotonic clock. The core exports
 * only the earliest one; the driver keeps a single timer for it. A binary heap whose stale entries
 * are passed over when they surface, or swept out when they are most of it: setting a name again
 * moves it. What is due at the same moment for very many is one of these.
 */

/** Stale entries beyond as many as there are others. */
const STALE_KEPT = 1024

/** Performed at a time. Tens of thousands of tasks can expire together: a clock leaps, a gateway was off. */
const DUE_MAX = 256

export class Deadlines {
  readonly #due = new Map<string, { readonly atMs: number; readonly perform: () => void }>()
  #heap: { atMs: number; name: string }[] = []

  /** Sets or moves the deadline of this name. */
  set(name: string, atMs: number, perform: () => void): void {
    if (this.#heap.length > 2 * this.#due.size + STALE_KEPT) this.#sweep()
    this.#due.set(name, { atMs, perform })
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

  /**
   * Removes and performs what is due, earliest first, up to `DUE_MAX`; the rest stays due. What that sets
   * anew waits for the next call, however early it is: rounding must not keep a wait of no length going round.
   */
  run(nowMs: number): void {
    const due: { atMs: number; name: string }[] = []
    while (due.length < DUE_MAX) {
      this.#dropStale()
      const first = this.#heap[0]
      if (first === undefined || first.atMs > nowMs) break
      due.push(first)
      this.#pop()
    }
    for (const { atMs, name } of due) {
      const waiting = this.#due.get(name)
      if (waiting?.atMs !== atMs) continue
      this.#due.delete(name)
      waiting.perform()
    }
  }

  /** A sorted list is a heap. */
  #sweep(): void {
    this.#heap = [...this.#due].map(([name, { atMs }]) => ({ atMs, name }))
    this.#heap.sort((a, b) => a.atMs - b.atMs)
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

/** Deadlines of one kind for many, of which many fall on the same moment: those are one. None is taken back. */
export class SharedDeadlines<T> {
  readonly #deadlines: Deadlines
  readonly #kind: string
  readonly #perform: (item: T, atMs: number) => void
  readonly #due = new Map<number, T[]>()

  constructor(deadlines: Deadlines, kind: string, perform: (item: T, atMs: number) => void) {
    this.#deadlines = deadlines
    this.#kind = kind
    this.#perform = perform
  }

  add(atMs: number, item: T): void {
    const others = this.#due.get(atMs)
    if (others !== undefined) {
      others.push(item)
      return
    }
    this.#due.set(atMs, [item])
    this.#set(atMs)
  }

  #set(atMs: number): void {
    this.#deadlines.set(`${this.#kind}/${atMs}`, atMs, () => this.#run(atMs))
  }

  #run(atMs: number): void {
    const items = this.#due.get(atMs)!
    for (const item of items.splice(0, DUE_MAX)) this.#perform(item, atMs)
    if (items.length > 0) this.#set(atMs)
    else this.#due.delete(atMs)
  }
}
