/**
 * Who comes in where the gateway is secured: boards that ask for an identity go to the enrolment, nodes and users whose
 * key stands in the registry go on, so do who shows no certificate and is asked for name and password, and everybody
 * else goes away: whoever shows a certificate that is not known is asked for nothing, and whose key was taken out is told
 * so. The registry is asked at every connection, at a resumed one too: a certificate opens nothing by itself.
 */
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { NodeId } from '../../shared/core/ids.ts'
import {
  GATEWAY,
  type Principal,
  STRANGER,
  type UserPrincipal,
} from '../../shared/protocol/access.ts'
import { ENROLMENT_PROTOCOL, GATEWAY_SERVER_NAME } from '../../shared/protocol/enrolment.ts'
import { FETCH_PROTOCOL } from '../../shared/protocol/fetch.ts'
import { fingerprintText, spkiOf } from '../../shared/runtime/public-keys.ts'
import type { EnrolmentDoor } from './enrolment-door.ts'
import type { FetchDoor } from './fetch-door.ts'
import type { Login } from './mqtt-entrance.ts'
import {
  type HandshakeFault,
  type TlsKeys,
  TlsListener,
  type TlsListenerOptions,
} from './tls-listener.ts'

export interface SecureDoorOptions extends TlsListenerOptions {
  /** Shown to agents. */
  readonly keys: TlsKeys
  /** Shown to others, who ask for a name of this machine or for none. */
  readonly hosts?: TlsKeys
  readonly enrolment: EnrolmentDoor
  /** Where nodes, and nobody else, fetch packages. */
  readonly fetch?: FetchDoor
  /** SHA-256 of the key of the gateway's own client, hexadecimal. */
  readonly probe: string
  /** The node whose key this is now; `sha256` is hexadecimal. */
  ownerOf(sha256: string): NodeId | undefined
  /** The node whose key this was until it was taken out. */
  formerOwnerOf?(sha256: string): NodeId | undefined
  /** A node came in with this key. */
  keyUsed(node: NodeId, sha256: string): void
  /** The user whose key this is now. */
  userOf?(sha256: string): UserPrincipal | undefined
  /** Of who shows no certificate, with his CONNECT; without it, they stay outside. */
  readonly login?: Login
}

const PROTOCOLS = ['mqtt', ENROLMENT_PROTOCOL, FETCH_PROTOCOL]

export type Denial = HandshakeFault | 'no-identity'

export interface SecureDoorPort {
  entered(socket: TLSSocket, principal: Principal): void
  denied(reason: Denial, remote: string): void
  /** Nobody was let in for it. */
  failed(error: unknown): void
}

export class SecureDoor {
  readonly #options: SecureDoorOptions
  readonly #port: SecureDoorPort
  readonly #listener: TlsListener

  constructor(options: SecureDoorOptions, port: SecureDoorPort) {
    this.#options = options
    this.#port = port
    const { keys, hosts = keys } = options
    const named = { [GATEWAY_SERVER_NAME]: keys }
    const face = { keys: hosts, named, protocols: PROTOCOLS }
    this.#listener = new TlsListener(options, face, {
      secured: (socket, remote) => {
        try {
          this.#judge(socket, remote)
        } catch (error) {
          socket.destroy()
          port.failed(error)
        }
      },
      refused: (fault, remote) => port.denied(fault, remote),
    })
  }

  /** What is shown to others than agents from now on. */
  renew(hosts: TlsKeys): void {
    this.#listener.renew(hosts)
  }

  /** Owns the socket, which nobody has read from. */
  accept(socket: Socket): void {
    this.#listener.accept(socket)
  }

  /** Ends what has not come in. */
  close(): void {
    this.#listener.close()
  }

  #judge(socket: TLSSocket, remote: string): void {
    if (socket.alpnProtocol === ENROLMENT_PROTOCOL) {
      this.#options.enrolment.take(socket, remote)
      return
    }
    // Its absence alone says that none was shown: `authorizationError` does not.
    const shown = socket.getPeerX509Certificate()
    const isFetch = socket.alpnProtocol === FETCH_PROTOCOL
    if (shown === undefined) {
      if (isFetch || this.#options.login === undefined) this.#deny(socket, remote, 'no-identity')
      else this.#port.entered(socket, STRANGER)
      return
    }
    // First: Node throws at, or ends of, some keys that a stranger may show.
    const sha256 = socket.authorized ? fingerprintText(spkiOf(shown.publicKey)) : undefined
    const principal = sha256 === undefined ? undefined : this.#ownerOf(sha256)
    if (principal === undefined) this.#deny(socket, remote, 'certificate-refused')
    else if (!isFetch) this.#port.entered(socket, principal)
    else if (principal.kind !== 'node') this.#deny(socket, remote, 'certificate-refused')
    else if (this.#options.fetch === undefined) socket.destroy()
    else this.#options.fetch.take(socket, undefined, principal.node)
  }

  #ownerOf(sha256: string): Principal | undefined {
    if (sha256 === this.#options.probe) return GATEWAY
    const node = this.#options.ownerOf(sha256)
    if (node !== undefined) {
      this.#options.keyUsed(node, sha256)
      return { kind: 'node', node, key: sha256 }
    }
    const former = this.#options.formerOwnerOf?.(sha256)
    if (former !== undefined) return { kind: 'revoked', node: former }
    return this.#options.userOf?.(sha256)
  }

  #deny(socket: TLSSocket, remote: string, reason: Denial): void {
    this.#port.denied(reason, remote)
    socket.on('error', () => {})
    socket.destroy()
  }
}
