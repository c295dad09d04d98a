/**
 * Who may log in, and as what (security.md, 4): a record a user, with what proves him: a password, tokens for programs,
 * and keys of certificates. What a user may do is read from his record each time, so that a change holds from then on.
 * A key that was taken out stays as a tombstone, as that of a node does, and a key is one identity's alone.
 *
 * All of it is decisions on records, which the store keeps; each gives the changes of one transaction.
 */
import { isId } from '../../../shared/core/ids.ts'
import type { Grant, Role, UserPrincipal } from '../../../shared/protocol/access.ts'
import { isFilter } from '../../../shared/protocol/topic-filters.ts'
import type { Judgement, KeyRecord, RegistryChange } from './registry.ts'
import { isOver } from './time-floor.ts'

/** What scrypt made of a password, and of what [RFC 7914]. */
export interface PasswordRecord {
  readonly n: number
  readonly r: number
  readonly p: number
  readonly salt: Uint8Array
  readonly hash: Uint8Array
}

export interface UserToken {
  readonly id: string
  /** SHA-256 of its secret, which is random: nothing slower is needed. */
  readonly sha256: Uint8Array
  readonly label: string
  readonly createdTs: number
  readonly untilTs: number
  /** The day in which it was used last. Unix ms. */
  readonly lastTs?: number
}

export interface UserKey {
  /** Of its SubjectPublicKeyInfo, hexadecimal. */
  readonly sha256: string
  readonly label: string
  readonly addedTs: number
  /** Likewise. */
  readonly lastTs?: number
}

export interface UserRecord {
  readonly roles: readonly Role[]
  readonly grant?: Grant
  /** Filters outside the base that it may use. */
  readonly topics: readonly string[]
  readonly password?: PasswordRecord
  readonly tokens: readonly UserToken[]
  readonly keys: readonly UserKey[]
  /** Unix ms. */
  readonly createdTs: number
  readonly by: string
  /** The day in which he came last, by whatever. */
  readonly lastTs?: number
  readonly disabledTs?: number
  /** It was removed; what was its own is nobody's. */
  readonly revokedTs?: number
  /** How many of this name there were before. */
  readonly generation?: number
}

/** Which user a token is of. */
export interface UserTokenRecord {
  readonly user: string
}

/** What of a grant is to be another: what is left out stays, and a rate that is null goes. */
export interface GrantWish extends Partial<Pick<Grant, 'ops' | 'regions' | 'fields'>> {
  readonly tasksPerSecond?: number | null
  readonly openTasksMax?: number | null
}

/** What of a user can be changed; null takes it away. */
export interface UserWish {
  readonly roles?: readonly Role[]
  readonly grant?: GrantWish | null
  readonly topics?: readonly string[]
  readonly password?: PasswordRecord | null
  readonly isDisabled?: boolean
}

export type UserRefusal =
  | 'user-name-wrong'
  | 'user-exists'
  | 'user-unknown'
  | 'topic-filter-wrong'
  | 'grant-incomplete'
  | 'user-key-unknown'
  | 'user-keys-full'
  | 'user-token-unknown'
  | 'user-tokens-full'
  | 'key-known'

export type UserDecision = Judgement<UserRefusal>

export const USER_TOKENS_MAX = 16
export const USER_KEYS_MAX = 4
const TOPICS_MAX = 32
const DAY_MS = 86_400_000
const UNUSED_MS = 90 * DAY_MS
const TOPIC_BYTES_MAX = 256

export function addUser(
  nowTs: number,
  name: string,
  before: UserRecord | undefined,
  wish: UserWish & { readonly by: string },
): UserDecision {
  if (!isId(name)) return refuse('user-name-wrong')
  const generation = before === undefined ? {} : { generation: (before.generation ?? 0) + 1 }
  if (isThere(before)) return refuse('user-exists')
  const { by, ...changes } = wish
  const none = { roles: [], topics: [], tokens: [], keys: [] }
  const fresh: UserRecord = { ...none, createdTs: nowTs, by, ...generation }
  return changeUser(nowTs, name, fresh, changes)
}

