/**
 * Who may be which node: the right is the hash of a public key that stands here, not the certificate that
 * carries it, so that taking it out ends the right at once (security.md, 4, 7 and 12). A token gives a key its place, once:
 * the same key may ask again until the token expires, since the answer may be lost; no other key ever. A key that
 * was taken out stays as a tombstone and never comes back, whatever token it has.
 *
 * A node's keys stand in the order in which they count: the active one, that which it has made to follow it (a rotation),
 * those that tokens gave (replacements), the oldest first. All of them work, and the first use of one takes out
 * those before it and no other. So whoever has a key that works has one until a later one was used:
 *
 *   none ─▶ [a] ─▶ [a, r?, p, q?]      a token, or a rotation of a, adds one
 *           [a, r, p, q] ─▶ [r, p, q]  r is used: a is out, and who replaces the board may still come
 *           [a, r, p, q] ─▶ [p, q]     p is used: a and r are out; of two replacements the later one stays
 *           [a, r, p, q] ─▶ [q]        q is used: p, which never was, is out
 *   any ─▶ none                        the node is revoked
 *
 * All of it is decisions on records, which the store keeps; each gives the changes of one transaction.
 */
import { assert } from '../../../shared/core/assert.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import type { EnrolmentRefusal } from '../../../shared/protocol/enrolment.ts'
import { isOver } from './time-floor.ts'
import type { UserRecord, UserTokenRecord } from './users.ts'

export interface NodeIdentity {
  /** At most four, in the order in which they count; the first is the active one. */
  readonly keys: readonly NodeKey[]
  /** Unix ms. */
  readonly createdTs: number
  /** SHA-256 of the board's serial number, hexadecimal. */
  readonly board?: string
  readonly revokedTs?: number
  /** When an operator wanted another key; until one is used. No order of times is asked for: clocks stand still. */
  readonly rotateTs?: number
}

export interface NodeKey {
  /** Of its SubjectPublicKeyInfo, hexadecimal. */
  readonly sha256: string
  readonly addedTs: number
  readonly state: 'active' | 'pending'
  /** The key that it is to follow, of the same board: a rotation. */
  readonly follows?: string
}

/** What a key is, or was. */
export interface KeyRecord {
  /** Whose it is, or was: of one of the two. */
  readonly node?: NodeId
  readonly user?: string
  /** It is a tombstone. */
  readonly removedTs?: number
}

export interface NodeToken {
  /** SHA-256 of its secret. */
  readonly sha256: Uint8Array
  /** Null for any one that nobody has heard of yet. */
  readonly node: NodeId | null
  /** Its node may have a key, whose place the new one takes. */
  readonly replaces: boolean
  readonly untilTs: number
  readonly createdTs: number
  readonly by: string
  /** The key that used it. */
  readonly usedBy?: string
  readonly usedTs?: number
  readonly revokedTs?: number
}

/** Keys of tokens that have not been used yet; one more, and the oldest of them is out. */
const REPLACEMENTS_MAX = 2

/** How long what is over is kept, so that whoever comes with it hears why it is none. */
const TOKEN_KEPT_MS = 30 * 24 * 3600 * 1000

/** Somebody to whom results can be sealed. */
export interface RecipientRecord {
  /** Of X-Wing. */
  readonly key: Uint8Array
  /** Unix ms. */
  readonly addedTs: number
  readonly by: string
}

export type RegistryChange =
  | { readonly table: 'identity'; readonly key: NodeId; readonly value: NodeIdentity }
  | { readonly table: 'key'; readonly key: string; readonly value: KeyRecord }
  | { readonly table: 'token'; readonly key: string; readonly value: NodeToken }
  | { readonly table: 'user'; readonly key: string; readonly value: UserRecord }
  /** These go where there is none. */
  | { readonly table: 'user-token'; readonly key: string; readonly value?: UserTokenRecord }
  | { readonly table: 'recipient'; readonly key: string; readonly value?: RecipientRecord }

export interface EnrolmentFacts {
  readonly node: NodeId
  readonly board: string | undefined
  /** Nothing if there is none with this id, or its secret is another: nobody learns which. */
  readonly token: { readonly id: string; readonly value: NodeToken } | undefined
  /** Nothing if it is no key that we take. */
  readonly key: string | undefined
  /** The board has the private key, and signed on this very connection. */
  readonly isProven: boolean
  readonly keyRecord: KeyRecord | undefined
  readonly identity: NodeIdentity | undefined
  /** The ledger has, or had, a node of this name. */
  readonly isNameKnown: boolean
}

