/**
 * Brings the nodes to another version of the agent, a few at a time. All that are here fetch the package first; then one
 * node goes ahead (the canary), then waves. A node is told to install only while each of its tiles has another holder
 * that is in sync (upgrade-wave.ts), the gateway does not doubt itself, and no copy is missing. It is done once it is here
 * with the new version, has caught up, and stays for a minute. The first that fails stops the rest.
 *
 *   waiting ─▶ fetching ─▶ fetched ─▶ installing ─▶ done | went-back | lost        waiting ─▶ skipped
 *
 * Invariants: nobody begins while a wave is under way; a state is persisted before a node is told; a node that is
 * away is waited for. A start of the gateway goes on where the ledger stands.
 */
import { count } from '../../../shared/core/count.ts'
import { type NodeId, randomId } from '../../../shared/core/ids.ts'
import type { Hello } from '../../../shared/protocol/messages.ts'
import type {
  UpgradeOrder,
  UpgradeOutcome,
  UpgradeUp,
} from '../../../shared/protocol/upgrade-messages.ts'
import type { UpgradePlanRow } from '../../../shared/protocol/views.ts'
import type { UpgradeDemand, UpgradeWish } from '../events.ts'
import type { LedgerContents, UpgradeRecord } from '../ledger-records.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Member } from '../state/membership.ts'
import { isFinal, type UpgradeTable, verdictOn } from '../state/upgrade-table.ts'
import { isHere, PackageFetches } from './package-fetches.ts'
import type { Rebalancer } from './rebalancer.ts'
import { chooseWave, sizeOf, type UpgradeHindrance } from './upgrade-wave.ts'

export interface UpgradeProblem {
  readonly code: 'upgrade-running' | 'sole-copies'
  readonly message: string
}

/** So long a node has to be here with the new version. */
const ALIVE_MS = 60_000
/** From the order on, for a node that comes back and does not catch up. */
const INSTALL_MAX_MS = 900_000
/** What hinders is looked at again. */
const RETRY_MS = 1000
/** Thousands may say something at once: what follows is looked at together. */
const SOON_MS = 20

export class Upgrades {
  readonly #context: CoordinatorContext
  readonly #rebalancer: Rebalancer
  readonly #table: UpgradeTable
  readonly #fetches: PackageFetches
  /** Were installing when the gateway started: that it was away is not the version's fault. */
  readonly #unjudged = new Set<NodeId>()
  #pausedUntilMs = Number.NEGATIVE_INFINITY
  #hindrance: UpgradeHindrance | undefined

  constructor(context: CoordinatorContext, rebalancer: Rebalancer) {
    this.#context = context
    this.#rebalancer = rebalancer
    this.#table = context.upgrades
    this.#fetches = new PackageFetches(context)
  }

  get hindrance(): UpgradeHindrance | undefined {
    return this.#table.latest?.state === 'running' ? this.#hindrance : undefined
  }

  restore(contents: Pick<LedgerContents, 'upgrade' | 'upgradeNode'>): void {
    this.#table.restore(contents)
    for (const [node, { state }] of this.#table.targets) {
      if (state === 'fetching') this.#table.move(node, 'waiting')
      const member = this.#context.members.find(node)
      if (state !== 'installing' || member === undefined) continue
      this.#unjudged.add(node)
      this.#beginAbsence(member)
    }
    // How much of it is over nobody knows.
    const { latest, targets } = this.#table
    const isBetween = targets.some(([, { state }]) => state === 'done')
    if (isBetween) this.#pausedUntilMs = this.#context.nowMs + latest!.pauseMs
    this.#advanceSoon()
  }

  /** Why no upgrade can begin. */
  problemOf({ mayBeAway }: Pick<UpgradeWish, 'mayBeAway'>): UpgradeProblem | undefined {
    const { latest, isInstalling } = this.#table
    if (latest?.state === 'running' || isInstalling) {
      const message = `upgrade ${latest!.id} is under way: stop it first, and wait for the nodes that install`
      return { code: 'upgrade-running', message }
    }
    if (this.#context.options.replicas === 1 && !mayBeAway) {
      const message =
        'each tile has one copy, which is away while its node starts anew: allow that with --allow-away'
      return { code: 'sole-copies', message }
    }
    return undefined
  }

