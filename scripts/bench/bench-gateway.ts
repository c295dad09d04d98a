/** A built gateway on free ports of this machine, with the flags and variables of its unit; and agents with it. */
import { type ChildProcess, execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { connect as connectBare, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { type ConnectionOptions, connect as connectSecured } from 'node:tls'
import type { GatewayClient } from '../../shared/client/http.ts'
import { GATEWAY_SERVER_NAME } from '../../shared/protocol/enrolment.ts'
import { connect, type Obelisk, type Task, type TaskResult } from '../client/connect.ts'
import { gatewayClient } from '../client/node-carrier.ts'
import {
  ask,
  type BenchProcesses,
  type Command,
  cpuSecondsOf,
  end,
  NODE,
  PROGRAM,
  type Started,
} from './bench-processes.ts'
import { footprintOf } from './footprint.ts'
import type { Delay, Probed } from './probe.ts'
import { agentCommand, unitSetup } from './unit-command.ts'

/** Of the longest task under emulation. */
const DEADLINE_MS = 900_000

export interface GatewayWishes {
  /** Also of its folder. */
  readonly name?: string
  /** Width and height, in tiles of 16 × 16; small unless given. */
  readonly grid?: string
  readonly replicas?: number
  readonly flags?: readonly string[]
  /** Of Node, beside those of the unit. */
  readonly nodeFlags?: readonly string[]
  readonly isSecured?: boolean
  /** The built `obelisk`, where this does not run from beside it. */
  readonly program?: string | undefined
  readonly ports?: readonly [mqtt: number, http: number]
}

export interface Agent {
  readonly pid: number
  readonly data: string
}

/** What some work cost: wall time, and processor time of the gateway and of its agents, ms. */
export interface Cost<T> {
  readonly wallMs: number
  readonly gatewayMs: number
  readonly agentsMs: number
  readonly value: T
}

/** What a client shows of itself: of a node, or nothing. */
export type Shown = Pick<ConnectionOptions, 'key' | 'cert'>

export class BenchGateway {
  readonly child: ChildProcess
  readonly pid: number
  readonly port: number
  /** Of its HTTP, without a slash at its end. */
  readonly base: string
  readonly data: string
  readonly agents: Agent[] = []
  readonly #processes: BenchProcesses
  readonly #wishes: GatewayWishes
  readonly #ca: string | undefined
  #tasks: Promise<Obelisk> | undefined

  static async start(processes: BenchProcesses, wishes: GatewayWishes): Promise<BenchGateway> {
    const { name = 'gateway', grid = '64x64', replicas = 2, program = PROGRAM, flags = [] } = wishes
    const { nodeFlags = [], ports = [0, 0] } = wishes
    const data = join(processes.directory, name)
    // Again, where one was here before.
    if (wishes.isSecured) {
      const secure = [program, 'gateway', 'secure', '--data', data]
      execFileSync(NODE.path, secure, { stdio: ['ignore', 'ignore', 'inherit'] })
    }
    const unit = unitSetup('gateway')
    const probe = join(dirname(program), 'bench', 'probe.js')
    const argv = [
      ...[...unit.flags, '--import', probe, ...nodeFlags, program, 'gateway', '--data', data],
      ...['--port', `${ports[0]}`, '--http-port', `${ports[1]}`, '--log-level', 'error'],
      ...['--grid', grid, '--tile', '16', '--replicas', `${replicas}`, ...flags],
    ]
    const started = await processes.start(name, argv, { ...NODE, environment: unit.environment })
    return new BenchGateway(processes, wishes, data, started)
  }

  private constructor(
    processes: BenchProcesses,
    wishes: GatewayWishes,
    data: string,
    { child, pid, ports }: Started,
  ) {
    this.#processes = processes
    this.data = data
    this.child = child
    this.pid = pid
    const [port = 0, httpPort = 0] = ports
    this.port = port
    this.base = `http://127.0.0.1:${httpPort}`
    this.#wishes = { ...wishes, ports: [port, httpPort] }
    const ca = join(data, 'security', 'ca.crt')
    this.#ca = existsSync(ca) ? readFileSync(ca, 'utf8') : undefined
  }

  /** Of its MQTT. */
  get url(): string {
    return `${this.#ca === undefined ? 'mqtt' : 'mqtts'}://127.0.0.1:${this.port}`
  }

  /** As its owner. */
  get owner(): GatewayClient {
    return gatewayClient(`unix:${join(this.data, 'admin.sock')}`)
  }

  get cpuSeconds(): number {
    return cpuSecondsOf(this.pid)
  }

  /** The same where it was, once this one has ended. */
  async again(): Promise<BenchGateway> {
    return await BenchGateway.start(this.#processes, this.#wishes)
  }

  async end(signal?: NodeJS.Signals): Promise<void> {
    await end(this.child, signal)
  }

  /** With data of its own. */
  async startAgent(id: string, command: Command, ...flags: readonly string[]): Promise<Agent> {
    const data = join(this.#processes.directory, id)
    const argv = ['--id', id, '--url', this.url, '--data', data, '--log-level', 'warn', ...flags]
    const { pid } = await this.#processes.start(id, argv, command)
    const agent = { pid, data }
    this.agents.push(agent)
    return agent
  }

  /** How its event loop stood still since the last time, and its memory. */
  async probe(): Promise<Probed> {
    return await ask(this.child, 'probe')
  }

  /** The same of one that has much to do; when it answers, what is garbage is given back. */
  async delay(): Promise<Delay> {
    return await ask(this.child, 'delay')
  }

  /** Bytes, without what is garbage where Node has `--expose-gc`. */
  async anonymous(): Promise<number> {
    await this.delay()
    return footprintOf(this.pid).anonymous
  }

  async cost<T>(work: () => Promise<T>): Promise<Cost<T>> {
    const cpu = (): [number, number] => {
      return [this.cpuSeconds, cpuSecondsOf(...this.agents.map(({ pid }) => pid))]
    }
    const [gateway, agents] = cpu()
    const startMs = performance.now()
    const value = await work()
    const wallMs = performance.now() - startMs
    const [gatewayNow, agentsNow] = cpu()
    const [gatewayMs, agentsMs] = [(gatewayNow - gateway) * 1000, (agentsNow - agents) * 1000]
    return { wallMs, gatewayMs, agentsMs, value }
  }

  /** A connection that nobody has said anything over; secured, its handshake is a whole one each time. */
  open(shown: Shown = {}): Socket {
    const to = { host: '127.0.0.1', port: this.port }
    if (this.#ca === undefined) return connectBare({ ...to, noDelay: true })
    const names = { servername: GATEWAY_SERVER_NAME, ALPNProtocols: ['mqtt'] }
    return connectSecured({ ...to, ...names, ca: this.#ca, ...shown }).setNoDelay()
  }

  /** Over HTTP, to the end of the task however long it takes. */
  async run(task: Task): Promise<TaskResult> {
    this.#tasks ??= connect(this.base)
    return await (await this.#tasks).run({ deadline_ms: DEADLINE_MS, ...task })
  }

  /** A file of numpy for the field `value`; again under the same id, what is known of it is not written. */
  async upload(id: string, body: Uint8Array<ArrayBuffer> | ReadableStream): Promise<void> {
    const response = await fetch(`${this.base}/api/grid/value?id=${id}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/x-npy' },
      body,
      duplex: 'half',
    } as RequestInit)
    const text = await response.text()
    if (response.status !== 200) throw new Error(`upload: ${response.status} ${text}`)
  }
}

export interface GridSetup {
  readonly name: string
  readonly side: number
  /** Of the field `value`. */
  readonly type: string
  readonly agents: number
  readonly replicas: number
  readonly nodeFlags?: readonly string[]
  /** Of Node, beside those of the agents' unit. */
  readonly agentFlags?: readonly string[]
}

/** A gateway and agents that hold a grid. */
export async function startGridFleet(
  processes: BenchProcesses,
  { name, side, type, agents, agentFlags, ...wishes }: GridSetup,
): Promise<BenchGateway> {
  const gateway = await BenchGateway.start(processes, {
    ...wishes,
    name: `${name}-gateway`,
    grid: `${side}x${side}`,
    flags: ['--fields', `value:${type}`],
  })
  const command = agentCommand(undefined, agentFlags)
  for (let count = 1; count <= agents; count++) {
    await gateway.startAgent(`${name}-${count}`, command, `--slice-bytes-max=${2 ** 30}`)
  }
  return gateway
}

/** The same, with every tile written in four bands of 1, 2, 3 and 4. */
export async function startFullGrid(
  processes: BenchProcesses,
  setup: GridSetup,
): Promise<BenchGateway> {
  const gateway = await startGridFleet(processes, setup)
  const rows = setup.side / 4
  for (let y = 0; y < setup.side; y += rows) {
    const region = { x: 0, y, w: setup.side, h: rows }
    await gateway.run({ op: 'set', region, args: { fields: { value: 1 + y / rows } } })
  }
  return gateway
}
