/**
 * The log of writes: which part of each sequenced write stands where in which node's stream, until no
 * node needs it any more. What a write waits for and when it is done is decided in writes.ts.
 *
 * Invariant: a part of a write is in the ledger in the step that puts it into a stream.
 */
import { assert } from '../../../shared/core/assert.ts'
import { type Region, regionsTouch } from '../../../shared/grid/geometry.ts'
import { unpackTiles } from '../../../shared/operations/columns.ts'
import type { WriteOperation } from '../../../shared/operations/operation.ts'
import type { Entry } from '../../../shared/protocol/messages.ts'
import { isEnded } from '../../../shared/protocol/states.ts'
import type { ControlRecord, WriteRecord } from '../ledger-records.ts'
import type { ControlLog } from './control-log.ts'
import type { CoordinatorContext } from './coordinator-context.ts'
import type { Member } from './membership.ts'
import type { Move } from './move-table.ts'
import type { LogEntry } from './node-stream.ts'
import { isNamed, packParts, unpackParts } from './part-records.ts'
import { NO_HOLDER } from './slots.ts'
import { goesOver, tilesOf } from './task-extent.ts'
import { bodyMark, operationOf, type Task } from './task-ledger.ts'

/** The entry at `position` gives the member this write: its own, or the adoption of a page that has it. */
export interface WritePart {
  readonly member: number
  readonly position: number
  readonly tiles: Uint32Array
}

export interface OpenWrite {
  readonly seq: number
  readonly task: Task
  parts: WritePart[]
  /** Holders that have not acknowledged all of their parts, with the position of the last one. */
  readonly waitingFor: Map<number, number>
  /** Of the parts behind this one none is waited for that was not again since: who acknowledges is passed over once. */
  lastAwaited: number
  /** Done: on disk with all who had to have it. Lost: a tile of it has no copy any more, so that it never will be. */
  outcome: 'open' | 'done' | 'lost'
  /** How many moves may still have to catch up with it. */
  retained: number
  /** It was open already when the gateway started. */
  readonly isRestored: boolean
}

export type Rows<T> = readonly { readonly key: string | number; readonly value: T }[]

const ENTRY_OVERHEAD_BYTES = 160
const TILE_ID_BYTES = 4

export class WriteLog {
  readonly #context: CoordinatorContext
  readonly #controls: ControlLog
  /** By sequence, ascending. */
  readonly #open = new Map<number, OpenWrite>()
  /**
   * Of the write whose copies are counted: how many each tile has, and the index of the last member that was counted,
   * and one: a tile that came back to a node that had it before has two parts and is one copy. Zeros between two.
   */
  readonly #tallies: { readonly copies: Uint8Array; readonly last: Uint32Array }

  constructor(context: CoordinatorContext, controls: ControlLog) {
    this.#context = context
    this.#controls = controls
    const { tiles } = context.options.grid.geometry
    this.#tallies = { copies: new Uint8Array(tiles), last: new Uint32Array(tiles) }
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
    const { entries } = member.stream
    const isAdopting = entries.some(({ order }) => order?.op === '$adopt')
    const seqs = isAdopting ? this.#open.keys() : entries.map(({ seq }) => seq)
    return [...new Set(seqs)]
      .flatMap((seq) => this.#open.get(seq) ?? [])
      .filter(({ waitingFor }) => waitingFor.has(member.index))
      .sort((a, b) => a.seq - b.seq)
  }

  find(seq: number): OpenWrite | undefined {
    return this.#open.get(seq)
  }

  /** Its body is read whenever a part goes to a node, so it stays until `remove`. */
  needs(task: Task): boolean {
    return task.seq !== undefined && this.#open.has(task.seq)
  }

  add(write: OpenWrite): void {
    this.#open.set(write.seq, write)
  }

  /** No node needs it any more. */
  remove(write: OpenWrite): void {
    this.#open.delete(write.seq)
    this.#context.persist({ table: 'write', key: write.seq, value: undefined })
  }

  addPart(write: OpenWrite, index: number, tiles: Uint32Array): void {
    const member = this.#context.members.at(index)
    const position = this.#append(write, member, tiles)
    write.parts.push({ member: index, position, tiles })
    write.waitingFor.set(index, position)
    this.#context.streamChanged(member)
  }

  #entryBytes(task: Task, tiles: Uint32Array): number {
    const operation = operationOf(task) as WriteOperation
    const { grid } = this.#context.options
    const perTile = operation.argumentBytesPerTile(task.body!.args, grid, tiles) + TILE_ID_BYTES
    return ENTRY_OVERHEAD_BYTES + tiles.length * perTile
  }

