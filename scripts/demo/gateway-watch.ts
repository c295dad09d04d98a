import type { RingView } from '../../shared/protocol/views.ts'
import { gatewayClient } from '../client/node-carrier.ts'
import { GatewayLink, type Notice } from './gateway-link.ts'
import { TaskClient } from './task-client.ts'

export interface WatchedPorts {
  readonly mqtt: number
  readonly http: number
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

/** The demo's side of the gateway: tasks, notices and the ring, over connections that may break. */
export class GatewayWatch {
  readonly tasks: TaskClient
  readonly #onFault: (error: Error) => void
  readonly #waiting = new Set<Waiting>()
  #link: GatewayLink | undefined
  #http = 0
  #ring: RingView | undefined
  #reissued = 0
  onRing: (ring: RingView) => void = () => {}

  /** `onFault` is told what must never happen. */
  constructor(onFault: (error: Error) => void) {
    this.#onFault = onFault
    this.tasks = new TaskClient(onFault)
  }

  get isConnected(): boolean {
    return this.#link !== undefined
  }

  /** Read shards that went to another node, as the gateway told. */
  get reissued(): number {
    return this.#reissued
  }

  /** The ring with the holders of each tile, as last read. */
  get ring(): RingView {
    if (this.#ring === undefined) throw new Error('the ring was not read yet')
    return this.#ring
  }

  async connect({ mqtt, http }: WatchedPorts): Promise<void> {
    this.#http = http
    let link: GatewayLink | undefined
    link = await GatewayLink.open(mqtt, {
      onResult: (payload) => this.tasks.takeResult(payload),
      onRejection: (payload) => this.tasks.takeRejection(payload),
      onNotice: (notice) => this.#onNotice(notice),
      onRing: () => void this.#tryReadRing(),
      onClosed: () => {
        if (link !== undefined && this.#link === link)
          this.#onFault(new Error('the gateway closed our connection'))
      },
    })
    this.#link = link
    this.tasks.attach(link)
  }

  /** The gateway is about to go: that its connection closes is no fault. */
  release(): void {
    this.#link = undefined
    this.tasks.detach()
  }

  async close(): Promise<void> {
    const link = this.#link
    this.release()
    await link?.close()
  }

  next(code: string): Promise<Arrival> {
    return new Promise((resolve) => {
      this.#waiting.add({ code, arrived: resolve })
    })
  }

  async readRing(): Promise<RingView> {
    const gateway = gatewayClient(`http://127.0.0.1:${this.#http}`)
    const question = { path: '/api/ring?holders=true', timeoutMs: RING_TIMEOUT_MS }
    const ring = await gateway.json<RingView>(question)
    this.#ring = ring
    this.onRing(ring)
    return ring
  }

  async #tryReadRing(): Promise<void> {
    try {
      await this.readRing()
    } catch {
      // The gateway went between its word and our question; it publishes its ring when it is back.
    }
  }

  #onNotice(notice: Notice): void {
    const atMs = performance.now()
    if (notice.code === 'read-reissued') this.#reissued += 1
    for (const waiting of this.#waiting) {
      if (waiting.code !== notice.code) continue
      this.#waiting.delete(waiting)
      waiting.arrived({ notice, atMs })
    }
  }
}
