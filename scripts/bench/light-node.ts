/**
 * A node without a disk, for benchmarks that need a thousand of them in one process: a real MQTT
 * connection that speaks the node protocol. It keeps position and chain of its stream and checks them
 * against the gateway's, acknowledges writes without keeping a cell, and answers `stat` as if every
 * LSU were 0. While it holds, it leaves what it is asked unanswered, and so keeps the leases.
 */

import { connect, type Socket } from 'node:net'
import { generate, type IConnectPacket, type Packet, parser } from 'mqtt-packet'
import { equalBytes } from '../../shared/core/hash.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import type { Geometry } from '../../shared/grid/geometry.ts'
import { OPERATION_NAMES } from '../../shared/operations/catalog.ts'
import { packTiles, unpackTiles } from '../../shared/operations/columns.ts'
import { packInteger } from '../../shared/operations/exact-sums.ts'
import {
  type Answer,
  type Down,
  decodeDown,
  type Entry,
  encodeMessage,
  type Hello,
  PROTOCOL_VERSION,
  type Read,
  type Up,
} from '../../shared/protocol/messages.ts'
import { CHAIN_START, extendChain } from '../../shared/protocol/stream-chain.ts'
import { encodeTelemetry, type Telemetry } from '../../shared/protocol/telemetry.ts'
import { buildTopic, nodeClientId, TOPIC_BASE_DEFAULT } from '../../shared/protocol/topics.ts'

/** As agents do by default. */
export const HEARTBEAT_MS = 2000
const CONNECTING_AT_ONCE = 50
const TICK_MS = 20

/** Where a store stands. */
export type Mark = Pick<Hello, 'position' | 'seq' | 'chain'>

export const EMPTY_MARK: Mark = { position: 0, seq: 0, chain: CHAIN_START }

export function nodeIdOf(index: number, prefix = 'node-'): NodeId {
  return `${prefix}${String(index).padStart(5, '0')}` as NodeId
}

export function nodeNames(count: number, prefix?: string): NodeId[] {
  return Array.from({ length: count }, (_, at) => nodeIdOf(at, prefix))
}

export function helloOf(node: NodeId, mark: Mark): Hello {
  return {
    t: 'hello',
    version: PROTOCOL_VERSION,
    node,
    storeId: `store-${node}`,
    boot: 1,
    process: `process-${node}`,
    ledgerId: null,
    ...mark,
    weight: 1,
    operations: [...OPERATION_NAMES],
    grid: null,
  }
}

/** Milliseconds of CLOCK_MONOTONIC, which all processes of a machine share. */
export function clockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** An MQTT connection: packets out, packets in with the moment that their bytes were read. */
export class PacketSocket {
  readonly socket: Socket
  readonly #parser = parser()
  #readMs = 0

  /** To a port of this machine, or over a socket that was made for it. */
  constructor(to: number | Socket, onPacket: (packet: Packet, readMs: number) => void) {
    this.socket =
      typeof to === 'number' ? connect({ port: to, host: '127.0.0.1', noDelay: true }) : to
    this.socket.on('error', () => {})
    this.#parser.on('packet', (packet) => onPacket(packet, this.#readMs))
    this.socket.on('data', (chunk: Buffer) => {
      this.#readMs = clockMs()
      this.#parser.parse(chunk)
    })
  }

  send(packet: Packet): void {
    if (!this.socket.destroyed) this.socket.write(generate(packet))
  }

  connect(
    clientId: string,
    more: Pick<IConnectPacket, 'will' | 'username' | 'password'> = {},
  ): void {
    const how = { protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: 0 } as const
    this.send({ cmd: 'connect', clientId, ...how, ...more })
  }

  /** At QoS 1 where it has a message id. */
  publish(topic: string, payload: Uint8Array | string, id: { messageId?: number } = {}): void {
    const qos = id.messageId === undefined ? 0 : 1
    const bytes = Buffer.from(payload as Uint8Array)
    this.send({ cmd: 'publish', topic, payload: bytes, qos, dup: false, retain: false, ...id })
  }
}

export interface LightNodeOptions {
  readonly id: NodeId
  readonly port: number
  readonly geometry: Geometry
  /** Where a connection is more than a port. */
  readonly open?: () => Socket
}

/** A part of a read that a node was sent, and when its bytes were read. */
export interface Received {
  readonly read: Read
  readonly tiles: Uint32Array
  readonly readMs: number
}

export class LightNode {
  readonly id: NodeId
  readonly #options: LightNodeOptions
  readonly #upTopic: string
  readonly #onRead: (node: LightNode, received: Received) => void
  #packets: PacketSocket | undefined
  #session = 0
  #connections = 0
  #beats = 0
  #welcomed: (() => void) | undefined
  #mark = EMPTY_MARK
  /** Reads of entries that are still on their way. */
  #early: Read[] = []
  isHolding = false
  /** What it left unanswered. */
  held: Received[] = []

  constructor(
    options: LightNodeOptions,
    onRead: (node: LightNode, received: Received) => void = () => {},
  ) {
    this.id = options.id
    this.#options = options
    this.#onRead = onRead
    this.#upTopic = buildTopic(TOPIC_BASE_DEFAULT, { kind: 'node-up', node: options.id })
  }

