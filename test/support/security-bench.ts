/**
 * What a secured gateway has for those who come in: keys, registry, security log and broker, as they ship. The test
 * has its clock.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import type { Test } from 'tap'
import { certifyNode } from '../../broker/adapters/certificates.ts'
import { EnrolmentDoor, type EnrolmentDoorOptions } from '../../broker/adapters/enrolment-door.ts'
import { type FleetKeys, makeFleetKeys } from '../../broker/adapters/fleet-keys.ts'
import { IdentityStore } from '../../broker/adapters/identity-store.ts'
import { MqttBroker } from '../../broker/adapters/mqtt-broker.ts'
import { SecurityLog } from '../../broker/adapters/security-log.ts'
import type { TlsListenerOptions } from '../../broker/adapters/tls-listener.ts'
import { Security, type SecurityParts } from '../../broker/security.ts'
import { Users } from '../../broker/users.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { GATEWAY_SERVER_NAME } from '../../shared/protocol/enrolment.ts'
import { parseToken, type Token } from '../../shared/protocol/tokens.ts'
import { type Clock, SYSTEM_CLOCK } from '../../shared/runtime/clock.ts'
import { readSecurityLog } from '../../shared/runtime/security-log-files.ts'
import type { EnrolmentPlace } from './enrolment-lines.ts'
import { SecuredGateway } from './secured-bench.ts'
import { shortDirectory } from './short-directory.ts'

export const ASKER = { who: 'admin', via: 'socket', assertMay() {} } as const
const silent = { debug() {}, info() {}, warn() {}, error() {} }

export interface BenchTime {
  /** Beyond what really passed. */
  passedMs: number
  /** Unix ms, as the gateway’s clock says them; somebody may set it. */
  wallMs: number
}

interface Parts {
  readonly security: Security
  readonly broker: MqttBroker
  readonly gateway: SecuredGateway
  readonly keys: FleetKeys
  readonly time: BenchTime
  readonly log: SecurityLog
  readonly folder: string
}

export class SecurityBench {
  readonly security: Security
  readonly broker: MqttBroker
  readonly gateway: SecuredGateway
  readonly keys: FleetKeys
  readonly time: BenchTime
  readonly #log: SecurityLog
  readonly #folder: string
  readonly #t: Test
  #sources = 1

  static async start(
    t: Test,
    door: EnrolmentDoorOptions = {},
    tls: TlsListenerOptions = {},
  ): Promise<SecurityBench> {
    const data = shortDirectory()
    const folder = join(data, 'security')
    const time: BenchTime = { passedMs: 0, wallMs: Date.now() }
    const monotonicMs = (): number => performance.now() + time.passedMs
    const now = () => ({ monotonicMs: monotonicMs(), wallMs: time.wallMs })
    const clock: Clock = { ...SYSTEM_CLOCK, now }
    Object.defineProperty(clock, 'monotonicMs', { get: monotonicMs })
    const fatal = (error: unknown): void => {
      t.fail(String(error))
    }
    const keys = await makeFleetKeys(folder)
    const store = await IdentityStore.open(join(folder, 'identities'), fatal)
    const log = await SecurityLog.open({ folder, now }, silent)
    const users = new Users(
      {},
      {
        ...{ store, clock, nowTs: () => security.nowTs(), changed: () => {} },
        passwords: { isRemembered: () => false, judge: async () => 'wrong' } as never,
      },
    )
    const parts = { keys, store, log, users, certifyNode } as unknown as SecurityParts
    const security: Security = new Security(parts, {
      ...{ clock, fatal, logger: silent, isNameKnown: () => false, hasLeft: () => false },
      revoked: async (node) => broker.endConnectionsOf(node),
      keysOut: (node, keys) => broker.endKeys(node, keys),
      ...{ sessionEnded: () => {}, sendKey: () => false, channelOf: () => undefined },
    })
    const gateway = new SecuredGateway()
    gateway.onSecurityEvent = (event) => security.tell(event as never)
    const enrolment = new EnrolmentDoor(door, security.enrolment)
    const secure = { ...tls, ...security.door, enrolment }
    const broker: MqttBroker = await MqttBroker.start({ port: 0, secure }, gateway)
    t.teardown(async () => {
      await broker.close()
      await log.close()
      await store.close()
      rmSync(data, { recursive: true, force: true })
    })
    return new SecurityBench(t, { security, broker, gateway, keys, time, log, folder })
  }

  private constructor(t: Test, parts: Parts) {
    this.security = parts.security
    this.broker = parts.broker
    this.gateway = parts.gateway
    this.keys = parts.keys
    this.time = parts.time
    this.#log = parts.log
    this.#folder = parts.folder
    this.#t = t
  }

  /** So much later. */
  pass(ms: number): void {
    this.time.passedMs += ms
    this.time.wallMs += ms
  }

  /** Each time another source, so that what happens has a line of its own in the log. */
  get place(): EnrolmentPlace & { readonly from: string } {
    this.#sources += 1
    const ca = this.keys.authority.certificate
    return { port: this.broker.port, ca, from: `127.0.0.${this.#sources}` }
  }

  async token(
    node: NodeId | null,
    more: { readonly ttlMs?: number; readonly replaces?: boolean } = {},
  ): Promise<Token> {
    const { ttlMs = 60_000, replaces = false } = more
    const { token } = await this.security.createToken({ node, replaces, ttlMs }, ASKER)
    return parseToken(token)!
  }

  /** As an agent or another client of MQTT does. */
  dial(more: ConnectionOptions & { readonly localAddress?: string } = {}): TLSSocket {
    const { port, ca, from } = this.place
    const at = { host: '127.0.0.1', port, localAddress: from, servername: GATEWAY_SERVER_NAME }
    const socket = connect({ ...at, ca, ...more })
    socket.on('error', () => {})
    this.#t.teardown(() => socket.destroy())
    return socket
  }

  /** The lines of the log, as `event who code source`, the oldest first. */
  async lines(): Promise<string[]> {
    await this.#log.tick()
    const lines: string[] = []
    await readSecurityLog(this.#folder, undefined, {
      onLine: ({ event, who, code, source }) => {
        lines.push([event, who, code, source].join(' ').trim())
      },
    })
    return lines
  }
}
