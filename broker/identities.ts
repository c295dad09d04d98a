/**
 * Who is whom, for all that ask: joins the registry's decisions with the store of its records, and decides
 * nothing. What is given, or taken, is on disk before anybody hears of it.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { NodeId } from '../shared/core/ids.ts'
import { AppError, EXIT_NO_ROOM } from '../shared/runtime/errors.ts'
import type { IdentityStore } from './adapters/identity-store.ts'
import {
  type EnrolmentFacts,
  isForgotten,
  isRotationDue,
  type Judgement,
  judgeEnrolment,
  judgeRotation,
  keyUsed,
  type NodeToken,
  type RegistryChange,
  type RotationFacts,
  type RotationRefusal,
  revokeNode,
  wantRotation,
} from './core/access/registry.ts'
import type { Order } from './users.ts'

export interface IdentitiesOptions {
  /** Tokens at a time, those of the last 30 days that were used or are over included. */
  readonly tokensMax?: number
}

/** What a board shows of itself, and what the ledger knows of its name. */
export interface ShownByBoard
  extends Pick<EnrolmentFacts, 'node' | 'board' | 'key' | 'isProven' | 'isNameKnown'> {
  readonly tokenId: string
  readonly secret: Uint8Array
}

const TOKENS_MAX = 20_000
const FORGET_MS = 3_600_000

export class Identities {
  readonly #tokensMax: number
  readonly #store: IdentityStore
  /** Those that are long over are looked for where there is no room, and not each time. */
  #forgetting: Promise<void> | undefined
  #forgetAgainTs = Number.NEGATIVE_INFINITY

  constructor({ tokensMax = TOKENS_MAX }: IdentitiesOptions, store: IdentityStore) {
    this.#tokensMax = tokensMax
    this.#store = store
  }

  /** The node whose key this is now. `sha256` is hexadecimal. */
  ownerOf(sha256: string): NodeId | undefined {
    const record = this.#store.key(sha256)
    return record?.removedTs === undefined ? record?.node : undefined
  }

  /** The node whose key this was, if it was taken out. */
  formerOwnerOf(sha256: string): NodeId | undefined {
    const record = this.#store.key(sha256)
    return record?.removedTs === undefined ? undefined : record.node
  }

  /**
   * Resolves with the judgement once what it changes is on disk. Nothing is given that `announce` has not come back
   * for; what has changed meanwhile is looked at again.
   */
  async enrol(
    nowTs: number,
    shown: ShownByBoard,
    announce: () => Promise<void> = async () => {},
  ): Promise<Judgement> {
    const first = this.#judge(nowTs, shown)
    if (!first.ok) return first
    if (first.changes.length > 0) await announce()
    const judgement = this.#judge(nowTs, shown)
    // Without changes too: what the answer rests on may not be on disk yet.
    if (judgement.ok) await this.#store.write(judgement.changes)
    return judgement
  }

  #judge(nowTs: number, shown: ShownByBoard): Judgement {
    const { tokenId, secret, ...facts } = shown
    const found = this.#store.token(tokenId)
    const value = found && isSecretOf(found, secret) ? found : undefined
    // A name that a token was made for is somebody's already, who may come later.
    const isNameKnown =
      facts.isNameKnown || (value !== undefined && this.#store.hasTokenBeside(facts.node, tokenId))
    return judgeEnrolment(nowTs, {
      ...facts,
      isNameKnown,
      token: value && { id: tokenId, value },
      keyRecord: facts.key === undefined ? undefined : this.#store.key(facts.key),
      identity: this.#store.identity(facts.node),
    })
  }

  /**
   * Resolves once it is on disk that this key of the node was used. Those before it are gone: `out` is told which,
   * at once.
   */
  async keyUsed(
    nowTs: number,
    node: NodeId,
    sha256: string,
    out: (keys: readonly string[]) => void = () => {},
  ): Promise<void> {
    const identity = this.#store.identity(node)
    if (identity === undefined) return
    const changes = keyUsed(nowTs, node, identity, sha256)
    if (changes.length === 0) return
    const written = this.#store.write(changes)
    out(changes.flatMap(({ table, key }) => (table === 'key' ? [key] : [])))
    await written
  }

