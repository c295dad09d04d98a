/** All connections: who waits with its CONNECT, who is a node, and who speaks for which node. */
import type { Client } from 'aedes'
import type { NodeId } from '../../shared/core/ids.ts'
import type { ConnectionId } from '../core/events.ts'
import { Connection } from './mqtt-connection.ts'
import type { Gate } from './mqtt-gate.ts'

export interface ConnectionBounds {
  readonly connectionsMax: number
  /** Sockets that have not sent their CONNECT: a pool of its own. */
  readonly preConnectMax: number
}

/** How long a socket is given for its CONNECT once the pool of silent ones is full. */
const PRE_CONNECT_GRACE_MS = 250

export class Connections {
  readonly #bounds: ConnectionBounds
  /** From the first byte until Aedes is done with the client. */
  readonly #byGate = new Map<Gate, Connection>()
  /** The oldest first, and since when. */
  readonly #waiting = new Map<Gate, number>()
  readonly #connected = new Set<Gate>()
  readonly #nodes = new Map<ConnectionId, Connection>()
  readonly #admitted = new Map<NodeId, Connection>()
  #connectedMaximum = 0

  constructor(bounds: ConnectionBounds) {
    this.#bounds = bounds
  }

  get connectedCount(): number {
    return this.#connected.size
  }

  get connectedMaximum(): number {
    return this.#connectedMaximum
  }

  waiting(): Gate[] {
    return [...this.#waiting.keys()]
  }

  connected(): Gate[] {
    return [...this.#connected]
  }

  /** Whether one more socket may wait. A full pool gives up the one silent for longest. */
  makeRoom(): 'room' | 'evicted' | 'full' {
    const { preConnectMax } = this.#bounds
    if (this.#waiting.size < preConnectMax) return 'room'
    for (const [gate, sinceMs] of this.#waiting) {
      if (performance.now() - sinceMs < PRE_CONNECT_GRACE_MS) break
      gate.destroy()
      return 'evicted'
    }
    // Many came at once and none of them has been read yet: that is no silence.
    return this.#waiting.size < 4 * preConnectMax ? 'room' : 'full'
  }

  add(gate: Gate): void {
    this.#waiting.set(gate, performance.now())
    this.#byGate.set(gate, new Connection(gate))
  }

  /** False when there is no room for one more client. */
  connectArrived(gate: Gate): boolean {
    this.#waiting.delete(gate)
    if (this.#connected.size >= this.#bounds.connectionsMax) return false
    this.#connected.add(gate)
    this.#connectedMaximum = Math.max(this.#connectedMaximum, this.#connected.size)
    return true
  }

  /** The socket is at its end; Aedes may still have to do with the client, its will for one. */
  closed(gate: Gate): { connection: Connection; nodeConnection?: ConnectionId } | undefined {
    this.#waiting.delete(gate)
    this.#connected.delete(gate)
    const connection = this.#byGate.get(gate)
    if (connection === undefined) return undefined
    const id = connection.client?.id
    if (id === undefined) this.#byGate.delete(gate)
    else if (this.#nodes.get(id) === connection) {
      this.#nodes.delete(id)
      return { connection, nodeConnection: id }
    }
    return { connection }
  }

  of(client: Client | null): Connection | undefined {
    return client === null ? undefined : this.#byGate.get(client.conn as Gate)
  }

  node(id: ConnectionId): Connection | undefined {
    return this.#nodes.get(id)
  }

  setNode(id: ConnectionId, connection: Connection): void {
    this.#nodes.set(id, connection)
  }

  admit(connection: Connection, node: NodeId): void {
    const before = this.#admitted.get(node)
    if (before !== undefined) before.isAdmitted = false
    connection.isAdmitted = true
    this.#admitted.set(node, connection)
  }

  /** Aedes is done with the client. */
  remove(connection: Connection): void {
    this.#byGate.delete(connection.gate)
    const { node } = connection
    if (node !== undefined && this.#admitted.get(node) === connection) this.#admitted.delete(node)
  }
}
