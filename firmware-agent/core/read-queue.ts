/**
 * Reads that this node was given and has not answered: each waits until the stream has come as far as it
 * asks (`after`), then runs once. A read whose lease ends before it began is dropped: the gateway has
 * given it to another by then.
 */
import type { Read } from '../../shared/protocol/messages.ts'

interface WaitingRead {
  readonly read: Read
  readonly untilMs: number
  isRunning: boolean
}

export class ReadQueue {
  readonly #reads = new Map<string, WaitingRead>()

  get runningCount(): number {
    return [...this.#reads.values()].filter(({ isRunning }) => isRunning).length
  }

  /** When the first lease of a waiting read ends. */
  get deadlineMs(): number | undefined {
    const waiting = [...this.#reads.values()].filter(({ isRunning }) => !isRunning)
    return waiting.length === 0 ? undefined : Math.min(...waiting.map(({ untilMs }) => untilMs))
  }

  /** The same part again, while it runs, changes nothing. */
  add(read: Read, nowMs: number): void {
    const name = nameOf(read)
    if (this.#reads.get(name)?.isRunning) return
    this.#reads.set(name, { read, untilMs: nowMs + read.leaseMs, isRunning: false })
  }

  /** The reads that may run now that the stream stands at `position`. */
  takeReady(position: number): Read[] {
    const ready = [...this.#reads.values()].filter(
      ({ read, isRunning }) => !isRunning && read.after <= position,
    )
    for (const waiting of ready) waiting.isRunning = true
    return ready.map(({ read }) => read)
  }

  finish(part: { readonly task: string; readonly part: string }): void {
    this.#reads.delete(nameOf(part))
  }

  cancel(task: string): void {
    for (const [name, { read }] of this.#reads) if (read.task === task) this.#reads.delete(name)
  }

  dropOverdue(nowMs: number): void {
    for (const [name, { untilMs, isRunning }] of this.#reads) {
      if (!isRunning && nowMs >= untilMs) this.#reads.delete(name)
    }
  }

  clear(): void {
    this.#reads.clear()
  }
}

function nameOf({ task, part }: { readonly task: string; readonly part: string }): string {
  return `${task}/${part}`
}