  isRotationDue(nowTs: number, node: NodeId, afterMs: number | undefined): boolean {
    const identity = this.#store.identity(node)
    return identity !== undefined && isRotationDue(nowTs, identity, afterMs)
  }

  /** Resolves once it is on disk that the node is to make another key; false if it has none. */
  async wantRotation(nowTs: number, node: NodeId, announce: () => Promise<void>): Promise<boolean> {
    const wanted = (): readonly RegistryChange[] => {
      const identity = this.#store.identity(node)
      return identity === undefined ? [] : wantRotation(nowTs, node, identity)
    }
    if (wanted().length === 0) return false
    await announce()
    // It may have been revoked meanwhile.
    const changes = wanted()
    await this.#store.write(changes)
    return changes.length > 0
  }

  /** As `enrol`, for the key that is to follow the one that a board is here with. */
  async rotate(
    nowTs: number,
    shown: Pick<RotationFacts, 'node' | 'current' | 'next' | 'isProven'>,
    announce: () => Promise<void>,
  ): Promise<Judgement<RotationRefusal>> {
    const judge = (): Judgement<RotationRefusal> =>
      judgeRotation(nowTs, {
        ...shown,
        identity: this.#store.identity(shown.node),
        keyRecord: shown.next === undefined ? undefined : this.#store.key(shown.next),
      })
    const first = judge()
    if (!first.ok) return first
    if (first.changes.length > 0) await announce()
    const judgement = judge()
    if (judgement.ok) await this.#store.write(judgement.changes)
    return judgement
  }

  /** Resolves once it is on disk: whether there was anything to take, or nothing if nobody has heard of the node. */
  async revoke(nowTs: number, node: NodeId): Promise<boolean | undefined> {
    const tokens = [...this.#store.tokens(node)]
    const identity = this.#store.identity(node)
    if (identity === undefined && tokens.length === 0) return undefined
    const isOut = identity?.revokedTs !== undefined && identity.keys.length === 0
    if (isOut && tokens.every(([, { revokedTs }]) => revokedTs !== undefined)) {
      await this.#store.write([])
      return false
    }
    const known = identity ?? { keys: [], createdTs: nowTs }
    await this.#store.write(revokeNode(nowTs, node, known, tokens))
    return true
  }

  /** Resolves once the token is on disk; `tokens-full` leaves everything as it was. */
  async addToken(nowTs: number, id: string, token: NodeToken, order?: Order): Promise<void> {
    if (this.#store.tokenCount >= this.#tokensMax && nowTs >= this.#forgetAgainTs) {
      this.#forgetAgainTs = nowTs + FORGET_MS
      this.#forgetting = this.#forget(nowTs)
    }
    await this.#forgetting
    this.#assertRoom()
    await order?.announce?.()
    this.#assertRoom()
    if (this.#store.token(id) !== undefined) {
      throw new AppError('token-exists', `there is a token ${id} already`)
    }
    order?.assertMay()
    await this.#store.write([{ table: 'token', key: id, value: token }])
  }

  async #forget(nowTs: number): Promise<void> {
    const over: string[] = []
    for await (const [id, one] of this.#store.eachToken())
      if (isForgotten(nowTs, one)) over.push(id)
    await this.#store.removeTokens(over)
  }

  #assertRoom(): void {
    if (this.#store.tokenCount < this.#tokensMax) return
    const message = `there are ${this.#tokensMax} tokens, and each is kept 30 days after its end`
    throw new AppError('tokens-full', message, { exitCode: EXIT_NO_ROOM })
  }

  /** Resolves once it is on disk: whether the token was not revoked before, or nothing if there is none. */
  async revokeToken(nowTs: number, id: string): Promise<boolean | undefined> {
    const token = this.#store.token(id)
    if (token === undefined) return undefined
    if (token.revokedTs !== undefined) {
      await this.#store.write([])
      return false
    }
    const value = { ...token, revokedTs: nowTs }
    await this.#store.write([{ table: 'token', key: id, value }])
    return true
  }
}

function isSecretOf({ sha256 }: NodeToken, secret: Uint8Array): boolean {
  return timingSafeEqual(createHash('sha256').update(secret).digest(), sha256)
}