  /** Resolves once the gateway has admitted it. */
  connect(): Promise<void> {
    this.#connections += 1
    this.isHolding = false
    this.held = []
    this.#early = []
    const { port, open } = this.#options
    const packets = new PacketSocket(open?.() ?? port, (packet, readMs) => {
      if (packets === this.#packets) this.#take(packet, readMs)
    })
    this.#packets = packets
    const topic = buildTopic(TOPIC_BASE_DEFAULT, { kind: 'node-state', node: this.id })
    const will = { topic, payload: Buffer.from('offline'), qos: 1, retain: true } as const
    packets.connect(nodeClientId(this.id, String(this.#connections)), { will })
    return new Promise((resolve) => {
      this.#welcomed = resolve
    })
  }

  /**
   * Ends the connection as the system does for a process that is killed: with FIN, or with RST as when
   * bytes were left unread. Returns the port that it had here.
   */
  cut(how: 'fin' | 'rst'): number {
    const { socket } = this.#packets!
    const { localPort } = socket
    this.#packets = undefined
    if (how === 'rst') socket.resetAndDestroy()
    else socket.destroy()
    return localPort!
  }

  beat(): void {
    if (this.#packets === undefined || this.#session === 0) return
    this.#beats += 1
    this.#say({ t: 'heartbeat', session: this.#session, beat: this.#beats })
  }

  report(telemetry: Telemetry): void {
    const topic = buildTopic(TOPIC_BASE_DEFAULT, { kind: 'node-telemetry', node: this.id })
    this.#packets?.publish(topic, encodeTelemetry(telemetry))
  }

  #say(message: Up): void {
    this.#packets?.publish(this.#upTopic, encodeMessage(message))
  }

  #take(packet: Packet, readMs: number): void {
    if (packet.cmd === 'connack') this.#greet()
    if (packet.cmd !== 'publish') return
    const decoded = decodeDown(packet.payload as Buffer)
    if (!decoded.ok) throw new Error(`node ${this.id} was sent ${decoded.problem}`)
    this.#obey(decoded.message, readMs)
  }

  #greet(): void {
    this.#session = 0
    this.#say(helloOf(this.id, this.#mark))
  }

  #obey(message: Down, readMs: number): void {
    switch (message.t) {
      case 'welcome':
        this.#session = message.session
        this.#welcomed?.()
        break
      case 'entries': {
        for (const entry of message.entries) this.#apply(entry)
        const { position, chain } = this.#mark
        this.#say({ t: 'applied', session: message.session, position, chain, results: [] })
        for (const read of this.#early.splice(0)) this.#read(read, readMs)
        break
      }
      case 'read':
        this.#read(message, readMs)
        break
      case 'cancel':
        this.held = this.held.filter(({ read }) => read.task !== message.task)
        break
      case 'wipe':
      case 'refused':
        throw new Error(`node ${this.id} was sent ${JSON.stringify(message)}`)
    }
  }

  #apply({ position, seq, chain, body, tiles }: Entry): void {
    // Sent once more, as after a new connection.
    if (position <= this.#mark.position) return
    const own = extendChain(this.#mark.chain, { position, seq, body, tiles })
    if (position !== this.#mark.position + 1 || !equalBytes(own, chain)) {
      throw new Error(`entry ${position} does not follow ${this.#mark.position} on ${this.id}`)
    }
    this.#mark = { position, seq, chain: own }
  }

  #read(read: Read, readMs: number): void {
    if (read.after > this.#mark.position) {
      this.#early.push(read)
      return
    }
    const { op, grid } = read
    const isKnown = op === 'stat' && grid?.unborn.length === 0
    if (grid === undefined || !(isKnown || this.isHolding)) {
      throw new Error(`node ${this.id} cannot answer ${op}`)
    }
    const received = { read, tiles: unpackTiles(grid.tiles), readMs }
    this.#onRead(this, received)
    if (this.isHolding) this.held.push(received)
    else this.#say(this.#answerTo(received))
  }

  #answerTo({ read, tiles }: Received): Answer {
    const [x, y, w, h] = read.grid!.region
    const count = tiles.reduce((sum, tile) => {
      const window = this.#options.geometry.overlap(tile, { x, y, w, h })
      return sum + window.w * window.h
    }, 0)
    const zero = packInteger(0n)
    return {
      t: 'answer',
      task: read.task,
      part: read.part,
      attempt: read.attempt,
      position: this.#mark.position,
      seq: this.#mark.seq,
      ms: 0,
      value: { tiles: packTiles(tiles), count, min: 0, max: 0, sum: zero, squares: zero },
    }
  }
}

/** Resolves once the gateway has admitted all. */
export async function connectAll(nodes: readonly LightNode[]): Promise<void> {
  for (let at = 0; at < nodes.length; at += CONNECTING_AT_ONCE) {
    const some = nodes.slice(at, at + CONNECTING_AT_ONCE)
    await Promise.all(some.map((node) => node.connect()))
  }
}

/** Each that is connected beats at its time; `onBeat` is told who, and how many beats there were before. */
export function beginBeats(
  nodes: readonly LightNode[],
  onBeat: (node: LightNode, beat: number) => void = () => {},
): NodeJS.Timeout {
  const beatsATick = (nodes.length * TICK_MS) / HEARTBEAT_MS
  let [turn, beat] = [0, 0]
  return setInterval(() => {
    for (turn += 1; beat < Math.floor(turn * beatsATick); beat++) {
      const node = nodes[beat % nodes.length]!
      node.beat()
      onBeat(node, beat)
    }
  }, TICK_MS)
}
