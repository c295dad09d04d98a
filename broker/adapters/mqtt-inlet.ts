/**
 * Stands where Aedes' client has its parser: the gate has parsed the packets (mqtt-incoming.ts), and what is left is to
 * hand them on, in order, one after the other.
 */
import type { Client } from 'aedes'
import type { Incoming } from './mqtt-incoming.ts'

/** Part of Aedes' client that its types leave out. */
interface ParsingClient extends Client {
  _parser: object
  _parsingBatch: number
  readonly connackSent: boolean
  readonly _keepaliveTimer: NodeJS.Timeout | null
  _nextBatch(): void
}

class Inlet {
  readonly client: ParsingClient
  /** Aedes': what came before its client was connected. */
  _queue: Incoming[] = []
  readonly #enqueue: (packet: Incoming) => void

  constructor(client: ParsingClient, enqueue: (packet: Incoming) => void) {
    this.client = client
    this.#enqueue = enqueue
  }

  parse(packets: readonly Incoming[]): void {
    const { client } = this
    // Aedes asks for more once it is done with all that it was given: after the last of these, not after each.
    const isOpen = client.connackSent
    if (isOpen) client._parsingBatch++
    for (const packet of packets) {
      if (client.closed) break
      // Nothing is kept of what was sent (mqtt-outgoing.ts).
      if (isOpen && packet.cmd === 'puback' && client.clean) client._keepaliveTimer?.refresh()
      else this.#enqueue(packet)
    }
    if (isOpen) client._nextBatch()
  }

  removeAllListeners(): void {}

  emit(_error: string, error: Error): void {
    this.client.emit('error', error)
  }
}

/** From now on the client takes what its connection reads for packets. */
export function parseNothing(of: Client): void {
  const client = of as ParsingClient
  const parser = client._parser as NodeJS.EventEmitter
  const [enqueue] = parser.listeners('packet')
  client._parser = new Inlet(client, enqueue as (packet: Incoming) => void)
}