export type Judgement<Refusal = EnrolmentRefusal> =
  | { readonly ok: true; readonly changes: readonly RegistryChange[] }
  | { readonly ok: false; readonly code: Refusal }

export function judgeEnrolment(nowTs: number, facts: EnrolmentFacts): Judgement {
  const { node, token, key, keyRecord, identity } = facts
  const code = refusalOf(nowTs, facts)
  if (code !== undefined) return { ok: false, code }
  const { id, value } = token!
  const changes: RegistryChange[] = []
  if (value.usedBy === undefined) {
    const used: NodeToken = { ...value, node, usedBy: key!, usedTs: nowTs }
    changes.push({ table: 'token', key: id, value: used })
  }
  if (keyRecord === undefined) changes.push(...withKey(nowTs, key!, facts))
  else assertHas(identity, key!)
  return { ok: true, changes }
}

function refusalOf(nowTs: number, facts: EnrolmentFacts): EnrolmentRefusal | undefined {
  const { node, key, keyRecord, identity } = facts
  if (facts.token === undefined) return 'token-unknown'
  const { value: token } = facts.token
  if (token.revokedTs !== undefined) return 'token-revoked'
  if (isOver(nowTs, token)) return 'token-expired'
  if (token.node !== null && token.node !== node) return 'token-other-node'
  if (key === undefined) return 'key-unsuitable'
  if (!facts.isProven) return 'proof-wrong'
  if (token.usedBy !== undefined && token.usedBy !== key) return 'token-used'
  if (keyRecord?.removedTs !== undefined) return 'key-revoked'
  if (keyRecord !== undefined) return keyRecord.node === node ? undefined : 'key-unsuitable'
  // It had its place, and somebody took that without a word of this key: a registry that was restored.
  if (token.usedBy === key) return 'key-revoked'
  if (token.node === null && (identity !== undefined || facts.isNameKnown)) return 'node-exists'
  const hasKey = identity !== undefined && identity.keys.length > 0
  return hasKey && !token.replaces ? 'node-exists' : undefined
}

function withKey(nowTs: number, key: string, facts: EnrolmentFacts): RegistryChange[] {
  const { node, identity, board } = facts
  const keys = identity?.keys ?? []
  const state = keys.length === 0 ? 'active' : 'pending'
  const replacements = keys.filter((one) => one.state === 'pending' && one.follows === undefined)
  const [oldest] = replacements.length < REPLACEMENTS_MAX ? [] : replacements
  const value: NodeIdentity = {
    createdTs: identity?.createdTs ?? nowTs,
    ...(board === undefined ? {} : { board }),
    ...(identity?.rotateTs === undefined ? {} : { rotateTs: identity.rotateTs }),
    keys: [...keys.filter((one) => one !== oldest), { sha256: key, addedTs: nowTs, state }],
  }
  return changesTo(nowTs, node, identity, value)
}

export interface RotationFacts {
  readonly node: NodeId
  readonly identity: NodeIdentity | undefined
  /** The key that the connection was opened with. */
  readonly current: string
  /** The one that is to follow it; nothing if it is no key that we take. */
  readonly next: string | undefined
  readonly isProven: boolean
  readonly keyRecord: KeyRecord | undefined
}

export type RotationRefusal = Extract<
  EnrolmentRefusal,
  'key-revoked' | 'key-unsuitable' | 'proof-wrong'
>

/** A board shows the key that is to follow the one that it is here with. The same one may be shown again. */
export function judgeRotation(nowTs: number, facts: RotationFacts): Judgement<RotationRefusal> {
  const { node, identity, next, keyRecord } = facts
  const code = rotationRefusalOf(facts)
  if (code !== undefined) return { ok: false, code }
  if (keyRecord !== undefined) return { ok: true, changes: [] }
  const { keys } = identity!
  const active = activeOf(keys)!
  const others = keys.filter((one) => one !== active && one.follows === undefined)
  const follows = active.sha256
  const following: NodeKey = { sha256: next!, addedTs: nowTs, state: 'pending', follows }
  const value: NodeIdentity = { ...identity!, keys: [active, following, ...others] }
  return { ok: true, changes: changesTo(nowTs, node, identity, value) }
}

