/**
 * Stands between a client and a server and passes bytes on, until the path is cut. To the server a cut
 * looks like a client that went away, to the client like a server that did.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** An address, or the path of a Unix socket. */
export type Place = { readonly port: number; readonly host: string } | { readonly path: string }

const ANY_PORT: Place = { port: 0, host: '127.0.0.1' }

export class TcpRelay {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #isCutUntilMs = 0

  static async open(to: Place, at: Place = ANY_PORT): Promise<TcpRelay> {
    const relay = new TcpRelay(to)
    relay.#server.listen(at)
    await once(relay.#server, 'listening')
    return relay
  }

  private constructor(to: Place) {
    this.#server = createServer({ noDelay: true }, (client) => {
      if (performance.now() < this.#isCutUntilMs) {
        client.destroy()
        return
      }
      const server = connect(to)
      if ('port' in to) server.setNoDelay(true)
      this.#join(client, server)
      this.#join(server, client)
    })
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get mqtt(): string {
    return `mqtt://127.0.0.1:${this.port}`
  }

  get http(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Ends every connection in the middle of whatever it says, and takes none for `forMs`. */
  cut(forMs: number): void {
    this.#isCutUntilMs = performance.now() + forMs
    for (const socket of this.#sockets) socket.destroy()
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from)
    from.pipe(to)
    from.on('error', () => {})
    from.on('close', (hasFailed) => {
      this.#sockets.delete(from)
      // The last words of one side still reach the other.
      if (hasFailed) to.destroy()
      else to.end()
    })
  }
}
