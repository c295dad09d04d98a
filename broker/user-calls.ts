/** What an admin asks of users over HTTP: what is given is in the security log first, and what is taken is said there. */
import { createHash, randomBytes } from 'node:crypto'
import { toBase32 } from '../shared/core/base32.ts'
import { named } from '../shared/protocol/security-log.ts'
import { formatToken, TOKEN_ID_BYTES, TOKEN_SECRET_BYTES } from '../shared/protocol/tokens.ts'
import { AppError } from '../shared/runtime/errors.ts'
import { fingerprintText, parsePublicKey } from '../shared/runtime/public-keys.ts'
import type { FleetKeys } from './adapters/fleet-keys.ts'
import type { Asker, UserOrder, UserPort, UserView } from './adapters/http-port.ts'
import type { SecurityLog } from './adapters/security-log.ts'
import type { UserRecord } from './core/access/users.ts'
import type { Order, Users } from './users.ts'

type Said = 'user-added' | 'user-changed' | 'user-removed' | 'token-created' | 'token-revoked'

export interface UserParts {
  readonly users: Users
  readonly log: SecurityLog
  readonly keys: FleetKeys
  /** Unix ms that do not go back. */
  nowTs(): number
  /** Resolves with a certificate, PEM. */
  certifyUser(authority: FleetKeys['authority'], spki: Uint8Array, name: string): Promise<string>
}

export class UserCalls implements UserPort {
  readonly #parts: UserParts

  constructor(parts: UserParts) {
    this.#parts = parts
  }

  users(): readonly UserView[] {
    return this.#parts.users.records().map(([name, record]) => viewOf(name, record))
  }

  user(name: string): UserView | undefined {
    const record = this.#parts.users.record(name)
    return record && viewOf(name, record)
  }

  async add(name: string, order: UserOrder, asker: Asker): Promise<void> {
    const grants = this.#grants('user-added', name, asker)
    await this.#parts.users.add(name, { ...order, by: asker.who }, grants)
  }

  async set(name: string, order: UserOrder, asker: Asker): Promise<void> {
    const grants = this.#grants('user-changed', name, asker)
    if (!takesOnly(order)) {
      await this.#parts.users.set(name, order, grants)
      return
    }
    // A disk that is full must not keep anybody in.
    await this.#parts.users.set(name, order, asker)
    await grants.announce().catch(() => {})
  }

  async remove(name: string, asker: Asker): Promise<void> {
    await this.#parts.users.remove(name, asker)
    await this.#append('user-removed', named('user', name), asker)
  }

  async addToken(
    name: string,
    { label, ttlMs }: { readonly label: string; readonly ttlMs: number },
    asker: Asker,
  ): Promise<{ readonly token: string; readonly id: string; readonly untilTs: number }> {
    const { users, keys, nowTs } = this.#parts
    const [secret, createdTs] = [randomBytes(TOKEN_SECRET_BYTES), nowTs()]
    const id = toBase32(randomBytes(TOKEN_ID_BYTES))
    const sha256 = createHash('sha256').update(secret).digest()
    const untilTs = createdTs + ttlMs
    const token = { id, sha256, label, createdTs, untilTs }
    await users.addToken(name, token, this.#grants('token-created', name, asker))
    return { token: formatToken({ kind: 'user', id, secret, pin: keys.pin }), id, untilTs }
  }

  async removeToken(name: string, id: string, asker: Asker): Promise<void> {
    await this.#parts.users.removeToken(name, id, asker)
    await this.#append('token-revoked', named('token', id), asker)
  }

  async addKey(
    name: string,
    { spki, label }: { readonly spki: Uint8Array; readonly label: string },
    asker: Asker,
  ): Promise<string> {
    const { users, keys, nowTs, certifyUser } = this.#parts
    if (parsePublicKey(spki) === undefined) {
      throw new AppError('key-unsuitable', 'the key is not one of P-256, as openssl writes it')
    }
    const key = { sha256: fingerprintText(spki), label, addedTs: nowTs() }
    await users.addKey(name, key, this.#grants('user-changed', name, asker))
    return await certifyUser(keys.authority, spki, name)
  }

  async removeKey(name: string, sha256: string, asker: Asker): Promise<void> {
    await this.#parts.users.removeKey(name, sha256, asker)
    await this.#append('user-changed', named('user', name), asker)
  }

  #grants(event: Said, name: string, asker: Asker): Required<Order> {
    const announce = (): Promise<void> => this.#append(event, named('user', name), asker)
    return { announce, assertMay: () => asker.assertMay() }
  }

  #append(event: Said, what: string, { who, via }: Asker): Promise<void> {
    return this.#parts.log.append({ event, what, who, via })
  }
}

/** It disables, or takes a password away, and gives nothing. */
function takesOnly({ roles, grant, topics, password, isDisabled }: UserOrder): boolean {
  const gives = [roles, grant, topics].some((one) => one !== undefined)
  return !gives && isDisabled !== false && (password === undefined || password === null)
}

function viewOf(name: string, record: UserRecord): UserView {
  const { password, tokens, ...rest } = record
  const shown = tokens.map(({ sha256: _secret, ...token }) => token)
  return { name, ...rest, tokens: shown, hasPassword: password !== undefined }
}
