/** Of a gateway that has no rule book, and takes none. */
export const NO_RULES: HttpPort['rules'] = {
  parse: () => ({ ok: false, refusal: { code: 'invalid', message: 'it is none' } }),
  book: () => ({ version: 0, rules: [] }),
  set: () => undefined,
}

/** A gateway of recorded answers behind a real HTTP door. */
import type { Test } from 'tap'
import {
  type HttpPort,
  HttpServer,
  type HttpServerOptions,
} from '../../broker/adapters/http-server.ts'
import type { PublishedMessage } from '../../broker/adapters/mqtt-topic-views.ts'
import type { Outcome } from '../../broker/core/effects.ts'
import type { HistoryQuery, HistoryView } from '../../broker/core/views/history.ts'
import { LiveEvents } from '../../broker/core/views/live-events.ts'
import type { NodeId, TaskId } from '../../shared/core/ids.ts'
import { encodeCbor } from '../../shared/protocol/cbor.ts'
import type { Problem } from '../../shared/protocol/problems.ts'
import type { TaskState } from '../../shared/protocol/states.ts'
import type {
  MovesView,
  NodeView,
  PlanView,
  RingTilesView,
  RingView,
  TaskView,
} from '../../shared/protocol/views.ts'
import { AppError } from '../../shared/runtime/errors.ts'
import type { Logger } from '../../shared/runtime/logger.ts'

import { codexInMemory } from './codex-in-memory.ts'
import { LooksInMemory } from './looks-in-memory.ts'

export const RESULT = {
  id: 'done',
  op: 'stat',
  state: 'completed',
  value: { count: 3, sum: 1.5, packed: Uint8Array.from([0, 255]) },
  shards: 2,
  nodes: 2,
  ms: 12,
  ts: 1_700_000_000_000,
}

export function taskView(id: string, state: TaskState): TaskView {
  const shards = { total: 2, done: 1, failed: 0 }
  return { id: id as TaskId, op: 'stat', state, shards, ts: 5, accepted_ts: 4, deadline_ts: 60_004 }
}

export const NODE: NodeView = {
  id: 'pi-1' as NodeId,
  state: 'alive',
  connected: true,
  weight: 1,
  tiles: 26,
  tiles_written: 20,
  incarnation: 3,
}

const GONE: NodeView = { ...NODE, id: 'pi-0' as NodeId, state: 'left' }

export const RING: RingView = {
  epoch: 7,
  replicas: 2,
  tile: 16,
  grid: { width: 32, height: 16 },
  fields: [{ name: 'value', type: 'f64' }],
  version: '1.2.3',
  members: [{ id: NODE.id, state: 'alive', weight: 1, tiles: 2 }],
}

