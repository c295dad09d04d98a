/**
 * Many nodes without a disk in a process of their own (`agents.js PORT COUNT FIRST`), for connections.ts: told over the
 * channel to its parent what to do. A connection that ends is opened anew as an agent does it.
 */
import { connect, type Socket } from 'node:net'
import { Backoff } from '../../shared/core/backoff.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import { LightNode } from './light-node.ts'

export type Order = 'connect' | 'leave' | 'look'

/** Since the last look. */
export interface Seen {
  readonly admitted: number
  /** Admitted ones whose connection ended without our doing. */
  readonly lost: number
}

/** As agents do by default. */
const HEARTBEAT_MS = 2000
const ANSWER_TIMEOUT_MS = 10_000
const BACKOFF = { baseMs: 1000, capMs: 60_000 }

const [port = 0, count = 0, first = 0] = process.argv.slice(2).map(Number)
const geometry = new Geometry({ width: 64, height: 64, tile: 16 })
const random = new Random(first)
let lost = 0
let admitted = 0
let isLeaving = true

class Agent {
  readonly #backoff = new Backoff(BACKOFF, random)
  readonly #node: LightNode
  #socket: Socket | undefined
  #isAdmitted = false

  constructor(id: NodeId) {
    const open = (): Socket => this.#open()
    this.#node = new LightNode({ id, port, geometry, open }, () => {})
    setTimeout(
      () => {
        setInterval(() => this.#node.beat(), HEARTBEAT_MS)
      },
      random.between(0, HEARTBEAT_MS),
    )
  }

  connect(): void {
    const admission = this.#node.connect()
    const socket = this.#socket!
    const late = setTimeout(() => socket.destroy(), ANSWER_TIMEOUT_MS)
    socket.on('close', () => clearTimeout(late))
    void admission.then(() => {
      clearTimeout(late)
      this.#backoff.reset()
      this.#isAdmitted = true
      admitted += 1
    })
  }

  leave(): void {
    this.#socket?.destroy()
  }

  #open(): Socket {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    socket.on('close', () => {
      if (this.#isAdmitted) {
        admitted -= 1
        lost += isLeaving ? 0 : 1
      }
      this.#isAdmitted = false
      if (isLeaving) return
      setTimeout(() => this.connect(), this.#backoff.nextMs())
    })
    this.#socket = socket
    return socket
  }
}

const agents = Array.from({ length: count }, (_, at) => {
  return new Agent(`node-${String(first + at).padStart(5, '0')}` as NodeId)
})

process.on('message', (order: Order) => {
  if (order !== 'look') isLeaving = order === 'leave'
  if (order === 'connect') for (const agent of agents) agent.connect()
  if (order === 'leave') for (const agent of agents) agent.leave()
  if (order !== 'look') return
  process.send!({ admitted, lost } satisfies Seen)
  lost = 0
})
process.stderr.write('ready agents\n')
