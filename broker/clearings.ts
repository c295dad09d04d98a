/**
 * What the other end of the gateway's bridge is still to clear: topics of which nothing is retained here any more, and
 * perhaps something is over there. One comes in with the very write that clears it here, and goes out once the other end
 * has acknowledged that, or what was retained of it later: so a gateway that is killed in between has it on its disk.
 *
 * Without a bridge none is added; those that are there wait until there is one again.
 */
import { filterMatches } from '../shared/protocol/topic-filters.ts'
import { buildTopic } from '../shared/protocol/topics.ts'
import type { Logger } from '../shared/runtime/logger.ts'
import type { GatewayEffect } from './core/effects.ts'
import type { LedgerContents, LedgerRecord } from './core/ledger-records.ts'
import { discoveryTopic, parseDiscoveryTopic } from './core/views/discovery.ts'

/** Three for each of as many tasks as are kept at least by default. */
const CLEARINGS_MAX = 30_000

type Published = Pick<Extract<GatewayEffect, { type: 'publish' }>, 'topic' | 'payload' | 'retain'>

export interface ClearingsOptions {
  readonly topicBase: string
  /** The prefix below which Home Assistant is told of nodes. */
  readonly homeAssistant?: string | undefined
  fleet(): string | undefined
  /** What goes out over the bridge; nothing without one. */
  readonly filtersOut: readonly string[]
  readonly max?: number
}

export class Clearings {
  readonly #options: ClearingsOptions & { readonly max: number }
  readonly #write: (records: readonly LedgerRecord[]) => Promise<void>
  readonly #log: Logger
  readonly #owed: Set<string>
  /** Owed no more; the disk does not know yet. */
  #settled = new Set<string>()
  #writing: Promise<void> | undefined
  #isFull = false

  constructor(
    rows: LedgerContents['clearing'],
    options: ClearingsOptions,
    write: (records: readonly LedgerRecord[]) => Promise<void>,
    log: Logger,
  ) {
    this.#options = { max: CLEARINGS_MAX, ...options }
    this.#write = write
    this.#log = log
    this.#owed = new Set(rows.map(({ key }) => String(key)))
    if (options.filtersOut.length > 0 || rows.length === 0) return
    const message = `${rows.length} topics are still to be cleared at the other end of a bridge: they wait until bridge_url is there again`
    log.info({}, message)
  }

  get topics(): readonly string[] {
    return [...this.#owed]
  }

  /** Nothing is retained of it any more. Returns what is to be written with that. */
  owe(topic: string): readonly LedgerRecord[] {
    const { max } = this.#options
    if (!this.#isBridged(topic)) return []
    if (!this.#owed.has(topic) && this.#owed.size >= max) {
      if (!this.#isFull) {
        const message = `${max} topics wait to be cleared at the other end of the bridge: what is cleared now may stay there`
        this.#log.warn({}, message)
      }
      this.#isFull = true
      return []
    }
    this.#owed.add(topic)
    this.#settled.delete(topic)
    return [recordOf(topic, true)]
  }

  has(topic: string): boolean {
    return this.#owed.has(topic)
  }

  /** Or was, before Home Assistant was to be told elsewhere, or nowhere. */
  #isBridged(topic: string): boolean {
    const { filtersOut, fleet } = this.#options
    if (filtersOut.length === 0) return false
    if (filtersOut.some((filter) => filterMatches(filter, topic))) return true
    return parseDiscoveryTopic(fleet() ?? '', topic) !== undefined
  }

  /** What is to be written before the gateway publishes something. */
  owedBy({ topic, payload, retain }: Published): readonly LedgerRecord[] {
    if (!retain || payload.length > 0) return []
    const { topicBase, homeAssistant: prefix, fleet } = this.#options
    const id = fleet()
    const isOfNode =
      topic.kind === 'node-telemetry-json' && prefix !== undefined && id !== undefined
    return [
      ...this.owe(buildTopic(topicBase, topic)),
      // It follows: what Home Assistant was told is perhaps over there, and on no disk here.
      ...(isOfNode ? this.owe(discoveryTopic({ prefix, fleet: id }, topic.node)) : []),
    ]
  }

  /** How it stands now with topics that were cleared a moment ago. */
  recordsOf(topics: Iterable<string>): readonly LedgerRecord[] {
    return Array.from(topics)
      .filter((topic) => this.#owed.has(topic))
      .map((topic) => recordOf(topic, true))
  }

  /** Over there it is as it is here. On disk that may be so a little later: to clear a topic twice does no harm. */
  settle(topic: string): void {
    if (!this.#owed.delete(topic)) return
    // Said again only once it was well below its bound.
    if (this.#owed.size <= this.#options.max / 2) this.#isFull = false
    this.#settled.add(topic)
    // A ledger that cannot be written to ends the process by itself.
    this.#writing ??= this.#writeSettled().catch(() => {})
  }

  async close(): Promise<void> {
    await this.#writing
  }

  /** What comes while one write is under way shares the next. */
  async #writeSettled(): Promise<void> {
    while (this.#settled.size > 0) {
      const records = Array.from(this.#settled, (topic) => recordOf(topic, undefined))
      this.#settled = new Set()
      await this.#write(records)
    }
    this.#writing = undefined
  }
}

function recordOf(topic: string, value: true | undefined): LedgerRecord {
  return { table: 'clearing', key: topic, value }
}
