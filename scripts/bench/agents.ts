/**
 * Many nodes without a disk in a process of their own (`agents.js PORT COUNT FIRST`), for connections.ts: told over the
 * channel to its parent what to do. A connection that ends is opened anew as an agent does it.
 */
import { connect, type Socket } from 'node:net'
import { Backoff } from '../../shared/core/backoff.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import { beginBeats, LightNode, nodeIdOf } from './light-node.ts'

export type Order = 'connect' | 'look'

/** Since the last look. */
export interface Seen {
  readonly admitted: number
  /** Admitted ones whose connection ended. */
  readonly lost: number
}

/** As agents do by default. */
const ANSWER_TIMEOUT_MS = 10_000
const BACKOFF = { baseMs: 1000, capMs: 60_000 }

const [port = 0, count = 0, first = 0] = process.argv.slice(2).map(Number)
const geometry = new Geometry({ width: 64, height: 64, tile: 16 })
const random = new Random(first)
let lost = 0
let admitted = 0

class Agent {
  readonly node: LightNode
  readonly #backoff = new Backoff(BACKOFF, random)
  #socket: Socket | undefined
  #isAdmitted = false

  constructor(id: NodeId) {
    this.node = new LightNode({ id, port, geometry, open: () => this.#open() })
  }

  connect(): void {
    const admission = this.node.connect()
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

  #open(): Socket {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    socket.on('close', () => {
      if (this.#isAdmitted) {
        admitted -= 1
        lost += 1
      }
      this.#isAdmitted = false
      setTimeout(() => this.connect(), this.#backoff.nextMs())
    })
    this.#socket = socket
    return socket
  }
}

const agents = Array.from({ length: count }, (_, at) => new Agent(nodeIdOf(first + at)))
beginBeats(agents.map(({ node }) => node))

process.on('message', (order: Order) => {
  if (order === 'connect') for (const agent of agents) agent.connect()
  else {
    process.send!({ admitted, lost } satisfies Seen)
    lost = 0
  }
})
process.stderr.write('ready agents\n')
