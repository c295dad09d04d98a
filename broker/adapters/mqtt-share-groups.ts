/**
 * Shared subscriptions: of those who have subscribed to `$share/<group>/<filter>`, one gets each message,
 * in turn [MQTT 5.0 §4.8.2]. The same name over another filter is another group, and so is it by another identity:
 * nobody takes a part of what is for somebody else.
 */
import { FilterTrie } from '../../shared/protocol/filter-trie.ts'
import type { Qos } from './mqtt-subscribers.ts'

const PREFIX = '$share/'

export function isShared(filter: string): boolean {
  return filter.startsWith(PREFIX)
}

/** What the members of a group want, or nothing if the name of the group or the filter is none. */
export function filterOfShared(shared: string): string | undefined {
  const nameEnd = shared.indexOf('/', PREFIX.length)
  const name = shared.slice(PREFIX.length, nameEnd)
  const filter = shared.slice(nameEnd + 1)
  const isNone = nameEnd < 0 || name === '' || /[+#]/.test(name) || filter === ''
  return isNone ? undefined : filter
}

export class ShareGroup<Member> {
  /** Whose it is, and `$share/<group>/<filter>`. */
  readonly name: string
  /** Whose turn is next comes first. */
  readonly #members = new Map<Member, Qos>()

  constructor(name: string) {
    this.name = name
  }

  get size(): number {
    return this.#members.size
  }

  set(member: Member, qos: Qos): void {
    this.#members.set(member, qos)
  }

  delete(member: Member): void {
    this.#members.delete(member)
  }

  /** The first that is able, whose turn comes again after all others. */
  next(isAble: (member: Member, qos: Qos) => boolean): [Member, Qos] | undefined {
    for (const [member, qos] of this.#members) {
      if (!isAble(member, qos)) continue
      this.#members.delete(member)
      this.#members.set(member, qos)
      return [member, qos]
    }
    return undefined
  }
}

export class ShareGroups<Member> {
  /** By the filter, then by the name. */
  readonly #groups = new FilterTrie<Map<string, ShareGroup<Member>>>()

  set(member: Member, owner: string, shared: string, qos: Qos): void {
    const [filter, name] = [filterOfShared(shared)!, nameOf(owner, shared)]
    let groups = this.#groups.get(filter)
    if (groups === undefined) {
      groups = new Map()
      this.#groups.set(filter, groups)
    }
    let group = groups.get(name)
    if (group === undefined) {
      group = new ShareGroup(name)
      groups.set(name, group)
    }
    group.set(member, qos)
  }

  delete(member: Member, owner: string, shared: string): void {
    const [filter, name] = [filterOfShared(shared)!, nameOf(owner, shared)]
    const groups = this.#groups.get(filter)!
    const group = groups.get(name)!
    group.delete(member)
    if (group.size === 0) groups.delete(name)
    if (groups.size === 0) this.#groups.delete(filter)
  }

  matching(topic: string): ShareGroup<Member>[] {
    return this.#groups.matching(topic).flatMap((groups) => [...groups.values()])
  }
}

/** No identity has a space in it. */
function nameOf(owner: string, shared: string): string {
  return `${owner} ${shared}`
}
