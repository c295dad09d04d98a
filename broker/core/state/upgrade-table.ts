/**
 * The latest upgrade and its targets, as the ledger has them: every change here is persisted with the step that makes it,
 * and told to those who follow. Which changes there are is upgrades.ts's.
 */
import type { NodeId } from '../../../shared/core/ids.ts'
import { own } from '../../../shared/core/own.ts'
import { compareVersions, mayReplace } from '../../../shared/core/versions.ts'
import type {
  LedgerContents,
  PackageRef,
  UpgradeNodeRecord,
  UpgradeNodeState,
  UpgradeRecord,
} from '../ledger-records.ts'
import type { CoordinatorContext } from './coordinator-context.ts'
import type { Member } from './membership.ts'

export type Target = { -readonly [K in keyof UpgradeNodeRecord]: UpgradeNodeRecord[K] }

const LATEST = 'latest'
/** Packages that are remembered to have failed on a node. */
const FAILED_MAX = 8

export class UpgradeTable {
  readonly #context: CoordinatorContext
  #latest: UpgradeRecord | undefined
  /** Of this upgrade or of one before: what failed on a node is kept. */
  readonly #targets = new Map<NodeId, Target>()
  /** No other upgrade begins while there are some. */
  readonly #installing = new Set<NodeId>()
  #sorted: readonly (readonly [NodeId, Target])[] | undefined

  constructor(context: CoordinatorContext) {
    this.#context = context
  }

  get latest(): UpgradeRecord | undefined {
    return this.#latest
  }

  /** Of the latest upgrade, by name. */
  get targets(): readonly (readonly [NodeId, Target])[] {
    this.#sorted ??= [...this.#targets]
      .filter(([, { upgrade }]) => upgrade === this.#latest?.id)
      .sort(([a], [b]) => (a < b ? -1 : 1))
    return this.#sorted
  }

  get isInstalling(): boolean {
    return this.#installing.size > 0
  }

  /** Nodes may still go back to what ran before. */
  get isOpen(): boolean {
    return this.#latest?.state === 'running' || this.isInstalling
  }

  restore({ upgrade, upgradeNode }: Pick<LedgerContents, 'upgrade' | 'upgradeNode'>): void {
    this.#latest = upgrade.find(({ key }) => key === LATEST)?.value
    for (const { key, value } of upgradeNode) {
      this.#targets.set(key as NodeId, { ...value })
      const isOfLatest = value.upgrade === this.#latest?.id
      if (isOfLatest && value.state === 'installing') this.#installing.add(key as NodeId)
    }
  }

  /** Of the latest upgrade. */
  find(node: NodeId): Target | undefined {
    const target = this.#targets.get(node)
    return target?.upgrade === this.#latest?.id ? target : undefined
  }

  packageOf(member: Member): PackageRef | undefined {
    return this.#latest && packageFor(this.#latest, member)
  }

  /** Packages that did not come to run on it. */
  failedOn(node: NodeId): readonly string[] | undefined {
    return this.#targets.get(node)?.failed
  }

  keep(upgrade: UpgradeRecord): void {
    if (upgrade.id !== this.#latest?.id) this.#sorted = undefined
    this.#latest = upgrade
    this.#context.persist({ table: 'upgrade', key: LATEST, value: upgrade })
    const { id, state, version } = upgrade
    this.#context.emit({ type: 'announce-upgrade', change: { upgrade: id, state, version } })
  }

  /** It is a target of the latest. */
  add(node: NodeId, failed: readonly string[] | undefined): void {
    const upgrade = this.#latest!.id
    const kept = failed === undefined ? {} : { failed }
    this.#targets.set(node, { upgrade, state: 'waiting', ...kept })
    this.#sorted = undefined
    this.#persist(node)
  }

  move(node: NodeId, state: UpgradeNodeState, code?: string): void {
    const target = this.#targets.get(node)!
    target.state = state
    if (state === 'installing') this.#installing.add(node)
    else this.#installing.delete(node)
    if (code === undefined) delete target.code
    else target.code = code
    this.#persist(node)
    const why = code === undefined ? {} : { code }
    const change = { upgrade: target.upgrade, node, state, ...why }
    this.#context.emit({ type: 'announce-upgrade', change })
  }

  skip(node: NodeId, code: string, why?: string): void {
    this.move(node, 'skipped', code)
    const detail = why === undefined ? code : `${code}: ${why}`
    this.#context.notice('warn', 'upgrade-skipped', `node ${node} is left as it is: ${detail}`, {
      node,
      reason: code,
    })
  }

  /** It is told to: what becomes of this attempt, and of none before it, counts. */
  install(node: NodeId, attempt: string): void {
    this.#targets.get(node)!.attempt = attempt
    this.move(node, 'installing')
  }

  /** Persisted with the move that follows. */
  noteFailed(node: NodeId, sha256: string): void {
    const target = this.#targets.get(node)!
    const others = (target.failed ?? []).filter((one) => one !== sha256)
    target.failed = [...others, sha256].slice(-FAILED_MAX)
  }

  forget(node: NodeId): void {
    if (!this.#targets.delete(node)) return
    this.#installing.delete(node)
    this.#sorted = undefined
    this.#context.persist({ table: 'upgradeNode', key: node, value: undefined })
  }

  #persist(node: NodeId): void {
    const value = { ...this.#targets.get(node)! }
    this.#context.persist({ table: 'upgradeNode', key: node, value })
  }
}

export function isFinal(state: UpgradeNodeState): boolean {
  return state === 'done' || state === 'went-back' || state === 'lost' || state === 'skipped'
}

export type Offer = Pick<UpgradeRecord, 'version' | 'packages' | 'downgradeFrom'>

export function packageFor({ packages }: Offer, { program }: Member): PackageRef | undefined {
  return program && own(packages, program.architecture)
}

/** What is clear of a node that is here: nothing, if it is to get the package. */
export function verdictOn(
  member: Member,
  offer: Offer,
  failed: readonly string[] | undefined,
): { readonly state: 'done' | 'skipped'; readonly code?: string } | undefined {
  const { program } = member
  if (program === undefined) return { state: 'skipped', code: 'by-hand' }
  if (program.version === offer.version) return { state: 'done' }
  const offered = packageFor(offer, member)
  if (offered === undefined) return { state: 'skipped', code: 'no-package' }
  const isOlder = compareVersions(offer.version, program.version) < 0
  if (isOlder && !mayReplace(offer.downgradeFrom, program.version)) {
    return { state: 'skipped', code: 'package-older' }
  }
  if (failed?.includes(offered.sha256)) return { state: 'skipped', code: 'failed-before' }
  return undefined
}
