/**
 * Orders about tiles in the streams of nodes (control-entries.ts): appended with a sequence of their own,
 * kept in the ledger until the node has them on disk.
 */
import { assert } from '../../../shared/core/assert.ts'
import { packTiles } from '../../../shared/operations/columns.ts'
import { TILE_ID_BYTES } from '../../../shared/operations/operation.ts'
import {
  argsOf,
  type ControlOrder,
  entryOf,
  orderOf,
  tilesOf,
} from '../../../shared/protocol/control-entries.ts'
import { CHAIN_START } from '../../../shared/protocol/stream-chain.ts'
import type { ControlRecord } from '../ledger-records.ts'
import type { CoordinatorContext } from './coordinator-context.ts'
import { EntryParts } from './entry-parts.ts'
import type { Member } from './membership.ts'
import { StreamItem } from './stream-items.ts'

interface Place {
  readonly seq: number
  readonly position: number
}

export class ControlLog {
  readonly #context: CoordinatorContext

  constructor(context: CoordinatorContext) {
    this.#context = context
  }

  /** Puts an order at the head of a node's stream; returns its position. */
  append(member: Member, order: ControlOrder): number {
    const place = { seq: this.#context.nextSequence(), position: member.stream.head + 1 }
    member.stream.append(itemOf(member, place, order), this.#context.nowMs)
    this.#persist(member, place, order)
    return place.position
  }

  /** Puts an order in the place of an entry that the node has not applied. */
  replace(member: Member, position: number, order: ControlOrder): void {
    const place = { seq: this.#context.nextSequence(), position }
    member.stream.replace(position, itemOf(member, place, order), this.#context.nowMs)
    this.#persist(member, place, order)
  }

  #persist(member: Member, { seq, position }: Place, order: ControlOrder): void {
    this.#context.streamChanged(member)
    const tiles = packTiles(tilesOf(order))
    // The book is in the ledger once, not for each node.
    const args = order.op === '$rules' ? { version: order.version } : argsOf(order)
    const value = { node: member.id, position, op: order.op, args, tiles }
    this.#context.persist({ table: 'control', key: seq, value })
  }

  /** The node has it, or will never get it. */
  forget({ seq }: StreamItem): void {
    this.#context.persist({ table: 'control', key: seq, value: undefined })
  }

  /** An order of the ledger, to be put back where it stood. */
  restored(member: Member, seq: number, record: ControlRecord): StreamItem {
    const order =
      record.op === '$rules'
        ? this.#context.book.orderOf(record.args.version as number)
        : orderOf(record)
    assert(order !== undefined, 'an order of the ledger is known')
    return itemOf(member, { seq, position: record.position }, order)
  }
}

function itemOf({ index }: Member, { seq, position }: Place, order: ControlOrder): StreamItem {
  const forAll = entryOf(order, { seq, position, chain: CHAIN_START })
  const parts = EntryParts.of([{ member: index, position, tiles: tilesOf(order) }])
  return new StreamItem({ forAll, tileBytes: TILE_ID_BYTES, order }, parts)
}
