/** All connections: who waits with its CONNECT, who is a node, and who speaks for which node. */
import type { NodeId } from '../../shared/core/ids.ts'
import { sourceOf } from '../../shared/core/source.ts'
import { ANYONE, GATEWAY, type Principal } from '../../shared/protocol/access.ts'
import type { ConnectionId } from '../core/events.ts'
import { Connection } from './mqtt-connection.ts'
import type { BrokerClient } from './mqtt-delivery.ts'
import type { Gate } from './mqtt-gate.ts'
import { shareOf } from './places.ts'

export interface ConnectionBounds {
  readonly connectionsMax: number
  /** Sockets that have not sent their CONNECT: a pool of its own. */
  readonly preConnectMax: number
  /** How long a socket is left alone in a full pool. */
  readonly preConnectGraceMs: number
  /** The client id of the gateway's own client, which takes nobody's place and is not counted. */
  readonly probeId?: string | undefined
}

/** A pool of young sockets may grow to this many times its size. */
const STORM_FACTOR = 4
const NODE_CONNECTIONS_MAX = 4

export class Connections {
  readonly #bounds: ConnectionBounds
  /** From the first byte until Aedes is done with the client. */
  readonly #byGate = new Map<Gate, Connection>()
  /** The oldest first, and since when. */
  readonly #waiting = new Map<Gate, number>()
  readonly #connected = new Set<Gate>()
  readonly #nodes = new Map<ConnectionId, Connection>()
  readonly #admitted = new Map<NodeId, Connection>()
  /** By client id: the last one that came, while it or one before it is there. */
  readonly #holders = new Map<string, Connection>()
  /** By identity, of those who are known by a name; the oldest first. */
  readonly #named = new Map<string, Set<Connection>>()
  #probe: Gate | undefined
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
    return this.#probe === undefined ? [...this.#connected] : [...this.#connected, this.#probe]
  }

  /** Where all together have not taken so many bytes, those furthest behind are closed. */
  boundBacklogs(totalMax: number): void {
    const gates = this.connected()
    let total = gates.reduce((sum, gate) => sum + gate.backlogBytes, 0)
    if (total <= totalMax) return
    gates.sort((a, b) => b.backlogBytes - a.backlogBytes)
    for (const gate of gates) {
      if (total <= totalMax) return
      total -= gate.backlogBytes
      gate.abandon('total-backlog')
    }
  }

  /**
   * Makes room for one more socket: a full pool gives up the one that has been silent for longest.
   * True if it did. Where many come at once and none has been read yet, that is no silence.
   */
  makeRoom(): boolean {
    const { preConnectMax, preConnectGraceMs } = this.#bounds
    if (this.#waiting.size < preConnectMax) return false
    for (const [gate, sinceMs] of this.#waiting) {
      const isYoung = performance.now() - sinceMs < preConnectGraceMs
      if (isYoung && this.#waiting.size < preConnectMax * STORM_FACTOR) return false
      gate.destroy()
      return true
    }
    return false
  }

  add(gate: Gate, principal: Principal): Connection {
    // It may be gone when it is asked for.
    const source = principal === ANYONE ? '' : sourceOf(gate.remoteAddress)
    const connection = new Connection(gate, principal, source)
    this.#waiting.set(gate, performance.now())
    this.#byGate.set(gate, connection)
    return connection
  }

  /** Nothing when there is no room for one more client. */
  connectArrived(gate: Gate, clientId: string): Connection | undefined {
    this.#waiting.delete(gate)
    const connection = this.#byGate.get(gate)
    if (connection !== undefined && this.#isOwnClient(connection, clientId)) {
      connection.principal = GATEWAY
      this.#probe = gate
      return connection
    }
    if (this.#connected.size >= this.#bounds.connectionsMax) return undefined
    this.#connected.add(gate)
    this.#connectedMaximum = Math.max(this.#connectedMaximum, this.#connected.size)
    return connection
  }

  /**
   * It is known now who this is; false if he has his share of connections. A node needs one: of more it keeps the
   * latest, since those before may have been cut off without a word.
   */
  identified(connection: Connection, clientId: string): boolean {
    const { identity, principal } = connection
    const { kind } = principal
    if (kind !== 'user' && kind !== 'node') return true
    const own = this.#named.get(identity) ?? new Set()
    const before = this.#holders.get(clientId)
    // That one goes for it.
    const others = own.size - (before !== undefined && own.has(before) ? 1 : 0)
    if (kind === 'user' && others >= shareOf(this.#bounds.connectionsMax, principal)) return false
    this.#named.set(identity, own.add(connection))
    const [oldest] = own
    if (kind === 'node' && own.size > NODE_CONNECTIONS_MAX) {
      own.delete(oldest!)
      oldest!.gate.destroy()
    }
    return true
  }

  /** Where nobody is asked who he is, nobody else can know its id. */
  #isOwnClient({ principal }: Connection, clientId: string): boolean {
    if (clientId !== this.#bounds.probeId) return false
    return principal === ANYONE || principal.kind === 'gateway'
  }

  /** The peer is at its end; Aedes may still have to do with the client, its will for one. */
  closed(gate: Gate): Connection | undefined {
    this.#waiting.delete(gate)
    this.#connected.delete(gate)
    if (this.#probe === gate) this.#probe = undefined
    const connection = this.#byGate.get(gate)
    if (connection !== undefined) this.#leave(connection)
    return connection
  }

  #leave(connection: Connection): void {
    const own = this.#named.get(connection.identity)
    own?.delete(connection)
    if (own?.size === 0) this.#named.delete(connection.identity)
  }

  /** Whether a connection that is there, or still on its way out, has this client id by another right. */
  isHeldByOther(clientId: string, identity: string): boolean {
    const holder = this.#holders.get(clientId)
    return holder !== undefined && holder.identity !== identity
  }

  /**
   * Ends the connection that has this client id [MQTT-3.1.4-2], and begins once it is done with. Of two that came while
   * it was ending, Aedes would keep both.
   */
  takeOver(clientId: string, connection: Connection, begin: () => void): void {
    const before = this.#holders.get(clientId)
    connection.clientId = clientId
    this.#holders.set(clientId, connection)
    if (before === undefined) {
      begin()
      return
    }
    connection.isFirst = false
    before.next = { connection, begin }
    before.gate.destroy()
  }

  /** The first of a client id has left. */
  #follow(connection: Connection): void {
    const { clientId, next } = connection
    if (next !== undefined) {
      next.connection.isFirst = true
      queueMicrotask(next.begin)
      if (next.connection.hasLeft) this.#follow(next.connection)
    } else if (clientId !== undefined && this.#holders.get(clientId) === connection) {
      this.#holders.delete(clientId)
    }
  }

  /** The id of a node's connection that ends, the first time that this is asked. */
  endNode(connection: Connection): ConnectionId | undefined {
    const id = connection.client?.id
    if (id === undefined || this.#nodes.get(id) !== connection) return undefined
    this.#nodes.delete(id)
    return id
  }

  /** Ends all that are there by this identity, or by these keys of it, without a word of theirs; returns them. */
  endOf(identity: string, keys?: readonly string[]): Connection[] {
    const ended = [...this.#byGate.values()].filter(
      (one) => one.identity === identity && (keys === undefined || keys.includes(one.key ?? '')),
    )
    for (const connection of ended) {
      connection.isRevoked = true
      connection.gate.destroy()
    }
    return ended
  }

  /** `other` is admitted, `source` is the last that is not. */
  sourcesOf(identity: string): { readonly source?: string; readonly other?: string } {
    const all = [...this.#byGate.values()].filter((one) => one.identity === identity)
    const [admitted] = all.filter(({ isAdmitted }) => isAdmitted)
    const last = all.filter(({ isAdmitted }) => !isAdmitted).at(-1)
    return {
      ...(last && { source: last.source }),
      ...(admitted && { other: admitted.source }),
    }
  }

  of(client: BrokerClient | null): Connection | undefined {
    return client === null ? undefined : this.#byGate.get(client.conn.gate)
  }

  at(gate: Gate): Connection | undefined {
    return this.#byGate.get(gate)
  }

  /** The gateway's own client, while it is connected. */
  get probe(): Connection | undefined {
    return this.#probe && this.#byGate.get(this.#probe)
  }

  isProbe(connection: Connection): boolean {
    return connection.gate === this.#probe
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
    connection.hasLeft = true
    if (connection.isFirst) this.#follow(connection)
    const { node } = connection
    if (node !== undefined && this.#admitted.get(node) === connection) this.#admitted.delete(node)
  }
}
