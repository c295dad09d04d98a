/** A secured broker on a free port, users who log in at it, and boards with keys: real TLS, real clients. */
import { connect } from 'node:tls'
import { connect as connectClient, type IClientOptions, type MqttClient } from 'mqtt'
import type { Test } from 'tap'
import { EnrolmentDoor } from '../../broker/adapters/enrolment-door.ts'
import { MqttBroker } from '../../broker/adapters/mqtt-broker.ts'
import type { Login } from '../../broker/adapters/mqtt-entrance.ts'
import type { MqttBrokerOptions } from '../../broker/adapters/mqtt-options.ts'
import type { NodeId, TaskId } from '../../shared/core/ids.ts'
import type { Role, UserPrincipal } from '../../shared/protocol/access.ts'
import { GATEWAY_SERVER_NAME } from '../../shared/protocol/enrolment.ts'
import type { SecurityEvent } from '../../shared/protocol/security-events.ts'
import { nodeClientId } from '../../shared/protocol/topics.ts'
import { Gateway, listen } from './broker-bench.ts'
import {
  gatewayKeys,
  identityFor,
  type NewAuthority,
  type NewIdentity,
  newAuthority,
} from './certified.ts'

export interface SecuredOptions extends IClientOptions {
  /** The address that it comes from. */
  readonly from?: string
  /** Gets what it receives, from the first on. */
  readonly heard?: string[]
}

export class SecuredGateway extends Gateway {
  readonly owners = new Map<TaskId, string>()
  readonly events: SecurityEvent[] = []

  ownerOf(task: TaskId): string | undefined {
    return this.owners.get(task)
  }

  onSecurityEvent(event: SecurityEvent): void {
    this.events.push(event)
  }

  /** How often something was told, as `event who code`. */
  told(event: string, who: string, code: string): number {
    return this.events.filter((one) => one.event === event && one.who === who && one.code === code)
      .length
  }
}

export class SecuredBench {
  readonly authority: NewAuthority
  readonly broker: MqttBroker
  readonly gateway: SecuredGateway
  /** Whose keys are registered. */
  readonly nodes: Map<string, NodeId>
  /** Whose keys were, until they were taken out. */
  readonly revoked: Map<string, NodeId>
  readonly keys: Map<string, UserPrincipal>
  /** Everybody's password is his name, where no login is given. */
  readonly users: Map<string, UserPrincipal>
  readonly #t: Test

  static async start(
    t: Test,
    options: MqttBrokerOptions & { readonly login?: Login } = {},
  ): Promise<SecuredBench> {
    const authority = await newAuthority()
    const nodes = new Map<string, NodeId>()
    const revoked = new Map<string, NodeId>()
    const keys = new Map<string, UserPrincipal>()
    const users = new Map<string, UserPrincipal>()
    const gateway = new SecuredGateway()
    const enrolment = new EnrolmentDoor(
      {},
      {
        enrol: async () => ({ ok: false, code: 'token-unknown' }),
        refused: () => {},
        failed: (error) => t.fail(String(error)),
      },
    )
    const byName: Login = ({ name, password }, answer) => {
      const who = users.get(name)
      if (who !== undefined && Buffer.from(password).toString() === name) answer({ ok: true, who })
      else answer({ ok: false, code: 'wrong-password', who: who ? `user/${name}` : 'nobody' })
    }
    const { login = byName, fetch, ...rest } = options
    const secure = {
      enrolment,
      keys: await gatewayKeys(authority),
      ownerOf: (sha256: string) => nodes.get(sha256),
      formerOwnerOf: (sha256: string) => revoked.get(sha256),
      userOf: (sha256: string) => keys.get(sha256),
      keyUsed: () => {},
      probe: 'none',
      login,
      ...(fetch && { fetch }),
    }
    const broker = await MqttBroker.start({ port: 0, secure, ...rest }, gateway)
    t.teardown(() => broker.close())
    return new SecuredBench(t, { authority, broker, gateway, nodes, revoked, keys, users })
  }

  private constructor(
    t: Test,
    parts: Pick<
      SecuredBench,
      'authority' | 'broker' | 'gateway' | 'nodes' | 'revoked' | 'keys' | 'users'
    >,
  ) {
    this.#t = t
    this.authority = parts.authority
    this.broker = parts.broker
    this.gateway = parts.gateway
    this.nodes = parts.nodes
    this.revoked = parts.revoked
    this.keys = parts.keys
    this.users = parts.users
  }

  /** From now on there is this user, with these rights. */
  user(name: string, roles: readonly Role[], topics: readonly string[] = []): UserPrincipal {
    const user: UserPrincipal = { kind: 'user', name, roles, topics }
    this.users.set(name, user)
    return user
  }

  /** Connects as a user, whose password is his name; rejects with what CONNACK says. */
  as(name: string, options: SecuredOptions = {}): Promise<MqttClient> {
    return this.connect({ username: name, password: name, ...options })
  }

  async node(node: NodeId, options: IClientOptions = {}): Promise<MqttClient> {
    const identity = await this.identity(node)
    return this.connect({ ...keyOf(identity), clientId: nodeClientId(node, 'x'), ...options })
  }

  async identity(node: NodeId): Promise<NewIdentity> {
    const identity = await identityFor(this.authority, node)
    this.nodes.set(identity.sha256, node)
    return identity
  }

  async connect(options: SecuredOptions = {}): Promise<MqttClient> {
    const { from = '127.0.0.1', heard = [], ...rest } = options
    const client = connectClient(`mqtts://127.0.0.1:${this.broker.port}`, {
      ...{ protocolVersion: 4, writeCache: false, reconnectPeriod: 0, localAddress: from },
      ...{ ca: this.authority.certificate, servername: GATEWAY_SERVER_NAME },
      ...rest,
    } as IClientOptions)
    this.#t.teardown(() => client.end(true))
    listen(client, heard)
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve())
      client.on('error', reject)
      client.once('close', () => reject(new Error('closed without a word')))
    })
    return client
  }

  /** Says these bytes over TLS, without a certificate, and hears what comes until the end. */
  async say(bytes: Uint8Array): Promise<number[]> {
    const socket = connect({
      ...{ host: '127.0.0.1', port: this.broker.port, servername: GATEWAY_SERVER_NAME },
      ca: this.authority.certificate,
    })
    this.#t.teardown(() => socket.destroy())
    const answer: number[] = []
    await new Promise<void>((resolve) => {
      socket.on('error', () => {})
      socket.on('close', () => resolve())
      socket.on('data', (chunk: Buffer) => answer.push(...chunk))
      socket.write(bytes)
    })
    return answer
  }

  get refused(): Readonly<Record<string, number>> {
    return this.broker.counters().refused
  }

  get dropped(): Readonly<Record<string, number>> {
    return this.broker.counters().dropped
  }
}

export function keyOf({ key, certificate }: NewIdentity): IClientOptions {
  return { key, cert: certificate }
}
