/** What the HTTP door calls, answered by the driver, the coordinator's view and the ledger. */
import type { NodeId, TaskId } from '../shared/core/ids.ts'
import type { Region } from '../shared/grid/geometry.ts'
import type { GridContext } from '../shared/operations/operation.ts'
import { identityOf } from '../shared/protocol/access.ts'
import { isEnded, type MemberState, type TaskState } from '../shared/protocol/states.ts'
import type {
  DetectorView,
  GridView,
  Health,
  MovesView,
  NodeView,
  PlanView,
  RingView,
  TaskView,
} from '../shared/protocol/views.ts'
import type {
  Asker,
  BackupPort,
  CodexPort,
  HttpClient,
  HttpPort,
  Listeners,
  LogPort,
  RulePort,
  SecurityPort,
  UpgradePort,
} from './adapters/http-port.ts'
import type { LedgerStore } from './adapters/ledger-store.ts'
import type { Metrics } from './adapters/metrics.ts'
import type { TopicViews } from './adapters/mqtt-topic-views.ts'
import type { NodeReports } from './adapters/node-reports.ts'
import type { LookOutcome, Outcome, Refusal } from './core/effects.ts'
import type { Submitter } from './core/events.ts'
import { ungranted } from './core/rules/grants.ts'
import type { RemovalProblem } from './core/rules/removal.ts'
import { refusalOf } from './core/rules/submissions.ts'
import type { CoordinatorView } from './core/views/coordinator-view.ts'
import type { History, HistoryQuery, HistoryView } from './core/views/history.ts'
import type { LiveEvents } from './core/views/live-events.ts'
import type { RingTiles, TileArea } from './core/views/ring-tiles.ts'
import type { GatewayDriver } from './driver.ts'

export interface HttpSources {
  readonly grid: GridContext
  readonly driver: GatewayDriver
  readonly view: CoordinatorView
  readonly ledger: LedgerStore
  readonly metrics: Metrics
  readonly live: LiveEvents
  readonly history: History
  topics(): TopicViews
  readonly security: SecurityPort | undefined
  readonly upgrades: UpgradePort
  readonly rules: RulePort
  readonly codex: CodexPort
  readonly backups: BackupPort
  readonly logs: LogPort
  listeners(): Listeners
  readonly reports: NodeReports
  health(): Health
}

export class HttpCalls implements HttpPort {
  readonly #sources: HttpSources

  constructor(sources: HttpSources) {
    this.#sources = sources
  }

  get codex(): CodexPort {
    return this.#sources.codex
  }

  get upgrades(): UpgradePort {
    return this.#sources.upgrades
  }

  get rules(): RulePort {
    return this.#sources.rules
  }

  get security(): SecurityPort | undefined {
    return this.#sources.security
  }

  get backups(): BackupPort {
    return this.#sources.backups
  }

  get logs(): LogPort {
    return this.#sources.logs
  }

  get listeners(): Listeners {
    return this.#sources.listeners()
  }

  get live(): LiveEvents {
    return this.#sources.live
  }

  submit(payload: Uint8Array, client: HttpClient): Promise<Outcome> {
    const submitter = submitterOf(client)
    return new Promise((resolve) => {
      this.#sources.driver.submit(payload, submitter, undefined, resolve)
    })
  }

  submitWish(wish: object, client: HttpClient): Promise<Outcome> {
    const submitter = submitterOf(client)
    return new Promise((resolve) => this.#sources.driver.submitWish(wish, submitter, resolve))
  }

  cancel(task: TaskId, client: HttpClient): Promise<Outcome> {
    const submitter = submitterOf(client)
    return new Promise((resolve) => this.#sources.driver.cancel(task, submitter, resolve))
  }

  waitForEnd(task: TaskId, timeoutMs: number, left: AbortSignal): Promise<boolean> {
    const known = this.#sources.view.task(task)
    // An end that is decided may not be on disk yet; its result is there once it is announced.
    if (known !== undefined && isEnded(known.state) && this.result(task) !== undefined) {
      return Promise.resolve(true)
    }
    return new Promise((resolve) => {
      const forget = this.#sources.driver.onEnd(task, () => {
        clearTimeout(timer)
        resolve(true)
      })
      const giveUp = (): void => {
        clearTimeout(timer)
        forget()
        resolve(false)
      }
      const timer = setTimeout(giveUp, timeoutMs)
      left.addEventListener('abort', giveUp, { once: true })
    })
  }

