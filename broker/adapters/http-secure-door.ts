/**
 * TLS before HTTP. Who shows a certificate is whoever's key it is, or goes away: nobody is asked for a password after
 * having shown one that is not known.
 */
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { GATEWAY_SERVER_NAME } from '../../shared/protocol/enrolment.ts'
import { fingerprintText, spkiOf } from '../../shared/runtime/public-keys.ts'
import type { HttpSocket } from './http-connections.ts'
import { answerToPlain } from './plain-request.ts'
import {
  type HandshakeFault,
  type TlsKeys,
  TlsListener,
  type TlsListenerOptions,
} from './tls-listener.ts'

/** What is known of a client since its handshake. */
export interface SecuredClient {
  /** SHA-256 of the key of its certificate, which our authority signed; hexadecimal. */
  readonly key: string | undefined
  /** The address that it came from. */
  readonly remote: string
}

export class HttpSecureDoor {
  readonly #listener: TlsListener
  readonly #clients = new WeakMap<object, SecuredClient>()
  #enter: ((secured: Socket) => HttpSocket) | undefined

  constructor(
    options: TlsListenerOptions,
    { keys, commands }: { readonly keys: TlsKeys; readonly commands?: TlsKeys },
    refused: (reason: HandshakeFault, remote: string) => void,
  ) {
    const named = commands && { [GATEWAY_SERVER_NAME]: commands }
    this.#listener = new TlsListener(
      options,
      { keys, ...(named && { named }), protocols: ['http/1.1'], toPlain: answerToPlain },
      {
        secured: (socket, remote) => {
          const key = keyOf(socket)
          if (key === 'refused') {
            refused('certificate-refused', remote)
            socket.on('error', () => {})
            socket.destroy()
            return
          }
          this.#clients.set(this.#enter!(socket), { key, remote })
        },
        refused,
      },
    )
  }

  /** Owns the socket, which nobody has read from; `enter` gives it to HTTP. */
  accept(bare: Socket, enter: (secured: Socket) => HttpSocket): void {
    this.#enter = enter
    this.#listener.accept(bare)
  }

  clientOf(socket: object): SecuredClient {
    return this.#clients.get(socket)!
  }

  renew(keys: TlsKeys): void {
    this.#listener.renew(keys)
  }

  /** Ends what has not come in. */
  close(): void {
    this.#listener.close()
  }
}

/** Nothing where no certificate was shown. */
function keyOf(socket: TLSSocket): string | undefined | 'refused' {
  const shown = socket.getPeerX509Certificate()
  if (shown === undefined) return undefined
  // First: Node throws at, or ends of, some keys that a stranger may show.
  return socket.authorized ? fingerprintText(spkiOf(shown.publicKey)) : 'refused'
}
