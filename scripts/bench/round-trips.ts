/** Round trips over loopback while something else is measured: one at a time, from this process. */
import { connect, type Socket } from 'node:net'
import { clockMs, PacketSocket } from './light-node.ts'

/** A bare TCP echo of one byte. */
export class EchoTrips {
  readonly ms: number[] = []
  readonly #socket: Socket
  #sentMs: number | undefined

  constructor(port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.#socket.on('data', () => {
      this.ms.push(clockMs() - this.#sentMs!)
      this.#sentMs = undefined
    })
  }

  begin(): void {
    if (this.#sentMs !== undefined) return
    this.#sentMs = clockMs()
    this.#socket.write('.')
  }

  close(): void {
    this.#socket.destroy()
  }
}

/** PINGREQ to PINGRESP on an MQTT connection that does nothing else. */
export class PingTrips {
  readonly ms: number[] = []
  readonly #packets: PacketSocket
  #sentMs: number | undefined
  #isConnected = false
  #returned: (() => void)[] = []

  constructor(port: number) {
    this.#packets = new PacketSocket(port, ({ cmd }, readMs) => {
      if (cmd === 'connack') this.#isConnected = true
      if (cmd !== 'pingresp') return
      this.ms.push(readMs - this.#sentMs!)
      this.#sentMs = undefined
      for (const returned of this.#returned.splice(0)) returned()
    })
    this.#packets.connect('bench-pings')
  }

  begin(): void {
    if (this.#sentMs !== undefined || !this.#isConnected) return
    this.#sentMs = clockMs()
    this.#packets.send({ cmd: 'pingreq' })
  }

  /** Resolves when the next ping is back; one may be on its way. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#returned.push(resolve))
  }

  close(): void {
    this.#packets.socket.destroy()
  }
}
