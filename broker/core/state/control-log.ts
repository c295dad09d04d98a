/**
 * Orders about tiles in the streams of nodes (control-entries.ts): appended with a sequence of their own,
 * kept in the ledger until the node has them on disk.
 */
import { assert } from '../../../shared/core/assert.ts'
import { packTiles } from '../../../shared/operations/columns.ts'
import {
  argsOf,
  bodyOf,
  type ControlOrder,
  entryOf,
  orderOf,
  tilesOf,
} from '../../../shared/protocol/control-entries.ts'
import type { Entry } from '../../../shared/protocol/messages.ts'
import type { ControlRecord } from '../ledger-records.ts'
import type { CoordinatorContext } from './coordinator-context.ts'
import type { Member } from './membership.ts'
import type { LogEntry } from './node-stream.ts'

const ORDER_BYTES = 160
const TILE_ID_BYTES = 4

export class ControlLog {
  readonly #context: CoordinatorContext

  constructor(context: CoordinatorContext) {
    this.#context = context
  }

  /** Puts an order at the head of a node's stream; returns its position. */
  append(member: Member, order: ControlOrder): number {
    const seq = this.#context.nextSequence()
    const { position } = member.stream.append({ seq, ...partOf(order, this.#context.nowMs) })
    this.#persist(member, { seq, position, order })
    return position
  }

  /** Puts an order in the place of an entry that the node has not applied. */
  replace(member: Member, position: number, order: ControlOrder): void {
    const seq = this.#context.nextSequence()
    member.stream.replace(position, { seq, ...partOf(order, this.#context.nowMs) })
    this.#persist(member, { seq, position, order })
  }

  #persist(
    member: Member,
    { seq, position, order }: { seq: number; position: number; order: ControlOrder },
  ): void {
    this.#context.streamChanged(member)
    const tiles = packTiles(tilesOf(order))
    const value = { node: member.id, position, op: order.op, args: argsOf(order), tiles }
    this.#context.persist({ table: 'control', key: seq, value })
  }

  /** The node has it, or will never get it. */
  forget(entry: LogEntry): void {
    this.#context.persist({ table: 'control', key: entry.seq, value: undefined })
  }

  encode(entry: LogEntry): Entry {
    return entryOf(entry.order!, entry)
  }

  /** Puts an order of the ledger back where it stood. */
  restore(member: Member, seq: number, record: ControlRecord): number {
    const order = orderOf(record)
    assert(order !== undefined, 'an order of the ledger is known')
    return member.stream.append({ seq, ...partOf(order, this.#context.nowMs) }).position
  }
}

function partOf(
  order: ControlOrder,
  nowMs: number,
): Pick<LogEntry, 'body' | 'order' | 'tiles' | 'queuedMs' | 'bytes'> {
  const tiles = tilesOf(order)
  const bytes = ORDER_BYTES + tiles.length * TILE_ID_BYTES
  return { body: bodyOf(order), order, tiles, queuedMs: nowMs, bytes }
}
