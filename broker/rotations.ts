/**
 * Keys of boards that are to be followed by others: joins the registry's decisions with the connections of boards, and
 * decides nothing. A board is asked on its connection, one after the other, since each comes back for it; what
 * it shows is on disk, and in the log, before it gets a certificate for it. One that is away is asked when it is back.
 */
import { verify } from 'node:crypto'
import type { NodeId } from '../shared/core/ids.ts'
import { type KeyDown, type KeyUp, rekeyedBytes } from '../shared/protocol/rekey.ts'
import type { SecurityEvent, ToldEvent, WeighedEvent } from '../shared/protocol/security-events.ts'
import { named } from '../shared/protocol/security-log.ts'
import type { Logger } from '../shared/runtime/logger.ts'
import { fingerprintText, parsePublicKey } from '../shared/runtime/public-keys.ts'
import type { Asker } from './adapters/http-port.ts'
import type { ConnectionId } from './core/events.ts'
import type { Identities } from './identities.ts'

export interface RotationOptions {
  /** How old a key may become; without it, as old as it likes. */
  readonly afterMs?: number | undefined
  /** Between two boards that are asked. */
  readonly pauseMs?: number
}

/** What a board's connection says of itself. */
export interface Channel {
  /** SHA-256 of the key that it was opened with, hexadecimal. */
  readonly key: string
  /** Keying material of this connection alone. */
  readonly exported: Uint8Array
  /** As limits count it (source.ts). */
  readonly source: string
}

export interface RotationPort {
  nowTs(): number
  /** Resolves with a certificate, PEM. */
  certify(spki: Uint8Array, node: NodeId): Promise<string>
  send(connection: ConnectionId, message: KeyDown): void
  channelOf(connection: ConnectionId): Channel | undefined
  append(event: SecurityEvent<WeighedEvent>): Promise<void>
  tell(event: SecurityEvent<ToldEvent>): void
  readonly logger: Logger
}

const PAUSE_MS = 200
/** Keys that a board may show one after the other and use none of, and how long it is left alone then. */
const UNUSED_MAX = 3
const UNUSED_REST_MS = 3_600_000

export class Rotations {
  readonly #afterMs: number | undefined
  readonly #pauseMs: number
  readonly #identities: Identities
  readonly #port: RotationPort
  /** Boards that are here, by their connection. */
  readonly #here = new Map<ConnectionId, NodeId>()
  /** Those that were asked and have not answered. */
  readonly #asked = new Set<ConnectionId>()
  /** The first is next. */
  readonly #waiting = new Set<ConnectionId>()
  /** How many keys a node has shown since it last used one: each is kept for ever, so there is an end of it. */
  readonly #unused = new Map<NodeId, { readonly count: number; readonly lastTs: number }>()
  #timer: NodeJS.Timeout | undefined

  constructor(
    { afterMs, pauseMs = PAUSE_MS }: RotationOptions,
    identities: Identities,
    port: RotationPort,
  ) {
    this.#afterMs = afterMs
    this.#pauseMs = pauseMs
    this.#identities = identities
    this.#port = port
  }

  /** A board is here. */
  admitted(connection: ConnectionId, node: NodeId): void {
    this.#here.set(connection, node)
    this.#consider(connection, node)
  }

  closed(connection: ConnectionId): void {
    this.#here.delete(connection)
    this.#asked.delete(connection)
    this.#waiting.delete(connection)
  }

  /** A node came in with a key that is new. */
  used(node: NodeId): void {
    this.#unused.delete(node)
  }

  /** Looks whose key has become too old. */
  look(): void {
    for (const [connection, node] of this.#here) this.#consider(connection, node)
  }

  /** Resolves once it is on disk that the node is to make another key; false if it has none. */
  async want(node: NodeId, { who, via }: Pick<Asker, 'who' | 'via'>): Promise<boolean> {
    const announce = (): Promise<void> =>
      this.#port.append({ event: 'rotation-wanted', who, via, what: named('node', node) })
    if (!(await this.#identities.wantRotation(this.#port.nowTs(), node, announce))) return false
    for (const [connection, one] of this.#here) if (one === node) this.#consider(connection, node)
    return true
  }

  /** A board shows its next key. */
  take(connection: ConnectionId, node: NodeId, shown: KeyUp): void {
    const { logger } = this.#port
    // Each costs the gateway a certificate: so no more than it asked for.
    if (!this.#asked.delete(connection)) {
      logger.warn({ code: 'rekey-unasked', node }, 'a node shows a key that nobody has asked for')
      return
    }
    this.#judge(connection, node, shown).catch((error) => {
      logger.error({ err: error, code: 'rekey-failed', node }, 'the node keeps the key that it has')
    })
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#waiting.clear()
  }

  #consider(connection: ConnectionId, node: NodeId): void {
    if (this.#asked.has(connection) || this.#waiting.has(connection)) return
    const nowTs = this.#port.nowTs()
    if (!this.#identities.isRotationDue(nowTs, node, this.#afterMs)) return
    const { count = 0, lastTs = 0 } = this.#unused.get(node) ?? {}
    if (count >= UNUSED_MAX && nowTs - lastTs < UNUSED_REST_MS) return
    this.#waiting.add(connection)
    if (this.#timer === undefined) this.#askNext()
  }

  #askNext(): void {
    this.#timer = undefined
    const [connection] = this.#waiting
    if (connection === undefined) return
    this.#waiting.delete(connection)
    this.#asked.add(connection)
    this.#port.send(connection, { t: 'rekey' })
    this.#timer = setTimeout(() => this.#askNext(), this.#pauseMs)
  }

  async #judge(connection: ConnectionId, node: NodeId, { key: spki, sig }: KeyUp): Promise<void> {
    const { logger, tell, append } = this.#port
    const channel = this.#port.channelOf(connection)
    if (channel === undefined) return
    const { key: current, exported, source } = channel
    const key = parsePublicKey(spki)
    const proven = rekeyedBytes(exported, node, spki)
    const isProven =
      key !== undefined && verify('sha256', proven, { key, dsaEncoding: 'ieee-p1363' }, sig)
    const next = key && fingerprintText(spki)
    const who = named('node', node)
    const announce = (): Promise<void> => append({ event: 'key-rotated', who, source, via: 'mqtt' })
    const shown = { node, current, next, isProven }
    const judgement = await this.#identities.rotate(this.#port.nowTs(), shown, announce)
    if (!judgement.ok) {
      const { code } = judgement
      tell({ event: 'enroll-refused', who, source, via: 'mqtt', code })
      logger.warn(
        { code: 'rekey-refused', reason: code, node },
        'the next key of a node is refused',
      )
      return
    }
    if (judgement.changes.length > 0) {
      const { count = 0 } = this.#unused.get(node) ?? {}
      this.#unused.set(node, { count: count + 1, lastTs: this.#port.nowTs() })
    }
    const cert = await this.#port.certify(spki, node)
    logger.info({ code: 'key-rotated', node }, `node ${node} has another key, which it is to use`)
    this.#port.send(connection, { t: 'rekeyed', cert })
  }
}
