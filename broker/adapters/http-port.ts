import type { Readable } from 'node:stream'
import type { NodeId, TaskId } from '../../shared/core/ids.ts'
import type { Region } from '../../shared/grid/geometry.ts'
import type { RuleBookDraft } from '../../shared/operations/rule-book.ts'
import type { Role, UserPrincipal } from '../../shared/protocol/access.ts'
import type {
  CheckedView,
  CodexView,
  ContextView,
  ProgramView,
  SourceView,
} from '../../shared/protocol/codex-views.ts'
import type { LogOrder } from '../../shared/protocol/log-messages.ts'
import type { SecurityHead } from '../../shared/protocol/security-log.ts'
import type { MemberState, TaskState } from '../../shared/protocol/states.ts'
import type {
  DetectorView,
  GridView,
  Health,
  LogView,
  MovesView,
  NodeView,
  PlanView,
  RingView,
  RuleBookView,
  TaskView,
  UpgradePlanRow,
  UpgradeView,
} from '../../shared/protocol/views.ts'
import type { RefusalView } from '../core/access/recent-refusals.ts'
import type { NodeIdentity, NodeToken } from '../core/access/registry.ts'
import type { GrantWish, UserRecord } from '../core/access/users.ts'
import type { CodexOutcome, LookOutcome, Outcome, Refusal } from '../core/effects.ts'
import type { CodexDemand, UpgradeWish } from '../core/events.ts'
import type { RemovalProblem } from '../core/rules/removal.ts'
import type { UpgradeProblem } from '../core/rules/upgrades.ts'
import type { HistoryQuery, HistoryView } from '../core/views/history.ts'
import type { LiveEvents } from '../core/views/live-events.ts'
import type { RingTiles, TileArea } from '../core/views/ring-tiles.ts'
import type { TopicViews } from './mqtt-topic-views.ts'
import type { PackageView } from './package-store.ts'

export interface HttpClient {
  readonly address: string
  /** Of all connections that are open now, this one's. */
  readonly connection: string
  /** Where everybody is asked who he is. */
  readonly user?: UserPrincipal
}

export interface TokenWish {
  /** Null for any that nobody has heard of. */
  readonly node: NodeId | null
  /** The node may have a key, whose place the new one takes. */
  readonly replaces: boolean
  readonly ttlMs: number
}

/** A token without what proves it. */
export interface TokenView extends Omit<NodeToken, 'sha256'> {
  readonly id: string
}

export interface NodeIdentityView extends NodeIdentity {
  readonly node: NodeId
}

/** What a user is to be; what is left out stays, and null takes away. */
export interface UserOrder {
  readonly roles?: readonly Role[]
  readonly grant?: GrantWish | null
  readonly topics?: readonly string[]
  readonly password?: string | null
  readonly isDisabled?: boolean
}

/** A user without what proves him. */
export interface UserView extends Omit<UserRecord, 'password' | 'tokens'> {
  readonly name: string
  readonly hasPassword: boolean
  readonly tokens: readonly Omit<UserRecord['tokens'][number], 'sha256'>[]
}

/** Who asks, as the security log names him, and by which way. */
export interface Asker {
  readonly who: string
  readonly via: 'http' | 'socket'
  /** Throws once he may not ask for it any more: to be called in the turn in which it happens. */
  assertMay(): void
}

/** Each is rejected with an AppError where it is refused. */
export interface UserPort {
  users(): readonly UserView[]
  user(name: string): UserView | undefined
  add(name: string, order: UserOrder, asker: Asker): Promise<void>
  set(name: string, order: UserOrder, asker: Asker): Promise<void>
  remove(name: string, asker: Asker): Promise<void>
  /** Resolves with the token, which nobody will see again. */
  addToken(
    name: string,
    wish: { readonly label: string; readonly ttlMs: number },
    asker: Asker,
  ): Promise<{ readonly token: string; readonly id: string; readonly untilTs: number }>
  removeToken(name: string, id: string, asker: Asker): Promise<void>
  /** Resolves with a certificate for the key, PEM. */
  addKey(
    name: string,
    wish: { readonly label: string; readonly spki: Uint8Array },
    asker: Asker,
  ): Promise<string>
  removeKey(name: string, sha256: string, asker: Asker): Promise<void>
}

/** A certificate of the gateway itself. */
export interface LeafView {
  /** Who sees it. */
  readonly of: 'agents' | 'hosts'
  readonly names: readonly string[]
  /** Unix ms. */
  readonly fromTs: number
  readonly untilTs: number
}