  /** One that cannot be obeyed any more is none. */
  obey(demand: UpgradeDemand): void {
    if (demand === 'resume') this.#resume()
    else if (demand !== 'stop') this.#start(demand.start)
    else if (this.#table.latest?.state === 'running') this.#halt({ code: 'by-operator' })
  }

  /** What would become of each target, as far as that is known: of who is away nothing is. */
  planFor(wish: UpgradeWish): UpgradePlanRow[] {
    return this.#membersFor(wish).map((member) => {
      const failed = wish.again ? undefined : this.#table.failedOn(member.id)
      const verdict = isHere(member) ? verdictOn(member, wish, failed) : undefined
      return { node: member.id, ...(verdict ?? { state: 'waiting' }) }
    })
  }

  #start(wish: UpgradeWish): void {
    if (this.problemOf(wish) !== undefined) return
    const context = this.#context
    const { again, only: _, ...wished } = wish
    const { version } = wished
    const upgrade = randomId(context.random)
    const begun = { state: 'running', isCanaryDone: false, startedTs: context.ts } as const
    this.#pausedUntilMs = Number.NEGATIVE_INFINITY
    // Of one that was stopped.
    this.#fetches.endAll()
    this.#table.keep({ id: upgrade, ...wished, ...begun })
    const members = this.#membersFor(wish)
    for (const { id } of members) {
      this.#table.add(id, again ? undefined : this.#table.failedOn(id))
    }
    const nodes = members.length
    const message = `upgrade ${upgrade} of ${count(nodes, 'node')} to ${version} begins`
    context.notice('info', 'upgrade-began', message, { upgrade, version, nodes })
    for (const member of members) if (isHere(member)) this.#judge(member)
    this.#advance()
  }

  #resume(): void {
    const { latest } = this.#table
    if (latest?.state !== 'stopped') return
    const { stopped: _, ...rest } = latest
    this.#table.keep({ ...rest, state: 'running' })
    const message = `upgrade ${latest.id} goes on`
    this.#context.notice('info', 'upgrade-resumed', message, { upgrade: latest.id })
    this.#advance()
  }

  /** A node is admitted. */
  greeted(member: Member, { upgrade: said }: Hello): void {
    const target = this.#table.find(member.id)
    if (target === undefined) return
    this.#fetches.putOff(member)
    if (target.state === 'installing') {
      const { outcome } = said ?? {}
      if (said?.version === this.#table.latest!.version) this.#awaitMinute(member)
      else if (outcome !== undefined && this.#isOf(member, outcome)) this.#ended(member, outcome)
      // It was here all the time, or was started anew before it could ask.
      else this.#order(member, 'install')
    } else this.#judge(member)
    this.#advanceSoon()
  }

  /** What a node says of a package. */
  receive(member: Member, message: UpgradeUp): void {
    if (message.t === 'upgraded') this.#upgraded(member, message.outcome)
    else if (this.#fetches.fetched(member, message)) this.#advanceSoon()
  }

  /** The package was not installed, or did not stay: the process that says so is the one that was told to. */
  #upgraded(member: Member, outcome: UpgradeOutcome): void {
    const isOfTarget = this.#table.find(member.id)?.state === 'installing'
    if (!isOfTarget || !this.#isOf(member, outcome)) return
    this.#ended(member, outcome)
    this.#advanceSoon()
  }

  died(member: Member): void {
    this.#fetches.putOff(member)
    if (this.#table.find(member.id)?.state === 'installing') this.#fail(member, 'lost', 'not-back')
    this.#advanceSoon()
  }

  /** It was drained, and does not come back. */
  left(member: Member): void {
    const target = this.#table.find(member.id)
    if (target === undefined || isFinal(target.state)) return
    this.#settle(member)
    this.#table.skip(member.id, 'node-left')
    this.#advanceSoon()
  }

  /** The member is none any more. */
  forget(member: Member): void {
    this.#settle(member)
    this.#table.forget(member.id)
    this.#advanceSoon()
  }

  #membersFor({ only }: UpgradeWish): Member[] {
    const byName = this.#context.members.all.toSorted((a, b) => (a.id < b.id ? -1 : 1))
    return byName.filter(
      ({ id, state }) => state !== 'left' && (only === undefined || only.includes(id)),
    )
  }

  /** A node of before attempts names none, and one that was told none neither. */
  #isOf(member: Member, { sha256, attempt }: UpgradeOutcome): boolean {
    const expected = this.#attemptOf(member)
    const isOfAttempt = expected === undefined || attempt === expected
    return isOfAttempt && this.#table.packageOf(member)?.sha256 === sha256
  }

  #attemptOf({ id, program }: Member): string | undefined {
    return program?.attempts ? this.#table.find(id)?.attempt : undefined
  }

  /** Somebody is here who waits: whether this upgrade has anything for him. */
  #judge(member: Member): void {
    const target = this.#table.find(member.id)
    if (target?.state !== 'waiting' && target?.state !== 'fetched') return
    const verdict = verdictOn(member, this.#table.latest!, target.failed)
    if (verdict?.state === 'skipped') this.#table.skip(member.id, verdict.code!)
    else if (verdict !== undefined) this.#table.move(member.id, verdict.state)
  }

  #advanceSoon(): void {
    const { deadlines, nowMs } = this.#context
    if (this.#table.latest?.state !== 'running' || deadlines.has('upgrade')) return
    deadlines.set('upgrade', nowMs + SOON_MS, () => this.#advance())
  }

  #advance(): void {
    const upgrade = this.#table.latest
    if (upgrade?.state !== 'running') return
    const timedOut = (): void => this.#advance()
    for (const member of this.#fetches.begin(timedOut)) this.#order(member, 'wait')
    this.#hindrance = this.#proceed(upgrade)
    if (this.#table.targets.every(([, { state }]) => isFinal(state))) this.#finish(upgrade)
    else if (!TOLD.includes(this.#hindrance)) {
      const { deadlines, nowMs } = this.#context
      deadlines.set('upgrade-retry', nowMs + RETRY_MS, () => this.#advance())
    }
  }

  /** Begins the next wave; says what is waited for. */
  #proceed(upgrade: UpgradeRecord): UpgradeHindrance {
    const { members, doubt, nowMs, moves, placement, random } = this.#context
    if (this.#table.isInstalling) return 'wave'
    const found = this.#table.targets.flatMap(([node, { state }]) => {
      const member = members.find(node)
      return member === undefined ? [] : [{ member, state }]
    })
    const isToFetch = ({ member, state }: (typeof found)[number]): boolean =>
      isHere(member) && (state === 'fetching' || state === 'waiting')
    if (found.some(isToFetch)) return 'fetching'
    if (nowMs < this.#pausedUntilMs) return 'pause'
    if (doubt.isDoubting) return 'doubting'
    const repairs = moves.all.some(({ reason }) => reason === 'repair')
    if (repairs || this.#rebalancer.plansRepairs) return 'repairing'
    const moving = new Set(moves.all.flatMap(({ from, to }) => [from, to]))
    const ready = found.filter(
      ({ member, state }) => state === 'fetched' && member.isInSync && !moving.has(member.index),
    )
    if (ready.length === 0) return 'nodes-away'
    const chosen = chooseWave({
      placement,
      stays: members.byIndex(({ isInSync, isUpgrading }) => isInSync && !isUpgrading),
      candidates: ready.map(({ member }) => member.index),
      size: upgrade.isCanaryDone ? sizeOf(upgrade.wave, this.#table.targets.length) : 1,
      mayBeAway: upgrade.mayBeAway,
    })
    for (const index of chosen) {
      const member = members.at(index)
      this.#table.install(member.id, randomId(random))
      this.#beginAbsence(member)
      this.#order(member, 'install')
    }
    return chosen.length === 0 ? 'sole-copies' : 'wave'
  }

  /** Until it has been here for a minute, its silence is nothing to wonder at. */
  #beginAbsence(member: Member): void {
    const { deadlines, nowMs } = this.#context
    member.isUpgrading = true
    deadlines.set(`upgrade-node/${member.index}`, nowMs + INSTALL_MAX_MS, () =>
      this.#fail(member, 'lost', 'upgrade-timeout'),
    )
  }

  #order(member: Member, next: UpgradeOrder['next']): void {
    const found = this.#table.packageOf(member)
    if (found === undefined || member.session === undefined) return
    const { version } = this.#table.latest!
    const { sha256, bytes } = found
    const attempt = next === 'install' ? this.#attemptOf(member) : undefined
    const named = attempt === undefined ? {} : { attempt }
    this.#context.send(member, { t: 'upgrade', version, sha256, bytes, next, ...named })
  }

  #awaitMinute(member: Member, waitMs = ALIVE_MS): void {
    const { deadlines, nowMs } = this.#context
    const { session } = member
    deadlines.set(`upgrade-alive/${member.index}`, nowMs + waitMs, () => {
      // Who was away meanwhile begins anew with his next hello.
      if (member.session !== session) return
      if (member.isInSync) this.#succeed(member)
      else this.#awaitMinute(member, RETRY_MS)
    })
  }

  #succeed(member: Member): void {
    const upgrade = this.#table.latest!
    const { version, pauseMs } = upgrade
    const { id: node } = member
    this.#settle(member)
    this.#table.move(node, 'done')
    this.#context.notice('info', 'node-upgraded', `node ${node} runs ${version}`, { node, version })
    if (!upgrade.isCanaryDone) this.#table.keep({ ...upgrade, isCanaryDone: true })
    if (!this.#table.isInstalling) this.#pausedUntilMs = this.#context.nowMs + pauseMs
    this.#advanceSoon()
  }

  #ended(member: Member, { outcome, code: said }: UpgradeOutcome): void {
    if (outcome === 'ready') return
    if (outcome === 'went-back' && this.#unjudged.has(member.id)) {
      this.#settle(member)
      this.#table.move(member.id, 'fetched')
      return
    }
    const code = outcome === 'went-back' ? 'upgrade-went-back' : 'package-untrusted'
    this.#fail(member, 'went-back', said ?? code)
  }

  #fail(member: Member, state: 'went-back' | 'lost', code: string): void {
    const { id: node } = member
    const found = this.#table.packageOf(member)
    if (state === 'went-back' && found !== undefined) this.#table.noteFailed(node, found.sha256)
    this.#settle(member)
    this.#table.move(node, state, code)
    const { version, state: before } = this.#table.latest!
    const message = `node ${node} does not run ${version}: ${code}`
    this.#context.notice('error', 'node-not-upgraded', message, { node, version, reason: code })
    if (before === 'running') this.#halt({ code, node })
  }

  #settle(member: Member): void {
    member.isUpgrading = false
    this.#unjudged.delete(member.id)
    this.#fetches.end(member)
    for (const kind of ['node', 'alive']) {
      this.#context.deadlines.clear(`upgrade-${kind}/${member.index}`)
    }
  }

  #halt(stopped: { readonly code: string; readonly node?: NodeId }): void {
    const { code, node } = stopped
    const upgrade = this.#table.latest!
    this.#table.keep({ ...upgrade, state: 'stopped', stopped })
    const at = node === undefined ? '' : ` at node ${node}`
    const message = `upgrade ${upgrade.id} has stopped${at}: ${code}`
    this.#context.notice(node === undefined ? 'info' : 'error', 'upgrade-stopped', message, {
      upgrade: upgrade.id,
      reason: code,
    })
  }

  #finish(upgrade: UpgradeRecord): void {
    this.#table.keep({ ...upgrade, state: 'done' })
    const { targets } = this.#table
    const done = targets.filter(([, { state }]) => state === 'done').length
    const message = `upgrade ${upgrade.id}: ${upgrade.version} runs on ${done} of ${count(targets.length, 'node')}`
    const fields = { upgrade: upgrade.id, done, nodes: targets.length }
    this.#context.notice('info', 'upgrade-ended', message, fields)
  }
}

/** What ends with something that a node says. */
const TOLD: readonly UpgradeHindrance[] = ['fetching', 'wave']
