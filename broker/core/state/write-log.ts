/**
 * The log of writes: which part of each sequenced write stands where in which node's stream, until no
 * node needs it any more. What a write waits for and when it is done is decided in writes.ts.
 *
 * Invariant: a part of a write is in the ledger in the step that puts it into a stream.
 */
import { assert } from '../../../shared/core/assert.ts'
import { type Region, regionsTouch } from '../../../shared/grid/geometry.ts'
import { unpackTiles } from '../../../shared/operations/columns.ts'
import { ghostIn, withShare } from '../../../shared/operations/ghost.ts'
import {
  TILE_ID_BYTES,
  type Wire,
  type WriteOperation,
} from '../../../shared/operations/operation.ts'
import { STATUS } from '../../../shared/osl/codex.ts'
import { isEnded } from '../../../shared/protocol/states.ts'
import type {
  LedgerContents,
  SealingRecord,
  WriteRecord,
  WrittenRecord,
} from '../ledger-records.ts'
import type { CoordinatorContext } from './coordinator-context.ts'
import { EntryParts, type PlannedParts } from './entry-parts.ts'
import type { Member } from './membership.ts'
import type { Move } from './move-table.ts'
import { OpenWrite } from './open-write.ts'
import { isNamed, packParts, unpackParts } from './part-records.ts'
import { MEMBERS_MAX } from './placement.ts'
import { StreamItem } from './stream-items.ts'
import { goesOver, tilesOf } from './task-extent.ts'
import { bodyMark, operationOf, type Task } from './task-ledger.ts'
import { WrittenTally } from './written-tally.ts'

export type Rows<T> = readonly { readonly key: string | number; readonly value: T }[]

/** What the ledger has of the log. */
export type LogRows = Pick<LedgerContents, 'write' | 'written' | 'control'>

export class WriteLog {
  readonly #context: CoordinatorContext
  /** By sequence, ascending. */
  readonly #open = new Map<number, OpenWrite>()
  /** By member index, and one: it has all parts of the write whose copies are counted. Zeros between two. */
  readonly #hasAll = new Uint8Array(MEMBERS_MAX + 1)

  constructor(context: CoordinatorContext) {
    this.#context = context
  }

  get size(): number {
    return this.#open.size
  }

  /** Ascending; may be changed while one goes through it. */
  get all(): OpenWrite[] {
    return [...this.#open.values()]
  }

  /** Those that wait for the member, ascending. Its own entries tell, but for the writes that come with a page. */
  waitingFor(member: Member): OpenWrite[] {
    const { items } = member.stream
    if (items.length === 0) return []
    const isAdopting = items.some(({ order }) => order?.op === '$adopt')
    const seqs = isAdopting ? this.#open.keys() : items.map(({ seq }) => seq)
    return [...new Set(seqs)]
      .flatMap((seq) => this.#open.get(seq) ?? [])
      .filter((write) => write.isAwaited(member.index))
      .sort((a, b) => a.seq - b.seq)
  }

  find(seq: number): OpenWrite | undefined {
    return this.#open.get(seq)
  }

  /** Its body is read whenever a part goes to a node, so it stays until `remove`. */
  needs(task: Task): boolean {
    return task.seq !== undefined && this.#open.has(task.seq)
  }

  /** Puts a write into the streams of those who hold its tiles; to be persisted once all who need it have it. */
  add(seq: number, task: Task, plan: PlannedParts): OpenWrite {
    const { members, nowMs } = this.#context
    const write = new OpenWrite(this.#itemOf(seq, task, new EntryParts(plan)), task)
    const { item, parts } = write
    for (const index of plan.members) {
      const member = members.at(index)
      write.expect(parts.put(member.stream.append(item, nowMs)))
      this.#context.streamChanged(member)
    }
    this.#open.set(seq, write)
    return write
  }

  #itemOf(seq: number, task: Task, parts: EntryParts): StreamItem {
    const { grid } = this.#context.options
    const { op } = task
    const { region, args } = task.body!
    const { x, y, w, h } = region!
    const operation = operationOf(task) as WriteOperation
    const argumentBytes = operation.argumentBytesPerTile(args, grid, tilesOf(task.body!, grid))
    const isShadowed = ghostIn(args) !== undefined
    const cut = (own: Uint32Array, member: number): Wire => {
      return isShadowed
        ? withShare(args, this.#firstHeld(own, member))
        : operation.cut(args, region!, own, grid)
    }
    return new StreamItem(
      {
        forAll: { seq, op, region: [x, y, w, h], args, body: bodyMark(task) },
        ...(argumentBytes === 0 && !isShadowed ? {} : { cut }),
        tileBytes: TILE_ID_BYTES + argumentBytes,
      },
      parts,
    )
  }

  /** A bit for each of these tiles: of its holders that are in sync, the member is the first on the ring. */
  #firstHeld(tiles: Uint32Array, member: number): Uint8Array {
    const { placement, members } = this.#context
    const bits = new Uint8Array(Math.ceil(tiles.length / 8))
    for (const [index, tile] of tiles.entries()) {
      const first = placement.holdersOf(tile).find((holder) => members.at(holder).isInSync)
      if (first === member) bits[index >> 3]! |= 1 << (index & 7)
    }
    return bits
  }

  /** No node needs it any more. */
  remove(write: OpenWrite): void {
    this.#open.delete(write.seq)
    this.#context.writeRemoved('write', write.seq)
    this.takeWritten(write)
  }

  /** Whether its value says how many cells took a value, so that nodes have to tell. */
  counts({ outcome, task }: OpenWrite): boolean {
    const isToEnd = outcome === 'open' && !isEnded(task.state)
    return isToEnd && (operationOf(task) as WriteOperation).storesOf !== undefined
  }

  /** A node tells how many cells of its part took a value; what is wrong with that. */
  addWritten(write: OpenWrite, tiles: Uint32Array, runs: Uint8Array): string | undefined {
    if (!this.counts(write)) return undefined
    write.written ??= this.#newTally(write.task)
    const tally = write.written
    if (tally === undefined) return undefined
    const { seq } = write
    this.#context.writeChanged('written', seq, () => {
      return { table: 'written', key: seq, value: tally.record }
    })
    return tally.add(tiles, runs)
  }

