/**
 * To whom results can be sealed, and the sealing of them. Whoever is added may read what others ask for in his name, so
 * the security log has that first; to who is removed nothing more is sealed, not even of tasks that were accepted.
 */
import { isId } from '../shared/core/ids.ts'
import { encodeHead, RECIPIENT_KEY_BYTES, type Sealed } from '../shared/protocol/sealed.ts'
import { named } from '../shared/protocol/security-log.ts'
import { AppError, EXIT_NO_ROOM } from '../shared/runtime/errors.ts'
import type { Asker, RecipientPort, RecipientView } from './adapters/http-port.ts'
import type { IdentityStore } from './adapters/identity-store.ts'
import type { Sealer } from './adapters/sealer.ts'
import type { SecurityLog } from './adapters/security-log.ts'
import type { SealingOrder } from './core/effects.ts'

export interface RecipientsParts {
  readonly store: IdentityStore
  readonly log: SecurityLog
  readonly sealer: Sealer
  /** The seed of the key that signs. */
  readonly signer: Uint8Array
  /** Unix ms that do not go back. */
  nowTs(): number
  /** SHA-256, hexadecimal. */
  fingerprint(key: Uint8Array): string
}

const RECIPIENTS_MAX = 1000

export class Recipients implements RecipientPort {
  readonly #parts: RecipientsParts
  readonly #max: number
  #signerKey: Promise<Uint8Array> | undefined

  constructor(parts: RecipientsParts, { max = RECIPIENTS_MAX }: { readonly max?: number } = {}) {
    this.#parts = parts
    this.#max = max
  }

  has(name: string): boolean {
    return isId(name) && this.#parts.store.recipient(name) !== undefined
  }

  recipients(): readonly RecipientView[] {
    const { store, fingerprint } = this.#parts
    return store.recipients().map(([name, { key, addedTs, by }]) => {
      return { name, sha256: fingerprint(key), addedTs, by }
    })
  }

  async add(name: string, key: Uint8Array, asker: Asker): Promise<void> {
    const { store, log, sealer, nowTs, fingerprint } = this.#parts
    if (key.length !== RECIPIENT_KEY_BYTES) throw unsuitable(`${key.length} bytes`)
    await sealer.try(key).catch(() => {
      throw unsuitable('nothing can be sealed to it')
    })
    const { who, via } = asker
    this.#judge(name, asker)
    const what = named('recipient', name)
    await log.append({ event: 'recipient-added', what, who, via, code: fingerprint(key) })
    // Another may have come meanwhile, and he may have lost his right.
    this.#judge(name, asker)
    const value = { key, addedTs: nowTs(), by: who }
    await store.write([{ table: 'recipient', key: name, value }])
  }

  async remove(name: string, { who, via }: Asker): Promise<void> {
    if (!this.has(name)) throw unknown(name)
    await this.#parts.store.write([{ table: 'recipient', key: name }])
    const event = { event: 'recipient-removed', what: named('recipient', name), who, via } as const
    await this.#parts.log.append(event)
  }

  /** The public key of the gateway, by which others know what it sealed. */
  async signer(): Promise<Uint8Array> {
    this.#signerKey ??= this.#parts.sealer
      .publicKeyOf(this.#parts.signer)
      .catch((error: unknown) => {
        this.#signerKey = undefined
        throw error
      })
    return await this.#signerKey
  }

  async seal({ task, op, to, ts, value }: SealingOrder, unwanted?: AbortSignal): Promise<Sealed> {
    const { store, sealer, signer } = this.#parts
    const record = store.recipient(to)
    if (record === undefined) throw new AppError('unknown-recipient', `recipient ${to} was removed`)
    const head = encodeHead({ task, op, to, ts })
    const order = { head, value, publicKey: record.key, signer }
    return await sealer.seal(order, unwanted)
  }

  #judge(name: string, asker: Asker): void {
    asker.assertMay()
    if (this.has(name)) {
      throw new AppError('recipient-exists', `there is a recipient ${name}: remove it first`)
    }
    if (this.#parts.store.recipients().length < this.#max) return
    const message = `there are ${this.#max} recipients`
    throw new AppError('recipients-full', message, { exitCode: EXIT_NO_ROOM })
  }
}

function unknown(name: string): AppError {
  return new AppError('recipient-unknown', `there is no recipient "${name.slice(0, 64)}"`)
}

function unsuitable(why: string): AppError {
  const message = `the key is not one that obelisk seal keygen printed: ${why}`
  return new AppError('key-unsuitable', message)
}
