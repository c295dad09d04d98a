/**
 * The gateway wants another key of this board: it is made, shown with a proof of it, and put in its place when its
 * certificate comes. Then the board connects anew; the old key goes once the new one has let it in (own-identity.ts).
 */
import { sign } from 'node:crypto'
import type { NodeId } from '../../shared/core/ids.ts'
import { type KeyDown, type KeyUp, rekeyedBytes } from '../../shared/protocol/rekey.ts'
import { messageOf } from '../../shared/runtime/errors.ts'
import type { Logger } from '../../shared/runtime/logger.ts'
import { spkiOf } from '../../shared/runtime/public-keys.ts'
import type { OwnIdentity } from './own-identity.ts'

/** The connection that it was asked on. */
export interface RotationLink {
  /** Keying material of this connection alone; nothing where there is none. */
  exported(): Uint8Array | undefined
  disconnect(reason: string): void
}

export class KeyRotation {
  readonly #node: NodeId
  readonly #own: OwnIdentity
  readonly #link: RotationLink
  readonly #log: Logger

  constructor(node: NodeId, own: OwnIdentity, link: RotationLink, log: Logger) {
    this.#node = node
    this.#own = own
    this.#link = link
    this.#log = log
  }

  /** Whatever goes wrong, the board has the key that it is here with. */
  receive(message: KeyDown, answer: (shown: KeyUp) => void): void {
    try {
      if (message.t === 'rekey') this.#show(answer)
      else this.#take(message.cert)
    } catch (error) {
      const why = messageOf(error)
      this.#log.error({ err: error, code: 'rekey-failed' }, `this node keeps its key: ${why}`)
    }
  }

  #show(answer: (shown: KeyUp) => void): void {
    const exported = this.#link.exported()
    if (exported === undefined) return
    const { privateKey, publicKey } = this.#own.nextKey()
    const key = spkiOf(publicKey)
    const proven = rekeyedBytes(exported, this.#node, key)
    const sig = sign('sha256', proven, { key: privateKey, dsaEncoding: 'ieee-p1363' })
    answer({ t: 'next-key', key, sig })
  }

  #take(certificate: string): void {
    this.#own.renew(certificate)
    this.#log.info({ code: 'key-rotated' }, 'this node has another key, and comes back with it')
    this.#link.disconnect('it has another key')
  }
}