  persist(write: OpenWrite): void {
    this.#context.persist({ table: 'write', key: write.seq, value: this.#recordOf(write) })
  }

  /**
   * The target of a move adopts a page by its entry at `adopted`: writes up to the `at` of the page come
   * with it, later ones follow in its stream.
   */
  follow(move: Move, { at, adopted }: { at: number; adopted: number }): void {
    const { grid } = this.#context.options
    const tiles = Uint32Array.of(move.tile)
    for (const write of this.#open.values()) {
      if (!goesOver(write.task.body!, move.tile, grid)) continue
      if (write.seq > at) this.addPart(write, move.to, tiles)
      else {
        write.parts.push({ member: move.to, position: adopted, tiles })
        write.waitingFor.set(move.to, Math.max(adopted, write.waitingFor.get(move.to) ?? 0))
      }
      if (!isEnded(write.task.state)) write.task.shards.total += 1
      this.persist(write)
    }
  }

  /** Whether a write to the tile was shown as done that the member does not have. */
  owes(member: Member, tile: number): boolean {
    const { grid } = this.#context.options
    return this.all.some(
      ({ outcome, waitingFor, task }) =>
        outcome === 'done' && waitingFor.has(member.index) && goesOver(task.body!, tile, grid),
    )
  }

  /** The writes of which an entry of the member's stream is a part. */
  givenBy(member: Member, { seq, order, position }: LogEntry): readonly OpenWrite[] {
    if (order === undefined) {
      const write = this.#open.get(seq)
      return write === undefined ? [] : [write]
    }
    if (order.op !== '$adopt') return []
    return this.all.filter(({ parts }) =>
      parts.some((part) => part.member === member.index && part.position === position),
    )
  }