export interface AuthorityView {
  /** SHA-256 of its public key, as tokens carry it. */
  readonly pin: string
  readonly subject: string
  readonly fromTs: number
  readonly untilTs: number
  readonly leaves: readonly LeafView[]
  /** When the last backup that was kept was made, Unix ms. */
  readonly backupTs?: number
  /** When a key or a recipient last came or went, where that is known: Unix ms. */
  readonly changedTs?: number
}

/** The authority of the fleet, for admins. Each is rejected with an AppError where it is refused. */
export interface AuthorityPort {
  view(): AuthorityView
  /** Resolves with a file that the passphrase opens. */
  backup(passphrase: string, asker: Asker): Promise<Uint8Array>
  /** Whoever has the backup that was made then says that it is where it is to stay. Unix ms. */
  kept(ts: number): void
}

/** A backup on its way. */
export interface GivenBackup {
  readonly bytes: number
  /** Its copy of the ledger is gone once this is closed, whether it was read or not. */
  readonly content: Readable
}

export interface BackupPort {
  /**
   * Resolves once the copy is made and was looked at; with a passphrase, keys and identities are in it, too. Rejected with
   * an AppError where it is refused.
   */
  make(passphrase: string | undefined, asker: Asker): Promise<GivenBackup>
}

export interface RecipientView {
  readonly name: string
  /** Of its public key, hexadecimal. */
  readonly sha256: string
  /** Unix ms. */
  readonly addedTs: number
  readonly by: string
}

/** To whom results can be sealed. Each is rejected with an AppError where it is refused. */
export interface RecipientPort {
  recipients(): readonly RecipientView[]
  add(name: string, key: Uint8Array, asker: Asker): Promise<void>
  remove(name: string, asker: Asker): Promise<void>
  /** Resolves with the public key that verifies what the gateway sealed. */
  signer(): Promise<Uint8Array>
}

/** Who is not looked at for a while. */
export interface LockView {
  /** With this name alone, `?` for one that is none; nothing for any. */
  readonly user?: string
  readonly source: string
  readonly seconds: number
}

export interface SecurityStatus {
  readonly authority: AuthorityView
  readonly users: {
    readonly count: number
    readonly byRole: Readonly<Record<string, number>>
    readonly disabled: number
    /** Nobody came as one of these for 90 days; the first of them. */
    readonly unused: readonly string[]
    readonly unusedCount: number
  }
  /** Of boards, that can be used. */
  readonly openTokens: number
  /** The first of them. */
  readonly locked: readonly LockView[]
  readonly lockedCount: number
  /** Since the start of the gateway, the newest first. */
  readonly refused: readonly RefusalView[]
  readonly log: {
    readonly folder: string
    readonly head: SecurityHead
    /** The disk takes no line. */
    readonly isBroken: boolean
  }
}

/** Where the gateway is spoken to. */
export interface Listeners {
  readonly mqtt: { readonly host: string; readonly port: number }
  readonly http: { readonly host: string; readonly port: number }
  /** The socket of its owner. */
  readonly admin?: string
}

/** What the HTTP door calls of a gateway that is secured. */
export interface SecurityPort {
  readonly users: UserPort
  readonly recipients: RecipientPort
  /** The certificate of the fleet's authority, PEM. */
  readonly authority: string
  readonly authorityCalls: AuthorityPort
  status(): Promise<SecurityStatus>
  /** Resolves with the token, which nobody will see again, once it is on disk. */
  createToken(
    wish: TokenWish,
    asker: Asker,
  ): Promise<{ readonly token: string; readonly view: TokenView }>
  /** The newest first. */
  tokens(): Promise<readonly TokenView[]>
  /** False for a stranger. */
  revokeToken(id: string, asker: Asker): Promise<boolean>
  identity(node: NodeId): NodeIdentityView | undefined
  /** Takes from the node all that it was given; false for a stranger. */
  revokeNode(node: NodeId, asker: Asker): Promise<boolean>
  /** Has the node make another key, as soon as it is here; false if it has none. */
  rotateNode(node: NodeId, asker: Asker): Promise<boolean>
}

/** What the HTTP door calls. */
export interface UpgradePort {
  packages(): readonly PackageView[]
  find(sha256: string): PackageView | undefined
  /** Rejected with an AppError where it is refused. */
  takePackage(body: AsyncIterable<Uint8Array>): Promise<PackageView>
  /** False if there is none. */
  removePackage(sha256: string): boolean
  /** Nothing if there never was one. */
  latest(): UpgradeView | undefined
  problemOf(wish: UpgradeWish): UpgradeProblem | undefined
  planFor(wish: UpgradeWish): readonly UpgradePlanRow[]
  start(wish: UpgradeWish): Promise<UpgradeView>
  demand(demand: 'stop' | 'resume'): Promise<UpgradeView | undefined>
}

