/**
 * Takes changes of retained messages to the disk. Changes of the same moment share a flush; what
 * nobody waits for goes within a second, so that a topic that changes often is written seldom.
 */
import type { RetainedStore } from './mqtt-retained.ts'
import type { Qos } from './mqtt-subscribers.ts'

export interface KeptMessage {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: Qos
}

/** Where retained messages outlive the process. */
export interface RetainedLedger {
  /** Nothing is to be kept of a topic any more; `write` follows. */
  cleared?(topic: string): unknown
  /** All that is kept. */
  messages(): Iterable<KeptMessage>
  /** Resolves when the changes are on disk; without a message the topic is cleared. */
  write(changes: ReadonlyMap<string, KeptMessage | undefined>): Promise<void>
  /** False while the disk is too full for what can be refused. */
  hasRoom(): boolean
  /** So many were refused since this was last said. */
  refused(count: number): void
}

const WRITE_DELAY_MS = 1000
/** Refusals are said at once, and then together. */
const SAY_INTERVAL_MS = 60_000

export class RetainedJournal {
  readonly #ledger: RetainedLedger
  #changes = new Map<string, KeptMessage | undefined>()
  /** The flush that is under way, and the one that is to follow with all that changed meanwhile. */
  #flush: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #refused = 0
  #saidMs = Number.NEGATIVE_INFINITY

  constructor(ledger: RetainedLedger) {
    this.#ledger = ledger
  }

  /** What was retained before the start is there again, as far as there is room now, and what changes is kept. */
  keep(store: RetainedStore, isForeign: (topic: string) => boolean, dropped: () => void): void {
    for (const message of this.#ledger.messages()) {
      const { topic } = message
      if (isForeign(topic) && store.store({ ...message, isForeign: true })) continue
      this.#changed(topic, undefined)
      dropped()
      this.refuse()
    }
    store.onChange = (topic, message) => this.#changed(topic, message)
  }

  get hasRoom(): boolean {
    return this.#ledger.hasRoom()
  }

  refuse(): void {
    this.#refused++
  }

  /** To be called now and then. */
  sayRefused(nowMs: number): void {
    if (this.#refused === 0 || nowMs - this.#saidMs < SAY_INTERVAL_MS) return
    this.#ledger.refused(this.#refused)
    this.#refused = 0
    this.#saidMs = nowMs
  }

  #changed(topic: string, message: KeptMessage | undefined): void {
    if (message === undefined) this.#ledger.cleared?.(topic)
    this.#changes.set(topic, message)
    this.#timer ??= setTimeout(() => {
      // A ledger that cannot be written to ends the process by itself.
      this.flushed().catch(() => {})
    }, WRITE_DELAY_MS)
  }

  /** Resolves when everything that has changed is on disk. */
  flushed(): Promise<void> {
    if (this.#next !== undefined) return this.#next
    if (this.#changes.size === 0) return this.#flush
    this.#next = this.#flush.then(() => this.#write())
    return this.#next
  }

  #write(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#next = undefined
    const changes = this.#changes
    this.#changes = new Map()
    this.#flush = this.#ledger.write(changes)
    return this.#flush
  }
}
