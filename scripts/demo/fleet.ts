import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { GridSize } from '../../shared/grid/geometry.ts'
import { messageOf } from '../../shared/runtime/errors.ts'
import { fault } from '../fault.ts'
import { type FleetError, FleetProcess } from './fleet-process.ts'

const AGENTS = ['edge-a', 'edge-b', 'edge-c', 'edge-d']
const CELLS = ['--fields', 'precip:f32,visits:i32', '--replicas', '2']

export interface Ports {
  readonly mqtt: number
  readonly http: number
}

/** The web page, at the map of the grid. */
export function pageOf(httpPort: number): string {
  return `http://127.0.0.1:${httpPort}/#grid`
}

const ENTRY = fileURLToPath(new URL('../obelisk.js', import.meta.url))

/** A gateway and agents on this machine, each a process of its own, in a temporary folder. */
export class Fleet {
  readonly #grid: GridSize
  readonly #folder = makeFolder()
  readonly gateway: FleetProcess
  readonly agents: ReadonlyMap<string, FleetProcess>
  #ports: Ports = { mqtt: 0, http: 0 }
  #isClosed = false

  constructor(grid: GridSize, settings: NodeJS.ProcessEnv, onLost: (error: FleetError) => void) {
    this.#grid = grid
    const environment = withoutSettings(settings)
    const create = (name: string): FleetProcess =>
      new FleetProcess({ name, entry: ENTRY, environment }, onLost)
    this.gateway = create('gateway')
    this.agents = new Map(AGENTS.map((id) => [id, create(id)]))
  }

  get folder(): string {
    return this.#folder
  }

  /** Where the gateway listens, the same after each start. */
  get ports(): Ports {
    return this.#ports
  }

  async startGateway(): Promise<void> {
    this.#assertOpen()
    const { width, height, tile } = this.#grid
    const ready = await this.gateway.start([
      'gateway',
      ...['--config', '/dev/null'],
      ...['--port', String(this.#ports.mqtt), '--http-port', String(this.#ports.http)],
      ...['--data', join(this.#folder, 'gateway')],
      ...['--grid', `${width}x${height}`, '--tile', String(tile), ...CELLS],
    ])
    this.#ports = { mqtt: portOf(ready, 'mqtt'), http: portOf(ready, 'http') }
  }

  async startAgent(id: string): Promise<void> {
    this.#assertOpen()
    await this.agents
      .get(id)!
      .start([
        'agent',
        ...['--config', '/dev/null'],
        ...['--id', id, '--url', `mqtt://127.0.0.1:${this.#ports.mqtt}`],
        ...['--data', join(this.#folder, id)],
      ])
  }

  /** A fleet that is being taken down starts nothing more. */
  #assertOpen(): void {
    if (this.#isClosed) throw new Error('the fleet is closed')
  }

  /** Ends every process and removes the folder. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.agents.values()].map((agent) => agent.stop()))
    await this.gateway.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** The same at once and without waiting, for a process that is about to exit. */
  abandon(): void {
    this.#isClosed = true
    for (const process of [...this.agents.values(), this.gateway]) process.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function makeFolder(): string {
  try {
    return mkdtempSync(join(tmpdir(), 'obelisk-demo-'))
  } catch (error) {
    const message = `no temporary folder: ${messageOf(error)}`
    throw fault('folder-unusable', message, error)
  }
}

function portOf(ready: string, name: string): number {
  const match = new RegExp(`\\b${name}=\\S*:(\\d+)`).exec(ready)
  if (match === null) throw new Error(`no ${name} port in "${ready}"`)
  return Number(match[1])
}

/** What is set for a gateway or an agent of this machine is not meant for these. */
function withoutSettings(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const ours = /^(OBELISK_|JOURNAL_STREAM$|STATE_DIRECTORY$|CREDENTIALS_DIRECTORY$|NOTIFY_SOCKET$)/
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !ours.test(name)))
}
