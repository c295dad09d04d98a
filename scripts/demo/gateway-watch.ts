import type { ObeliskError } from '../../shared/client/obelisk-error.ts'
import type { RingView } from '../../shared/protocol/views.ts'
import { connect, type Obelisk } from '../client/connect.ts'
import { gatewayClient } from '../client/node-carrier.ts'
import type { Ports } from './fleet.ts'
import { TaskClient } from './task-client.ts'

export interface Notice {
  readonly code: string
  readonly message: string
  readonly node?: string
  readonly task?: string
}

/** A notice, and when it arrived here, monotonic ms. */
export interface Arrival {
  readonly notice: Notice
  readonly atMs: number
}

interface Waiting {
  readonly code: string
  readonly arrived: (arrival: Arrival) => void
}

const RING_TIMEOUT_MS = 30_000

/** The demo's side of the gateway, by the client library: tasks over MQTT; notices and the ring over HTTP. */
export class GatewayWatch {
  readonly tasks: TaskClient
  readonly #http: string
  readonly #onFault: (error: Error) => void
  readonly #doors: readonly Obelisk[]
  readonly #end = new AbortController()
  readonly #waiting = new Set<Waiting>()
  #reissued = 0
  /** The gateway is there, as far as the demo has not ended it. */
  isUp = true

  /** `onFault` is told what must never happen. */
  static async open({ mqtt, http }: Ports, onFault: (error: Error) => void): Promise<GatewayWatch> {
    const url = `http://127.0.0.1:${http}`
    const doors = [await connect(`mqtt://127.0.0.1:${mqtt}`), await connect(url)] as const
    const watch = new GatewayWatch(doors, url, onFault)
    watch.#listen(doors[1]).catch(onFault)
    return watch
  }

  private constructor(
    doors: readonly [tasks: Obelisk, events: Obelisk],
    http: string,
    onFault: (error: Error) => void,
  ) {
    this.#doors = doors
    this.#http = http
    this.#onFault = onFault
    this.tasks = new TaskClient(doors[0], {
      onAway: (error) => this.#onAway(error as ObeliskError),
      onFault,
    })
  }

  /** Read shards that went to another node, as the gateway told. */
  get reissued(): number {
    return this.#reissued
  }

  async close(): Promise<void> {
    this.#end.abort()
    await Promise.all(this.#doors.map((door) => door.close()))
  }

  next(code: string): Promise<Arrival> {
    return new Promise((resolve) => {
      this.#waiting.add({ code, arrived: resolve })
    })
  }

  /** The ring with the holders of each tile. */
  async readRing(): Promise<RingView> {
    const question = { path: '/api/ring?holders=true', timeoutMs: RING_TIMEOUT_MS }
    return await gatewayClient(this.#http).json<RingView>(question)
  }

  #onAway(error: ObeliskError): void {
    if (this.isUp || !error.isAway) this.#onFault(error)
  }

  async #listen(events: Obelisk): Promise<void> {
    const { signal } = this.#end
    for await (const event of events.watch({ kinds: ['event'], signal })) {
      const atMs = performance.now()
      // News that was missed is none.
      if (event.type === 'event') this.#onNotice(event as unknown as Notice, atMs)
    }
  }

  #onNotice(notice: Notice, atMs: number): void {
    if (notice.code === 'read-reissued') this.#reissued += 1
    for (const waiting of this.#waiting) {
      if (waiting.code !== notice.code) continue
      this.#waiting.delete(waiting)
      waiting.arrived({ notice, atMs })
    }
  }
}
