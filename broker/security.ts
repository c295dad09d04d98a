/**
 * What a gateway that is secured has beside an open one: its keys, the registry of who is whom, and the door that
 * asks both. It lies in `security/` of the gateway's data; where that is, the gateway is secured, and beyond
 * loopback it never is anything else.
 */
import { createHash, randomBytes, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { toBase32 } from '../shared/core/base32.ts'
import type { NodeId } from '../shared/core/ids.ts'
import { sourceOf } from '../shared/core/source.ts'
import type { EnrolmentRefusal } from '../shared/protocol/enrolment.ts'
import type { SecurityEvent, ToldEvent } from '../shared/protocol/security-events.ts'
import { named, SECURITY_FOLDER, type SecurityHead } from '../shared/protocol/security-log.ts'
import { formatToken, TOKEN_ID_BYTES, TOKEN_SECRET_BYTES } from '../shared/protocol/tokens.ts'
import type { Clock } from '../shared/runtime/clock.ts'
import type { Source } from '../shared/runtime/config.ts'
import { AppError, EXIT_CONFIG } from '../shared/runtime/errors.ts'
import type { Logger } from '../shared/runtime/logger.ts'
import { isThere } from '../shared/runtime/private-folder.ts'
import { fingerprintText, spkiOf } from '../shared/runtime/public-keys.ts'
import type { EnrolmentDoorPort } from './adapters/enrolment-door.ts'
import type { Certified, FleetKeys } from './adapters/fleet-keys.ts'
import type {
  Asker,
  AuthorityPort,
  NodeIdentityView,
  RecipientPort,
  SecurityPort,
  SecurityStatus,
  TokenView,
  TokenWish,
  UserPort,
} from './adapters/http-port.ts'
import type { IdentityStore } from './adapters/identity-store.ts'
import type { SecureDoorOptions } from './adapters/mqtt-secure-door.ts'
import type { SecurityLog } from './adapters/security-log.ts'
import type { ShutSourcesPort } from './adapters/tls-listener.ts'
import { type GatewayConfig, isLoopback } from './config.ts'
import { EnrolmentLimits, ShutSources } from './core/access/guess-limits.ts'
import type { RecentRefusals } from './core/access/recent-refusals.ts'
import type { NodeToken } from './core/access/registry.ts'
import { TimeFloor } from './core/access/time-floor.ts'
import { HttpLogins } from './http-logins.ts'
import { Identities } from './identities.ts'
import { type RotationPort, Rotations } from './rotations.ts'
import { statusOf } from './security-status.ts'
import type { Users } from './users.ts'

/** What it asks of the rest of the gateway. */
export interface SecurityContext {
  /** The ledger has a node of this name. */
  isNameKnown(node: NodeId): boolean
  /** The ledger says that it was drained, and is not to come back. */
  hasLeft(node: NodeId): boolean
  /** Its keys are gone: nothing that they opened is to stay, and its tiles need another place. */
  revoked(node: NodeId): Promise<void>
  /** Nothing that was asked in it may be answered any more. */
  sessionEnded(session: string): void
  /** These keys of a node are gone, and others are there: whoever is here by one of them is to go. */
  keysOut(node: NodeId, keys: readonly string[]): void
  sendKey: RotationPort['send']
  channelOf: RotationPort['channelOf']
  /** How old the key of a node may become. */
  readonly rotateAfterMs?: number | undefined
  readonly clock: Clock
  readonly logger: Logger
  fatal(error: unknown): void
}

/** Of the keys, and of the registry in `identities`. */
export function securityFolder(data: string): string {
  return join(data, SECURITY_FOLDER)
}

/** Whether the gateway is to be secured. Fails where it would be open to others, or has been secured and is not told to forget it. */
export function isSecured(
  config: Pick<GatewayConfig, 'data' | 'host' | 'httpHost' | 'security'>,
  source: Source,
): boolean {
  const hasKeys = isThere(securityFolder(config.data))
  if (config.security === 'off') {
    if (!hasKeys || source === 'flag') return false
    const message = `${config.data} is secured: only --security off on the command line opens it`
    throw new AppError('secured', message, { exitCode: EXIT_CONFIG })
  }
  const isMeantToBe = config.security === 'on' || ![config.host, config.httpHost].every(isLoopback)
  if (isMeantToBe && !hasKeys) {
    const message = `${config.data} is not secured yet: obelisk gateway secure --host ${config.host}`
    throw new AppError('not-secured', message, { exitCode: EXIT_CONFIG })
  }
  return hasKeys
}

export interface SecurityParts {
  readonly keys: FleetKeys
  readonly store: IdentityStore
  readonly log: SecurityLog
  readonly users: Users
  readonly userCalls: UserPort
  readonly authorityCalls: AuthorityPort
  readonly recipients: RecipientPort
  readonly folder: string
  readonly refusals: RecentRefusals
  /** Resolves with a certificate, PEM. */
  certifyNode(authority: FleetKeys['authority'], spki: Uint8Array, node: NodeId): Promise<string>
}

/** What a board is told for which it is too early. */
const BUSY: EnrolmentRefusal = 'busy'

export class Security implements SecurityPort {
  readonly #parts: SecurityParts
  readonly #identities: Identities
  readonly #logins: HttpLogins
  readonly #enrolments = new EnrolmentLimits()
  readonly #shut = new ShutSources()
  readonly #floor: TimeFloor
  readonly #context: SecurityContext

  readonly rotations: Rotations

  constructor(parts: SecurityParts, context: SecurityContext) {
    const { log, keys, certifyNode, users } = parts
    const {
      logger,
      clock,
      sessionEnded,
      sendKey: send,
      channelOf,
      rotateAfterMs: afterMs,
    } = context
    this.#parts = parts
    this.#identities = new Identities({}, parts.store)
    this.#context = context
    this.#floor = new TimeFloor(parts.store.meta.floorTs, clock.now())
    const ownerOf = (key: string): NodeId | undefined => this.#identities.ownerOf(key)
    this.#logins = new HttpLogins({ log, users, ownerOf, clock, sessionEnded })
    this.rotations = new Rotations({ afterMs }, this.#identities, {
      ...{ logger, send, channelOf, nowTs: () => this.nowTs() },
      certify: (spki, node) => certifyNode(keys.authority, spki, node),
      append: (event) => log.append(event),
      tell: (event) => log.tell(event),
    })
  }

  /** How the gateway's own client shows who it is. */
  get probe(): Certified & { readonly ca: string } {
    const { probe, authority } = this.#parts.keys
    return { ...probe, ca: authority.certificate }
  }

  /** Sources that no door listens to for a while. */
  get shut(): ShutSourcesPort {
    const now = (): number => this.#context.clock.monotonicMs
    return {
      // The gateway's own client is there, and whoever is on this machine has its processors anyway.
      isShut: (source) => !isHere(source) && this.#shut.isShut(now(), source),
      shut: (source) => this.#shut.shut(now(), source),
    }
  }

  /** Who comes in. */
  get door(): Omit<SecureDoorOptions, 'enrolment'> {
    const { agents, authority, probe } = this.#parts.keys
    const { logger, fatal } = this.#context
    const ca = authority.certificate
    return {
      shut: this.shut,
      keys: { key: agents.key, certificate: `${agents.certificate}${ca}`, ca },
      probe: fingerprintText(spkiOf(new X509Certificate(probe.certificate).publicKey)),
      ownerOf: (sha256) => this.#identities.ownerOf(sha256),
      formerOwnerOf: (sha256) => this.#identities.formerOwnerOf(sha256),
      userOf: (sha256) => this.#parts.users.userOf(sha256),
      login: (attempt, answer) => this.#parts.users.login(attempt, answer),
      keyUsed: (node, sha256) => {
        const out = (keys: readonly string[]): void => {
          this.rotations.used(node)
          this.#context.keysOut(node, keys)
        }
        this.#identities.keyUsed(this.nowTs(), node, sha256, out).catch(fatal)
        logger.debug({ node }, 'a node came in with its key')
      },
    }
  }

  /** Who gets an identity. */
  get enrolment(): EnrolmentDoorPort {
    const { logger, isNameKnown } = this.#context
    const { log, keys } = this.#parts
    const { authority } = keys
    return {
      enrol: async (applicant) => {
        const { node, spki, version, remote, tokenId } = applicant
        const source = sourceOf(remote)
        if (!this.#enrolments.begin(this.#context.clock.monotonicMs, source)) {
          return { ok: false, code: BUSY }
        }
        const shown = { ...applicant, isNameKnown: isNameKnown(node) }
        const who = named('node', node)
        const what = named('token', tokenId)
        const announce = () => log.append({ event: 'enrolled', who, what, source, via: 'enrol' })
        const before = this.#parts.store.identity(node)?.board
        const judgement = await this.#identities.enrol(this.nowTs(), shown, announce)
        if (!judgement.ok) return judgement
        this.#enrolments.right(source)
        if (before !== undefined && before !== (applicant.board ?? before)) {
          log.tell({ event: 'board-changed', who, source, via: 'enrol' })
        }
        const certificate = await this.#parts.certifyNode(authority, spki, node)
        logger.info({ code: 'enrolled', node, version }, `node ${node} has an identity`)
        return { ok: true, certificate, ca: authority.certificate, ts: Date.now() }
      },
      refused: (code, remote, node) => {
        const who = node === undefined ? 'nobody' : named('node', node)
        const event = code === 'token-used' ? 'token-used-twice' : 'enroll-refused'
        log.tell({ event, who, source: sourceOf(remote), via: 'enrol', code })
        logger.warn(
          { code: 'enroll-refused', reason: code, remote, node },
          'an enrolment is refused',
        )
      },
      failed: (error) => logger.error({ err: error }, 'an enrolment failed'),
    }
  }

  /** Who asks over HTTP. */
  get access(): HttpLogins {
    return this.#logins
  }

  get users(): UserPort {
    return this.#parts.userCalls
  }

  get recipients(): RecipientPort {
    return this.#parts.recipients
  }

  async status(): Promise<SecurityStatus> {
    const { clock } = this.#context
    return await statusOf({
      ...{ ...this.#parts, clock, nowTs: () => this.nowTs() },
      authority: () => this.#parts.authorityCalls.view(),
      shut: () => this.#shut.locks(clock.monotonicMs),
    })
  }

  get authority(): string {
    return this.#parts.keys.authority.certificate
  }

  get authorityCalls(): AuthorityPort {
    return this.#parts.authorityCalls
  }

  /** What only tells, of those who come over MQTT. */
  tell(event: SecurityEvent<ToldEvent>): void {
    this.#parts.log.tell(event)
  }

  /** Events since the start, by their names. */
  get counts(): Readonly<Record<string, number>> {
    return this.#parts.log.counts
  }

  async createToken(
    { node, replaces, ttlMs }: TokenWish,
    asker: Asker,
  ): Promise<{
    readonly token: string
    readonly view: TokenView
  }> {
    if (node !== null && this.#context.hasLeft(node)) {
      throw new AppError(
        'node-left',
        `node ${node} has left: obelisk node drain ${node} --undo lets it come back`,
      )
    }
    const hasKey = node !== null && (this.#parts.store.identity(node)?.keys.length ?? 0) > 0
    if (hasKey && !replaces) {
      throw new AppError(
        'node-exists',
        `node ${node} has a key, and a token would not let another board in its place: obelisk token create ${node} --replace makes one that does`,
      )
    }
    const [nowTs, secret] = [this.nowTs(), randomBytes(TOKEN_SECRET_BYTES)]
    const id = toBase32(randomBytes(TOKEN_ID_BYTES))
    const sha256 = createHash('sha256').update(secret).digest()
    const untilTs = nowTs + ttlMs
    const value: NodeToken = { sha256, node, replaces, untilTs, createdTs: nowTs, by: asker.who }
    const what = node === null ? named('token', id) : named('node', node)
    const { who, via } = asker
    await this.#identities.addToken(nowTs, id, value, {
      announce: () => this.#parts.log.append({ event: 'token-created', what, who, via }),
      assertMay: () => asker.assertMay(),
    })
    const token = formatToken({ kind: 'node', id, secret, pin: this.#parts.keys.pin })
    return { token, view: viewOf(id, value) }
  }

  async tokens(): Promise<readonly TokenView[]> {
    const views: TokenView[] = []
    for await (const [id, value] of this.#parts.store.eachToken()) views.push(viewOf(id, value))
    return views.sort((a, b) => b.createdTs - a.createdTs)
  }

  async revokeToken(id: string, { who, via }: Asker): Promise<boolean> {
    const isChange = await this.#identities.revokeToken(this.nowTs(), id)
    const what = named('token', id)
    if (isChange) await this.#parts.log.append({ event: 'token-revoked', who, via, what })
    return isChange !== undefined
  }

  identity(node: NodeId): NodeIdentityView | undefined {
    const identity = this.#parts.store.identity(node)
    return identity && { node, ...identity }
  }

  async revokeNode(node: NodeId, { who, via }: Asker): Promise<boolean> {
    const isChange = await this.#identities.revoke(this.nowTs(), node)
    if (isChange === undefined) return false
    await this.#context.revoked(node)
    const what = named('node', node)
    if (isChange) await this.#parts.log.append({ event: 'node-revoked', who, via, what })
    return true
  }

  async rotateNode(node: NodeId, asker: Asker): Promise<boolean> {
    return await this.rotations.want(node, asker)
  }

  /** Whoever could open it needs no name. */
  socketOpened(): void {
    this.#parts.log.tell({ event: 'admin-socket', who: 'admin', via: 'socket' })
  }

  leafRenewed(): void {
    this.#parts.log.tell({ event: 'leaf-renewed', who: 'gateway', via: 'gateway' })
  }

  /** Unix ms that do not go back: what was over does not begin again where the clock is set. */
  nowTs(): number {
    const moment = this.#context.clock.now()
    const floorTs = this.#floor.move(moment)
    if (this.#floor.isAhead(moment)) {
      this.#parts.log.tell({ event: 'clock-behind', who: 'gateway', via: 'gateway' })
    }
    this.#parts.store.keepMeta({ floorTs })
    return Math.max(moment.wallMs, floorTs)
  }

  /** Where the security log ends: whoever keeps that sees when lines are missing. */
  get logHead(): SecurityHead {
    return this.#parts.log.head
  }

  /** Resolves once the time that has passed is on disk. */
  async keepTime(): Promise<void> {
    this.nowTs()
    await this.#parts.store.flushMeta()
  }
}

function isHere(source: string): boolean {
  return isLoopback(source) || source === sourceOf('::1')
}

function viewOf(id: string, { sha256: _secret, ...rest }: NodeToken): TokenView {
  return { id, ...rest }
}
