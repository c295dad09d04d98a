/**
 * What a CONNECT has to pass: who is there, whether this client id is his to use, and whether there is room for his
 * session. A client id belongs to the identity that uses it, live or as a session that is kept: otherwise anybody could
 * end the connection of somebody else, or take over what waits for him.
 */
import type { AedesOptions } from 'aedes'
import type { UserPrincipal } from '../../shared/protocol/access.ts'
import { parseNodeClientId } from '../../shared/protocol/topics.ts'
import type { Connection } from './mqtt-connection.ts'
import type { BrokerClient } from './mqtt-delivery.ts'
import type { BrokerParts } from './mqtt-hooks.ts'

type Done = Parameters<NonNullable<AedesOptions['authenticate']>>[3]

/** Why somebody who says name and password does not come in. */
export type LoginRefusal = 'wrong-password' | 'user-not-allowed' | 'user-locked' | 'logins-busy'

/** Why a certificate of ours does not let in. */
export type KeyRefusal = 'key-revoked'

export type LoginAnswer =
  | { readonly ok: true; readonly who: UserPrincipal }
  | {
      readonly ok: false
      readonly code: LoginRefusal
      readonly who: string
      /** When the next try is looked at. */
      readonly retryMs?: number
    }

export interface LoginAttempt {
  readonly name: string
  /** A password, or a token of the user. */
  readonly password: Uint8Array
  /** As limits count it (source.ts). */
  readonly source: string
  /** Nobody waits for the answer any more. */
  isGone(): boolean
}

/** Answers once, in the moment in which it was decided: rights that go later go from whom they were given. */
export type Login = (attempt: LoginAttempt, answer: (answer: LoginAnswer) => void) => void

const IDENTIFIER_REJECTED = 2
const SERVER_UNAVAILABLE = 3
const BAD_NAME_OR_PASSWORD = 4
const NOT_AUTHORIZED = 5

const RETURN_CODES: Readonly<Record<LoginRefusal, number>> = {
  'wrong-password': BAD_NAME_OR_PASSWORD,
  'user-not-allowed': NOT_AUTHORIZED,
  'user-locked': SERVER_UNAVAILABLE,
  'logins-busy': SERVER_UNAVAILABLE,
}
type Denied = 'login-failed' | 'locked' | 'client-id-taken' | 'certificate-refused'

const REVOKED: KeyRefusal = 'key-revoked'
/** What only the gateway gives out, to its boards. */
const RESERVED_ID = 'obelisk-'
const PACKET_ID_MAX = 65_535

export class Entrance {
  readonly #parts: BrokerParts

  constructor(parts: BrokerParts) {
    this.#parts = parts
  }

  authenticate(
    client: BrokerClient,
    name: string | undefined,
    password: Uint8Array | undefined,
    done: Done,
  ): void {
    const connection = this.#parts.connections.of(client)
    if (connection === undefined) return
    const { kind } = connection.principal
    if (kind === 'revoked') {
      this.#deny(connection, 'certificate-refused', REVOKED, NOT_AUTHORIZED, done)
      return
    }
    if (kind !== 'stranger') {
      this.#identified(client, connection, done)
      return
    }
    const { login } = this.#parts
    if (login === undefined || name === undefined || password === undefined) {
      this.#deny(connection, 'login-failed', 'no-identity', BAD_NAME_OR_PASSWORD, done)
      return
    }
    const attempt = { name, password, source: connection.source, isGone: () => connection.isGone }
    login(attempt, (answer) => {
      if (connection.isGone) return
      if (answer.ok) {
        connection.principal = answer.who
        this.#tell(connection, 'login', undefined)
        this.#identified(client, connection, done)
        return
      }
      const { code, who } = answer
      const event = code === 'user-locked' ? 'locked' : 'login-failed'
      this.#deny(connection, event, code, RETURN_CODES[code], done, who)
    })
  }

  #identified(client: BrokerClient, connection: Connection, done: Done): void {
    const { connections, persistence } = this.#parts
    // First: whoever may not have this id must not end the connection that has it.
    if (!this.#isOwnId(client, connection)) {
      this.#deny(connection, 'client-id-taken', 'client-id-not-own', IDENTIFIER_REJECTED, done)
      return
    }
    const { identity } = connection
    if (
      connections.isHeldByOther(client.id, identity) ||
      persistence.isHeldByOther(client.id, identity)
    ) {
      this.#deny(connection, 'client-id-taken', 'client-id-taken', IDENTIFIER_REJECTED, done)
      return
    }
    if (!connections.identified(connection, client.id)) {
      this.#parts.refused.add('connections-of-one')
      done(refusal('so many connections of one user', SERVER_UNAVAILABLE), false)
      return
    }
    connections.takeOver(client.id, connection, () => this.#begin(client, connection, done))
  }

  /** A node is one node, and leaves no session behind; where nobody is asked who he is, any id will do. */
  #isOwnId(client: BrokerClient, connection: Connection): boolean {
    const { principal } = connection
    switch (principal.kind) {
      case 'anyone':
        return true
      case 'gateway':
        return this.#parts.connections.isProbe(connection)
      case 'node':
        return parseNodeClientId(client.id) === principal.node && client.clean
      default:
        return !client.id.startsWith(RESERVED_ID)
    }
  }

  #begin(client: BrokerClient, connection: Connection, done: Done): void {
    const { persistence, refused } = this.#parts
    if (connection.isGone) return
    if (!client.clean) {
      if (!persistence.openSession(client.id, connection.principal, connection.gate.isBridge)) {
        refused.add('sessions-full')
        done(refusal('no room for one more session', SERVER_UNAVAILABLE), false)
        return
      }
      connection.sessionId = client.id
      numberFromOne(client, (id) => persistence.hasOutgoing(client.id, id))
    }
    done(null, true)
  }

  #deny(
    connection: Connection,
    event: Denied,
    code: string,
    returnCode: number,
    done: Done,
    who?: string,
  ): void {
    this.#parts.refused.add(code)
    this.#tell(connection, event, code, who)
    done(refusal(code, returnCode), false)
  }

  #tell(
    connection: Connection,
    event: 'login' | Denied,
    code: string | undefined,
    who = connection.shownIdentity,
  ): void {
    const told = { ...connection.told(event), who }
    this.#parts.port.onSecurityEvent?.(code === undefined ? told : { ...told, code })
  }
}

function refusal(message: string, returnCode: number): Error & { returnCode: 2 | 3 | 4 | 5 } {
  return Object.assign(new Error(message), { returnCode: returnCode as 2 | 3 | 4 | 5 })
}

/**
 * Aedes counts the packet ids to a client from a random one, and would give one again that a message
 * of the session still waits under [MQTT-2.3.1-4].
 */
function numberFromOne(client: BrokerClient, isTaken: (id: number) => boolean): void {
  let next = 1
  Object.defineProperty(client, '_nextId', {
    get: () => {
      while (isTaken(next)) next = next >= PACKET_ID_MAX ? 1 : next + 1
      return next
    },
    set: (id: number) => {
      next = id > PACKET_ID_MAX ? 1 : id
    },
  })
}
