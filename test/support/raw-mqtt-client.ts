/** MQTT by hand: packets as bytes, and a socket that says what came back. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { readFixedHeader } from '../../broker/adapters/mqtt-packets.ts'

export function field(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes])
}

export function lengthOf(bytes: number): Buffer {
  const out: number[] = []
  do {
    const rest = Math.floor(bytes / 128)
    out.push((bytes % 128) | (rest > 0 ? 0x80 : 0))
    bytes = rest
  } while (bytes > 0)
  return Buffer.from(out)
}

export function packet(type: number, flags: number, body: Uint8Array = new Uint8Array()): Buffer {
  return Buffer.concat([Uint8Array.of((type << 4) | flags), lengthOf(body.length), body])
}

export interface ConnectParts {
  protocol?: string
  level?: number
  flags?: number
  keepalive?: number
  clientId?: string | Uint8Array
  /** What follows the client id. */
  rest?: Uint8Array
}

export function connectBody(parts: ConnectParts = {}): Buffer {
  const { protocol = 'MQTT', level = 4, flags = 2, keepalive = 0, clientId = 'raw' } = parts
  return Buffer.concat([
    field(protocol),
    Uint8Array.of(level, flags, keepalive >> 8, keepalive & 0xff),
    field(clientId),
    parts.rest ?? new Uint8Array(),
  ])
}

export function connectPacket(parts: ConnectParts = {}): Buffer {
  return packet(1, 0, connectBody(parts))
}

export function publishPacket(
  topic: string | Uint8Array,
  payload: string | Uint8Array,
  options: { qos?: number; id?: number; flags?: number } = {},
): Buffer {
  const { qos = 0, id = 1, flags = 0 } = options
  const idBytes = qos > 0 ? Uint8Array.of(id >> 8, id & 0xff) : new Uint8Array()
  const body = Buffer.concat([field(topic), idBytes, Buffer.from(payload)])
  return packet(3, (qos << 1) | flags, body)
}

export function subscribePacket(filters: readonly string[], qos = 0, id = 7): Buffer {
  const entries = filters.map((filter) => Buffer.concat([field(filter), Uint8Array.of(qos)]))
  return packet(8, 2, Buffer.concat([Uint8Array.of(id >> 8, id & 0xff), ...entries]))
}

export function unsubscribePacket(filters: readonly string[], id = 7): Buffer {
  return packet(10, 2, Buffer.concat([Uint8Array.of(id >> 8, id & 0xff), ...filters.map(field)]))
}

export interface Received {
  readonly type: number
  readonly flags: number
  readonly body: Buffer
}

export class RawMqttClient {
  readonly socket: Socket
  /** Packets that nobody has asked for yet. */
  readonly received: Received[] = []
  readonly closed: Promise<void>
  isClosed = false
  #bytes: Buffer = Buffer.alloc(0)
  #wake: () => void = () => {}

  static async open(port: number, first?: Uint8Array): Promise<RawMqttClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    const client = new RawMqttClient(socket)
    await once(socket, 'connect')
    if (first !== undefined) socket.write(first)
    return client
  }

  /** Opens a connection that the broker has accepted. */
  static async connected(port: number, parts: ConnectParts = {}): Promise<RawMqttClient> {
    const client = await RawMqttClient.open(port, connectPacket(parts))
    const { body } = await client.next(2)
    if (body[1] !== 0) throw new Error(`refused with ${body[1]}`)
    return client
  }

  /** On a connection that is there: the other side of it may be a client. */
  constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.isClosed = true
        this.#wake()
        resolve()
      })
    })
  }

  send(...packets: Uint8Array[]): void {
    this.socket.write(Buffer.concat(packets))
  }

  /** The next packet of a type; those before it are skipped. */
  async next(type: number): Promise<Received> {
    for (;;) {
      const at = this.received.findIndex((one) => one.type === type)
      if (at >= 0) return this.received.splice(0, at + 1).at(-1)!
      if (this.isClosed) throw new Error(`closed before a packet of type ${type}`)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** Shows that the broker still works for this client. */
  async ping(): Promise<number> {
    const startMs = performance.now()
    this.send(packet(12, 0))
    await this.next(13)
    return performance.now() - startMs
  }

  end(): void {
    this.socket.destroy()
  }

  #take(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    for (;;) {
      const header = readFixedHeader(this.#bytes, 0)
      if (typeof header === 'string') break
      const end = header.headerBytes + header.bodyBytes
      if (this.#bytes.length < end) break
      const body = this.#bytes.subarray(header.headerBytes, end)
      this.received.push({ type: header.type, flags: header.flags, body })
      this.#bytes = this.#bytes.subarray(end)
    }
    this.#wake()
  }
}

/** Waits for something to become true. */
export async function until(condition: () => boolean, limitMs = 10_000): Promise<void> {
  const deadlineMs = performance.now() + limitMs
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`not true in time: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