export interface RulePort {
  /** Checked against the grid, and compiled. */
  parse(
    input: unknown,
  ):
    | { readonly ok: true; readonly value: RuleBookDraft }
    | { readonly ok: false; readonly refusal: Refusal }
  book(): RuleBookView
  /** Answers with the book once it is on disk; nothing where `ifVersion` is not the version that there is. */
  set(draft: RuleBookDraft): Promise<RuleBookView> | undefined
}

export interface CodexPort {
  list(): Promise<CodexView>
  program(name: string): ProgramView | undefined
  version(name: string, version: number): SourceView | undefined
  check(
    source: string,
  ):
    | { readonly ok: true; readonly value: CheckedView }
    | { readonly ok: false; readonly refusal: Refusal }
  /** Of version 0 if there is none. */
  context(name: string): ContextView
  /** Resolves once what follows is on disk. */
  demand(demand: CodexDemand, by?: string): Promise<CodexOutcome>
}

/** Of lines of a board's log: the last of this level or above, or the first `after` where an answer ended. */
export interface LogWish {
  readonly lines: number
  readonly level: LogOrder['level']
  readonly after?: string
}

export interface LogPort {
  /** Rejected with an AppError where there is no answer. */
  read(node: NodeId, wish: LogWish): Promise<LogView>
}

export interface HttpPort {
  readonly codex: CodexPort
  readonly logs: LogPort
  readonly upgrades: UpgradePort
  readonly rules: RulePort
  /** Nothing where the gateway is open. */
  readonly security?: SecurityPort | undefined
  readonly backups: BackupPort
  readonly listeners?: Listeners
  submit(payload: Uint8Array, client: HttpClient): Promise<Outcome>
  /** `wish` is what the payload would say. It is taken in before this returns. */
  submitWish(wish: object, client: HttpClient): Promise<Outcome>
  cancel(task: TaskId, client: HttpClient): Promise<Outcome>
  /** Whether the task had ended before the time was over, or nobody waits any more. */
  waitForEnd(task: TaskId, timeoutMs: number, left: AbortSignal): Promise<boolean>
  task(id: TaskId): TaskView | undefined
  /** Who submitted it, as `ownerNameOf` says; nothing where nobody was asked. */
  ownerOf(task: TaskId): string | undefined
  /** Newest first. */
  tasks(query: { limit: number; state?: TaskState }): readonly TaskView[]
  /** The CBOR of `task/<task>/result`. */
  result(id: TaskId): Uint8Array | undefined
  grid(): GridView
  /** Why this one may not put numbers into a field there. */
  putRefusal(field: string, region: Region, client: HttpClient): Refusal | undefined
  /** `wish` is a submission of a read; `isOnce` if nobody asks again soon. Never settles for one who left. */
  look(wish: object, client: HttpClient, left: AbortSignal, isOnce?: boolean): Promise<LookOutcome>
  nodes(): readonly NodeView[]
  node(id: NodeId): NodeView | undefined
  /** Of a member; cheap. */
  stateOf(id: NodeId): MemberState | undefined
  /** Why a node can never be emptied as the fleet is. */
  drainProblem(node: NodeId): string | undefined
  /** Empties a node, or keeps it after all; answers once that is on disk, and nothing for a stranger. */
  drain(node: NodeId, isWanted: boolean): Promise<NodeView | undefined>
  /** Forgets a known node, and its key is worth nothing; answers, once that is on disk, or with what speaks against it. */
  remove(node: NodeId, asker: Asker): Promise<RemovalProblem | undefined>
  ring(): RingView
  /** Of each tile, some at a time: where its holders stand in `members` of the ring of this moment. */
  ringHolders(): Generator<number[][]>
  ringTiles(area: TileArea): RingTiles
  /**
   * Tiles whose every copy is lost begin anew, as zeros; answers, once that is on disk, how many. Nothing if more are
   * missing than were shown, by the mark of those.
   */
  recreate(shown?: string): Promise<number | undefined>
  moves(): MovesView
  /** What would move if these joined or left, in slices; none of those that join is a member. */
  plan(query: { join: readonly NodeId[]; leave: readonly NodeId[] }): Generator<void, PlanView>
  /** What the gateway doubts of its view of the fleet. */
  detector(): DetectorView
  /** Ends all doubts, and says what is left of them. */
  trust(): DetectorView
  health(): Health
  ready(): Health
  /** What happens, for those who follow it. */
  readonly live: LiveEvents
  /** Topics, as somebody may see them. */
  readonly topics: Pick<TopicViews, 'page' | 'follow'>
  /** How nodes were doing, in slices. */
  history(query: HistoryQuery): Generator<void, HistoryView>
  /** Prometheus text. */
  metrics(): Promise<string>
}
