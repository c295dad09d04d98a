/**
 * An agent without pages: it follows the protocol truthfully, and knows one number a tile, that of the
 * last `set` on it. Of these, a process holds a hundred thousand. It checks each entry's place and
 * chain; what it is told but must not be told is a violation.
 */

import { findOperation } from '../../shared/operations/catalog.ts'
import { packTiles, unpackTiles } from '../../shared/operations/columns.ts'
import { packInteger } from '../../shared/operations/exact-sums.ts'
import type { ItemsOperation, Wire } from '../../shared/operations/operation.ts'
import {
  type Down,
  decodeDown,
  type Entry,
  encodeMessage,
  type GridShape,
  PROTOCOL_VERSION,
  type Read,
  type Up,
} from '../../shared/protocol/messages.ts'
import { CHAIN_START, extendChain } from '../../shared/protocol/stream-chain.ts'
import type { SimulatedClock } from './simulated-clock.ts'
import type { NodeEnd, SimulatedNetwork } from './simulated-network.ts'
import { violated } from './violation.ts'

const DISK_MS = 5
const RECONNECT_MS = 400

export interface SimpleSurroundings {
  readonly clock: SimulatedClock
  readonly network: SimulatedNetwork
  /** LSUs of each tile: there are no clipped ones. */
  readonly tileLsus: number
  /** What a welcome says of it, once for all nodes. */
  readonly ledgerOf: (welcome: Welcome) => LedgerOfNode
}

type Welcome = Extract<Down, { t: 'welcome' }>

export interface LedgerOfNode {
  readonly id: string
  readonly grid: GridShape
}

const NONE: readonly never[] = []

/** A map of a few tiles: a hundred thousand real ones would take a hundred megabytes. */
class FewNumbers {
  #keys: readonly number[] = NONE
  #values: number[] = NONE as never

  get(key: number): number | undefined {
    return this.#values[this.#keys.indexOf(key)]
  }

  set(key: number, value: number): void {
    const at = this.#keys.indexOf(key)
    if (at >= 0) {
      this.#values[at] = value
      return
    }
    this.#keys = [...this.#keys, key]
    this.#values = [...this.#values, value]
  }
}

/** What it can do. */
const OPERATIONS = ['digest', 'set', 'stat']

export class SimpleAgent implements NodeEnd {
  readonly node: string
  readonly #around: SimpleSurroundings
  // What is on its disk.
  readonly #values = new FewNumbers()
  #mark = { position: 0, chain: CHAIN_START, seq: 0 }
  #ledger: LedgerOfNode | undefined
  #boot = 0
  // What a crash takes.
  #isUp = false
  #connection: string | undefined
  #session = 0
  #queue: readonly Entry[] = NONE
  #reads: readonly Read[] = NONE
  #beats = 0

  constructor(node: string, around: SimpleSurroundings) {
    this.node = node
    this.#around = around
  }

  get position(): number {
    return this.#mark.position
  }

  get isUp(): boolean {
    return this.#isUp
  }

  get isAdmitted(): boolean {
    return this.#session > 0
  }

  start(): void {
    this.#boot += 1
    this.#isUp = true
    this.#connect()
  }