function rotationRefusalOf(facts: RotationFacts): RotationRefusal | undefined {
  const { identity, current, next, isProven, keyRecord } = facts
  const keys = identity?.keys ?? []
  if (activeOf(keys)?.sha256 !== current) return 'key-revoked'
  if (next === undefined) return 'key-unsuitable'
  if (!isProven) return 'proof-wrong'
  if (keyRecord === undefined) return undefined
  if (keyRecord.removedTs !== undefined) return 'key-revoked'
  const isKnown = keys.some(({ sha256, follows }) => sha256 === next && follows === current)
  return isKnown ? undefined : 'key-unsuitable'
}

function activeOf(keys: readonly NodeKey[]): NodeKey | undefined {
  return keys.find(({ state }) => state === 'active')
}

/** Whether the node is to make another key: an operator says so, or the one it has is older than that. */
export function isRotationDue(
  nowTs: number,
  { keys, rotateTs }: NodeIdentity,
  afterMs = Number.POSITIVE_INFINITY,
): boolean {
  const active = activeOf(keys)
  if (active === undefined) return false
  return rotateTs !== undefined || nowTs - active.addedTs > afterMs
}

/** The node is to make another key; nothing to be written if it has none. */
export function wantRotation(
  nowTs: number,
  node: NodeId,
  identity: NodeIdentity,
): RegistryChange[] {
  if (identity.keys.length === 0) return []
  return [{ table: 'identity', key: node, value: { ...identity, rotateTs: nowTs } }]
}

/** A node connected with this key, which is one of its own: those before it are out, if it is a new one. */
export function keyUsed(
  nowTs: number,
  node: NodeId,
  identity: NodeIdentity,
  sha256: string,
): RegistryChange[] {
  const at = identity.keys.findIndex((one) => one.sha256 === sha256)
  if (identity.keys[at]?.state !== 'pending') return []
  const { addedTs } = identity.keys[at]
  const keys: NodeKey[] = [{ sha256, addedTs, state: 'active' }, ...identity.keys.slice(at + 1)]
  const { rotateTs: _done, ...rest } = identity
  return changesTo(nowTs, node, identity, { ...rest, keys })
}

/** Nothing that was given to the node works from then on: not its keys, nor tokens that it may still have. */
export function revokeNode(
  nowTs: number,
  node: NodeId,
  identity: NodeIdentity,
  tokens: Iterable<readonly [id: string, NodeToken]>,
): RegistryChange[] {
  const { rotateTs: _over, ...rest } = identity
  const changes = changesTo(nowTs, node, identity, { ...rest, keys: [], revokedTs: nowTs })
  for (const [id, token] of tokens) {
    if (token.node !== node || token.revokedTs !== undefined) continue
    changes.push({ table: 'token', key: id, value: { ...token, revokedTs: nowTs } })
  }
  return changes
}

/** The token has been over, or revoked, for so long that nobody is told any more what it was. */
export function isForgotten(nowTs: number, { untilTs, revokedTs }: NodeToken): boolean {
  return Math.min(untilTs, revokedTs ?? untilTs) < nowTs - TOKEN_KEPT_MS
}

/** The identity is another: keys that it has now are its own, and those that it has no longer are out. */
function changesTo(
  nowTs: number,
  node: NodeId,
  before: NodeIdentity | undefined,
  value: NodeIdentity,
): RegistryChange[] {
  const had = (before?.keys ?? []).map(({ sha256 }) => sha256)
  const has = value.keys.map(({ sha256 }) => sha256)
  const added = has.filter((key) => !had.includes(key)).map((key) => keyChange(key, { node }))
  const gone = had.filter((key) => !has.includes(key))
  return [
    { table: 'identity', key: node, value },
    ...added,
    ...gone.map((key) => keyChange(key, { node, removedTs: nowTs })),
  ]
}

function keyChange(key: string, value: KeyRecord): RegistryChange {
  return { table: 'key', key, value }
}

function assertHas(identity: NodeIdentity | undefined, key: string): void {
  assert(identity?.keys.some(({ sha256 }) => sha256 === key) === true, 'the key is its node’s')
}
