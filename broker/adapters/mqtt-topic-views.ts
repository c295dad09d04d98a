/**
 * Topics for those who look at them over HTTP: what is retained, page by page, and what is published, as it comes. Each
 * sees what a subscription would give him, and nothing else.
 */
import { ANYONE, type Principal } from '../../shared/protocol/access.ts'
import { filterMatches } from '../../shared/protocol/topic-filters.ts'
import type { RetainedMessage, RetainedSource, RetainedStore } from './mqtt-retained.ts'
import type { LeavingMessage, Rights } from './mqtt-rights.ts'
import type { Qos } from './mqtt-subscribers.ts'

export interface TopicPageQuery {
  readonly filter: string
  /** Topics behind this one, in the order of their characters; the empty text is before all. */
  readonly after: string
  readonly limit: number
}

export interface PublishedMessage extends RetainedMessage {
  readonly retain: boolean
  readonly qos?: Qos
}

interface Tail {
  readonly who: Principal
  readonly filter: string
  readonly listener: (message: PublishedMessage) => void
}

/** How many topics are looked at before others have their turn. */
const TURN = 256
/** Of `all`. */
const PAGE = 500
const NO_OWNER = Buffer.alloc(0)

export class TopicViews {
  readonly #store: RetainedStore
  readonly #source: RetainedSource | undefined
  readonly #rights: Rights
  readonly #tails = new Set<Tail>()

  constructor(store: RetainedStore, source: RetainedSource | undefined, rights: Rights) {
    this.#store = store
    this.#source = source
    this.#rights = rights
  }

  /** Retained messages that he may receive, by topic; nothing once he `isGone`. */
  async page(
    who: Principal,
    query: TopicPageQuery,
    isGone: () => boolean,
  ): Promise<readonly RetainedMessage[]> {
    const first = new FirstTopics(query, (topic) =>
      this.#rights.mayReceive(who, { topic, payload: NO_OWNER }),
    )
    // A copy: what is published meanwhile goes to the end, and that would never come.
    const stored = Array.from(this.#store.messages(), ({ topic }) => topic)
    const places = [stored, this.#source?.topics(query.filter) ?? []]
    let looked = 0
    for (const topics of places) {
      for (const topic of topics) {
        if (++looked % TURN === 0) await new Promise(setImmediate)
        if (isGone()) return []
        first.offer(topic)
      }
    }
    return first.topics().flatMap((topic) => this.find(topic) ?? [])
  }

  /** What is retained of one topic. */
  find(topic: string): RetainedMessage | undefined {
    const stored = this.#store.get(topic)
    if (stored !== undefined) return stored
    for (const message of this.#source?.match(topic) ?? []) return message
    return undefined
  }

  /** All topics of our own store that match and have something retained now. */
  retained(filter: string): string[] {
    const topics = Array.from(this.#store.messages(), ({ topic }) => topic)
    return topics.filter((topic) => filterMatches(filter, topic))
  }

  /** All that is retained and matches, our own tasks too, some hundred at a time. */
  async *all(filter: string): AsyncIterable<RetainedMessage> {
    for (let after = ''; ; ) {
      const page = await this.page(ANYONE, { filter, after, limit: PAGE }, () => false)
      yield* page
      if (page.length < PAGE) return
      after = page.at(-1)!.topic
    }
  }

  /** Calls `listener` for each message that he may receive, from now on; returns what ends that. */
  follow(who: Principal, filter: string, listener: Tail['listener']): () => void {
    const tail = { who, filter, listener }
    this.#tails.add(tail)
    return () => this.#tails.delete(tail)
  }

  /** A message is on its way to those who have subscribed. */
  published(message: LeavingMessage & PublishedMessage): void {
    for (const { who, filter, listener } of this.#tails) {
      if (!filterMatches(filter, message.topic)) continue
      if (this.#rights.mayReceive(who, message)) listener(message)
    }
  }
}

/** The first topics of many, in order: no more are kept than some pages of them. */
class FirstTopics {
  readonly #query: TopicPageQuery
  readonly #isAllowed: (topic: string) => boolean
  #found: string[] = []
  /** Nothing behind it is among the first. */
  #end: string | undefined

  constructor(query: TopicPageQuery, isAllowed: (topic: string) => boolean) {
    this.#query = query
    this.#isAllowed = isAllowed
  }

  offer(topic: string): void {
    const { filter, after, limit } = this.#query
    if (topic <= after || (this.#end !== undefined && topic >= this.#end)) return
    if (!filterMatches(filter, topic) || !this.#isAllowed(topic)) return
    this.#found.push(topic)
    if (this.#found.length >= 4 * limit) this.topics()
  }

  topics(): readonly string[] {
    const { limit } = this.#query
    this.#found = [...new Set(this.#found)].sort().slice(0, limit)
    if (this.#found.length === limit) this.#end = this.#found.at(-1)
    return this.#found
  }
}
