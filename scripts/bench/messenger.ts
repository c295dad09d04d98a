/** One client that publishes and others that get it all: what the messages cost whoever hands them on. */
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { PacketSocket } from './light-node.ts'

const MESSAGE_BYTES = 100
/** So many are on their way at most. */
const WINDOW = 200
const LOST_MS = 2000
const PACKET_ID_MAX = 65_535

export interface MessengerOptions {
  readonly topic: string
  readonly open: () => Socket
  /** Of the process that hands messages on, so far. */
  readonly cpuSeconds: () => number
  readonly login?: { readonly username?: string; readonly password?: Buffer }
  readonly qos?: 0 | 1
  readonly receivers?: number
}

export class Messenger {
  readonly #options: MessengerOptions
  readonly #qos: 0 | 1
  readonly #receivers: number
  readonly #from: PacketSocket
  #sent = 0
  /** What still has to come of those that are on their way. */
  #due = 0
  #arrived: () => void = () => {}

  static async connect(options: MessengerOptions): Promise<Messenger> {
    const messenger = new Messenger(options)
    for (let one = 0; one < messenger.#receivers; one++) await messenger.#receive(one)
    messenger.#from.connect('bench-from', options.login)
    return messenger
  }

  private constructor(options: MessengerOptions) {
    this.#options = options
    this.#qos = options.qos ?? 0
    this.#receivers = options.receivers ?? 1
    this.#from = new PacketSocket(options.open(), ({ cmd }) => {
      if (cmd === 'puback') this.#count()
    })
  }

  #receive(one: number): Promise<void> {
    return new Promise<void>((ready) => {
      const to: PacketSocket = new PacketSocket(this.#options.open(), (packet) => {
        const subscriptions = [{ topic: this.#options.topic, qos: this.#qos }]
        if (packet.cmd === 'connack') to.send({ cmd: 'subscribe', messageId: 1, subscriptions })
        if (packet.cmd === 'suback') ready()
        if (packet.cmd !== 'publish') return
        const { messageId } = packet
        if (messageId !== undefined) to.send({ cmd: 'puback', messageId })
        this.#count()
      })
      to.connect(`bench-to-${one}`, this.#options.login)
    })
  }

  #count(): void {
    this.#due -= 1
    if (this.#due === 0) this.#arrived()
  }

  /** Seconds of processor time that each delivery took. */
  async round(messages: number): Promise<number> {
    const payload = Buffer.alloc(MESSAGE_BYTES)
    const cpu = this.#options.cpuSeconds()
    for (let sent = 0; sent < messages; sent += WINDOW) {
      this.#due = WINDOW * (this.#receivers + this.#qos)
      const arrived = new Promise<void>((resolve) => {
        this.#arrived = resolve
      })
      this.#from.socket.cork()
      for (let one = 0; one < WINDOW; one++) {
        const messageId = (this.#sent++ % PACKET_ID_MAX) + 1
        this.#from.publish(this.#options.topic, payload, this.#qos === 0 ? {} : { messageId })
      }
      this.#from.socket.uncork()
      // Aedes alone loses some at QoS 1.
      await Promise.race([arrived, sleep(LOST_MS, undefined, { ref: false })])
    }
    return (this.#options.cpuSeconds() - cpu) / (messages * this.#receivers)
  }

  close(): void {
    this.#from.socket.destroy()
  }
}
