/** A connection over MQTT that is replaced when it breaks, and over which everything is then listened to again. */
import { connect, type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import { pause, Waits } from '../../shared/client/waits.ts'
import { closedBy, isRefusedFilter, mqttFault } from './mqtt-faults.ts'

const CONNECT_TIMEOUT_MS = 10_000
/** A gateway whose machine is gone says nothing. */
const KEEPALIVE_SECONDS = 20

export interface Listener {
  readonly filters: readonly string[]
  readonly hear: (topic: string, payload: Buffer, packet: IPublishPacket) => void
  /** There is another connection: what came meanwhile is lost. */
  readonly onMissed?: () => unknown
  /** The connection has broken. */
  readonly onBroken?: (error: ObeliskError) => unknown
  /** There is no other one yet. */
  readonly onAway?: (error: ObeliskError) => unknown
}

export class MqttLink {
  readonly url: string
  readonly #options: IClientOptions
  readonly #listeners = new Set<Listener>()
  readonly #end = new AbortController()
  #client: MqttClient | undefined

  constructor(url: string, options: IClientOptions) {
    this.url = url
    this.#options = {
      connectTimeout: CONNECT_TIMEOUT_MS,
      keepalive: KEEPALIVE_SECONDS,
      reconnectPeriod: 0,
      writeCache: false,
      ...options,
    }
  }

  /** Nothing while it is broken. */
  get client(): MqttClient | undefined {
    return this.#client
  }

  get signal(): AbortSignal {
    return this.#end.signal
  }

  /** Fails with `unreachable`, `login-refused` or `gateway-not-pinned`. */
  async connect(...listeners: readonly Listener[]): Promise<void> {
    for (const listener of listeners) this.#listeners.add(listener)
    const client = connect(this.url, this.#options)
    // Each subscription that is under way is one, and each task makes one.
    client.setMaxListeners(0)
    client.on('message', (topic, payload, packet) => {
      for (const { hear } of this.#listeners) hear(topic, payload, packet)
    })
    try {
      await new Promise<void>((resolve, reject) => {
        client.on('connect', () => resolve())
        client.on('error', (error) => reject(mqttFault(error, this.url)))
        client.on('close', () => reject(closedBy(this.url)))
      })
      await this.subscribe(
        client,
        [...this.#listeners].flatMap(({ filters }) => filters),
      )
      // Closed meanwhile, it would stay open for nobody.
      this.#end.signal.throwIfAborted()
    } catch (error) {
      client.end(true)
      throw error
    }
    this.#client = client
    client.on('close', () => void this.#reconnect())
    // It may have closed before anybody would have heard of it.
    if (!client.connected) return void this.#reconnect()
    for (const { onMissed } of this.#listeners) onMissed?.()
  }

  /** Fails with `login-refused`. Where the connection breaks meanwhile, the next one has it. */
  async listen(listener: Listener): Promise<void> {
    this.#listeners.add(listener)
    try {
      if (this.#client !== undefined) await this.subscribe(this.#client, listener.filters)
    } catch (error) {
      if (!(error as ObeliskError).isAway) throw error
    }
  }

  leave(listener: Listener): void {
    this.#listeners.delete(listener)
    const kept = [...this.#listeners].flatMap(({ filters }) => filters)
    const left = listener.filters.filter((filter) => !kept.includes(filter))
    if (left.length > 0) this.#client?.unsubscribe(left)
  }

  /** Resolves with the gateway's answer; a connection that ends before it is `unreachable`. */
  async subscribe(client: MqttClient, filters: readonly string[]): Promise<void> {
    if (filters.length === 0) return
    let onClose = (): void => {}
    try {
      await new Promise<void>((resolve, reject) => {
        onClose = () => reject(closedBy(this.url))
        client.once('close', onClose)
        client.subscribe([...filters], { qos: 1 }, (error, granted) => {
          const detail = `the gateway does not let us read ${filters.join(', ')}`
          if (isRefusedFilter(error, granted)) {
            reject(new ObeliskError({ code: 'login-refused', detail }))
          } else if (error) reject(closedBy(this.url, error))
          else resolve()
        })
      })
    } finally {
      client.off('close', onClose)
    }
  }

  async close(): Promise<void> {
    this.#end.abort()
    await this.#client?.endAsync(true)
  }

  async #reconnect(): Promise<void> {
    if (this.#client === undefined || this.#end.signal.aborted) return
    this.#client = undefined
    for (const { onBroken } of this.#listeners) onBroken?.(closedBy(this.url))
    const waits = new Waits()
    while (!this.#end.signal.aborted) {
      try {
        return await this.connect()
      } catch (cause) {
        const error = cause as ObeliskError
        for (const { onAway } of this.#listeners) onAway?.(error)
        await pause(waits.next(error), this.#end.signal).catch(() => {})
      }
    }
  }
}
