/**
 * TLS before the gate. A handshake costs the gateway two milliseconds of computing, all at once, when the client's
 * first message is whole: so only whole ones wait for their turn, and one is taken in a turn of the event loop.
 * Who says nothing, or half of it, costs memory, which is bounded for all and for each source, and time; where
 * there is no room the oldest of these makes some, that of the source that has most.
 *
 * A client's certificates are verified in one go, and Node asks nobody before: a chain of 72 of a dear kind takes a
 * second. A source whose client shows more than anybody needs, and nothing of ours, is shut out for a while.
 */
import type { Socket } from 'node:net'
import { createServer, type SecureContextOptions, type Server, type TLSSocket } from 'node:tls'
import { sourceOf } from '../../shared/core/source.ts'
import { ClientHello } from './client-hello.ts'

export interface TlsListenerOptions {
  /** From the connection to the end of the handshake. */
  readonly timeoutMs?: number
  /** Handshakes that are not finished: of all, and of one source. */
  readonly unfinishedMax?: number
  readonly unfinishedPerSourceMax?: number
  /** Sources that are not heard for what they cost; listeners may have one for all. */
  readonly shut?: ShutSourcesPort
}

/** By source, as `sourceOf` names it. */
export interface ShutSourcesPort {
  isShut(source: string): boolean
  shut(source: string): void
}

/** PEM. */
export interface TlsKeys {
  readonly key: string
  /** With that of the authority behind it. */
  readonly certificate: string
  readonly ca: string
}

/** What the server shows, and speaks. */
export interface TlsFace {
  /** To whoever asks for no name, or one that is not below. */
  readonly keys: TlsKeys
  /** By the name that is asked for. */
  readonly named?: Readonly<Record<string, TlsKeys>>
  readonly protocols: readonly string[]
  /** What is said to somebody whose first bytes, these, are none of TLS; nothing to most. */
  readonly toPlain?: (bytes: Uint8Array) => string | undefined
}

export type HandshakeFault =
  | 'handshake-timeout'
  | 'handshake-failed'
  | 'handshakes-full'
  | 'handshake-dear'
  | 'source-shut'
  | 'certificate-refused'

/** Whether somebody is refused for the certificates that he showed. */
export function isOfCertificates(reason: HandshakeFault): boolean {
  return reason === 'certificate-refused' || reason === 'handshake-dear'
}

/** `remote` is the address that the connection came from: later a socket may not know it any more. */
export interface TlsListenerPort {
  /** Whether it is a client's certificate that we trust is `authorized`; whose it is, the registry knows. */
  secured(socket: TLSSocket, remote: string): void
  refused(fault: HandshakeFault, remote: string): void
}

interface Unfinished {
  readonly peer: string
  readonly remote: string
  readonly source: Source
  readonly timer: NodeJS.Timeout
  /** Of its first message, once that is whole. */
  helloBytes: number
}

/** The connections of one source that have not finished. */
interface Source {
  readonly name: string
  /** Those whose first message is not whole, the oldest first. */
  readonly silent: Set<Socket>
  /** Those that were answered, and have said nothing that ends it, the oldest first. */
  readonly answered: Set<Socket>
  count: number
}

const TIMEOUT_MS = 10_000
const UNFINISHED_MAX = 4096
/** A whole fleet behind one address may come back at once. */
const UNFINISHED_PER_SOURCE_MAX = 2048
/** For tickets: after a day there is one whole handshake. */
const SESSION_SECONDS = 86_400
/** After the first hello: perhaps another, then two or three certificates, a signature and a MAC have some 4 KB. */
const ANSWER_BYTES_MAX = 8192

export class TlsListener {
  readonly #timeoutMs: number
  readonly #unfinishedMax: number
  readonly #perSourceMax: number
  readonly #shut: ShutSourcesPort | undefined
  readonly #port: TlsListenerPort
  readonly #toPlain: TlsFace['toPlain']
  readonly #server: Server
  readonly #unfinished = new Map<Socket, Unfinished>()
  /** By both addresses and ports: a socket of TLS does not tell over which one it was made. */
  readonly #byPeer = new Map<string, Socket>()
  readonly #sources = new Map<string, Source>()
  readonly #turns: Socket[] = []
  #isScheduled = false

