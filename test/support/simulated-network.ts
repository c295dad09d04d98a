/**
 * Connections between nodes and the gateway as TCP gives them: each direction is a queue in order, a
 * connection ends at any moment, and what is on its way then is lost from some place on. A stalled
 * link holds everything back until it heals. A broker that sheds messages of QoS 0 is simulated by
 * dropping single messages.
 */
import type { Random } from '../../shared/core/random.ts'
import type { Appointment, SimulatedClock } from './simulated-clock.ts'

export interface GatewayEnd {
  received(connection: string, node: string, payload: Uint8Array): void
  closed(connection: string): void
}

/** One process of a node. */
export interface NodeEnd {
  readonly node: string
  connected(connection: string): void
  received(connection: string, payload: Uint8Array): void
  closed(connection: string, reason: string): void
}

export interface NetworkOptions {
  readonly latencyMinMs: number
  readonly latencyMaxMs: number
  /** After this time the gateway gives up a connection whose other end died without a word. */
  readonly keepaliveMs: number
}

/** To the gateway, or from it. */
export type Way = 'up' | 'down'

/** One direction of a connection. Numbers only, and no queue: a fleet may be large. */
class Channel {
  readonly way: Way
  /** When the last of what is on its way arrives. */
  readyMs = 0
  /** Something was held back until then, and what comes behind it is, too. */
  heldUntilMs = 0
  pushed = 0
  /** Of the first so many, what would arrive after then is lost. */
  cutOff = 0
  cutMs = Number.POSITIVE_INFINITY

  constructor(way: Way) {
    this.way = way
  }

  cutAt(atMs: number): void {
    this.cutOff = this.pushed
    this.cutMs = Math.min(this.cutMs, atMs)
    this.readyMs = Math.min(this.readyMs, atMs)
  }
}

interface Connection {
  readonly id: string
  readonly node: NodeEnd
  readonly up: Channel
  readonly down: Channel
  isOpenAtGateway: boolean
  isOpenAtNode: boolean
}

/** One thing on its way, in one object: a large fleet has a hundred thousand of them at a time. */
class Arrival implements Appointment {
  atMs: number
  readonly isCancelled = false
  readonly connection: Connection
  readonly channel: Channel
  /** When it would arrive, and of how many that were sent it is the last. */
  readonly readyMs: number
  readonly pushed: number
  readonly happen: () => void
  readonly #arrive: (arrival: Arrival) => void

  constructor(
    { connection, channel }: Pick<Arrival, 'connection' | 'channel'>,
    happen: () => void,
    arrive: (arrival: Arrival) => void,
  ) {
    this.connection = connection
    this.channel = channel
    this.readyMs = channel.readyMs
    this.atMs = channel.readyMs
    this.pushed = channel.pushed
    this.happen = happen
    this.#arrive = arrive
  }

  act(): void {
    this.#arrive(this)
  }
}

const NONE: readonly Connection[] = []

export class SimulatedNetwork {
  readonly #options: NetworkOptions
  readonly #clock: SimulatedClock
  readonly #random: Random
  readonly #connections = new Map<string, Connection>()
  /** The same, by node: a fleet may be large. */
  readonly #byNode = new Map<string, Connection[]>()
  readonly #stalledUntilMs = new Map<string, number>()
  #gateway: GatewayEnd | undefined
  #attempts = 0
  /** Share of single messages that are lost. */
  dropShare = 0
  onDrop: () => void = () => {}

  constructor(options: NetworkOptions, clock: SimulatedClock, random: Random) {
    this.#options = options
    this.#clock = clock
    this.#random = random
  }

  gatewayStarted(gateway: GatewayEnd): void {
    this.#gateway = gateway
  }

