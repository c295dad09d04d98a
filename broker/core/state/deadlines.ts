/**
 * Everything the coordinator waits for, as named instants on the monotonic clock. The core exports
 * only the earliest one; the driver keeps a single timer for it. A binary heap whose stale entries
 * are passed over when they surface, or swept out when they are most of it: setting a name again
 * moves it. What is due at the same moment for very many is one of these.
 */
import { TimeHeap } from '../../../shared/core/time-heap.ts'

/** Stale entries beyond as many as there are others. */
const STALE_KEPT = 1024

/** Performed at a time. Tens of thousands of tasks can expire together: a clock leaps, a gateway was off. */
const DUE_MAX = 256

interface Entry {
  readonly atMs: number
  readonly name: string
}

export class Deadlines {
  readonly #due = new Map<string, { readonly atMs: number; readonly perform: () => void }>()
  #heap = new TimeHeap<Entry>()

  /** Sets or moves the deadline of this name. */
  set(name: string, atMs: number, perform: () => void): void {
    if (this.#heap.size > 2 * this.#due.size + STALE_KEPT) this.#sweep()
    this.#due.set(name, { atMs, perform })
    this.#heap.push({ atMs, name })
  }

  has(name: string): boolean {
    return this.#due.has(name)
  }

  clear(name: string): void {
    this.#due.delete(name)
  }

  nextMs(): number | undefined {
    this.#dropStale()
    return this.#heap.first?.atMs
  }

  /**
   * Removes and performs what is due, earliest first, up to `DUE_MAX`; the rest stays due. What that sets
   * anew waits for the next call, however early it is: rounding must not keep a wait of no length going round.
   */
  run(nowMs: number): void {
    const due: Entry[] = []
    while (due.length < DUE_MAX) {
      this.#dropStale()
      const { first } = this.#heap
      if (first === undefined || first.atMs > nowMs) break
      due.push(first)
      this.#heap.pop()
    }
    for (const { atMs, name } of due) {
      const waiting = this.#due.get(name)
      if (waiting?.atMs !== atMs) continue
      this.#due.delete(name)
      waiting.perform()
    }
  }

  #sweep(): void {
    const entries = [...this.#due].map(([name, { atMs }]) => ({ atMs, name }))
    this.#heap = new TimeHeap(entries.sort((a, b) => a.atMs - b.atMs))
  }

  #dropStale(): void {
    for (;;) {
      const { first } = this.#heap
      if (first === undefined || this.#due.get(first.name)?.atMs === first.atMs) return
      this.#heap.pop()
    }
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
