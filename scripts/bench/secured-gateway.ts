/** Two gateways to compare, open and secured, built, on loopback; and boards with keys for the second one. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectBare, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ConnectionOptions, connect as connectSecured } from 'node:tls'
import { enrol } from '../../firmware-agent/adapters/enrolment-client.ts'
import type { GatewayClient } from '../../shared/client/http.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { GATEWAY_SERVER_NAME } from '../../shared/protocol/enrolment.ts'
import { parseToken, type Token } from '../../shared/protocol/tokens.ts'
import { newKeyPair, pemOf } from '../../shared/runtime/public-keys.ts'
import { gatewayClient } from '../client/node-carrier.ts'
import { createToken } from '../commands/token.ts'
import {
  type BenchProcesses,
  cpuSecondsOf,
  type Gateway,
  NODE,
  PROBED,
  PROGRAM,
  probe,
} from './bench-processes.ts'
import { footprintOf } from './footprint.ts'
import type { Probed } from './probe.ts'
import { unitSetup } from './unit-command.ts'

/** Nodes of a benchmark say nothing while it counts. */
const QUIET = ['--suspect-after-ms', '600000', '--dead-after-ms', '700000']
const FLAGS = ['--grid', '64x64', '--tile', '16', ...QUIET, '--log-level', 'error']
/** As many as the gateway looks at together. */
const ENROLMENTS_AT_A_TIME = 4
const BUSY_MS = 20

/** What a client shows: of a node, or of nobody. */
export type Shown = Pick<ConnectionOptions, 'key' | 'cert'>

export class BenchGateway {
  readonly port: number
  readonly data: string
  readonly #gateway: Gateway
  readonly #ca: string | undefined

  static async start(processes: BenchProcesses, kind: 'open' | 'secured'): Promise<BenchGateway> {
    const data = join(processes.directory, kind)
    const isSecured = kind === 'secured'
    // Again, where one was here before.
    if (isSecured) await processes.finish([PROGRAM, 'gateway', 'secure', '--data', data])
    const { environment } = unitSetup('gateway')
    const command = { ...NODE, argv: ['--expose-gc', ...PROBED], environment }
    const gateway = await processes.startGateway({ name: kind, flags: FLAGS, command })
    const ca = isSecured ? readFileSync(join(data, 'security', 'ca.crt'), 'utf8') : undefined
    return new BenchGateway(gateway, ca)
  }

  private constructor(gateway: Gateway, ca: string | undefined) {
    this.#gateway = gateway
    this.data = gateway.data
    this.port = gateway.port
    this.#ca = ca
  }

  async end(): Promise<void> {
    const exited = once(this.#gateway.child, 'exit')
    this.#gateway.child.kill('SIGTERM')
    await exited
  }

  get isSecured(): boolean {
    return this.#ca !== undefined
  }

  get url(): string {
    return `${this.isSecured ? 'mqtts' : 'mqtt'}://127.0.0.1:${this.port}`
  }

  /** As its owner. */
  get owner(): GatewayClient {
    return gatewayClient(`unix:${join(this.data, 'admin.sock')}`)
  }

  /** A connection that nobody has said anything over; secured, its handshake is a whole one each time. */
  open(shown: Shown = {}): Socket {
    const to = { host: '127.0.0.1', port: this.port }
    if (this.#ca === undefined) return connectBare({ ...to, noDelay: true })
    const names = { servername: GATEWAY_SERVER_NAME, ALPNProtocols: ['mqtt'] }
    const socket = connectSecured({ ...to, ...names, ca: this.#ca, ...shown })
    return socket.setNoDelay()
  }

  get cpuSeconds(): number {
    return cpuSecondsOf(this.#gateway.pid)
  }

  /** Bytes, without what is garbage. */
  async anonymous(): Promise<number> {
    await this.loopDelay()
    return footprintOf(this.#gateway.pid).anonymous
  }

  /** Since the last time. */
  async loopDelay(): Promise<Probed> {
    return await probe(this.#gateway.child)
  }

  /** Keys for boards, as each gets its own; and how long they took together, s. */
  async enrolAll(
    nodes: readonly NodeId[],
  ): Promise<{ shown: Map<NodeId, Shown>; seconds: number }> {
    const { owner } = this
    const tokens = new Map<NodeId, Token>()
    for (const node of nodes) {
      const { token } = await createToken(owner, { node })
      tokens.set(node, parseToken(token)!)
    }
    const shown = new Map<NodeId, Shown>()
    const waiting = [...nodes]
    const startMs = performance.now()
    const work = async (): Promise<void> => {
      for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
        shown.set(node, await this.#enrol(node, tokens.get(node)!))
      }
    }
    await Promise.all(Array.from({ length: ENROLMENTS_AT_A_TIME }, work))
    return { shown, seconds: (performance.now() - startMs) / 1000 }
  }

  async #enrol(node: NodeId, token: Token): Promise<Shown> {
    const pair = newKeyPair()
    const to = { host: '127.0.0.1', port: this.port, node, version: 'bench' }
    for (;;) {
      try {
        const { certificate } = await enrol(to, token, pair)
        return { key: pemOf(pair), cert: certificate }
      } catch (error) {
        if ((error as { code?: string }).code !== 'busy') throw error
        await sleep(BUSY_MS)
      }
    }
  }
}
