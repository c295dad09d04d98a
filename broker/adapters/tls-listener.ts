/**
 * TLS before the gate. A handshake costs the gateway two milliseconds of computing, all at once, when the client's
 * first message is whole: so only whole ones wait for their turn, and one is taken in a turn of the event loop.
 * Who says nothing, or half of it, costs memory, which is bounded for all and for each source, and time.
 */
import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import { sourceOf } from '../../shared/core/source.ts'
import { ENROLMENT_PROTOCOL } from '../../shared/protocol/enrolment.ts'

export interface TlsListenerOptions {
  /** From the first byte that could come to the end of the handshake. */
  readonly timeoutMs?: number
  /** Handshakes that are not finished; of all, and of one source. */
  readonly unfinishedMax?: number
  readonly unfinishedPerSourceMax?: number
}

/** PEM. */
export interface TlsKeys {
  readonly key: string
  /** With that of the authority behind it. */
  readonly certificate: string
  readonly ca: string
}

export type HandshakeFault = 'handshake-timeout' | 'handshake-failed' | 'handshakes-full'

export interface TlsListenerPort {
  /** Whether it is a client's certificate that we trust is `authorized`; whose it is, the registry knows. */
  secured(socket: TLSSocket): void
  refused(fault: HandshakeFault, source: string): void
}

interface Unfinished {
  readonly peer: string
  readonly source: string
  readonly timer: NodeJS.Timeout
}

const TIMEOUT_MS = 10_000
const UNFINISHED_MAX = 1024
const UNFINISHED_PER_SOURCE_MAX = 256
/** Type, version and length [RFC 8446 §5.1]. */
const HEADER_BYTES = 5
const HANDSHAKE = 22
/** More than any ClientHello of one record has. */
const RECORD_BYTES_MAX = 16_384

export class TlsListener {
  readonly #timeoutMs: number
  readonly #unfinishedMax: number
  readonly #perSourceMax: number
  readonly #port: TlsListenerPort
  readonly #server: Server
  /** The oldest first. */
  readonly #unfinished = new Map<Socket, Unfinished>()
  /** By address and port: a socket of TLS does not tell over which one it was made. */
  readonly #byPeer = new Map<string, Socket>()
  readonly #bySource = new Map<string, number>()
  readonly #turns: Socket[] = []
  #isScheduled = false

  constructor(options: TlsListenerOptions, keys: TlsKeys, port: TlsListenerPort) {
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS
    this.#unfinishedMax = options.unfinishedMax ?? UNFINISHED_MAX
    this.#perSourceMax = options.unfinishedPerSourceMax ?? UNFINISHED_PER_SOURCE_MAX
    this.#port = port
    this.#server = createServer({
      ...{ key: keys.key, cert: keys.certificate, ca: keys.ca, minVersion: 'TLSv1.3' },
      ...{ ALPNProtocols: ['mqtt', ENROLMENT_PROTOCOL] },
      // Users show none. That of a node is judged by who asks the registry.
      ...{ requestCert: true, rejectUnauthorized: false },
      // Our own is absolute, and begins before the first byte.
      handshakeTimeout: 2 * this.#timeoutMs,
    })
    this.#server.on('secureConnection', (socket) => {
      const bare = this.#byPeer.get(peerOf(socket))
      if (bare !== undefined) this.#finish(bare)
      this.#port.secured(socket)
    })
    this.#server.on('tlsClientError', (_error, socket) => {
      const bare = this.#byPeer.get(peerOf(socket))
      if (bare !== undefined) this.#refuse(bare, 'handshake-failed')
      // Node leaves it open after a time-out.
      socket.destroy()
    })
  }

  /** Handshakes that are under way, or have not begun. */
  get unfinished(): number {
    return this.#unfinished.size
  }

  /** Owns the socket, which nobody has read from, until it is secured. */
  accept(socket: Socket): void {
    const source = sourceOf(socket.remoteAddress ?? '')
    const count = this.#bySource.get(source) ?? 0
    if (count >= this.#perSourceMax) {
      this.#port.refused('handshakes-full', source)
      socket.destroy()
      return
    }
    const [oldest] = this.#unfinished.keys()
    if (this.#unfinished.size >= this.#unfinishedMax) this.#refuse(oldest!, 'handshakes-full')
    const timer = setTimeout(() => this.#refuse(socket, 'handshake-timeout'), this.#timeoutMs)
    const peer = peerOf(socket)
    this.#unfinished.set(socket, { peer, source, timer })
    this.#byPeer.set(peer, socket)
    this.#bySource.set(source, count + 1)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => this.#finish(socket))
    this.#awaitHello(socket)
  }

  /** Ends all that is under way. */
  close(): void {
    for (const socket of [...this.#unfinished.keys()]) socket.destroy()
  }

  #awaitHello(socket: Socket): void {
    const chunks: Buffer[] = []
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk)
      const seen = chunks.length === 1 ? chunk : Buffer.concat(chunks)
      const state = helloIn(seen)
      if (state === 'incomplete') return
      socket.off('data', onData)
      if (state === 'none') {
        this.#refuse(socket, 'handshake-failed')
        return
      }
      socket.pause()
      socket.unshift(seen)
      this.#turns.push(socket)
      this.#schedule()
    }
    socket.on('data', onData)
    socket.once('end', () => {
      if (this.#unfinished.has(socket)) socket.destroy()
    })
    socket.resume()
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      let socket = this.#turns.shift()
      while (socket?.destroyed) socket = this.#turns.shift()
      if (socket !== undefined) this.#server.emit('connection', socket)
      if (this.#turns.length > 0) this.#schedule()
    })
  }

  #refuse(socket: Socket, fault: HandshakeFault): void {
    const known = this.#unfinished.get(socket)
    if (known !== undefined) this.#port.refused(fault, known.source)
    socket.destroy()
    this.#finish(socket)
  }

  #finish(socket: Socket): void {
    const known = this.#unfinished.get(socket)
    if (known === undefined) return
    this.#unfinished.delete(socket)
    this.#byPeer.delete(known.peer)
    clearTimeout(known.timer)
    const count = this.#bySource.get(known.source)! - 1
    if (count > 0) this.#bySource.set(known.source, count)
    else this.#bySource.delete(known.source)
  }
}

/** Whether these bytes begin with a whole record of a handshake. */
function helloIn(bytes: Buffer): 'whole' | 'incomplete' | 'none' {
  if (bytes.length > 0 && bytes[0] !== HANDSHAKE) return 'none'
  if (bytes.length < HEADER_BYTES) return 'incomplete'
  const length = bytes.readUInt16BE(3)
  if (length > RECORD_BYTES_MAX) return 'none'
  return bytes.length >= HEADER_BYTES + length ? 'whole' : 'incomplete'
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}