  constructor(options: TlsListenerOptions, face: TlsFace, port: TlsListenerPort) {
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS
    this.#unfinishedMax = options.unfinishedMax ?? UNFINISHED_MAX
    this.#perSourceMax = options.unfinishedPerSourceMax ?? UNFINISHED_PER_SOURCE_MAX
    this.#shut = options.shut
    this.#port = port
    this.#toPlain = face.toPlain
    this.#server = createServer({
      ...{ ...contextOf(face.keys), minVersion: 'TLSv1.3' },
      ...{ ALPNProtocols: [...face.protocols], sessionTimeout: SESSION_SECONDS },
      // Users show none. That of a node is judged by who asks the registry.
      ...{ requestCert: true, rejectUnauthorized: false },
      // Our own is absolute, and begins before the first byte.
      handshakeTimeout: 2 * this.#timeoutMs,
    })
    for (const [name, keys] of Object.entries(face.named ?? {})) {
      this.#server.addContext(name, contextOf(keys))
    }
    this.#server.on('secureConnection', (socket) => {
      const bare = this.#byPeer.get(peerOf(socket))
      if (bare !== undefined) this.#shutIfDear(bare, socket)
      const remote = bare && this.#finish(bare)
      // Not the bare one: Node ends if that goes from under it here.
      if (remote === undefined) socket.destroy()
      else this.#port.secured(socket, remote)
    })
    this.#server.on('tlsClientError', (_error, socket) => {
      const bare = this.#byPeer.get(peerOf(socket))
      if (bare !== undefined) {
        this.#shutIfDear(bare, socket)
        // One that names us as who signed it, and was not signed by us, is an error already.
        const hasShown = socket.getPeerX509Certificate() !== undefined
        this.#refuse(bare, hasShown ? 'certificate-refused' : 'handshake-failed')
      }
      // Node leaves it open after a time-out.
      socket.destroy()
    })
  }

  /** From now on these are shown to whoever asks for no name of another's. No connection ends for it. */
  renew(keys: TlsKeys): void {
    this.#server.setSecureContext({ ...contextOf(keys), minVersion: 'TLSv1.3' })
  }

  /** Handshakes that are under way, or have not begun. */
  get unfinished(): number {
    return this.#unfinished.size
  }

  /** Owns the socket, which nobody has read from, until it is secured. */
  accept(socket: Socket): void {
    const remote = socket.remoteAddress
    // It has gone already.
    if (remote === undefined) {
      socket.destroy()
      return
    }
    if (this.#shut?.isShut(sourceOf(remote))) {
      this.#port.refused('source-shut', remote)
      socket.destroy()
      return
    }
    const source = this.#sourceOf(remote)
    if (!this.#makeRoom(source)) {
      this.#port.refused('handshakes-full', remote)
      socket.destroy()
      this.#forget(source)
      return
    }
    const timer = setTimeout(() => this.#refuse(socket, 'handshake-timeout'), this.#timeoutMs)
    const peer = peerOf(socket)
    this.#unfinished.set(socket, { peer, remote, source, timer, helloBytes: Infinity })
    this.#byPeer.set(peer, socket)
    source.silent.add(socket)
    source.count += 1
    socket.on('error', () => socket.destroy())
    socket.once('close', () => this.#finish(socket))
    this.#awaitHello(socket, source)
  }

  /** Ends all that is under way. */
  close(): void {
    for (const socket of [...this.#unfinished.keys()]) socket.destroy()
  }

  #awaitHello(socket: Socket, source: Source): void {
    const hello = new ClientHello()
    const onData = (chunk: Buffer): void => {
      const state = hello.add(chunk)
      if (state === 'incomplete') return
      // Both would keep the message as long as the connection lasts.
      socket.off('data', onData).off('end', onEnd)
      source.silent.delete(socket)
      if (state === 'none') {
        this.#refusePlain(socket, source, hello.bytes)
        return
      }
      socket.pause()
      this.#unfinished.get(socket)!.helloBytes = hello.bytes.length
      socket.unshift(hello.bytes)
      this.#turns.push(socket)
      this.#schedule()
    }
    const onEnd = (): void => {
      socket.destroy()
    }
    socket.on('data', onData).on('end', onEnd).resume()
  }

  /** Who is told something keeps his place until he has taken it, or his time is over. */
  #refusePlain(socket: Socket, source: Source, bytes: Uint8Array): void {
    const answer = this.#toPlain?.(bytes)
    if (answer === undefined) {
      this.#refuse(socket, 'handshake-failed')
      return
    }
    this.#port.refused('handshake-failed', this.#unfinished.get(socket)!.remote)
    source.answered.add(socket)
    // What he still sends is read away, or he could miss the answer.
    socket
      .on('end', () => socket.destroy())
      .resume()
      .end(answer)
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      let socket = this.#turns.shift()
      while (socket?.destroyed) socket = this.#turns.shift()
      if (socket !== undefined) {
        this.#unfinished.get(socket)!.source.answered.add(socket)
        this.#server.emit('connection', socket)
      }
      if (this.#turns.length > 0) this.#schedule()
    })
  }

  /** False if there is none to be had for this source: all of its own wait for their turn. */
  #makeRoom(source: Source): boolean {
    if (source.count >= this.#perSourceMax) return this.#giveUpOldest([source])
    if (this.#unfinished.size < this.#unfinishedMax) return true
    return this.#giveUpOldest(this.#sources.values())
  }

  /** Of the silent, else of those that were answered: that of the source that has most of them. */
  #giveUpOldest(sources: Iterable<Source>): boolean {
    let [silent, answered]: Set<Socket>[] = []
    for (const one of sources) {
      if (one.silent.size > (silent?.size ?? 0)) silent = one.silent
      if (one.answered.size > (answered?.size ?? 0)) answered = one.answered
    }
    const [oldest] = silent ?? answered ?? []
    if (oldest !== undefined) this.#refuse(oldest, 'handshakes-full')
    return oldest !== undefined
  }

  #sourceOf(remote: string): Source {
    const name = sourceOf(remote)
    const known = this.#sources.get(name)
    if (known !== undefined) return known
    const source = { name, silent: new Set<Socket>(), answered: new Set<Socket>(), count: 0 }
    this.#sources.set(name, source)
    return source
  }

  #refuse(socket: Socket, fault: HandshakeFault): void {
    const remote = this.#finish(socket)
    if (remote !== undefined) this.#port.refused(fault, remote)
    socket.destroy()
  }

  /** Refuses all of its source for a while, if this one had us verify too much. Who calls ends the socket. */
  #shutIfDear(bare: Socket, socket: TLSSocket): void {
    const { source, helloBytes = 0 } = this.#unfinished.get(bare) ?? {}
    if (source === undefined || bare.bytesRead - helloBytes <= ANSWER_BYTES_MAX) return
    // Bytes alone are cheap: nonsense, or a request that is there already. So is what one of ours shows beside its own.
    if (socket.authorized || socket.getPeerX509Certificate() === undefined) return
    this.#shut?.shut(source.name)
    this.#port.refused('handshake-dear', this.#finish(bare)!)
  }

  /** The address that it came from, the first time. */
  #finish(socket: Socket): string | undefined {
    const known = this.#unfinished.get(socket)
    if (known === undefined) return undefined
    const { peer, remote, source, timer } = known
    clearTimeout(timer)
    this.#unfinished.delete(socket)
    if (this.#byPeer.get(peer) === socket) this.#byPeer.delete(peer)
    source.silent.delete(socket)
    source.answered.delete(socket)
    source.count -= 1
    this.#forget(source)
    return remote
  }

  #forget({ name, count }: Source): void {
    if (count === 0) this.#sources.delete(name)
  }
}

/** Without the authority a client's certificate is one that nobody signed, whichever context is taken. */
function contextOf({ key, certificate: cert, ca }: TlsKeys): SecureContextOptions {
  return { key, cert, ca }
}

function peerOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}
