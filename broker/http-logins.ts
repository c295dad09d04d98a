/** Who asks a secured gateway over HTTP: joins what a request shows with the registry, the users, and the log. */
import type { NodeId } from '../shared/core/ids.ts'
import { sourceOf } from '../shared/core/source.ts'
import { identityOf, type Principal } from '../shared/protocol/access.ts'
import type { HttpAccessPort, Identified, Shown, Unidentified } from './adapters/http-access.ts'
import type { LoginAnswer, LoginRefusal } from './adapters/mqtt-entrance.ts'
import type { SecurityLog } from './adapters/security-log.ts'
import type { Users } from './users.ts'

export interface HttpLoginsParts {
  readonly log: SecurityLog
  readonly users: Users
  /** The node whose key this is, by its SHA-256. */
  ownerOf(sha256: string): NodeId | undefined
}

/** What is shown says nobody. */
const UNKNOWN: Unidentified = 'unauthenticated'
/** Why somebody does not come in, in words of HTTP. */
const CODES: Readonly<Record<LoginRefusal, Unidentified>> = {
  'wrong-password': 'unauthenticated',
  'user-not-allowed': 'forbidden',
  'user-locked': 'locked',
  'logins-busy': 'overloaded',
}

export class HttpLogins implements HttpAccessPort {
  readonly #parts: HttpLoginsParts

  constructor(parts: HttpLoginsParts) {
    this.#parts = parts
  }

  async identify(
    { key, authorization, remote }: Shown,
    isGone: () => boolean,
  ): Promise<Identified> {
    const { log, users } = this.#parts
    const source = sourceOf(remote)
    const byKey = this.#identifyKey(key)
    // A certificate that is nobody's is not mended by a password.
    if (key !== undefined && !byKey.ok) {
      log.tell({ event: 'certificate-refused', who: 'nobody', source, via: 'http' })
      return byKey
    }
    if (authorization === undefined) return byKey
    const answer = await loginBy(users, authorization, source, isGone)
    if (answer?.ok) return answer
    const who = answer === undefined ? 'nobody' : answer.who
    const code = answer === undefined ? UNKNOWN : CODES[answer.code]
    const event = code === 'locked' ? 'locked' : 'login-failed'
    log.tell({ event, who, source, via: 'http', code: answer?.code ?? code })
    return { ok: false, code, retryMs: answer?.retryMs }
  }

  certificateRefused(code: string, remote: string): void {
    const source = sourceOf(remote)
    const { log } = this.#parts
    log.tell({ event: 'certificate-refused', who: 'nobody', source, via: 'http', code })
  }

  refused(who: Principal, remote: string, code: string): void {
    const source = sourceOf(remote)
    const told = who.kind === 'stranger' ? 'nobody' : identityOf(who)
    this.#parts.log.tell({ event: 'request-refused', who: told, source, via: 'http', code })
  }

  #identifyKey(key: string | undefined): Identified {
    const node = key === undefined ? undefined : this.#parts.ownerOf(key)
    if (node !== undefined) return { ok: true, who: { kind: 'node', node } }
    const who = key === undefined ? undefined : this.#parts.users.userOf(key)
    return who === undefined ? { ok: false, code: UNKNOWN } : { ok: true, who }
  }
}

/** Nothing where the header says neither name and password [RFC 7617] nor a token [RFC 6750]. */
function loginBy(
  users: Users,
  authorization: string,
  source: string,
  isGone: () => boolean,
): Promise<LoginAnswer | undefined> {
  const [, scheme = '', given = ''] = /^(\S+) +(\S+) *$/.exec(authorization) ?? []
  return new Promise((resolve) => {
    if (scheme.toLowerCase() === 'bearer') {
      users.loginByToken({ token: given, source, isGone }, resolve)
      return
    }
    const pair = Buffer.from(given, 'base64')
    const colon = pair.indexOf(0x3a)
    if (scheme.toLowerCase() !== 'basic' || colon < 0) {
      resolve(undefined)
      return
    }
    const [name, password] = [pair.subarray(0, colon).toString(), pair.subarray(colon + 1)]
    users.login({ name, password, source, isGone }, resolve)
  })
}
