/**
 * A ledger that is lost and comes back by an older copy. Somebody copies it at a random moment; later the gateway's disk
 * is gone, the copy takes its place by the code that ships, and the fleet, which has gone on, shows what it holds. What
 * was accepted after the copy is unknown then; what the copy has is as it was, and nothing of it runs a second time.
 */
import {
  type IdentityRecord,
  LEDGER_TABLES,
  type LedgerRecord,
  type TaskRecord,
} from '../../broker/core/ledger-records.ts'
import { Random } from '../../shared/core/random.ts'
import { isEnded } from '../../shared/protocol/states.ts'
import type { Checkers } from './checkers.ts'
import { decodeResult } from './checkers.ts'
import type { CodexChecker } from './codex-checker.ts'
import type { GridModel } from './grid-model.ts'
import type { HandOffChecker } from './hand-off-checker.ts'
import type { LedgerDisk } from './ledger-disk.ts'
import type { Programs } from './programs.ts'
import type { PromisedInCopy, ReadingChecker } from './reading-checker.ts'
import type { RebuiltLedger } from './rebuilt-ledger.ts'
import type { SimulatedClients } from './simulated-clients.ts'
import type { SimulatedClock } from './simulated-clock.ts'
import { AT_ONCE } from './simulated-disk.ts'
import type { SimulatedGateway } from './simulated-gateway.ts'
import type { SimulatedSensors } from './simulated-sensors.ts'
import type { TaskStories, TaskStory } from './task-stories.ts'
import { violated } from './violation.ts'

export interface RestoringFleet {
  readonly clock: SimulatedClock
  readonly gateway: SimulatedGateway
  readonly ledger: LedgerDisk
  count(what: string): void
}

interface Parts {
  readonly model: GridModel
  readonly stories: TaskStories
  readonly clients: SimulatedClients
  readonly rebuild: RebuiltLedger
  readonly handOffs: HandOffChecker
  readonly checkers: Checkers
  readonly readings: ReadingChecker
  readonly codex: CodexChecker | undefined
  readonly sensors: SimulatedSensors | undefined
  readonly readingsEveryMs: number
}

type Shipped = Pick<Programs, 'LedgerStore' | 'restoredChanges'>

const SHARE = 0.25
/** With sensors: the copy was made just before the ledger was lost. */
const FRESH_SHARE = 0.7
const TELLING_MS = 4000
const LOOK_MS = 100
const WALL_MS = 1_750_000_000_000
/** An agent that has just tried comes within this. */
const RECONNECT_MS = 3500
const WORK_MS = 6000

export class RestoredCopy {
  readonly #fleet: RestoringFleet
  readonly #programs: Shipped
  readonly #parts: Parts
  readonly #random: Random
  #copy:
    | {
        readonly image: unknown
        readonly atMs: number
        readonly readings: PromisedInCopy
        readonly codex: ReturnType<CodexChecker['image']> | undefined
      }
    | undefined

  /** Some fleets have one. What has to do with it is drawn apart: all else is as it would be. */
  static drawn(
    seed: number,
    fleet: RestoringFleet,
    programs: Shipped,
    parts: Parts,
  ): RestoredCopy | undefined {
    const random = new Random(seed ^ 0x5a5a5a5a)
    return random.unit() < SHARE ? new RestoredCopy(fleet, programs, parts, random) : undefined
  }

  private constructor(fleet: RestoringFleet, programs: Shipped, parts: Parts, random: Random) {
    this.#fleet = fleet
    this.#programs = programs
    this.#parts = parts
    this.#random = random
  }

  /** A copy is made at some moment. */
  begin(untilMs: number): void {
    this.#fleet.clock.at(this.#random.between(200, untilMs), () => this.#keep())
  }

  #keep(): void {
    const { ledger, clock } = this.#fleet
    const identity = ledger.get<IdentityRecord>('meta', 'identity')
    if (identity !== undefined && identity.isRecovering !== true) {
      const { seq } = identity
      const readings = this.#parts.readings.promises(seq)
      const codex = this.#parts.codex?.image()
      this.#copy = { image: ledger.disk.image(), atMs: clock.nowMs, readings, codex }
    } else clock.after(LOOK_MS, () => this.#keep())
  }

