/** Who has subscribed to what, and who is to get a message: each once, at the highest QoS of its filters. */
import { FilterTrie } from '../../shared/protocol/filter-trie.ts'
import { isShared, type ShareGroup, ShareGroups } from './mqtt-share-groups.ts'

export type Qos = 0 | 1 | 2

const NONE: ReadonlyMap<never, never> = new Map<never, never>()

interface Entry<Subscriber> {
  readonly subscriber: Subscriber
  readonly owner: string
  readonly filters: Map<string, Qos>
  /** The last look-up that found it, and the highest QoS so far in that. */
  lookUp: number
  highest: Qos
}

export class Subscribers<Subscriber> {
  readonly #entries = new Map<Subscriber, Entry<Subscriber>>()
  readonly #byFilter = new FilterTrie<Map<Entry<Subscriber>, Qos>>()
  readonly #shared = new ShareGroups<Subscriber>()
  readonly #ownerOf: (subscriber: Subscriber) => string
  readonly #countBy = new Map<string, number>()
  #count = 0
  #lookUps = 0

  /** `ownerOf`: the identity by which somebody subscribes. */
  constructor(ownerOf: (subscriber: Subscriber) => string = () => '') {
    this.#ownerOf = ownerOf
  }

  /** Of all filters of all subscribers. */
  get count(): number {
    return this.#count
  }

  /** Of all of one identity. */
  countOf(owner: string): number {
    return this.#countBy.get(owner) ?? 0
  }

  filtersOf(subscriber: Subscriber): ReadonlyMap<string, Qos> {
    return this.#entries.get(subscriber)?.filters ?? NONE
  }

  /** The one filter of this text that a subscriber has is granted this QoS from now on [MQTT-3.8.4-3]. */
  set(subscriber: Subscriber, filter: string, qos: Qos): void {
    let entry = this.#entries.get(subscriber)
    if (entry === undefined) {
      const owner = this.#ownerOf(subscriber)
      entry = { subscriber, owner, filters: new Map(), lookUp: 0, highest: 0 }
      this.#entries.set(subscriber, entry)
    }
    if (!entry.filters.has(filter)) this.#add(entry.owner, 1)
    entry.filters.set(filter, qos)
    if (isShared(filter)) {
      this.#shared.set(subscriber, entry.owner, filter, qos)
      return
    }
    const entries = this.#byFilter.get(filter)
    if (entries === undefined) this.#byFilter.set(filter, new Map([[entry, qos]]))
    else entries.set(entry, qos)
  }

  delete(subscriber: Subscriber, filter: string): void {
    const entry = this.#entries.get(subscriber)
    if (!entry?.filters.delete(filter)) return
    if (entry.filters.size === 0) this.#entries.delete(subscriber)
    this.#add(entry.owner, -1)
    if (isShared(filter)) {
      this.#shared.delete(subscriber, entry.owner, filter)
      return
    }
    const entries = this.#byFilter.get(filter)!
    entries.delete(entry)
    if (entries.size === 0) this.#byFilter.delete(filter)
  }

  #add(owner: string, more: number): void {
    this.#count += more
    const own = this.countOf(owner) + more
    if (own === 0) this.#countBy.delete(owner)
    else this.#countBy.set(owner, own)
  }

  clear(subscriber: Subscriber): void {
    for (const filter of [...this.filtersOf(subscriber).keys()]) this.delete(subscriber, filter)
  }

  /** Of each group, one is to get a message of this topic. */
  groupsFor(topic: string): ShareGroup<Subscriber>[] {
    return this.#shared.matching(topic)
  }

  matching(topic: string): [Subscriber, Qos][] {
    const lookUp = ++this.#lookUps
    const found: Entry<Subscriber>[] = []
    for (const entries of this.#byFilter.matching(topic)) {
      for (const [entry, qos] of entries) {
        if (entry.lookUp !== lookUp) {
          entry.lookUp = lookUp
          entry.highest = qos
          found.push(entry)
        } else if (qos > entry.highest) {
          entry.highest = qos
        }
      }
    }
    return found.map(({ subscriber, highest }) => [subscriber, highest])
  }
}
