/**
 * Who fetches the package of an upgrade now: at the door of packages there is room for a few at a time. A node has its
 * place until it says that it has the package, or cannot have it, until it goes, or its time is over. One that is away
 * then waits again; one that is here is left out.
 */
import type { NodeId } from '../../shared/core/ids.ts'
import type { UpgradeUp } from '../../shared/protocol/upgrade-messages.ts'
import type { CoordinatorContext } from './coordinator-context.ts'
import type { Member } from './membership.ts'
import type { UpgradeTable } from './upgrade-table.ts'

interface Calls {
  tell(member: Member): void
  timedOut(): void
}

const FETCHES_MAX = 4
const FETCH_MAX_MS = 600_000

export class PackageFetches {
  readonly #context: CoordinatorContext
  readonly #table: UpgradeTable
  readonly #calls: Calls
  /** Told to fetch, and not heard of since. */
  readonly #fetching = new Set<NodeId>()

  constructor(context: CoordinatorContext, table: UpgradeTable, calls: Calls) {
    this.#context = context
    this.#table = table
    this.#calls = calls
  }

  /** Those that wait get the places that are free. */
  order(): void {
    const { members, deadlines, nowMs } = this.#context
    for (const [node, { state }] of this.#table.targets) {
      if (this.#fetching.size >= FETCHES_MAX) return
      const member = members.find(node)
      if (state !== 'waiting' || member === undefined || !isHere(member)) continue
      this.#fetching.add(node)
      this.#table.move(node, 'fetching')
      this.#calls.tell(member)
      deadlines.set(`upgrade-fetch/${member.index}`, nowMs + FETCH_MAX_MS, () => {
        this.#fetching.delete(node)
        if (isHere(member)) this.#table.skip(node, 'fetch-timeout')
        else this.putOff(member)
        this.#calls.timedOut()
      })
    }
  }

  /** The node has the package, or cannot have it; false if it was not to say so. */
  fetched(member: Member, { sha256, error }: Extract<UpgradeUp, { t: 'fetched' }>): boolean {
    const isOfTarget = this.#table.find(member.id)?.state === 'fetching'
    if (!isOfTarget || this.#table.packageOf(member)?.sha256 !== sha256) return false
    this.end(member)
    if (error === undefined) this.#table.move(member.id, 'fetched')
    else this.#table.skip(member.id, error.code, error.message)
    return true
  }

  end(member: Member): void {
    this.#fetching.delete(member.id)
    this.#context.deadlines.clear(`upgrade-fetch/${member.index}`)
  }

  endAll(): void {
    for (const node of this.#fetching) this.end(this.#context.members.find(node)!)
  }

  /** What it was told to fetch it does not: it waits again. */
  putOff(member: Member): void {
    this.end(member)
    if (this.#table.find(member.id)?.state === 'fetching') this.#table.move(member.id, 'waiting')
  }
}

export function isHere(member: Member): boolean {
  return member.state === 'alive' && member.session !== undefined
}