  /** The gateway's process is gone: the kernel closes all its connections. */
  gatewayStopped(): void {
    this.#gateway = undefined
    for (const connection of [...this.#connections.values()]) {
      this.#closeAtGateway(connection)
      this.#endAtNode(connection, 'the gateway is gone')
    }
  }

  /** Returns the connection's id; whether it comes to be is told to `node`. */
  connect(node: NodeEnd): string {
    this.#attempts += 1
    const connection: Connection = {
      id: `${node.node}-${this.#attempts}`,
      node,
      up: new Channel('up'),
      down: new Channel('down'),
      isOpenAtGateway: false,
      isOpenAtNode: true,
    }
    this.#connections.set(connection.id, connection)
    const others = this.#byNode.get(node.node)
    if (others === undefined) this.#byNode.set(node.node, [connection])
    else others.push(connection)
    this.#push(connection, connection.up, () => {
      if (!this.#connections.has(connection.id)) return
      if (this.#gateway === undefined) {
        this.#forget(connection)
        this.#endAtNode(connection, 'connection refused')
        return
      }
      connection.isOpenAtGateway = true
      this.#push(connection, connection.down, () => {
        if (connection.isOpenAtNode) node.connected(connection.id)
      })
    })
    return connection.id
  }

  isOpenAtGateway(id: string): boolean {
    return this.#connections.get(id)?.isOpenAtGateway ?? false
  }

  /** From the node. */
  up(id: string, payload: Uint8Array): void {
    const connection = this.#connections.get(id)
    if (!connection?.isOpenAtNode || this.#drops()) return
    this.#push(connection, connection.up, () => {
      if (connection.isOpenAtGateway)
        this.#gateway?.received(id, connection.node.node, payload.slice())
    })
  }

  /** From the gateway. */
  down(id: string, payload: Uint8Array): void {
    const connection = this.#connections.get(id)
    if (!connection?.isOpenAtGateway || this.#drops()) return
    this.#push(connection, connection.down, () => {
      if (connection.isOpenAtNode) connection.node.received(id, payload.slice())
    })
  }

  /** The gateway closes a connection; what it sent before still arrives. */
  closeFromGateway(id: string): void {
    const connection = this.#connections.get(id)
    if (!connection?.isOpenAtGateway) return
    this.#endAtGateway(connection)
    this.#endAtNode(connection, 'closed by the gateway')
  }

  /** The node closes its connections, or its process dies and the kernel does. */
  closeFromNode(node: NodeEnd, { isSilent = false, isDead = false } = {}): void {
    for (const connection of this.#connectionsOf(node.node)) {
      if (connection.node !== node || !connection.isOpenAtNode) continue
      connection.isOpenAtNode = false
      if (!isDead) this.#clock.after(0, () => node.closed(connection.id, 'closed here'))
      if (isSilent) {
        this.#clock.after(this.#options.keepaliveMs, () => this.#endAtGateway(connection))
      } else {
        this.#push(connection, connection.up, () => this.#endAtGateway(connection))
      }
    }
  }

  /** The path breaks: both ends learn of it, each in its own time; what comes later is lost. */
  cut(node: string): boolean {
    const connections = this.#connectionsOf(node).filter(({ isOpenAtNode }) => isOpenAtNode)
    for (const connection of connections) {
      const gatewayMs = this.#clock.nowMs + this.#latencyMs()
      const nodeMs = this.#clock.nowMs + this.#latencyMs()
      connection.up.cutAt(gatewayMs)
      connection.down.cutAt(nodeMs)
      this.#clock.at(gatewayMs, () => this.#endAtGateway(connection))
      this.#clock.at(nodeMs, () => {
        if (!connection.isOpenAtNode) return
        connection.isOpenAtNode = false
        connection.node.closed(connection.id, 'connection reset')
      })
    }
    return connections.length > 0
  }

  /** Nothing passes between this node and the gateway until then; nothing is lost either. */
  stall(node: string, untilMs: number, ways: readonly Way[] = ['up', 'down']): void {
    for (const way of ways) this.#stalledUntilMs.set(`${node}/${way}`, untilMs)
  }

  healAll(): void {
    this.#stalledUntilMs.clear()
    this.dropShare = 0
  }

  #endAtNode(connection: Connection, reason: string): void {
    this.#push(connection, connection.down, () => {
      if (!connection.isOpenAtNode) return
      connection.isOpenAtNode = false
      connection.node.closed(connection.id, reason)
    })
  }

  #endAtGateway(connection: Connection): void {
    if (!connection.isOpenAtGateway) return
    this.#closeAtGateway(connection)
    this.#clock.after(0, () => this.#gateway?.closed(connection.id))
  }

  #closeAtGateway(connection: Connection): void {
    connection.isOpenAtGateway = false
    this.#forget(connection)
  }

  #connectionsOf(node: string): readonly Connection[] {
    return this.#byNode.get(node) ?? NONE
  }

  #forget(connection: Connection): void {
    this.#connections.delete(connection.id)
    const { node } = connection.node
    const others = this.#connectionsOf(node).filter((other) => other !== connection)
    if (others.length > 0) this.#byNode.set(node, others)
    else this.#byNode.delete(node)
  }

  /** `act` happens when what is sent now arrives: in order, and not while the link is stalled. */
  #push(connection: Connection, channel: Channel, act: () => void): void {
    channel.readyMs = Math.max(channel.readyMs, this.#clock.nowMs + this.#latencyMs())
    channel.pushed += 1
    this.#clock.keep(new Arrival({ connection, channel }, act, this.#arrive))
  }

  readonly #arrive = (arrival: Arrival): void => {
    const { connection, channel, readyMs, pushed } = arrival
    if (pushed <= channel.cutOff && readyMs > channel.cutMs) return
    const untilMs = Math.max(channel.heldUntilMs, this.#stalledUntil(connection.node, channel))
    if (untilMs <= this.#clock.nowMs) {
      arrival.happen()
      return
    }
    channel.heldUntilMs = untilMs
    arrival.atMs = untilMs
    this.#clock.keep(arrival)
  }

  #stalledUntil({ node }: NodeEnd, { way }: Channel): number {
    if (this.#stalledUntilMs.size === 0) return 0
    return this.#stalledUntilMs.get(`${node}/${way}`) ?? 0
  }

  #latencyMs(): number {
    const { latencyMinMs, latencyMaxMs } = this.#options
    return this.#random.between(latencyMinMs, latencyMaxMs)
  }

  #drops(): boolean {
    if (this.dropShare === 0 || this.#random.unit() >= this.dropShare) return false
    this.onDrop()
    return true
  }
}
