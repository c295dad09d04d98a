/**
 * Who fetches the package of an upgrade now: at the door of packages there is room for a few at a time. A node has its
 * place until it says that it has the package, or cannot have it, until it goes, or its time is over. Who goes waits
 * again, behind all others, and goes on where it was: what came stays on its disk. The time is that of all its places
 * together, or those that go and come back again and again would hold up an upgrade for ever; once it is over, one that
 * is here is left out.
 */
import type { NodeId } from '../../../shared/core/ids.ts'
import type { UpgradeUp } from '../../../shared/protocol/upgrade-messages.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Member } from '../state/membership.ts'
import type { UpgradeTable } from '../state/upgrade-table.ts'

const FETCHES_MAX = 4
const FETCH_MAX_MS = 600_000

export class PackageFetches {
  readonly #context: CoordinatorContext
  readonly #table: UpgradeTable
  /** Told to fetch, and not heard of since: when they were told, monotonic ms. */
  readonly #fetching = new Map<NodeId, number>()
  /** Had a place and went, the one for the longest first: for how long they had one, ms. */
  readonly #unfinished = new Map<NodeId, number>()

  constructor(context: CoordinatorContext) {
    this.#context = context
    this.#table = context.upgrades
  }

  /** Those that wait get the places that are free, one after the other, and are to be told. */
  *begin(timedOut: () => void): Generator<Member> {
    if (this.#fetching.size >= FETCHES_MAX) return
    for (const node of this.#inTurn()) {
      const member = this.#context.members.find(node)
      const isWaiting = this.#table.find(node)?.state === 'waiting'
      if (isWaiting && member !== undefined && isHere(member)) {
        this.#begin(member, timedOut)
        yield member
      }
      if (this.#fetching.size >= FETCHES_MAX) return
    }
  }

  #inTurn(): NodeId[] {
    const nodes = this.#table.targets.map(([node]) => node)
    return [...nodes.filter((node) => !this.#unfinished.has(node)), ...this.#unfinished.keys()]
  }

  #begin(member: Member, timedOut: () => void): void {
    const { deadlines, nowMs } = this.#context
    const { id: node, index } = member
    this.#fetching.set(node, nowMs)
    this.#table.move(node, 'fetching')
    const leftMs = FETCH_MAX_MS - (this.#unfinished.get(node) ?? 0)
    deadlines.set(`upgrade-fetch/${index}`, nowMs + leftMs, () => {
      if (isHere(member)) {
        this.end(member)
        this.#table.skip(node, 'fetch-timeout')
      } else this.putOff(member)
      timedOut()
    })
  }

  /** The node has the package, or cannot have it; false if it was not to say so. */
  fetched(member: Member, { sha256, error }: Extract<UpgradeUp, { t: 'fetched' }>): boolean {
    const state = this.#table.find(member.id)?.state
    // Who has lost its place may have got on without one.
    if (
      (state !== 'fetching' && state !== 'waiting') ||
      this.#table.packageOf(member)?.sha256 !== sha256
    )
      return false
    this.end(member)
    if (error === undefined) this.#table.move(member.id, 'fetched')
    else this.#table.skip(member.id, error.code, error.message)
    return true
  }

  end({ id, index }: Member): void {
    this.#fetching.delete(id)
    this.#unfinished.delete(id)
    this.#context.deadlines.clear(`upgrade-fetch/${index}`)
  }

  /** Nobody fetches any more, and nobody ever did. */
  endAll(): void {
    for (const node of this.#fetching.keys()) this.end(this.#context.members.find(node)!)
    this.#unfinished.clear()
  }

  /** What it was told to fetch it does not: it waits again. */
  putOff(member: Member): void {
    const { id, index } = member
    const { nowMs, detector } = this.#context
    const sinceMs = this.#fetching.get(id)
    if (sinceMs === undefined) return
    const usedMs = this.#unfinished.get(id) ?? 0
    const endMs = Math.min(nowMs, detector.heardMs(index) ?? nowMs)
    this.end(member)
    this.#unfinished.set(id, usedMs + Math.max(0, endMs - sinceMs))
    if (this.#table.find(id)?.state === 'fetching') this.#table.move(id, 'waiting')
  }
}

export function isHere(member: Member): boolean {
  return member.state === 'alive' && member.session !== undefined
}
