/**
 * Stands between an MQTT client and its broker, passes on what they say, and asks the client questions
 * of its own: a PUBLISH at QoS 1, which any client has to acknowledge. How long that takes is how
 * long the client does not look at its socket.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { readFixedHeader } from '../../broker/adapters/mqtt-packets.ts'
import { publishPacket } from './raw-mqtt-client.ts'

const PUBACK = 4
/** Far from the packet ids that a broker begins with. */
const FIRST_ID = 60_000
const IDS = 5000

export class MqttRelay {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #asked = new Map<number, () => void>()
  #client: Socket | undefined
  #questions = 0

  static async open(brokerPort: number): Promise<MqttRelay> {
    const relay = new MqttRelay(brokerPort)
    relay.#server.listen(0, '127.0.0.1')
    await once(relay.#server, 'listening')
    return relay
  }

  private constructor(brokerPort: number) {
    this.#server = createServer({ noDelay: true }, (client) => {
      const broker = connect({ port: brokerPort, host: '127.0.0.1', noDelay: true })
      this.#client = client
      passOn(broker, client, () => true)
      passOn(client, broker, (packet) => !this.#isAnswer(packet))
      for (const socket of [client, broker]) this.#sockets.add(socket)
    })
  }

  get url(): string {
    return `mqtt://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Asks the last client that came, and tells after how many ms it answered. */
  async ask(topic: string): Promise<number> {
    const id = FIRST_ID + (this.#questions++ % IDS)
    const startMs = performance.now()
    const answered = new Promise<void>((resolve) => this.#asked.set(id, resolve))
    this.#client!.write(publishPacket(topic, '?', { qos: 1, id }))
    await answered
    return performance.now() - startMs
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #isAnswer(packet: Buffer): boolean {
    if (packet[0]! >> 4 !== PUBACK) return false
    const id = packet.readUInt16BE(2)
    const answer = this.#asked.get(id)
    this.#asked.delete(id)
    answer?.()
    return answer !== undefined
  }
}

/** Whole packets only, so that a question never falls into the middle of one. */
function passOn(from: Socket, to: Socket, passes: (packet: Buffer) => boolean): void {
  let pending: Buffer = Buffer.alloc(0)
  from.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk])
    for (;;) {
      const header = readFixedHeader(pending, 0)
      if (typeof header === 'string') break
      const end = header.headerBytes + header.bodyBytes
      if (pending.length < end) break
      const packet = pending.subarray(0, end)
      if (passes(packet)) to.write(packet)
      pending = pending.subarray(end)
    }
  })
  from.on('error', () => {})
  from.on('close', () => to.destroy())
}
