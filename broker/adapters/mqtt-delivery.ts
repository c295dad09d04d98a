/**
 * Stands where Aedes has its emitter, which would copy and hand on a message once for each filter that
 * matches: here it goes to each client once, at the highest QoS that it was granted [MQTT-3.3.5-1].
 */
import type { Client } from 'aedes'
import type { Connection } from './mqtt-connection.ts'
import type { StoredPacket } from './mqtt-persistence.ts'
import type { Qos, Subscribers } from './mqtt-subscribers.ts'

type Done = (error?: Error) => void

/** Part of Aedes' client that its types leave out. */
export interface DeliveringClient extends Client {
  deliver0(packet: object, done: () => void): void
  deliverQoS(packet: object, done: () => void): void
}

export class Delivery {
  readonly #subscribers: Subscribers<Connection>
  #isClosed = false

  constructor(subscribers: Subscribers<Connection>) {
    this.#subscribers = subscribers
  }

  /** Aedes' listeners are not called: the hooks tell `Subscribers`, and other brokers there are none. */
  on(_filter: string, _listener: unknown, done?: Done): void {
    done?.()
  }

  removeListener(_filter: string, _listener: unknown, done?: Done): void {
    done?.()
  }

  /** Calls `done` once each client has taken the message, or will not. */
  emit(packet: StoredPacket, done: Done): void {
    if (this.#isClosed) {
      done(new Error('the broker is closed'))
      return
    }
    let waiting = 1
    const delivered = (): void => {
      if (--waiting === 0) done()
    }
    const copies: object[] = []
    for (const [{ client }, granted] of this.#subscribers.matching(packet.topic)) {
      // For one that comes or goes, what its session keeps is sent to it when it is there.
      if (client === undefined || client.closed) continue
      const qos = Math.min(granted, packet.qos) as Qos
      // Without a `brokerId` Aedes does not take it for a repetition when a later one has overtaken it.
      copies[qos] ??= { ...packet, qos, retain: false, brokerId: null }
      waiting++
      if (qos === 0) client.deliver0(copies[qos], delivered)
      else client.deliverQoS(copies[qos], delivered)
    }
    delivered()
  }

  close(done: Done): void {
    this.#isClosed = true
    setImmediate(done)
  }
}
