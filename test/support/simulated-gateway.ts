/**
 * The gateway's process as main.ts makes it, the real coordinator, driver and ledger, on a simulated disk,
 * network and time. A crash at any effect loses all that is not on disk.
 */
import type { CoordinatorOptions } from '../../broker/core/coordinator.ts'
import type {
  CodexOutcome,
  GatewayEffect,
  GatewayNotice,
  LookOutcome,
  Outcome,
} from '../../broker/core/effects.ts'
import type { CodexDemand, Submitter } from '../../broker/core/events.ts'
import {
  type IdentityRecord,
  LEDGER_TABLES,
  type LedgerRecord,
} from '../../broker/core/ledger-records.ts'
import type { GatewayDriver, GatewayPorts } from '../../broker/driver.ts'
import type { NodeId, TaskId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'
import type { Rule } from '../../shared/operations/rule-book.ts'
import type { Down, Up } from '../../shared/protocol/messages.ts'
import type { ReadingsResult } from '../../shared/protocol/readings.ts'
import type { Sealed } from '../../shared/protocol/sealed.ts'
import type { Clock } from '../../shared/runtime/clock.ts'
import type { Programs } from './programs.ts'
import type { SimulatedClock } from './simulated-clock.ts'
import type { SimulatedDisk } from './simulated-disk.ts'
import type { SimulatedNetwork } from './simulated-network.ts'
import { SimulatedProcess } from './simulated-process.ts'
import { singleSends } from './single-sends.ts'
import { violated } from './violation.ts'

/** What is seen of the gateway from outside, and of its disk. */
export interface GatewayWitness {
  /** A process begins on a ledger that holds so many writes of the log. */
  started(openWrites: number): void
  flushed(records: readonly LedgerRecord[]): void
  effect(effect: GatewayEffect): void
  received(connection: string, message: Up): void
  sent(connection: string, message: Down): void
  /** Instead of `effect` and `sent` of each message of a round, for who does not look into them. */
  sentRound?(messages: number): void
  notice(notice: GatewayNotice): void
  announced(task: TaskId, state: string): void
  published(effect: Extract<GatewayEffect, { type: 'publish' }>): void
}

export interface GatewayHarness {
  readonly clock: SimulatedClock
  readonly network: SimulatedNetwork
  readonly disk: SimulatedDisk
  readonly random: Random
  readonly witness: GatewayWitness
  /** Asked before each effect; true kills the process there. */
  strikes(): boolean
}

export interface GatewaySetUp {
  readonly programs: Programs
  readonly options: CoordinatorOptions
  readonly identity: IdentityRecord
  readonly flushMinMs: number
  readonly flushMaxMs: number
}

const WALL_START_MS = 1_750_000_000_000
const SEALING_MS = 20

export class SimulatedGateway {
  readonly #setUp: GatewaySetUp
  readonly #harness: GatewayHarness
  readonly #process: SimulatedProcess
  #driver: GatewayDriver | undefined
  #view: ReturnType<InstanceType<Programs['Coordinator']>['view']> | undefined
  /** How many nodes it waits for when there is no ledger; 0 when there is to be one. */
  recoverNodes = 0
  /** How long it counts on agents to sleep, where that is not as drawn. */
  reconnectMs: number | undefined

  constructor(setUp: GatewaySetUp, harness: GatewayHarness) {
    this.#setUp = setUp
    this.#harness = harness
    this.#process = new SimulatedProcess(harness.clock, harness.random, WALL_START_MS)
  }

  get isUp(): boolean {
    return this.#process.isUp
  }

  get isFrozen(): boolean {
    return this.#process.isFrozen
  }

  get life(): number {
    return this.#process.life
  }

  /** How long any of its processes could work. */
  get awakeMs(): number {
    return this.#process.awakeMs
  }

  /** Nothing while it is down. */
  get view(): ReturnType<InstanceType<Programs['Coordinator']>['view']> | undefined {
    return this.#view
  }

  /** Somebody sets its clock. */
  setWall(offsetMs: number): void {
    this.#process.wallOffsetMs = offsetMs
  }

  start(): void {
    const { programs, options, identity } = this.#setUp
    const { disk, network, random, witness } = this.#harness
    const { Coordinator, GatewayDriver, LedgerStore } = programs
    const clock = this.#process.begin()
    const ledger = new LedgerStore(disk.open(this.#timing()), LEDGER_TABLES)
    const contents = ledger.load()
    const known = contents.meta.find(({ key }) => key === 'identity')?.value
    witness.started(contents.write.length)
    const { recoverNodes } = this
    const fresh =
      recoverNodes === 0 ? identity : { ...identity, ledgerId: 'rebuilt', isRecovering: true }
    const own = new Random(random.uint32())
    const { reconnectMs = options.reconnectMs } = this
    const given = { ...options, recoverNodes, reconnectMs }
    const coordinator = new Coordinator(given, known ?? fresh, own)
    this.#view = coordinator.view()
    const begin = coordinator.start(clock.now(), contents)
    const driver = new GatewayDriver(
      coordinator,
      options.grid,
      this.#ports(clock, ledger),
      this.#process.own((error: unknown) => this.#harness.clock.fail(error)),
    )
    this.#driver = driver
    network.gatewayStarted({
      received: this.#process.own((connection, node, payload) =>
        this.#receive(connection, node as NodeId, payload),
      ),
      closed: this.#process.own((connection) => driver.connectionClosed(connection)),
    })
    driver.begin(begin)
  }

  crash(): void {
    if (!this.isUp) return
    this.#process.end()
    this.#driver = undefined
    this.#view = undefined
    this.#harness.disk.crash()
    this.#harness.network.gatewayStopped()
  }

  /** The process stands still until then; what comes waits, and its timers are due when it wakes. */
  freeze(untilMs: number): void {
    this.#process.freeze(untilMs)
  }

  /** False while there is no gateway to submit to. */
  submit(payload: Uint8Array, submitter: Submitter, answer: (outcome: Outcome) => void): boolean {
    const driver = this.#driver
    if (driver === undefined) return false
    const answered = this.#process.own(answer)
    this.#process.own(() => driver.submit(payload, submitter, undefined, answered))()
    return true
  }

  /** Readings of cells; `taken` hears at once why they were not, and then `answer` that they are acknowledged. */
  read(
    result: ReadingsResult,
    how: {
      readonly client: string
      readonly taken: (refused: string | undefined) => void
      readonly answer?: () => void
    },
  ): void {
    const driver = this.#driver
    if (driver === undefined) return
    const { client, taken, answer } = how
    const coming = { topic: 'o/v1/cell', submitter: { via: 'mqtt', client } } as const
    const answered = this.#process.own(answer ?? (() => {}))
    this.#process.own(() => {
      const view = this.#view!
      const before = view.cellsRefused()
      const state = { isTaken: false, isAnswered: false }
      driver.read(
        [result],
        coming,
        answer &&
          (() => {
            state.isAnswered = true
            if (state.isTaken) answered()
          }),
      )
      const refused = Object.entries(view.cellsRefused())
      taken(refused.find(([reason, count]) => count !== (before[reason] ?? 0))?.[0])
      state.isTaken = true
      // In the same step: it was refused, or the gateway does not wait for its disk.
      if (state.isAnswered) answered()
    })()
  }

  /** What is called by whoever waits no more; undefined while there is no gateway. */
  look(
    wish: object,
    asker: { readonly client: string; readonly isOnce: boolean },
    answer: (outcome: LookOutcome) => void,
  ): (() => void) | undefined {
    const driver = this.#driver
    if (driver === undefined) return undefined
    const answered = this.#process.own(answer)
    let leave: (() => void) | undefined
    let hasLeft = false
    this.#process.own(() => {
      if (!hasLeft) leave = driver.look(wish, asker, answered)
    })()
    return this.#process.own(() => {
      hasLeft = true
      leave?.()
    })
  }

  cancel(task: TaskId, submitter: Submitter, answer: (outcome: Outcome) => void): boolean {
    const driver = this.#driver
    if (driver === undefined) return false
    const answered = this.#process.own(answer)
    this.#process.own(() => driver.cancel(task, submitter, answered))()
    return true
  }

  /** `about` is called just before it comes to pass. */
  recreate(about: () => void = () => {}): void {
    const driver = this.#driver
    if (driver === undefined) return
    this.#process.own(() => {
      about()
      driver.recreate().catch(this.#failed)
    })()
  }

  /** `taken` is called once the coordinator has it. */
  setRules(rules: readonly Rule[], taken: () => void): void {
    const driver = this.#driver
    if (driver === undefined) return
    this.#process.own(() => {
      driver.setRules(rules).catch(this.#failed)
      taken()
    })()
  }

  /** A change of the codex; nothing comes of it while there is no gateway. */
  demand(demand: CodexDemand, answer: (outcome: CodexOutcome) => void): void {
    const driver = this.#driver
    if (driver === undefined) return
    const answered = this.#process.own(answer)
    this.#process.own(() => {
      driver.codex(demand).then(answered).catch(this.#failed)
    })()
  }

  drain(node: string, isWanted: boolean): void {
    const driver = this.#driver
    if (driver === undefined) return
    this.#process.own(() => {
      driver.drain(node as NodeId, isWanted).catch(this.#failed)
    })()
  }

  /** `done` is called once the coordinator has decided. */
  revoke(node: string, done: () => void): void {
    const driver = this.#driver
    if (driver === undefined) return
    this.#process.own(() => {
      driver.revoke(node as NodeId).catch(this.#failed)
      done()
    })()
  }

  readonly #failed = (error: unknown): void => this.#harness.clock.fail(error)

  #timing(): { nowMs: number; begin(act: () => void): void; flush(act: () => void): void } {
    const { clock, random } = this.#harness
    const { flushMinMs, flushMaxMs } = this.#setUp
    return {
      nowMs: 0,
      begin: (act) => act(),
      flush: (act) => {
        const flushed = this.#process.own(() => {
          clock.stir()
          act()
        })
        clock.after(random.between(flushMinMs, flushMaxMs), flushed)
      },
    }
  }

  #ports(clock: Clock, ledger: InstanceType<Programs['LedgerStore']>): GatewayPorts {
    const { network, witness } = this.#harness
    const { life } = this
    const isMine = (): boolean => life === this.life
    return {
      clock,
      write: async (records) => {
        await ledger.write(records)
        if (isMine()) witness.flushed(records)
      },
      send(connection, payload) {
        if (isMine()) network.down(connection, payload)
      },
      admit() {},
      disconnect(connection) {
        if (isMine()) network.closeFromGateway(connection)
      },
      probe: (beat) => {
        if (isMine()) this.#probe(beat)
      },
      isRecipient: () => true,
      seal: ({ value }) => this.#seal(value),
      publish(effect) {
        if (isMine()) witness.published(effect)
      },
      notice(notice) {
        if (isMine()) witness.notice(notice)
      },
      received: (connection, message) => witness.received(connection, message),
      performing: (effect) => {
        if (!isMine()) return
        if (effect.type !== 'persist' && this.#harness.strikes()) {
          this.crash()
          return
        }
        if (effect.type === 'send-round' && witness.sentRound !== undefined) {
          witness.sentRound(effect.to - effect.from)
          return
        }
        for (const single of singleSends([effect])) {
          witness.effect(single)
          if (single.type === 'send') witness.sent(single.connection, single.message)
        }
        if (effect.type === 'announce-end') witness.announced(effect.task, effect.state)
      },
    }
  }

  /** Takes a moment, in which all may end; whoever looks at it can open it. */
  #seal(value: Uint8Array): Promise<Sealed> {
    const { clock } = this.#harness
    const none = new Uint8Array()
    const sealed = { head: none, kem: none, body: new Uint8Array(value), sig: none }
    return new Promise((resolve) => {
      const done = this.#process.own(() => {
        clock.stir()
        resolve(sealed)
      })
      clock.after(SEALING_MS, done)
    })
  }

  #receive(connection: string, node: NodeId, payload: Uint8Array): void {
    this.#driver?.receive(connection, node, payload, (from, problem) =>
      violated(`a message of node ${from} is malformed: ${problem}`),
    )
  }

  /** Its own client beats through the broker, which is slow at times. */
  #probe(beat: number): void {
    const { clock, random } = this.#harness
    const driver = this.#driver
    const waitMs = random.unit() < 0.02 ? random.between(500, 3000) : random.between(0.2, 5)
    clock.after(
      waitMs,
      this.#process.own(() => driver?.probeReturned(beat)),
    )
  }
}
