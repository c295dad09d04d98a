import { setImmediate as nextTurn } from 'node:timers/promises'
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { own } from '../../shared/core/own.ts'
import { MEMBER_STATES } from '../../shared/protocol/states.ts'
import type { NodeView } from '../../shared/protocol/views.ts'
import type { GatewayNotice } from '../core/effects.ts'
import { nodeMetrics } from './node-metrics.ts'
import { inTurns } from './turns.ts'

/** Numbers of the moment, by the names of the coordinator's view and of the broker. */
export interface GatewaySnapshot {
  /** Some at a time, made as they are asked for. */
  readonly nodes: Iterable<readonly NodeView[]>
  readonly counts: Readonly<Record<string, number | undefined>>
  /** MQTT publishes that were dropped, and connections and subscriptions that were refused, by reason. */
  readonly mqtt: {
    readonly dropped: Readonly<Record<string, number>>
    readonly refused: Readonly<Record<string, number>>
  }
  /** HTTP connections that were closed or not taken, by reason. */
  readonly httpRefused: Readonly<Record<string, number>>
  /** Readings of cells that were not taken. */
  readonly cellsRefused: Readonly<Record<string, number>>
  /** Events of the security log. */
  readonly security: Readonly<Record<string, number>>
}

/** What each count is called outside. A name that ends in `_total` only grows. */
const COUNTS: Readonly<Record<string, { readonly name: string; readonly help: string }>> = {
  connections: { name: 'obelisk_mqtt_connections', help: 'Open MQTT connections.' },
  tasksKnown: { name: 'obelisk_tasks_known', help: 'Task ids in the ledger.' },
  openBytes: { name: 'obelisk_open_body_bytes', help: 'Bodies of unfinished tasks.' },
  logBytes: { name: 'obelisk_log_bytes', help: 'Writes kept for nodes that are behind.' },
  writesWaiting: { name: 'obelisk_writes_waiting', help: 'Writes that wait to be sequenced.' },
  writesInLog: { name: 'obelisk_writes_in_log', help: 'Sequenced writes that are not everywhere.' },
  readsOpen: { name: 'obelisk_reads_open', help: 'Reads that are under way.' },
  sequence: { name: 'obelisk_sequence', help: 'The last sequence given to a write.' },
  epoch: { name: 'obelisk_placement_epoch', help: 'The version of the placement.' },
  doubts: {
    name: 'obelisk_doubts',
    help: 'Reasons for which the gateway doubts its view of the fleet.',
  },
  tilesMissing: { name: 'obelisk_tiles_missing', help: 'Tiles whose every copy is lost.' },
  movesOpen: { name: 'obelisk_moves_open', help: 'Tiles on their way to another node.' },
  movesPlanned: { name: 'obelisk_moves_planned', help: 'Tiles that are to follow.' },
  movesEnded: { name: 'obelisk_moves_ended_total', help: 'Tiles that have reached another node.' },
  movesRolledBack: {
    name: 'obelisk_moves_rolled_back_total',
    help: 'Moves that were given up.',
  },
  movedBytes: {
    name: 'obelisk_moved_bytes_total',
    help: 'Bytes of tiles that went through the gateway to other nodes.',
  },
  readsReissued: {
    name: 'obelisk_reads_reissued_total',
    help: 'Parts of reads that were given to another node.',
  },
  answersLate: {
    name: 'obelisk_answers_late_total',
    help: 'Answers that came after their lease and were dropped.',
  },
  answersBad: {
    name: 'obelisk_answers_bad_total',
    help: 'Answers that were none to what was asked; another node was asked.',
  },
  cellsPending: {
    name: 'obelisk_cells_pending',
    help: 'Cells whose last reading is in no write yet.',
  },
  cellsTaken: { name: 'obelisk_cells_taken_total', help: 'Readings of cells that were taken.' },
  cellsWritten: {
    name: 'obelisk_cells_written_total',
    help: 'Cells that were written with their last reading.',
  },
  diskFreeBytes: { name: 'obelisk_disk_free_bytes', help: 'Room on the disk of the ledger.' },
  eventsDropped: {
    name: 'obelisk_event_log_dropped_total',
    help: 'Events that the event log could not take.',
  },
}

/** Gauges of prom-client that are named as counters, which `promtool check metrics` refuses; their sum is theirs. */
const MISNAMED = ['handles', 'requests', 'resources'].map((of) => `nodejs_active_${of}_total`)

/**
 * The metrics of one gateway, in a registry of its own (no globals: tests run several). Labels are
 * bounded: nodes and codes, never tasks.
 */
