/**
 * Stands between a gate and Aedes' client, of whose session something stays: as much of a stream as Aedes uses, and its
 * parser. The gate has parsed the packets (mqtt-incoming.ts), and what is left is to hand them on, in order, one after
 * the other.
 */
import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import type { Aedes, Client } from 'aedes'
import type { BrokerClient } from './mqtt-delivery.ts'
import type { Gate } from './mqtt-gate.ts'
import type { GateClient } from './mqtt-gate-parts.ts'
import type { Incoming } from './mqtt-incoming.ts'

/** Part of Aedes' client that its types leave out. */
interface ParsingClient extends Client {
  _parser: object
  _parsingBatch: number
  readonly connackSent: boolean
  _nextBatch(): void
}

export class AedesStream extends EventEmitter implements GateClient {
  readonly gate: Gate

  constructor(gate: Gate) {
    super()
    this.gate = gate
  }

  /** Has Aedes work on what comes. */
  handleBy(aedes: Aedes): void {
    const client = aedes.handle(this as unknown as Duplex) as ParsingClient
    const parser = client._parser as NodeJS.EventEmitter
    const [enqueue] = parser.listeners('packet')
    client._parser = new Inlet(client, this, enqueue as (packet: Incoming) => void)
  }

  get destroyed(): boolean {
    return this.gate.destroyed
  }

  read(): Incoming[] | null {
    return this.gate.read()
  }

  write(written: Uint8Array | string): boolean {
    return this.gate.write(written)
  }

  destroy(): void {
    this.gate.destroy()
  }

  readable(): void {
    this.emit('readable')
  }

  drained(): void {
    this.emit('drain')
  }

  ended(): void {
    this.emit('end')
  }

  gone(): void {
    this.emit('close')
  }
}

/** Aedes' own, as the parts of the broker know it. */
export function clientOf(client: Client): BrokerClient
export function clientOf(client: Client | null): BrokerClient | null
export function clientOf(client: Client | null): BrokerClient | null {
  return client as unknown as BrokerClient | null
}

class Inlet {
  readonly client: ParsingClient
  /** Aedes': what came before its client was connected. */
  _queue: Incoming[] = []
  readonly #stream: AedesStream
  readonly #enqueue: (packet: Incoming) => void

  constructor(client: ParsingClient, stream: AedesStream, enqueue: (packet: Incoming) => void) {
    this.client = client
    this.#stream = stream
    this.#enqueue = enqueue
  }

  parse(packets: readonly Incoming[]): void {
    const { client } = this
    // Aedes asks for more once it is done with all that it was given: after the last of these, not after each.
    const isOpen = client.connackSent
    if (isOpen) client._parsingBatch++
    for (const packet of packets) {
      // Behind a DISCONNECT nothing counts.
      if (client.closed || this.#stream.destroyed) break
      this.#enqueue(packet)
    }
    if (isOpen) client._nextBatch()
  }

  removeAllListeners(): void {}

  emit(_error: string, error: Error): void {
    this.client.emit('error', error)
  }
}