  crash({ isSilent }: { isSilent: boolean }): void {
    if (!this.#isUp) return
    this.#isUp = false
    this.#forget()
    this.#around.network.closeFromNode(this, { isSilent, isDead: true })
  }

  connected(connection: string): void {
    if (connection === this.#connection) this.#hello()
  }

  received(connection: string, payload: Uint8Array): void {
    if (connection === this.#connection) this.#receive(payload)
  }

  closed(connection: string): void {
    if (connection === this.#connection) this.#reconnect()
  }

  #forget(): void {
    this.#connection = undefined
    this.#session = 0
    this.#queue = NONE
    this.#reads = NONE
  }

  #connect(): void {
    this.#connection = this.#around.network.connect(this)
  }

  #reconnect(): void {
    this.#forget()
    this.#later(RECONNECT_MS, () => this.#connect())
  }

  /** If this process and its connection are still there by then. */
  #later(waitMs: number, act: () => void): void {
    const boot = this.#boot
    const connection = this.#connection
    this.#around.clock.after(waitMs, () => {
      if (this.#isUp && this.#boot === boot && this.#connection === connection) act()
    })
  }

  #send(message: Up): void {
    this.#around.network.up(this.#connection!, encodeMessage(message))
  }

  #hello(): void {
    this.#send({
      t: 'hello',
      version: PROTOCOL_VERSION,
      node: this.node,
      storeId: `store-${this.node}`,
      boot: this.#boot,
      process: `${this.node}-${this.#boot}`,
      ledgerId: this.#ledger?.id ?? null,
      ...this.#mark,
      weight: 1,
      operations: OPERATIONS,
      grid: this.#ledger?.grid ?? null,
    })
  }

  #receive(payload: Uint8Array): void {
    const decoded = decodeDown(payload)
    if (!decoded.ok) violated(`a message to ${this.node} is malformed: ${decoded.problem}`)
    const { message } = decoded
    if (message.t === 'refused') {
      // Its last process died without a word: it tries until that one's session has run out.
      if (message.code === 'id-taken') return
      violated(`${this.node} is refused: ${message.message}`)
    }
    if (message.t === 'wipe') violated(`${this.node} is to be emptied`)
    if (message.t === 'welcome') this.#welcome(message)
    else if (!('session' in message) || message.session !== this.#session) return
    else if (message.t === 'entries') this.#take(message.entries)
    else if (message.t === 'cancel') {
      this.#reads = this.#reads.filter(({ task }) => task !== message.task)
    } else if (message.t === 'read') {
      this.#reads = [...this.#reads, message]
      this.#answerReads()
    }
  }

  #welcome(message: Welcome): void {
    this.#session = message.session
    this.#ledger ??= this.#around.ledgerOf(message)
    this.#acknowledge([])
    this.#beatEvery(message.heartbeatMs)
  }

  #beatEvery(waitMs: number): void {
    this.#later(waitMs, () => {
      this.#beats += 1
      this.#send({ t: 'heartbeat', session: this.#session, beat: this.#beats })
      this.#beatEvery(waitMs)
    })
  }

  #acknowledge(results: Extract<Up, { t: 'applied' }>['results']): void {
    const { position, chain } = this.#mark
    this.#send({ t: 'applied', session: this.#session, position, chain, results })
  }

  #take(entries: readonly Entry[]): void {
    const isIdle = this.#queue.length === 0
    for (const entry of entries) {
      const next = this.#mark.position + this.#queue.length + 1
      if (entry.position === next) this.#queue = [...this.#queue, entry]
      else if (entry.position > next) {
        const { position, chain } = this.#mark
        this.#send({ t: 'gap', session: this.#session, position, chain })
        break
      }
    }
    if (this.#queue.length === 0) this.#acknowledge([])
    else if (isIdle) this.#later(DISK_MS, () => this.#flush())
  }

  #flush(): void {
    const results = this.#queue.map((entry) => {
      const { position, seq, body, tiles } = entry
      const chain = extendChain(this.#mark.chain, { position, seq, body, tiles })
      if (Buffer.compare(chain, entry.chain) !== 0) violated(`the chain of ${this.node} breaks`)
      const ids = unpackTiles(tiles)
      const [value] = (entry.args as { values: number[] }).values
      for (const tile of ids) this.#values.set(tile, value!)
      this.#mark = { position, chain, seq }
      return { position, lsus: ids.length * this.#around.tileLsus }
    })
    this.#queue = NONE
    this.#acknowledge(results)
    this.#answerReads()
  }

  #answerReads(): void {
    const ready = this.#reads.filter(({ after }) => after <= this.#mark.position)
    if (ready.length === 0) return
    this.#reads =
      this.#reads.length === ready.length
        ? NONE
        : this.#reads.filter(({ after }) => after > this.#mark.position)
    for (const read of ready) {
      const { task, part, attempt } = read
      const { position, seq } = this.#mark
      const value = read.items === undefined ? this.#stat(read) : digestOf(read)
      this.#send({ t: 'answer', task, part, attempt, position, seq, ms: 1, value })
    }
  }

  /** The first round of `stat`: all LSUs of a tile have one value. */
  #stat(read: Read): Wire {
    const unborn = unpackTiles(read.grid!.unborn)
    const tiles = Uint32Array.from([...unpackTiles(read.grid!.tiles), ...unborn]).sort()
    const values = Array.from(tiles, (tile) => {
      const value = this.#values.get(tile)
      if (value === undefined && !unborn.includes(tile)) violated(`${this.node} lacks tile ${tile}`)
      return value ?? 0
    })
    const lsus = this.#around.tileLsus
    const total = (of: (value: number) => number): bigint =>
      BigInt(lsus * values.reduce((sum, value) => sum + of(value), 0))
    return {
      tiles: packTiles(tiles),
      count: lsus * values.length,
      min: values.reduce((a, b) => Math.min(a, b)),
      max: values.reduce((a, b) => Math.max(a, b)),
      sum: packInteger(total((value) => value) << 1074n),
      squares: packInteger(total((value) => value * value) << 2148n),
    }
  }
}

function digestOf({ op, args, items }: Read): Wire {
  const run = (findOperation(op) as ItemsOperation).run(args)
  items!.keys.forEach((key, index) => {
    run.visit(key, items!.values[index]!)
  })
  return run.finish()
}
