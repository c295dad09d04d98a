/**
 * Sensors, of several users, that tell what they read of cells: one or many, some of them told all the time and by
 * several, with and without the time of reading. What is not acknowledged when a gateway dies is sent again, or is not.
 */
import type { Random } from '../../shared/core/random.ts'
import type { GridContext } from '../../shared/operations/operation.ts'
import { parseReadings, type ReadingTopic } from '../../shared/protocol/readings.ts'
import type { PlainReading, Promised, ReadingChecker } from './reading-checker.ts'
import type { SimulatedClock } from './simulated-clock.ts'
import type { SimulatedGateway } from './simulated-gateway.ts'
import { violated } from './violation.ts'

export interface SensorSurroundings {
  readonly grid: GridContext
  readonly clock: SimulatedClock
  readonly random: Random
  readonly gateway: SimulatedGateway
  readonly checker: ReadingChecker
  readonly count: (what: string) => void
}

const USERS = 3
/** Cells that are told all the time. */
const BUSY = 4
const MANY_MAX = 60
const RETRY_MS = 400
const QOS_0_SHARE = 0.15
/** Long before any clock here: a time that is too far ahead is none. */
const TS_START = 1_700_000_000_000
const PASSING = ['no-node', 'overloaded', 'outside-grid']

interface Message {
  readonly client: string
  readonly topic: ReadingTopic
  readonly payload: Uint8Array
  readonly reading: PlainReading
  readonly qos: 0 | 1
}

interface Telling {
  readonly message: Message
  readonly life: number
  readonly era: number
  isAnswered: boolean
}

export class SimulatedSensors {
  readonly #around: SensorSurroundings
  readonly #busy: readonly (readonly [x: number, y: number])[]
  #told = 0
  /** Nobody has acknowledged these. */
  #open = 0
  /** Counts the ledgers: what was with an earlier one is over. */
  #era = 0

  constructor(around: SensorSurroundings) {
    this.#around = around
    this.#busy = Array.from({ length: BUSY }, () => this.#drawCell())
  }

  get isIdle(): boolean {
    return this.#open === 0
  }

  keepTelling(everyMs: number, untilMs: number): void {
    const { clock, random } = this.#around
    clock.keepDoing(() => this.#tell(this.#draw()), random, everyMs, untilMs)
  }

  /** These cells, at once; what that promises, once it is taken. */
  tellAll(cells: readonly (readonly [x: number, y: number])[]): Promised {
    const promised = new Map<string, number>()
    for (let from = 0; from < cells.length; from += 1000) {
      const entries = cells.slice(from, from + 1000).map(([x, y]) => this.#entry('value', x, y))
      const message = this.#many({ field: 'value', entries }, 1)
      this.#tell(message, (more) => {
        for (const [key, number] of more) promised.set(key, number)
      })
    }
    return promised
  }

  startAnew(): void {
    this.#era += 1
    this.#open = 0
  }

  #tell(message: Message, onTaken: (promised: Promised) => void = () => {}): void {
    const { gateway, checker, grid, count } = this.#around
    const { reading, topic, payload, client, qos } = message
    const { life } = gateway
    const era = this.#era
    let promised: Promised | undefined
    const telling: Telling = { message, life, era, isAnswered: false }
    // In the step that takes it, so before any answer that is right.
    const taken = (refused: string | undefined): void => {
      if (era !== this.#era) return
      if (refused === undefined) promised = checker.taken(reading, life)
      else if (refused === 'older') promised = checker.older(reading, life)
      else if (!PASSING.includes(refused)) violated(`a reading was refused as ${refused}`)
      if (refused !== undefined) count(`reading-${refused}`)
      if (promised !== undefined) onTaken(promised)
    }
    const answer = (): void => {
      if (telling.isAnswered) violated('a reading is acknowledged twice')
      telling.isAnswered = true
      if (era !== this.#era) return
      this.#open -= 1
      if (promised === undefined) return
      checker.acknowledged(promised)
      count('reading-acknowledged')
    }
    if (qos === 1) this.#open += 1
    const result = parseReadings(topic, payload, grid)
    gateway.read(result, { client, taken, ...(qos === 1 ? { answer } : {}) })
    if (qos === 1) this.#lookLater(telling)
  }

  /** Whether it was acknowledged, or its gateway is gone. */
  #lookLater(telling: Telling): void {
    const { gateway, clock, random, count } = this.#around
    clock.after(RETRY_MS, () => {
      if (telling.isAnswered || telling.era !== this.#era) return
      if (gateway.isUp && gateway.life === telling.life) {
        this.#lookLater(telling)
        return
      }
      this.#open -= 1
      // He has read something else meanwhile.
      if (random.unit() < 0.5) return
      count('reading-again')
      this.#tell(telling.message)
    })
  }

  #draw(): Message {
    const { random } = this.#around
    const qos = random.unit() < QOS_0_SHARE ? 0 : 1
    const field = random.unit() < 0.85 ? 'value' : 'level'
    const draw = random.unit()
    if (draw < 0.25) {
      const length = 1 + random.integer(MANY_MAX)
      const entries = Array.from({ length }, () => this.#entry(field, ...this.#drawCell()))
      return this.#many({ field, entries }, qos)
    }
    const isBusy = random.unit() < 0.6
    const [x, y] = isBusy ? this.#busy[random.integer(BUSY)]! : this.#drawCell()
    const entry = this.#entry(field, x, y)
    if (draw < 0.28) return this.#one(field, [this.#around.grid.geometry.width, y, entry[2]], qos)
    if (draw < 0.6) return this.#one(field, entry, qos)
    const behindMs = random.unit() < 0.3 ? random.integer(3000) : 0
    return this.#one(field, entry, qos, TS_START + Math.floor(this.#around.clock.nowMs) - behindMs)
  }

  #one(field: string, entry: PlainReading['entries'][number], qos: 0 | 1, ts?: number): Message {
    const [x, y, value] = entry
    const text = ts === undefined ? `${value}` : JSON.stringify({ value, ts })
    const reading = { field, entries: [entry], ...(ts === undefined ? {} : { ts }) }
    const topic = { kind: 'cell-reading', field, x, y } as const
    return { client: this.#drawUser(), topic, payload: Buffer.from(text), reading, qos }
  }

  #many(reading: PlainReading, qos: 0 | 1): Message {
    const { field, entries } = reading
    const payload = Buffer.from(JSON.stringify(entries))
    return {
      client: this.#drawUser(),
      topic: { kind: 'cell-readings', field },
      payload,
      reading,
      qos,
    }
  }

  /** A number that no other reading has, as far as the field holds as many. */
  #entry(field: string, x: number, y: number): [x: number, y: number, value: number] {
    this.#told += 1
    return [x, y, field === 'level' ? this.#told % 256 : 1_000_000 + this.#told]
  }

  #drawUser(): string {
    return `sensor-${this.#around.random.integer(USERS)}`
  }

  #drawCell(): readonly [x: number, y: number] {
    const { random, grid } = this.#around
    return [random.integer(grid.geometry.width), random.integer(grid.geometry.height)]
  }
}
