/**
 * The users of a secured gateway, for all that ask: joins the decisions on their records with the store of these, the
 * passwords and the limits of guessing. What is given is on disk before anybody hears of it; what is taken is gone from
 * whoever has it at once.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { isId } from '../shared/core/ids.ts'
import { networkOf } from '../shared/core/source.ts'
import { identityOf, type UserPrincipal } from '../shared/protocol/access.ts'
import { parseToken } from '../shared/protocol/tokens.ts'
import type { Clock } from '../shared/runtime/clock.ts'
import { AppError, EXIT_NO_ROOM } from '../shared/runtime/errors.ts'
import type { IdentityStore } from './adapters/identity-store.ts'
import type { LoginAnswer, LoginAttempt, LoginRefusal } from './adapters/mqtt-entrance.ts'
import type { Passwords } from './adapters/passwords.ts'
import { GuessLimits, type Lock, type Try } from './core/access/guess-limits.ts'
import type { RegistryChange } from './core/access/registry.ts'
import {
  addUser,
  addUserKey,
  addUserToken,
  changeUser,
  isThere,
  principalOf,
  removeUser,
  removeUserKey,
  removeUserToken,
  tokenOf,
  type UserDecision,
  type UserKey,
  type UserRecord,
  type UserRefusal,
  type UserToken,
  type UserWish,
  used,
} from './core/access/users.ts'

export interface UsersOptions {
  readonly usersMax?: number
}

export interface UsersParts {
  readonly store: IdentityStore
  readonly passwords: Passwords
  readonly clock: Clock
  /** Unix ms that do not go back. */
  nowTs(): number
  /** What this identity may do has changed, or the token of it is over: whoever is there by it, or by that, is not any more. */
  changed(identity: string, token?: string): void
}

/** A wish with the password as it was said. */
export interface UserRequest extends Omit<UserWish, 'password'> {
  readonly password?: string | null
}

/** That something is changed. Left out where that is nobody's order. */
export interface Order {
  /** Comes back once the security log has it: before that nothing is given. */
  announce?(): Promise<void>
  /** Throws where whoever ordered it may not any more. Asked in the turn in which it happens. */
  assertMay(): void
}

/** For HTTP: a token says by itself whose it is. */
export type TokenAttempt = Omit<LoginAttempt, 'name' | 'password'> & { readonly token: string }

type Answer = (answer: LoginAnswer) => void
type Decide = (before: UserRecord | undefined) => UserDecision

interface Verdict {
  readonly word: LoginRefusal | 'right'
  readonly retryMs?: number
}

const USERS_MAX = 1000
const PASSWORD_BYTES_MIN = 8
const PASSWORD_BYTES_MAX = 1024
/** Tries that wait a second each. */
const SLOW_MAX = 32
/** Stands for all names that are none. */
const NO_NAME = '?'
const RIGHT: Verdict = { word: 'right' }
const WRONG: Verdict = { word: 'wrong-password' }
const NOT_ALLOWED: Verdict = { word: 'user-not-allowed' }
const BUSY: Verdict = { word: 'logins-busy' }
const NOBODY = 'nobody'

const MESSAGES: Readonly<Record<UserRefusal, string>> = {
  'user-name-wrong': 'a name has 1 to 64 letters, digits, "_" or "-"',
  'user-exists': 'there is a user of this name',
  'user-unknown': 'there is no user of this name',
  'topic-filter-wrong': 'at most 32 filters of MQTT, of 256 bytes, none that begins with $',
  'grant-incomplete': 'he has no grant yet: say operations, regions and fields, * for all',
  'user-key-unknown': 'he has no key of this SHA-256',
  'user-keys-full': 'a user has at most 4 keys',
  'user-token-unknown': 'he has no token of this id',
  'user-tokens-full': 'a user has at most 16 tokens that are good',
  'key-known': 'this key is, or was, of somebody already',
}

export class Users {
  readonly #usersMax: number
  readonly #parts: UsersParts
  readonly #limits = new GuessLimits()
  /** Tries under way by what they say and from where: more of the same are the same try. */
  readonly #underWay = new Map<string, Promise<Verdict>>()
  #slow = 0
  /** Tokens that somebody came in with, with whose they are, and until when they are good. */
  readonly #shown = new Map<string, { readonly name: string; readonly untilTs: number }>()
  /** Counts what has changed of any user. */
  #version = 0

  constructor({ usersMax = USERS_MAX }: UsersOptions, parts: UsersParts) {
    this.#usersMax = usersMax
    this.#parts = parts
  }

  /** The user whose key this is now, if he may do anything. `sha256` is hexadecimal. */
  userOf(sha256: string): UserPrincipal | undefined {
    const record = this.#parts.store.key(sha256)
    if (record?.user === undefined || record.removedTs !== undefined) return undefined
    const who = this.principal(record.user)
    if (who !== undefined) this.#used(record.user, { key: sha256 })
    return who
  }