  task(id: TaskId): TaskView | undefined {
    return this.#sources.view.task(id)
  }

  ownerOf(task: TaskId): string | undefined {
    return this.#sources.view.ownerOf(task)
  }

  tasks(query: { limit: number; state?: TaskState }): readonly TaskView[] {
    return this.#sources.view.tasks(query)
  }

  result(id: TaskId): Uint8Array | undefined {
    return this.#sources.view.task(id) === undefined ? undefined : this.#sources.ledger.result(id)
  }

  grid(): GridView {
    return this.#sources.view.grid()
  }

  putRefusal(field: string, region: Region, { user }: HttpClient): Refusal | undefined {
    if (user === undefined) return undefined
    const { grid } = this.#sources
    const args = { field: grid.fields.findIndex(({ name }) => name === field) }
    const problems = ungranted(user, { op: 'put', region, args, deadlineMs: 0 }, grid)
    return problems.length === 0 ? undefined : refusalOf(problems)
  }

  look(
    wish: object,
    { address, user }: HttpClient,
    left: AbortSignal,
    isOnce = false,
  ): Promise<LookOutcome> {
    const asker = { client: user === undefined ? address : identityOf(user), isOnce }
    return new Promise((resolve) => {
      if (left.aborted) return
      const takeBack = this.#sources.driver.look(wish, asker, resolve)
      left.addEventListener('abort', takeBack, { once: true })
    })
  }

  nodes(): readonly NodeView[] {
    return this.nodesFrom(0, this.#sources.view.nodeCount)
  }

  /** Some of them, in an order that stays. */
  nodesFrom(first: number, count: number): readonly NodeView[] {
    const { reports, view } = this.#sources
    return view.nodesFrom(first, count).map((node) => reports.addTo(node, { isAlone: false }))
  }

  /** All of them, some at a time, as they are when it is their turn. */
  *nodesInSlices(): Generator<readonly NodeView[]> {
    const { reports, view } = this.#sources
    for (const some of view.nodesInSlices()) {
      yield some.map((node) => reports.addTo(node, { isAlone: false }))
    }
  }

  node(id: NodeId): NodeView | undefined {
    const { reports, view } = this.#sources
    const node = view.node(id)
    return node && reports.addTo(node, { isAlone: true })
  }

  stateOf(id: NodeId): MemberState | undefined {
    return this.#sources.view.stateOf(id)
  }

  ring(): RingView {
    return this.#sources.view.ring()
  }

  ringHolders(): Generator<number[][]> {
    return this.#sources.view.ringHolders()
  }

  ringTiles(area: TileArea): RingTiles {
    return this.#sources.view.ringTiles(area)
  }

  recreate(shown?: string): Promise<number | undefined> {
    return this.#sources.driver.recreate(shown)
  }

  drainProblem(id: NodeId): string | undefined {
    return this.#sources.view.drainProblem(id)
  }

  async drain(id: NodeId, isWanted: boolean): Promise<NodeView | undefined> {
    if (this.stateOf(id) === undefined) return undefined
    await this.#sources.driver.drain(id, isWanted)
    return this.node(id)
  }

  async remove(id: NodeId, asker: Asker): Promise<RemovalProblem | undefined> {
    const problem = this.#sources.view.removalProblem(id)
    if (problem !== undefined) return problem
    // First: one that is forgotten and has its key would come back as somebody new.
    await this.security?.revokeNode(id, asker)
    await this.#sources.driver.remove(id)
    // It may have come back meanwhile, or lost the other copy of a tile: then it is known as before.
    return this.#sources.view.removalProblem(id)
  }

  moves(): MovesView {
    return this.#sources.view.moves()
  }

  plan(query: { join: readonly NodeId[]; leave: readonly NodeId[] }): Generator<void, PlanView> {
    return this.#sources.view.plan(query)
  }

  detector(): DetectorView {
    return this.#sources.view.detector()
  }

  trust(): DetectorView {
    this.#sources.driver.trust()
    return this.detector()
  }

  health(): Health {
    return this.#sources.health()
  }

  ready(): Health {
    return this.#sources.health()
  }

  get topics(): TopicViews {
    return this.#sources.topics()
  }

  history(query: HistoryQuery): Generator<void, HistoryView> {
    return this.#sources.history.read(query)
  }

  metrics(): Promise<string> {
    return this.#sources.metrics.render()
  }
}

function submitterOf({ address, ...rest }: HttpClient): Submitter {
  return { via: 'http', client: address, ...rest }
}