  #newTally({ op, body }: Task, record?: WrittenRecord): WrittenTally | undefined {
    const operation = operationOf({ op }) as WriteOperation
    const stores = operation.storesOf?.(body!.args)
    return stores && new WrittenTally(stores, tilesOf(body!, this.#context.options.grid), record)
  }

  /** How many cells took a value, by field, if each tile was counted. It is asked for once. */
  takeWritten(write: OpenWrite): SealingRecord['written'] {
    const totals = write.written?.totals
    if (write.written !== undefined) this.#context.writeRemoved('written', write.seq)
    write.written = undefined
    const { fields } = this.#context.options.grid
    const nameOf = (field: number): string => (field === STATUS ? 'status' : fields[field]!.name)
    return totals && Object.fromEntries([...totals].map(([field, cells]) => [nameOf(field), cells]))
  }

  /** The member gets it for one tile more. */
  addPart(write: OpenWrite, index: number, tile: number): void {
    const member = this.#context.members.at(index)
    const position = member.stream.append(write.item, this.#context.nowMs)
    this.#expect(write, { member: index, position, tile })
    this.#context.streamChanged(member)
  }

  #expect(write: OpenWrite, part: { member: number; position: number; tile: number }): void {
    write.expect(write.parts.add({ ...part, tiles: Uint32Array.of(part.tile) }))
  }

  /** It is persisted at the end of the step. */
  changed(write: OpenWrite): void {
    const { seq } = write
    this.#context.writeChanged('write', seq, () => {
      return { table: 'write', key: seq, value: recordOf(write) }
    })
  }

  persist(write: OpenWrite): void {
    this.#context.persist({ table: 'write', key: write.seq, value: recordOf(write) })
  }

  /**
   * The target of a move adopts a page by its entry at `adopted`: writes up to the `at` of the page come
   * with it, later ones follow in its stream.
   */
  follow({ tile, to }: Move, { at, adopted }: { at: number; adopted: number }): void {
    const { grid } = this.#context.options
    for (const write of this.#open.values()) {
      if (!goesOver(write.task.body!, tile, grid)) continue
      if (write.seq > at) this.addPart(write, to, tile)
      else this.#expect(write, { member: to, position: adopted, tile })
      if (!isEnded(write.task.state)) write.task.shards.total += 1
      this.persist(write)
    }
  }

  /** Whether a write to the tile was shown as done that the member does not have. */
  owes(member: Member, tile: number): boolean {
    const { grid } = this.#context.options
    return this.all.some(
      (write) =>
        write.outcome === 'done' &&
        write.isAwaited(member.index) &&
        goesOver(write.task.body!, tile, grid),
    )
  }

  /** The writes that came with the order at a position of the member's stream. */
  givenBy({ order }: StreamItem, { index }: Member, position: number): readonly OpenWrite[] {
    if (order?.op !== '$adopt') return []
    return this.all.filter(({ parts }) => parts.find(index, position) !== undefined)
  }

  /**
   * The fewest holders that have this write on disk, over its tiles. Who holds a tile, or is about to, has a part for it:
   * it held the tile when the write got its place, or came to hold it by a move.
   */
  copiesOf(write: OpenWrite): number {
    const { options, placement, moves } = this.#context
    const { slots, replicas } = placement
    const hasAll = this.#hasAll
    const parts = write.parts.byMember()
    for (const part of parts) {
      const member = write.parts.members[part]!
      hasAll[member + 1] = write.isAwaited(member) ? 0 : 1
    }
    const tiles = tilesOf(write.task.body!, options.grid)
    // While a tile moves there is a copy more, which is about to go.
    let fewest = replicas
    for (let at = 0; at < tiles.length && fewest > 0; at++) {
      const tile = tiles[at]!
      const start = Math.imul(tile, replicas)
      let copies = 0
      for (let slot = start; slot < start + replicas; slot++) copies += hasAll[slots[slot]!]!
      if (copies >= fewest) continue
      const joining = moves.joining(tile)
      fewest = Math.min(fewest, joining === undefined ? copies : copies + hasAll[joining + 1]!)
    }
    for (const part of parts) hasAll[write.parts.members[part]! + 1] = 0
    return fewest
  }

  /**
   * The lowest sequence after `position` of the member's stream that touches the region: a write, or
   * that a tile of it goes to another node. Writes that a move catches up with stand behind later ones.
   */
  nextTouching(member: Member, position: number, region: Region): number {
    const { stream } = member
    const { geometry } = this.#context.options.grid
    if (position < stream.acked) return 0
    let lowest = Number.POSITIVE_INFINITY
    for (let at = position + 1; at <= stream.head; at++) {
      const { seq, order, parts } = stream.itemAt(at)!
      const touches =
        order === undefined
          ? regionsTouch(this.#open.get(seq)!.task.body!.region!, region)
          : parts.tiles.some((tile) => geometry.touches(tile, region))
      if (touches) lowest = Math.min(lowest, seq)
    }
    return lowest
  }

  /** Rebuilds the log of every stream after a start. */
  restore({ write: writes, written, control: controls }: LogRows): void {
    const { members, nowMs } = this.#context
    const log: { member: Member; position: number; item: StreamItem }[] = []
    const orders = new Set<string>()
    for (const { key, value } of controls) {
      const member = members.find(value.node as Member['id'])
      assert(member !== undefined, 'an order of the log has its member')
      const { position } = value
      orders.add(`${member.index}/${position}`)
      log.push({
        member,
        position,
        item: this.#context.controls.restored(member, Number(key), value),
      })
    }
    for (const { key, value } of [...writes].sort((a, b) => Number(a.key) - Number(b.key))) {
      const write = this.#restored(Number(key), value)
      this.#open.set(write.seq, write)
      const { item, parts } = write
      for (let part = 0; part < parts.size; part++) {
        const member = members.at(parts.members[part]!)
        const position = parts.positionOf(part)
        if (position <= member.stream.acked) continue
        write.expect(part)
        if (!orders.has(`${member.index}/${position}`)) log.push({ member, position, item })
      }
    }
    for (const { key, value } of written) {
      const write = this.#open.get(Number(key))
      // A version from before, to which the gateway went back for a while, leaves them where they are.
      if (write === undefined) this.#context.writeRemoved('written', Number(key))
      else write.written = this.#newTally(write.task, value)
    }
    log.sort((a, b) => a.position - b.position)
    for (const { member, position, item } of log) {
      if (position <= member.stream.acked) continue
      const isNext = member.stream.append(item, nowMs) === position
      assert(isNext, `the log of node ${member.id} has no gaps`)
    }
  }

  #restored(seq: number, value: WriteRecord): OpenWrite {
    const { members, tasks } = this.#context
    const task = tasks.findWrite(value.task as Task['id'])
    assert(task?.body !== undefined, 'a write of the log has its task and body')
    const parts = isNamed(value.parts)
      ? EntryParts.of(
          value.parts.map(({ node, position, tiles }) => {
            const member = members.find(node as Member['id'])
            assert(member !== undefined, 'a part of the log has its member')
            return { member: member.index, position, tiles: unpackTiles(tiles) }
          }),
        )
      : unpackParts(value.parts)
    const { isLost = false, isDone = false } = value
    if (task.isInternal) {
      task.seq = seq
      task.effect = isDone ? 'done' : 'pending'
      if (isDone || isLost) task.state = isDone ? 'completed' : 'failed'
    }
    if (!isLost) {
      const { length } = parts.byMember().filter((part) => {
        return parts.positionOf(part) <= members.at(parts.members[part]!).stream.acked
      })
      task.shards.done = Math.min(task.shards.total, length)
    }
    const write = new OpenWrite(this.#itemOf(seq, task, parts), task, true)
    if (isLost) write.outcome = 'lost'
    else if (task.effect === 'done') write.outcome = 'done'
    return write
  }
}

function recordOf({ task, outcome, parts }: OpenWrite): WriteRecord {
  return {
    task: task.id,
    ...(outcome === 'lost' ? { isLost: true } : {}),
    ...(outcome === 'done' && task.isInternal ? { isDone: true } : {}),
    parts: packParts(parts),
  }
}