  principal(name: string): UserPrincipal | undefined {
    return principalOf(name, this.#find(name))
  }

  /** Who is not looked at now. */
  locks(): readonly Lock[] {
    return this.#limits.locks(this.#nowMs())
  }

  /** Whether this token of his is good now. */
  hasToken(name: string, id: string): boolean {
    return tokenOf(this.#parts.nowTs(), this.#find(name), id) !== undefined
  }

  /** Ends what is there by tokens that are over. To be called often. */
  endOver(): void {
    if (this.#shown.size === 0) return
    const nowTs = this.#parts.nowTs()
    for (const [token, { name, untilTs }] of this.#shown) {
      if (untilTs >= nowTs) continue
      this.#shown.delete(token)
      this.#parts.changed(userIdentity(name), token)
    }
  }

  record(name: string): UserRecord | undefined {
    const record = this.#find(name)
    return isThere(record) ? record : undefined
  }

  records(): (readonly [name: string, UserRecord])[] {
    return this.#parts.store.users().filter(([, record]) => isThere(record))
  }

  /** Who says a name, and a password or a token of his. Answers in the moment in which it is decided. */
  login(attempt: LoginAttempt, answer: Answer): void {
    const { password, source, isGone } = attempt
    const name = isId(attempt.name) ? attempt.name : NO_NAME
    const token = parseToken(Buffer.from(password).toString('latin1'))
    if (token?.kind === 'user') {
      answer(this.#judgeToken(name, token.id, token.secret, source))
      return
    }
    const version = this.#version
    this.#judgePassword(name, password, source, isGone).then(
      (verdict) => {
        // It was right for what stood there before: he may try again.
        const isOld = verdict.word === 'right' && version !== this.#version
        answer(this.#answerFor(name, isOld ? BUSY : verdict))
      },
      () => answer(this.#answerFor(name, BUSY)),
    )
  }

  /** Who shows a token, and says no name. */
  loginByToken({ token: text, source }: TokenAttempt, answer: Answer): void {
    const token = parseToken(text)
    const id = token?.kind === 'user' ? token.id : undefined
    const name = id === undefined ? undefined : this.#parts.store.userToken(id)?.user
    answer(this.#judgeToken(name ?? NO_NAME, id ?? '', token?.secret ?? new Uint8Array(), source))
  }

  async add(
    name: string,
    { password, ...wish }: UserRequest & { readonly by: string },
    order?: Order,
  ): Promise<void> {
    const nowTs = this.#parts.nowTs()
    await this.#changeWith(name, password, order, (before, made) => {
      if (this.records().length >= this.#usersMax) throw usersFull(this.#usersMax)
      return addUser(nowTs, name, before, { ...wish, ...made })
    })
  }

  async set(name: string, { password, ...wish }: UserRequest, order?: Order): Promise<void> {
    const nowTs = this.#parts.nowTs()
    await this.#changeWith(name, password, order, (before, made) =>
      changeUser(nowTs, name, before, { ...wish, ...made }),
    )
  }

  async remove(name: string, order?: Order): Promise<void> {
    await this.#change(name, order, (before) => removeUser(this.#parts.nowTs(), name, before))
  }

  async addKey(name: string, key: UserKey, order?: Order): Promise<void> {
    const decide = (before: UserRecord | undefined): UserDecision =>
      addUserKey(name, before, key, this.#parts.store.key(key.sha256))
    await this.#write(name, order, decide)
  }

  async removeKey(name: string, sha256: string, order?: Order): Promise<void> {
    const nowTs = this.#parts.nowTs()
    await this.#change(name, order, (before) => removeUserKey(nowTs, name, before, sha256))
  }

  async addToken(name: string, token: UserToken, order?: Order): Promise<void> {
    const nowTs = this.#parts.nowTs()
    await this.#write(name, order, (before) => addUserToken(nowTs, name, before, token))
  }

  async removeToken(name: string, id: string, order?: Order): Promise<void> {
    await this.#change(name, order, (before) => removeUserToken(name, before, id))
  }

  /** What is refused in any case costs no scrypt; what is decided meanwhile holds. */
  async #changeWith(
    name: string,
    password: string | null | undefined,
    order: Order | undefined,
    decide: (before: UserRecord | undefined, made: Pick<UserWish, 'password'>) => UserDecision,
  ): Promise<void> {
    let made: Pick<UserWish, 'password'> = password === null ? { password } : {}
    if (typeof password === 'string') {
      const bytes = bytesOf(password)
      this.#judge(name, order, (before) => decide(before, made))
      made = { password: await this.#parts.passwords.make(bytes) }
    }
    await this.#change(name, order, (before) => decide(before, made))
  }

  /** Resolves once it is on disk. Whoever is there by what was before is out before that. */
  async #change(name: string, order: Order | undefined, decide: Decide): Promise<void> {
    await this.#write(name, order, decide, () => {
      this.#version += 1
      this.#parts.changed(userIdentity(name))
    })
  }

  /** Resolves once it is on disk. What it adds takes nothing from anybody. */
  async #write(
    name: string,
    order: Order | undefined,
    decide: Decide,
    changing = () => {},
  ): Promise<void> {
    const first = this.#judge(name, order, decide)
    if (first.length > 0) await order?.announce?.()
    // What has changed meanwhile is looked at again.
    const changes = this.#judge(name, order, decide)
    // Without changes too: what the answer rests on may not be on disk yet.
    const written = this.#parts.store.write(changes)
    if (changes.length > 0) changing()
    await written
  }

  /** What can be no name is nobody's, and no key of the store. */
  #find(name: string): UserRecord | undefined {
    return isId(name) ? this.#parts.store.user(name) : undefined
  }