  #recordOf(write: OpenWrite): WriteRecord {
    return {
      task: write.task.id,
      ...(write.outcome === 'lost' ? { isLost: true } : {}),
      ...(write.outcome === 'done' && write.task.isInternal ? { isDone: true } : {}),
      parts: packParts(write.parts),
    }
  }

  encode(entry: LogEntry): Entry {
    const { grid } = this.#context.options
    const { task } = this.#open.get(entry.seq)!
    const { region, args } = task.body!
    const operation = operationOf(task) as WriteOperation
    return {
      position: entry.position,
      seq: entry.seq,
      chain: entry.chain,
      op: task.op,
      region: [region!.x, region!.y, region!.w, region!.h],
      args: operation.cut(args, region!, entry.tiles, grid),
      tiles: new Uint8Array(entry.tiles.buffer, entry.tiles.byteOffset, entry.tiles.byteLength),
      body: entry.body,
    }
  }

  /** The fewest holders that have this write on disk, over its tiles. */
  copiesOf(write: OpenWrite): number {
    const { options, placement, moves } = this.#context
    const { slots, replicas } = placement
    const tallies = this.#tallies
    const applied = write.parts.filter(({ member }) => !write.waitingFor.has(member))
    for (const { member, tiles } of applied.sort((a, b) => a.member - b.member)) {
      for (const tile of tiles) {
        if (tallies.last[tile] === member + 1) continue
        let slot = tile * replicas
        const end = slot + replicas
        while (slot < end && slots[slot] !== NO_HOLDER && slots[slot] !== member + 1) slot++
        const isHolder = slot < end && slots[slot] === member + 1
        if (!isHolder && !moves.isJoining(tile, member)) continue
        tallies.last[tile] = member + 1
        tallies.copies[tile]! += 1
      }
    }
    // While a tile moves there is a copy more, which is about to go.
    let fewest = replicas
    for (const tile of tilesOf(write.task.body!, options.grid)) {
      fewest = Math.min(fewest, tallies.copies[tile]!)
    }
    for (const { tiles } of applied) {
      for (const tile of tiles) tallies.last[tile] = tallies.copies[tile] = 0
    }
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
      const { seq, order, tiles } = stream.entryAt(at)!
      const touches =
        order === undefined
          ? regionsTouch(this.#open.get(seq)!.task.body!.region!, region)
          : tiles.some((tile) => geometry.touches(tile, region))
      if (touches) lowest = Math.min(lowest, seq)
    }
    return lowest
  }

  /** Rebuilds the log of every stream after a start. */
  restore(writes: Rows<WriteRecord>, controls: Rows<ControlRecord>): void {
    const { members } = this.#context
    const log: { member: Member; position: number; append: () => number }[] = []
    const orders = new Set<string>()
    for (const { key, value } of controls) {
      const member = members.find(value.node as Member['id'])
      assert(member !== undefined, 'an order of the log has its member')
      orders.add(`${member.index}/${value.position}`)
      const append = (): number => this.#controls.restore(member, Number(key), value)
      log.push({ member, position: value.position, append })
    }
    for (const { key, value } of [...writes].sort((a, b) => Number(a.key) - Number(b.key))) {
      const write = this.#restored(Number(key), value)
      this.#open.set(write.seq, write)
      for (const { member: index, position, tiles } of write.parts) {
        const member = members.at(index)
        if (position <= member.stream.acked) continue
        write.waitingFor.set(index, Math.max(position, write.waitingFor.get(index) ?? 0))
        if (orders.has(`${index}/${position}`)) continue
        const append = (): number => this.#append(write, member, tiles)
        log.push({ member, position, append })
      }
    }
    log.sort((a, b) => a.position - b.position)
    for (const { member, position, append } of log) {
      if (position <= member.stream.acked) continue
      assert(append() === position, `the log of node ${member.id} has no gaps`)
    }
  }

  #restored(seq: number, value: WriteRecord): OpenWrite {
    const { members, tasks } = this.#context
    const task = tasks.findWrite(value.task as Task['id'])
    assert(task?.body !== undefined, 'a write of the log has its task and body')
    const parts = isNamed(value.parts)
      ? value.parts.map(({ node, position, tiles }) => {
          const member = members.find(node as Member['id'])
          assert(member !== undefined, 'a part of the log has its member')
          return { member: member.index, position, tiles: unpackTiles(tiles) }
        })
      : unpackParts(value.parts)
    const { isLost = false, isDone = false } = value
    if (task.isInternal) {
      task.seq = seq
      task.effect = isDone ? 'done' : 'pending'
      if (isDone || isLost) task.state = isDone ? 'completed' : 'failed'
    }
    if (!isLost) {
      const { length } = parts.filter(({ member, position }) => {
        return position <= members.at(member).stream.acked
      })
      task.shards.done = Math.min(task.shards.total, length)
    }
    return {
      seq,
      task,
      parts,
      waitingFor: new Map(),
      outcome: isLost ? 'lost' : task.effect === 'done' ? 'done' : 'open',
      retained: 0,
      isRestored: true,
      lastAwaited: parts.length - 1,
    }
  }

  #append(write: OpenWrite, member: Member, tiles: Uint32Array): number {
    const { position } = member.stream.append({
      seq: write.seq,
      body: bodyMark(write.task),
      tiles,
      queuedMs: this.#context.nowMs,
      bytes: this.#entryBytes(write.task, tiles),
    })
    return position
  }
}
