/**
 * Clients that add, over MQTT and HTTP, and send each add again until it is acknowledged, over as many
 * connections as that takes. What they add up to is known from what they sent.
 */
import type { Random } from '../../shared/core/random.ts'
import { Additions } from './additions.ts'
import { eventually, within } from './processes.ts'
import { BASE, HttpClient, type Json, WireClient } from './wire-client.ts'

/** Of one client, that wait for their acknowledgement. */
const IN_FLIGHT = 6
const RETRY_AFTER_MS = 150
const ACKNOWLEDGED_WITHIN_MS = 120_000
/** A connection that says nothing for longer may have been ended by a packet that was lost. */
const ANSWERED_WITHIN_MS = 10_000

/** One way to submit, over connections that may break at any moment. */
export interface Door {
  /** True once the task was acknowledged; false if nobody knows whether it arrived. */
  submit(task: Json): Promise<boolean>
  /** What was acknowledged and refused all the same. */
  rejections(): readonly Json[]
  close(): Promise<void>
}

export class MqttDoor implements Door {
  readonly #url: string
  readonly #random: Random
  readonly #rejections: Json[] = []
  #wire: Promise<WireClient> | undefined

  constructor(url: string, random: Random) {
    this.#url = url
    this.#random = random
  }

  async submit(task: Json): Promise<boolean> {
    const format = this.#random.integer(2) === 0 ? 'json' : 'cbor'
    const connecting = (this.#wire ??= this.#connect())
    const answer = connecting.then((wire) => wire.submit(task, format))
    // There may be no gateway at the moment.
    if (await within('an answer', answer, ANSWERED_WITHIN_MS).catch(() => false)) return true
    if (this.#wire === connecting) this.#wire = undefined
    void connecting.then(({ client }) => client.end(true)).catch(() => {})
    return false
  }

  rejections(): readonly Json[] {
    return this.#rejections
  }

  async close(): Promise<void> {
    await (await this.#wire)?.close()
  }

  async #connect(): Promise<WireClient> {
    const wire = await WireClient.connect(this.#url, `${BASE}/task/rejected`)
    wire.client.on('message', (_topic, payload) => {
      const rejection = JSON.parse(payload.toString()) as Json
      if (rejection.client === wire.id) this.#rejections.push(rejection)
    })
    return wire
  }
}

export class HttpDoor implements Door {
  readonly #http: HttpClient
  readonly #rejections: Json[] = []

  constructor(base: string) {
    this.#http = new HttpClient(base, ANSWERED_WITHIN_MS)
  }

  async submit(task: Json): Promise<boolean> {
    const answer = await this.#http.post(task).catch(() => undefined)
    if (answer === undefined) return false
    if (answer.status >= 400) this.#rejections.push(answer.body)
    return answer.status < 400
  }

  rejections(): readonly Json[] {
    return this.#rejections
  }

  async close(): Promise<void> {}
}

class Client {
  readonly additions: Additions
  readonly door: Door
  readonly #waiting: Json[] = []
  readonly #acknowledged: () => void
  #lanes: Promise<void>[] = []
  #isSending = 0
  #pause: Promise<void> | undefined

  constructor(additions: Additions, door: Door, acknowledged: () => void) {
    this.additions = additions
    this.door = door
    this.#acknowledged = acknowledged
  }

  give(): void {
    this.#waiting.push(this.additions.next())
    if (this.#isSending < IN_FLIGHT) this.#lanes.push(this.#send())
  }

  async settled(): Promise<void> {
    await Promise.all(this.#lanes)
    this.#lanes = []
  }

  async #send(): Promise<void> {
    this.#isSending += 1
    for (let task = this.#waiting.shift(); task !== undefined; task = this.#waiting.shift()) {
      await this.#submit(task)
      this.additions.open.delete(task.id)
      this.#acknowledged()
    }
    this.#isSending -= 1
  }

  async #submit(task: Json): Promise<void> {
    const untilMs = performance.now() + ACKNOWLEDGED_WITHIN_MS
    while (!(await this.door.submit(task))) {
      if (performance.now() > untilMs) throw new Error(`${task.id} was not acknowledged in time`)
      // As a client has to: without, those that try would take the machine from those that start.
      this.#pause ??= new Promise<void>((resolve) => setTimeout(resolve, RETRY_AFTER_MS)).then(
        () => {
          this.#pause = undefined
        },
      )
      await this.#pause
    }
  }
}

export class CountingLoad {
  readonly #clients: readonly Client[]
  readonly #random: Random
  readonly #ids: string[] = []
  #given = 0
  #acknowledged = 0

  /** On a grid of `side` times `side`, one client a door. */
  constructor(side: number, doors: readonly Door[], random: Random) {
    this.#random = random
    this.#clients = doors.map((door, index) => {
      const additions = new Additions(side, random, { name: `client-${index}`, valueMax: 1 })
      return new Client(additions, door, () => {
        this.#acknowledged += 1
      })
    })
  }

  get tasks(): number {
    return this.#given
  }

  /** How many tasks cover each LSU, row by row. */
  get cells(): number[] {
    const all = this.#clients.map(({ additions }) => additions.cells)
    return all[0]!.map((_, lsu) => all.reduce((sum, cells) => sum + cells[lsu]!, 0))
  }

  get rejections(): Json[] {
    return this.#clients.flatMap(({ door }) => door.rejections())
  }

  /** More tasks, that the clients send from now on. */
  give(count: number): void {
    for (let given = 0; given < count; given++) {
      this.#clients[this.#random.integer(this.#clients.length)]!.give()
    }
    this.#given += count
  }

  /** A random number of those that wait now is acknowledged. */
  async someMore(): Promise<void> {
    const wanted = this.#acknowledged + this.#random.integer(this.#given - this.#acknowledged + 1)
    await eventually(
      `${wanted} of ${this.#given} tasks are acknowledged`,
      () => this.#acknowledged >= wanted,
      ACKNOWLEDGED_WITHIN_MS,
    )
  }

  /** All are acknowledged; says the ids of those that are new since it was asked last. */
  async settled(): Promise<string[]> {
    await Promise.all(this.#clients.map((client) => client.settled()))
    const all = this.#clients.flatMap(({ additions }) => [...additions.tasks.keys()])
    const known = new Set(this.#ids)
    const fresh = all.filter((id) => !known.has(id))
    this.#ids.push(...fresh)
    return fresh
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map(({ door }) => door.close()))
  }
}