export class Metrics {
  readonly #registry = new Registry()
  readonly #nodesMax: number
  readonly #snapshot: () => GatewaySnapshot
  readonly #events: Counter<'code' | 'level'>
  readonly #tasksEnded: Counter<'state' | 'op'>
  readonly #tasksRejected: Counter<'reason' | 'via'>
  readonly #nodes: Gauge<'state'>
  readonly #counts = new Map<string, Gauge | Counter>()
  readonly #mqtt: Readonly<Record<'dropped' | 'refused', Counter<'reason'>>>
  readonly #httpRefused: Counter<'reason'>
  readonly #cellsRefused: Counter<'reason'>
  readonly #security: Counter<'event'>

  constructor(
    options: {
      readonly version: string
      /** Of how many nodes what they told of themselves is shown. */
      readonly nodesMax: number
    },
    snapshot: () => GatewaySnapshot,
  ) {
    this.#snapshot = snapshot
    this.#nodesMax = options.nodesMax
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry })
    for (const name of MISNAMED) this.#registry.removeSingleMetric(name)
    const build = { name: 'obelisk_build_info', help: 'The version that runs.' }
    new Gauge({ ...build, labelNames: ['version'], registers }).set({ version: options.version }, 1)
    this.#events = new Counter({
      name: 'obelisk_events_total',
      help: 'Events of the gateway, as in its event log.',
      labelNames: ['code', 'level'],
      registers,
    })
    this.#tasksEnded = new Counter({
      name: 'obelisk_tasks_ended_total',
      help: 'Tasks that reached an end.',
      labelNames: ['state', 'op'],
      registers,
    })
    this.#tasksRejected = new Counter({
      name: 'obelisk_tasks_rejected_total',
      help: 'Submissions that were not accepted.',
      labelNames: ['reason', 'via'],
      registers,
    })
    this.#nodes = new Gauge({
      name: 'obelisk_nodes',
      help: 'Nodes by the state that the gateway gives them.',
      labelNames: ['state'],
      registers,
    })
    const reason = { labelNames: ['reason'] as const, registers }
    this.#mqtt = {
      dropped: new Counter({
        name: 'obelisk_mqtt_dropped_total',
        help: 'MQTT messages that were dropped.',
        ...reason,
      }),
      refused: new Counter({
        name: 'obelisk_mqtt_refused_total',
        help: 'MQTT connections and subscriptions that were refused.',
        ...reason,
      }),
    }
    this.#httpRefused = new Counter({
      name: 'obelisk_http_refused_total',
      help: 'HTTP connections that were closed or not taken.',
      ...reason,
    })
    this.#cellsRefused = new Counter({
      name: 'obelisk_cells_refused_total',
      help: 'Messages with readings of cells that were not taken, and readings that came too late.',
      ...reason,
    })
    this.#security = new Counter({
      name: 'obelisk_security_events_total',
      help: 'Events of a gateway that is secured, as in its security log.',
      labelNames: ['event'],
      registers,
    })
    for (const [count, { name, help }] of Object.entries(COUNTS)) {
      const isGrowing = name.endsWith('_total')
      const metric = { name, help, registers }
      this.#counts.set(count, isGrowing ? new Counter(metric) : new Gauge(metric))
    }
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  recordNotice(notice: GatewayNotice): void {
    const { code, level, fields = {} } = notice
    this.#events.inc({ code, level })
    if (code === 'task-ended') {
      this.#tasksEnded.inc({ state: String(fields.state), op: String(fields.op) })
    }
    if (code === 'task-rejected') {
      this.#tasksRejected.inc({ reason: String(fields.reason), via: String(fields.via) })
    }
  }

  /** Prometheus text. */
  async render(): Promise<string> {
    const snapshot = this.#snapshot()
    const { counts, mqtt, httpRefused, cellsRefused, security } = snapshot
    const nodes: NodeView[] = []
    // Rows of a large fleet are long in the making: others have their turns between them, and between its lines.
    for (const some of snapshot.nodes) {
      nodes.push(...some)
      await nextTurn()
    }
    setAll(this.#mqtt.dropped, mqtt.dropped)
    setAll(this.#mqtt.refused, mqtt.refused)
    setAll(this.#httpRefused, httpRefused)
    setAll(this.#cellsRefused, cellsRefused)
    this.#security.reset()
    for (const [event, count] of Object.entries(security)) this.#security.inc({ event }, count)
    for (const state of MEMBER_STATES) {
      this.#nodes.set({ state }, nodes.filter((node) => node.state === state).length)
    }
    for (const [count, metric] of this.#counts) {
      const value = own(counts, count)
      metric.reset()
      // What nobody measured has no line: a zero would say that it was.
      if (value === undefined) metric.remove()
      else metric.inc(value)
    }
    const text = await this.#registry.metrics()
    return text + (await inTurns(nodeMetrics(nodes, { toldMax: this.#nodesMax, ts: Date.now() })))
  }
}

function setAll(counter: Counter<'reason'>, counts: Readonly<Record<string, number>>): void {
  counter.reset()
  for (const [reason, count] of Object.entries(counts)) counter.inc({ reason }, count)
}