export function changeUser(
  nowTs: number,
  name: string,
  before: UserRecord | undefined,
  wish: UserWish,
): UserDecision {
  if (!isThere(before)) return refuse('user-unknown')
  if (wish.topics !== undefined && !wish.topics.every(isForeignFilter)) {
    return refuse('topic-filter-wrong')
  }
  if ((wish.topics?.length ?? 0) > TOPICS_MAX) return refuse('topic-filter-wrong')
  const { grant: _before, password, disabledTs, ...rest } = before
  const grant = grantAfter(before.grant, wish.grant)
  if (grant !== undefined && !isWhole(grant)) return refuse('grant-incomplete')
  const disabled = { disabledTs: disabledTs ?? nowTs }
  const value: UserRecord = {
    ...rest,
    roles: wish.roles ?? before.roles,
    topics: wish.topics ?? before.topics,
    ...optional('grant', grant),
    ...optional('password', wish.password === undefined ? password : wish.password),
    ...((wish.isDisabled ?? disabledTs !== undefined) ? disabled : {}),
  }
  return accept(name, value)
}

/** Nothing becomes more than it was because somebody said something else of it. */
function grantAfter(
  before: Grant | undefined,
  wish: GrantWish | null | undefined,
): Partial<Grant> | undefined {
  if (wish === undefined) return before
  if (wish === null) return undefined
  const all = Object.entries({ ...before, ...wish })
  return Object.fromEntries(all.filter(([, value]) => value !== null && value !== undefined))
}

function isWhole(grant: Partial<Grant>): grant is Grant {
  return [grant.ops, grant.regions, grant.fields].every((one) => one !== undefined)
}

/** Nothing of it proves anything from then on. */
export function removeUser(
  nowTs: number,
  name: string,
  before: UserRecord | undefined,
): UserDecision {
  if (!isThere(before)) return refuse('user-unknown')
  const { password: _password, ...rest } = before
  const value: UserRecord = { ...rest, keys: [], tokens: [], revokedTs: nowTs }
  const keys = before.keys.map(({ sha256 }) => tombstone(nowTs, name, sha256))
  return accept(name, value, ...keys, ...before.tokens.map(withoutToken))
}

/** `known` is what stands of this key already. The answer to the first time may be lost: he may say it again. */
export function addUserKey(
  name: string,
  before: UserRecord | undefined,
  key: UserKey,
  known: KeyRecord | undefined,
): UserDecision {
  if (!isThere(before)) return refuse('user-unknown')
  if (known?.user === name && known.removedTs === undefined) return { ok: true, changes: [] }
  if (known !== undefined) return refuse('key-known')
  if (before.keys.length >= USER_KEYS_MAX) return refuse('user-keys-full')
  const value = { ...before, keys: [...before.keys, key] }
  return accept(name, value, { table: 'key', key: key.sha256, value: { user: name } })
}

export function removeUserKey(
  nowTs: number,
  name: string,
  before: UserRecord | undefined,
  sha256: string,
): UserDecision {
  if (!isThere(before)) return refuse('user-unknown')
  const keys = before.keys.filter((key) => key.sha256 !== sha256)
  if (keys.length === before.keys.length) return refuse('user-key-unknown')
  return accept(name, { ...before, keys }, tombstone(nowTs, name, sha256))
}

/** Those that are over make room. */
export function addUserToken(
  nowTs: number,
  name: string,
  before: UserRecord | undefined,
  token: UserToken,
): UserDecision {
  if (!isThere(before)) return refuse('user-unknown')
  const good = before.tokens.filter((one) => !isOver(nowTs, one))
  if (good.length >= USER_TOKENS_MAX) return refuse('user-tokens-full')
  const over = before.tokens.filter((one) => !good.includes(one))
  const own: RegistryChange = { table: 'user-token', key: token.id, value: { user: name } }
  const value = { ...before, tokens: [...good, token] }
  return accept(name, value, own, ...over.map(withoutToken))
}

