/**
 * Who asks a secured gateway over HTTP: joins what a request shows with the registry, the users, the sessions of
 * browsers, and the log.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { NodeId } from '../shared/core/ids.ts'
import { sourceOf } from '../shared/core/source.ts'
import {
  identityOf,
  type Principal,
  STRANGER,
  type UserPrincipal,
} from '../shared/protocol/access.ts'
import { parseToken } from '../shared/protocol/tokens.ts'
import type { Clock } from '../shared/runtime/clock.ts'
import type {
  HttpAccessPort,
  Identified,
  LoggedIn,
  LoginWish,
  Shown,
  Unidentified,
} from './adapters/http-access.ts'
import type { LoginAnswer, LoginRefusal } from './adapters/mqtt-entrance.ts'
import type { SecurityLog } from './adapters/security-log.ts'
import { WEB_SESSION_BOUNDS, WebSessions } from './core/access/web-sessions.ts'
import type { Users } from './users.ts'

export interface HttpLoginsParts {
  readonly log: SecurityLog
  readonly users: Users
  /** The node whose key this is, by its SHA-256. */
  ownerOf(sha256: string): NodeId | undefined
  readonly clock: Clock
  sessionEnded(session: string): void
}

/** What is shown says nobody. */
const UNKNOWN: Unidentified = 'unauthenticated'
const SECRET_BYTES = 32
const USER = 'user/'
/** Why somebody does not come in, in words of HTTP. */
const CODES: Readonly<Record<LoginRefusal, Unidentified>> = {
  'wrong-password': 'unauthenticated',
  'user-not-allowed': 'forbidden',
  'user-locked': 'locked',
  'logins-busy': 'overloaded',
}

export class HttpLogins implements HttpAccessPort {
  readonly #parts: HttpLoginsParts
  readonly #sessions = new WebSessions()

  constructor(parts: HttpLoginsParts) {
    this.#parts = parts
  }

  async identify(
    { key, authorization, cookie, remote }: Shown,
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
    if (authorization === undefined) {
      return key !== undefined || cookie === undefined ? byKey : this.#identifyCookie(cookie)
    }
    const answer = await loginBy(users, authorization, source, isGone)
    return answer?.ok ? answer : this.#failed(answer, source)
  }

  /** What is given is given in the moment in which it is decided: what ends it may come in the next. */
  login({ remote, ...wish }: LoginWish, isGone: () => boolean): Promise<LoggedIn> {
    const { users } = this.#parts
    const source = sourceOf(remote)
    return new Promise((resolve) => {
      const answered = (answer: LoginAnswer): void => {
        // A token may stand in the place of a password, too.
        const token = parseToken('token' in wish ? wish.token : wish.password)?.id
        resolve(answer.ok ? this.#begin(answer.who, token, source) : this.#failed(answer, source))
      }
      if ('token' in wish) users.loginByToken({ token: wish.token, source, isGone }, answered)
      else {
        const password = Buffer.from(wish.password)
        users.login({ name: wish.name, password, source, isGone }, answered)
      }
    })
  }

  logout(secret: string): boolean {
    const id = idOf(secret)
    if (!this.#sessions.end(id)) return false
    this.#parts.sessionEnded(nameOf(id))
    return true
  }

  /** What this identity may do has changed: its browsers have to log in again. */
  endOf(identity: string): void {
    if (!identity.startsWith(USER)) return
    this.#ended(this.#sessions.endOf(identity.slice(USER.length)))
  }

  /** To be called now and then: what is open by a session does not outlive it. */
  endOver(): void {
    this.#ended(this.#sessions.endOver(this.#parts.clock.monotonicMs))
  }

  #ended(ids: readonly string[]): void {
    for (const id of ids) this.#parts.sessionEnded(nameOf(id))
  }

  #begin(who: UserPrincipal, token: string | undefined, source: string): LoggedIn {
    const secret = randomBytes(SECRET_BYTES).toString('base64url')
    const session = { user: who.name, ...(token === undefined ? {} : { token }) }
    const pushedOut = this.#sessions.begin(this.#parts.clock.monotonicMs, idOf(secret), session)
    if (pushedOut !== undefined) this.#ended([pushedOut])
    this.#parts.log.tell({ event: 'login', who: identityOf(who), source, via: 'http' })
    return { ok: true, who, secret, seconds: WEB_SESSION_BOUNDS.lifeMs / 1000 }
  }

  /** A browser shows what it has, also where that is over: then it is nobody, and may log in. */
  #identifyCookie(secret: string): Identified {
    const { users, clock } = this.#parts
    const id = idOf(secret)
    const session = this.#sessions.use(clock.monotonicMs, id)
    if (session === undefined) return { ok: true, who: STRANGER }
    const { user, token } = session
    const who = users.principal(user)
    if (who !== undefined && (token === undefined || users.hasToken(user, token))) {
      const shown = token === undefined ? who : { ...who, token }
      return { ok: true, who: shown, session: nameOf(id) }
    }
    this.logout(secret)
    return { ok: true, who: STRANGER }
  }

  #failed(
    answer: Extract<LoginAnswer, { readonly ok: false }> | undefined,
    source: string,
  ): Extract<Identified, { readonly ok: false }> {
    const who = answer === undefined ? 'nobody' : answer.who
    const code = answer === undefined ? UNKNOWN : CODES[answer.code]
    const event = code === 'locked' ? 'locked' : 'login-failed'
    this.#parts.log.tell({ event, who, source, via: 'http', code: answer?.code ?? code })
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

function idOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}

/** No identity is called so. */
function nameOf(id: string): string {
  return `session/${id}`
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