  /** The ledger is lost in the middle of everything, and comes back by the copy. */
  async restore(taskEveryMs: number): Promise<void> {
    const { clock, gateway } = this.#fleet
    const { clients, handOffs, rebuild, checkers, readings, codex, sensors, readingsEveryMs } =
      this.#parts
    const { geometry } = this.#parts.model.grid
    const random = this.#random
    sensors?.keepTelling(readingsEveryMs, clock.nowMs + TELLING_MS)
    await clock.run(clock.nowMs + random.between(0, 3000))
    for (let count = random.integer(8); count > 0; count--)
      clients.write(geometry.tileRegion(random.integer(geometry.tiles)))
    // Else what was told by then has long been written.
    if (sensors !== undefined && random.unit() < FRESH_SHARE) this.#keep()
    await clock.run(clock.nowMs + random.between(0, 1000))
    this.#fleet.count('fault-ledger-restored')
    clients.startAnew()
    sensors?.startAnew()
    gateway.crash()
    handOffs.forget()
    checkers.forgetOwn()
    readings.restored(this.#copy!.readings)
    codex?.startAnew(this.#copy!.codex)
    rebuild.onRecovered = (atOf) => readings.recovered(atOf)
    gateway.reconnectMs = RECONNECT_MS
    rebuild.beginRestored(random, this.#putInPlace())
    gateway.start()
    sensors?.keepTelling(readingsEveryMs, clock.nowMs + WORK_MS)
    codex?.keepPatching(clock.nowMs + WORK_MS)
    clients.keepSubmitting(taskEveryMs, clock.nowMs + WORK_MS)
    await clock.run(clock.nowMs + WORK_MS)
  }

  /** The disk of a gateway that is down is replaced. Returns the nodes that the copy waits for. */
  #putInPlace(): readonly string[] {
    const { ledger, clock } = this.#fleet
    const { image, atMs } = this.#copy!
    ledger.disk.replace(image)
    const before = new Map<string, TaskRecord>(
      ledger.load().task.map(({ key, value }) => [String(key), value]),
    )
    const results = new Map(
      [...before.keys()].map((id) => [id, ledger.get<Uint8Array>('result', id)]),
    )
    const { LedgerStore, restoredChanges } = this.#programs
    const store = new LedgerStore(ledger.disk.open(AT_ONCE), LEDGER_TABLES)
    const moment = { ledgerId: 'restored', nowTs: WALL_MS + clock.nowMs, copyTs: WALL_MS + atMs }
    const changes: LedgerRecord[] = [...restoredChanges(store.load(), moment)]
    void store.write(changes)
    for (const story of this.#parts.stories.accepted) {
      const was = before.get(story.id!)
      if (was === undefined) this.#parts.stories.forget(story)
      else this.#rewind(story, was, results.get(story.id!))
    }
    return store.load().meta[0]!.value.restored!.nodes
  }

  /** What the ledger has of a task now must be what it had in the copy, or that it failed. */
  #rewind(story: TaskStory, was: TaskRecord, result: Uint8Array | undefined): void {
    const { ledger, clock } = this.#fleet
    const id = story.id!
    const record = ledger.get<TaskRecord>('task', id)
    const now = ledger.get<Uint8Array>('result', id)
    if (record === undefined) violated(`task ${id} of the copy is unknown`)
    if (!isEnded(record.state))
      violated(`task ${id} is ${record.state} in a ledger that is restored`)
    story.isRestored = true
    story.state = record.state
    story.effect = record.effect
    story.ends = 1
    story.announcements = 1
    story.shown = undefined
    if (isEnded(was.state)) {
      if (record.state !== was.state)
        violated(`task ${id} was ${was.state}, and is ${record.state}`)
      const isSame = Buffer.compare(now ?? Buffer.alloc(0), result ?? Buffer.alloc(0)) === 0
      if (!isSame) violated(`task ${id} of the copy has another result`)
      this.#fleet.count('restored-ended')
      return
    }
    if (record.error?.code !== 'restored' || now === undefined) {
      violated(`task ${id} had not ended in the copy, and is ${JSON.stringify(record)}`)
    }
    if (story.isWrite ? record.effect === 'none' : record.effect !== 'none') {
      violated(`the effect of task ${id} is said to be ${record.effect}, which nobody knows`)
    }
    story.result = decodeResult(now)
    story.endedMs = clock.nowMs
    this.#fleet.count('restored-open')
  }

  /** Tasks are taken again: whoever repeats one that the copy has is told of it, and it does not run. */
  recovered({ readings, olderReadings }: Readonly<Record<string, unknown>>): void {
    if (Number(readings) > 0) this.#fleet.count('readings-of-copy')
    if (Number(olderReadings) > 0) this.#fleet.count('readings-of-copy-older')
    const { clients } = this.#parts
    for (const story of this.#parts.stories.accepted) {
      if (story.isRestored && story.plain.id !== undefined) clients.repeat(story)
    }
  }

  /** All is over: what the copy knew is known still. */
  atRest(): void {
    const { ledger } = this.#fleet
    for (const { id, state, isRestored, plain } of this.#parts.stories.accepted) {
      if (!isRestored) continue
      const record = ledger.get<TaskRecord>('task', id!)
      // An id that the gateway made goes with its state.
      if (record === undefined && plain.id === undefined) continue
      if (record?.state !== state) violated(`task ${id} was ${state}, and is ${record?.state}`)
    }
  }
}