export const TILES: RingTilesView = {
  epoch: 7,
  ...{ x: 0, y: 0, w: 2, h: 1 },
  replicas: 2,
  members: [NODE.id],
  holders: Uint8Array.from([1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
  state: Uint8Array.from([1, 0]),
}

const OUTSIDE: Problem = { path: '', code: 'outside-grid', message: 'not all in it' }

function* ringTiles(turns: readonly (() => void)[]): Generator<void, RingTilesView> {
  for (const turn of turns) {
    turn()
    yield
  }
  return TILES
}

export const MOVES: MovesView = {
  open: [
    { tile: 3, reason: 'drain', from: NODE.id, to: 'pi-3' as NodeId, stage: 'copying', seconds: 2 },
  ],
  planned: [],
  planned_tiles: 0,
  planned_bytes: 0,
  waiting: {},
  probation: [],
  stalled: [],
  rate: 0,
  eta_seconds: 0,
  ended_total: 1,
  rolled_back_total: 0,
  copied_bytes_total: 99,
}

export const PLAN: PlanView = {
  tiles: 1,
  bytes: 99,
  seconds: 1,
  moves: [{ to: 'pi-3', tiles: 1 }],
  probation: [],
  stalled: [],
}

/** One node is known; the first metric that is asked for has a gap. */
function historyOf({ nodes, metrics }: HistoryQuery): HistoryView {
  const columns = metrics.map((_, at) =>
    at === 0 ? Float32Array.of(0.1, Number.NaN, 3) : Float32Array.of(7, 8, 9),
  )
  const known = nodes.filter((id) => id === NODE.id)
  const head = { ts: 1_700_000_000_000, stepSeconds: 60, points: 3 }
  return { ...head, nodes: known.map((id) => ({ id, columns })) }
}

export interface Recorded {
  readonly port: HttpPort
  readonly calls: unknown[][]
  readonly logged: unknown[][]
  retained: { topic: string; payload: Uint8Array }[]
  readonly tails: Set<(message: PublishedMessage) => void>
  answer: Outcome
  isHealthy: boolean
  doubts: { reason: string; since_ts: number }[]
  endsInTime: boolean
  drainProblem: string | undefined
  nodes: NodeView[]
  /** Each is called before a slice of the tiles is made. */
  turns: (() => void)[]
  removalProblem: Awaited<ReturnType<HttpPort['remove']>>
  looks: LooksInMemory
  putRefusal: ReturnType<HttpPort['putRefusal']>
}

/** Of a gateway that has no packages, and never upgraded anything. */
export const NO_UPGRADES: HttpPort['upgrades'] = {
  packages: () => [],
  find: () => undefined,
  takePackage: async () => {
    throw new AppError('package-untrusted', 'it is no package')
  },
  removePackage: () => false,
  latest: () => undefined,
  problemOf: () => undefined,
  planFor: () => [],
  start: async () => {
    throw new Error('there is nothing to begin with')
  },
  demand: async () => undefined,
}

/** A gateway of recorded answers: the port is the boundary that is tested against. */
export function record(): Recorded {
  const tasks = new Map<string, TaskView>([
    ['done', taskView('done', 'completed')],
    ['open', taskView('open', 'running')],
    ['old', taskView('old', 'failed')],
  ])
  const recorded: Recorded = {
    calls: [],
    logged: [],
    retained: [],
    tails: new Set(),
    answer: { ok: true, task: 'open' as TaskId, state: 'accepted' },
    isHealthy: true,
    doubts: [{ reason: 'probe-late', since_ts: 5 }],
    endsInTime: true,
    drainProblem: undefined,
    removalProblem: undefined,
    nodes: [NODE],
    turns: [],
    putRefusal: undefined,
    looks: new LooksInMemory({ width: 32, height: 16, tile: 16 }, [{ name: 'value', type: 'f64' }]),
    port: {
      codex: codexInMemory(),
      upgrades: { ...NO_UPGRADES },
      rules: { ...NO_RULES },
      logs: { read: () => Promise.reject(new AppError('node-away', 'it is not here')) },
      backups: { make: () => Promise.reject(new Error('nobody asks for one')) },
      submit: async (payload, client) => {
        recorded.calls.push(['submit', Buffer.from(payload), client])
        return recorded.answer
      },
      submitWish: async (wish, client) => {
        recorded.calls.push(['submitWish', wish, client])
        return recorded.answer
      },
      cancel: async (task, client) => {
        recorded.calls.push(['cancel', task, client.address])
        return recorded.answer
      },
      waitForEnd: async (task, timeoutMs) => {
        recorded.calls.push(['waitForEnd', task, timeoutMs])
        if (recorded.endsInTime) tasks.set(task, taskView(task, 'completed'))
        return recorded.endsInTime
      },
      ownerOf: () => undefined,
      task: (id) => tasks.get(id),
      tasks: (query) => {
        recorded.calls.push(['tasks', query])
        return [...tasks.values()]
      },
      result: (id) => (id === 'old' ? undefined : encodeCbor({ ...RESULT, id })),
      grid: () => recorded.looks.view(),
      putRefusal: () => recorded.putRefusal,
      look: (...asked) => recorded.looks.look(...asked),
      nodes: () => recorded.nodes,
      node: (id) => {
        if (id === GONE.id) return GONE
        return id === NODE.id ? NODE : undefined
      },
      stateOf: (id) => (id === GONE.id ? 'left' : id === NODE.id ? NODE.state : undefined),
      drainProblem: () => recorded.drainProblem,
      drain: async (id, isWanted) => {
        recorded.calls.push(['drain', id, isWanted])
        if (id !== NODE.id) return undefined
        return isWanted ? { ...NODE, draining: true } : NODE
      },
      remove: async (id) => {
        recorded.calls.push(['remove', id])
        return recorded.removalProblem
      },
      recreate: async () => 3,
      moves: () => MOVES,
      *plan(query) {
        recorded.calls.push(['plan', query])
        yield
        return PLAN
      },
      detector: () => ({ doubts: recorded.doubts }),
      trust: () => {
        recorded.doubts = []
        return { doubts: [] }
      },
      ring: () => RING,
      *ringHolders() {
        yield [[1, 0]]
        yield [[]]
      },
      ringTiles(area) {
        if ((area.x ?? 0) > 1) return { ok: false, problem: OUTSIDE }
        return { ok: true, slices: ringTiles(recorded.turns) }
      },
      health: () => ({ ok: recorded.isHealthy, checks: { ledger: { ok: recorded.isHealthy } } }),
      ready: () => ({ ok: recorded.isHealthy, checks: {} }),
      live: new LiveEvents({ start: 'test', keptMax: 9, keptBytesMax: 100_000_000 }),
      topics: {
        page: async (_who, query) => {
          recorded.calls.push(['topics', query])
          return recorded.retained
        },
        follow(_who, filter, listener) {
          recorded.calls.push(['follow', filter])
          recorded.tails.add(listener)
          return () => recorded.tails.delete(listener)
        },
      },
      *history(query) {
        recorded.calls.push(['history', query])
        yield
        return historyOf(query)
      },
      metrics: async () => 'obelisk_up 1\n',
    },
  }
  return recorded
}

export async function serve(t: Test, options: Omit<HttpServerOptions, 'host' | 'port'> = {}) {
  const recorded = record()
  const at =
    (level: string) =>
    (fields: object, message: string): void => {
      recorded.logged.push([level, fields, message])
    }
  const log: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  }
  const server = new HttpServer({ host: '127.0.0.1', port: 0, ...options }, recorded.port, log)
  await server.listen()
  t.teardown(() => server.close())
  const base = `http://127.0.0.1:${server.port}`
  return { recorded, server, base, port: server.port }
}