export function removeUserToken(
  name: string,
  before: UserRecord | undefined,
  id: string,
): UserDecision {
  if (!isThere(before)) return refuse('user-unknown')
  const tokens = before.tokens.filter((token) => token.id !== id)
  if (tokens.length === before.tokens.length) return refuse('user-token-unknown')
  return accept(name, { ...before, tokens }, withoutToken({ id }))
}

/** He came, by a token or a key if it is named. A day is as exact as it gets: not every use is to be written. */
export function used(
  nowTs: number,
  name: string,
  before: UserRecord | undefined,
  by: { readonly token?: string; readonly key?: string },
): readonly RegistryChange[] {
  if (!isThere(before)) return []
  const isKnown = ({ lastTs }: { readonly lastTs?: number }): boolean =>
    lastTs !== undefined && nowTs - lastTs < DAY_MS
  const stamp = <T extends { readonly lastTs?: number }>(one: T, isThis: boolean): T =>
    isThis && !isKnown(one) ? { ...one, lastTs: nowTs } : one
  const tokens = before.tokens.map((one) => stamp(one, one.id === by.token))
  const keys = before.keys.map((one) => stamp(one, one.sha256 === by.key))
  const isSame =
    isKnown(before) &&
    tokens.every((one, at) => one === before.tokens[at]) &&
    keys.every((one, at) => one === before.keys[at])
  if (isSame) return []
  const value = { ...stamp(before, true), tokens, keys }
  return [{ table: 'user', key: name, value }]
}

/** Nobody has come as this user for so long, or ever. */
export function isUnused(nowTs: number, { lastTs, createdTs }: UserRecord): boolean {
  return nowTs - (lastTs ?? createdTs) > UNUSED_MS
}

/** What a user may do now; nothing if that is nothing at all. */
export function principalOf(
  name: string,
  record: UserRecord | undefined,
): UserPrincipal | undefined {
  if (!isThere(record) || record.disabledTs !== undefined) return undefined
  const { roles, topics, grant, generation } = record
  if (roles.length === 0 && topics.length === 0) return undefined
  const more = { ...optional('grant', grant), ...optional('generation', generation) }
  return { kind: 'user', name, roles, topics, ...more }
}

/** A user's token of this id that is not over. */
export function tokenOf(
  nowTs: number,
  record: UserRecord | undefined,
  id: string,
): UserToken | undefined {
  if (!isThere(record)) return undefined
  return record.tokens.find((token) => token.id === id && !isOver(nowTs, token))
}

export function isThere(record: UserRecord | undefined): record is UserRecord {
  return record !== undefined && record.revokedTs === undefined
}

/** What begins with `$` is the broker's own. */
function isForeignFilter(filter: string): boolean {
  return isFilter(filter) && !filter.startsWith('$') && Buffer.byteLength(filter) <= TOPIC_BYTES_MAX
}

function optional<Name extends string, Value>(
  name: Name,
  value: Value | null | undefined,
): { readonly [K in Name]?: Value } {
  return value === null || value === undefined ? {} : ({ [name]: value } as { [K in Name]: Value })
}

function tombstone(nowTs: number, user: string, sha256: string): RegistryChange {
  return { table: 'key', key: sha256, value: { user, removedTs: nowTs } }
}

function withoutToken({ id }: Pick<UserToken, 'id'>): RegistryChange {
  return { table: 'user-token', key: id }
}

function accept(key: string, value: UserRecord, ...more: RegistryChange[]): UserDecision {
  return { ok: true, changes: [{ table: 'user', key, value }, ...more] }
}

function refuse(code: UserRefusal): UserDecision {
  return { ok: false, code }
}