  #judge(name: string, order: Order | undefined, decide: Decide): readonly RegistryChange[] {
    order?.assertMay()
    const decision = decide(this.#find(name))
    if (decision.ok) return decision.changes
    throw new AppError(decision.code, `user ${name.slice(0, 64)}: ${MESSAGES[decision.code]}`)
  }

  #judgeToken(name: string, id: string, secret: Uint8Array, source: string): LoginAnswer {
    const admission = this.#limits.begin(this.#nowMs(), name, networkOf(source))
    if (!admission.ok) return this.#answerFor(name, this.#locked(admission.untilMs))
    const token = tokenOf(this.#parts.nowTs(), this.#find(name), id)
    const shown = createHash('sha256').update(secret).digest()
    if (token === undefined || !timingSafeEqual(shown, token.sha256)) {
      this.#limits.wrong(this.#nowMs(), admission)
      return this.#answerFor(name, WRONG)
    }
    this.#limits.right(this.#nowMs(), admission)
    this.#shown.set(id, { name, untilTs: token.untilTs })
    return this.#answerFor(name, RIGHT, id)
  }

  async #judgePassword(
    name: string,
    password: Uint8Array,
    source: string,
    isGone: () => boolean,
  ): Promise<Verdict> {
    const from = `${this.#version} ${name} ${source} `
    const what = createHash('sha256').update(from).update(password).digest('hex')
    const same = this.#underWay.get(what)
    if (same !== undefined) return await same
    const admission = this.#limits.begin(this.#nowMs(), name, networkOf(source))
    if (!admission.ok) return this.#locked(admission.untilMs)
    const verdict = this.#try(admission, password, isGone)
    this.#underWay.set(what, verdict)
    try {
      return await verdict
    } finally {
      this.#underWay.delete(what)
    }
  }

  async #try(admission: Try, password: Uint8Array, isGone: () => boolean): Promise<Verdict> {
    const { passwords } = this.#parts
    const record = this.record(admission.name)?.password
    if (passwords.isRemembered(record, password)) {
      this.#limits.right(this.#nowMs(), admission)
      return RIGHT
    }
    if (!(await this.#waitIfSlow(admission))) {
      this.#limits.unjudged(admission)
      return BUSY
    }
    const verdict = await passwords.judge(record, password, isGone, admission.isKnown)
    if (verdict === 'right') {
      this.#limits.right(this.#nowMs(), admission)
      return RIGHT
    }
    if (verdict === 'wrong') {
      this.#limits.wrong(this.#nowMs(), admission)
      return WRONG
    }
    this.#limits.unjudged(admission)
    return BUSY
  }

  /** False if there is no room to wait. */
  async #waitIfSlow({ delayMs }: Try): Promise<boolean> {
    if (delayMs === 0) return true
    if (this.#slow >= SLOW_MAX) return false
    this.#slow += 1
    await new Promise<void>((resolve) => {
      this.#parts.clock.after(delayMs, resolve)
    })
    this.#slow -= 1
    return true
  }

  /** By what the user may do now. */
  #answerFor(name: string, { word: code, ...more }: Verdict, token?: string): LoginAnswer {
    const isKnown = this.record(name) !== undefined
    const who = isKnown ? `user/${name}` : NOBODY
    if (code !== 'right') return { ok: false, code, who, ...more }
    const principal = this.principal(name)
    if (principal !== undefined) {
      this.#used(name, token === undefined ? {} : { token })
      return { ok: true, who: token === undefined ? principal : { ...principal, token } }
    }
    return this.#answerFor(name, NOT_ALLOWED)
  }

  /** Nobody waits for that, and a store that fails says so by itself. */
  #used(name: string, by: { readonly token?: string; readonly key?: string }): void {
    const { store, nowTs } = this.#parts
    const changes = used(nowTs(), name, this.#find(name), by)
    if (changes.length > 0) store.write(changes).catch(() => {})
  }

  #locked(untilMs: number): Verdict {
    return { word: 'user-locked', retryMs: untilMs - this.#nowMs() }
  }

  #nowMs(): number {
    return this.#parts.clock.now().monotonicMs
  }
}

function userIdentity(name: string): string {
  return identityOf({ kind: 'user', name, roles: [], topics: [] })
}

function bytesOf(password: string): Uint8Array {
  const bytes = Buffer.from(password)
  if (bytes.length >= PASSWORD_BYTES_MIN && bytes.length <= PASSWORD_BYTES_MAX) return bytes
  const message = `a password has ${PASSWORD_BYTES_MIN} to ${PASSWORD_BYTES_MAX} bytes`
  throw new AppError('password-unsuitable', message)
}

function usersFull(max: number): AppError {
  return new AppError('users-full', `there are ${max} users`, { exitCode: EXIT_NO_ROOM })
}
