/**
 * Readings: numbers that sensors tell of single cells. Of each cell the last one counts. They wait in memory, as
 * many as reading-shares.ts has room for, until a window ends; then those whose tiles can be written now become one `scatter` a field,
 * which gets its place in the same step. The others wait on, so a tile that nobody has holds up its own cells alone.
 *
 * Who waits for an acknowledgement gets it once the reading, or a later one of its cell, is in the ledger: in the
 * journal, a row a cell, which is written every `COMMIT_MS` at most; or in the body of the write. The write takes the
 * row away in the step in which it gets its place. While a ledger is rebuilt no tile has a holder, so they wait in the
 * journal. Invariant: what was acknowledged is in the journal, in a write of the log, or on the boards, unless a later
 * reading of its cell is.
 */
import { assert } from '../../../shared/core/assert.ts'
import { boxOfIds, tileOf } from '../../../shared/operations/named-lsus.ts'
import type { Readings as Given } from '../../../shared/protocol/readings.ts'
import { checkSubmission, type TaskBody } from '../../../shared/protocol/task.ts'
import type { ReadingsReceived, Ticket } from '../events.ts'
import type { LedgerContents } from '../ledger-records.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import { givenOf, internalId } from '../state/task-ledger.ts'
import { tilesWithRoom } from './birth-room.ts'
import type { LedgerRoom } from './ledger-room.ts'
import { ReadingDesk } from './reading-desk.ts'
import { ReadingShares, sharerOf } from './reading-shares.ts'
import { ReadingTimes } from './reading-times.ts'
import type { Writes } from './writes.ts'

const COMMIT_MS = 250
/** So many new ones do not wait for the window. */
const AT_ONCE = 4096
/** Of a step: tiles that are looked at, and cells that are written, about. */
const LOOKED_MAX = 4096
const WRITTEN_MAX = 16_384
/** Members that come back one by one are no reason to look at all that waits each time. */
const WAKE_MS = 250
/** Those who watch the grid are told so many parts of a write; of more, the box around all. */
const REGIONS_TOLD = 16
/** A time that is further ahead than this is none: it would shut out all that are right. */
const AHEAD_MS_MAX = 60_000
/** What a row of the journal takes on disk, about. */
const ROW_BYTES = 64

interface Cell {
  value: number
  /** Who told it first since it was written. */
  readonly by: string | undefined
  /** The journal has a row of it, of this value or of an earlier one. */
  hasRow: boolean
}

interface Tile {
  readonly field: number
  readonly tile: number
  /** By LSU. */
  readonly cells: Map<number, Cell>
}

export class Readings {
  readonly #context: CoordinatorContext
  readonly #writes: Writes
  readonly #room: LedgerRoom
  readonly #desk: ReadingDesk
  readonly #times = new ReadingTimes()
  readonly #shares = new ReadingShares()
  readonly #tiles = new Map<number, Tile>()
  /** What the journal is to have of them: rows by key. */
  readonly #unwritten = new Map<string, Cell>()
  readonly #tickets: { readonly ticket: Ticket; readonly earliestMs: number }[] = []
  /** Those that this window has not looked at yet. */
  #queue: Tile[] = []
  #fresh = 0
  #committedMs = Number.NEGATIVE_INFINITY
  #lookedMs = Number.NEGATIVE_INFINITY
  #taken = 0
  #written = 0

  constructor(context: CoordinatorContext, writes: Writes, room: LedgerRoom) {
    this.#context = context
    this.#writes = writes
    this.#room = room
    this.#desk = new ReadingDesk(context)
  }

  get counts(): { pending: number; taken: number; written: number } {
    const pending = this.#shares.size + this.#context.copied.size
    return { pending, taken: this.#taken, written: this.#written }
  }

  /** By reason. */
  get refused(): Readonly<Record<string, number>> {
    return this.#desk.refused
  }

  /** What was acknowledged before a start, and is in no write. */
  restore(rows: LedgerContents['cell']): void {
    const { fields, geometry } = this.#context.options.grid
    for (const { key, value } of rows) {
      const [name, id] = String(key).split('/')
      const field = fields.findIndex((one) => one.name === name)
      assert(field >= 0 && Number(id) < geometry.lsus, 'the grid has the cells of the journal')
      if (typeof value === 'number') this.#put(field, Number(id), value, undefined).hasRow = true
      else this.#context.copied.hold({ key: String(key), field, id: Number(id), cell: value })
    }
    if (this.#shares.size > 0) this.#openWindow()
  }

  /** Those of a copy that count, now that it is known how far the boards are. */
  takeCopied(): void {
    const counting = this.#context.copied.takeCounting()
    for (const { field, id, cell } of counting) {
      this.#put(field, id, cell.value, undefined).hasRow = true
    }
    if (counting.length > 0) this.#openWindow()
  }

  receive(event: ReadingsReceived): void {
    // What comes now is later.
    this.takeCopied()
    const by = sharerOf(event.submitter)
    const admitted = this.#desk.admit(event, (readings) => {
      const places = new Set(
        readings.flatMap(({ field, cells }) => cells.map((id) => field * this.#lsus + id)),
      )
      const full = this.#room.diskRefusal(places.size * ROW_BYTES)
      if (full !== undefined) return full
      if (this.#shares.hasRoom(by, places.size)) return undefined
      const fresh = [...places].filter((place) => this.#find(place) === undefined).length
      if (this.#shares.hasRoom(by, fresh)) return undefined
      const message = 'readings of cells whose nodes are away leave no room for more of this user'
      return { code: 'overloaded', message }
    })
    if (admitted === undefined) return
    const { readings, waitMs } = admitted
    for (const one of readings) this.#take(one, by, event.ticket !== undefined)
    if (event.ticket !== undefined) {
      this.#tickets.push({ ticket: event.ticket, earliestMs: this.#context.nowMs + waitMs })
      this.#commitSoon()
    }
    if (this.#shares.size > 0) this.#openWindow()
  }

  /** Members came or caught up, or tiles changed hands: what waits may go on. */
  wake(): void {
    if (this.#shares.size === 0) return
    this.#lookAt(Math.max(this.#context.nowMs, this.#lookedMs + WAKE_MS))
  }

  get #lsus(): number {
    return this.#context.options.grid.geometry.lsus
  }

  #find(place: number): Cell | undefined {
    const id = place % this.#lsus
    return this.#tiles.get(this.#keyOf(Math.floor(place / this.#lsus), id))?.cells.get(id)
  }

  #keyOf(field: number, id: number): number {
    const { geometry } = this.#context.options.grid
    return field * geometry.tiles + tileOf(id, geometry)
  }

  #take({ field, cells, values, ts }: Given, by: string, mustLast: boolean): void {
    this.#taken += cells.length
    const isTimed = ts !== undefined && ts <= this.#context.ts + AHEAD_MS_MAX
    for (const [index, id] of cells.entries()) {
      const isLate = isTimed && !this.#times.take(this.#context.nowMs, field * this.#lsus + id, ts)
      if (isLate) this.#desk.count('older')
      const cell = isLate
        ? this.#find(field * this.#lsus + id)
        : this.#put(field, id, values[index]!, by)
      if (mustLast && cell !== undefined) this.#unwritten.set(this.#rowOf(field, id), cell)
    }
  }

  #put(field: number, id: number, value: number, by: string | undefined): Cell {
    const key = this.#keyOf(field, id)
    let tile = this.#tiles.get(key)
    if (tile === undefined) {
      const { geometry } = this.#context.options.grid
      tile = { field, tile: tileOf(id, geometry), cells: new Map() }
      this.#tiles.set(key, tile)
    }
    const known = tile.cells.get(id)
    if (known !== undefined) {
      known.value = value
      return known
    }
    const wasHeld =
      this.#context.copied.size > 0 &&
      this.#context.copied.replace(this.#rowOf(field, id), tile.tile)
    const cell = { value, by, hasRow: wasHeld }
    tile.cells.set(id, cell)
    this.#shares.add(by)
    this.#fresh += 1
    return cell
  }

  #rowOf(field: number, id: number): string {
    return `${this.#context.options.grid.fields[field]!.name}/${id}`
  }

  #commitSoon(): void {
    const { deadlines, nowMs } = this.#context
    const dueMs = this.#committedMs + COMMIT_MS
    if (dueMs <= nowMs) this.#commit()
    else if (!deadlines.has('readings-commit')) {
      deadlines.set('readings-commit', dueMs, () => this.#commit())
    }
  }

  /** What was taken until now is in the ledger with the end of this step. */
  #commit(): void {
    const { nowMs, deadlines } = this.#context
    this.#committedMs = nowMs
    deadlines.clear('readings-commit')
    for (const [key, cell] of this.#unwritten) {
      cell.hasRow = true
      this.#context.persist({ table: 'cell', key, value: cell.value })
    }
    this.#room.take(this.#unwritten.size * ROW_BYTES)
    this.#unwritten.clear()
    for (const { ticket, earliestMs } of this.#tickets.splice(0)) {
      this.#desk.answer(ticket, earliestMs)
    }
  }

  #openWindow(): void {
    const { deadlines, nowMs, options } = this.#context
    if (this.#fresh >= AT_ONCE) this.#lookAt(nowMs)
    else if (!deadlines.has('readings')) this.#lookAt(nowMs + options.cellsWindowMs)
  }

  #lookAt(atMs: number): void {
    this.#context.deadlines.set('readings', atMs, () => this.#look())
  }

  /** Writes what can be written, some of it at a time. */
  #look(): void {
    const { nowMs, options } = this.#context
    if (this.#queue.length === 0) {
      this.#queue = [...this.#tiles.values()].reverse()
      this.#fresh = 0
      this.#lookedMs = nowMs
    }
    const hasRoom = this.#write(this.#nextTiles())
    if (!hasRoom) this.#queue = []
    if (this.#tickets.length > 0) this.#commit()
    if (this.#queue.length > 0) this.#lookAt(nowMs)
    else if (this.#shares.size > 0) this.#lookAt(nowMs + options.cellsWindowMs)
  }

  #nextTiles(): Tile[] {
    const tiles: Tile[] = []
    let cells = 0
    while (tiles.length < LOOKED_MAX && cells < WRITTEN_MAX && this.#queue.length > 0) {
      const tile = this.#queue.pop()!
      tiles.push(tile)
      cells += tile.cells.size
    }
    return tiles
  }

  /** False when there is no room for more. */
  #write(tiles: readonly Tile[]): boolean {
    const looked = Uint32Array.from(new Set(tiles.map(({ tile }) => tile))).sort()
    const { waiting, barriers, options } = this.#context
    const blocked = new Set(waiting.blockedTiles(looked, 'scatter'))
    const { geometry } = options.grid
    const byField = new Map<number, Tile[]>()
    for (const tile of tiles) {
      if (blocked.has(tile.tile)) continue
      // A write reads them for neighbours at this moment.
      if (barriers.inTheWayOf(geometry.tileRegion(tile.tile)) !== undefined) continue
      const others = byField.get(tile.field)
      if (others === undefined) byField.set(tile.field, [tile])
      else others.push(tile)
    }
    for (const field of [...byField.keys()].sort((a, b) => a - b)) {
      if (!this.#writeField(field, byField.get(field)!)) return false
    }
    return true
  }

  #writeField(field: number, all: readonly Tile[]): boolean {
    const context = this.#context
    const tiles = this.#withRoom(all)
    if (tiles.length === 0) return true
    const body = this.#bodyOf(field, tiles)
    const given = givenOf(body)
    const { encoded } = given
    if (!this.#room.hasLogRoom(encoded.length)) return false
    const id = internalId(context.identity.seq + 1)
    const task = context.tasks.acceptInternal(id, given, context.ts)
    context.persist({ table: 'body', key: id, value: encoded })
    this.#room.take(encoded.length)
    this.#writes.sequence(task)
    assert(task.seq !== undefined && id === internalId(task.seq), 'it has the place of its name')
    for (const tile of tiles) this.#forget(tile)
    const { geometry } = context.options.grid
    const isTold = tiles.length <= REGIONS_TOLD
    const regions = isTold
      ? tiles.map(({ cells }) => boxOfIds(cells.keys(), geometry))
      : [body.region!]
    context.emit({ type: 'announce-write', regions, seq: task.seq })
    return true
  }

  /** Those that the boards have room for. What is on disk already needs no more of it. */
  #withRoom(tiles: readonly Tile[]): readonly Tile[] {
    const { placement } = this.#context
    const unborn = tiles.map(({ tile }) => tile).filter((tile) => !placement.isBorn(tile))
    if (unborn.length === 0) return tiles
    const found = tilesWithRoom(this.#context, unborn)
    return tiles.filter(({ tile }) => placement.isBorn(tile) || found.has(tile))
  }

  #bodyOf(field: number, tiles: readonly Tile[]): TaskBody {
    const { grid } = this.#context.options
    const ids: number[] = []
    const values: number[] = []
    for (const { cells } of tiles) {
      for (const [id, { value }] of cells) {
        ids.push(id)
        values.push(value)
      }
    }
    const args = { field: grid.fields[field]!.name, ids, values }
    const result = checkSubmission({ op: 'scatter', args }, grid)
    assert(result.ok, 'readings that were taken are a write')
    return result.submission.body
  }

  /** It is in a write. */
  #forget({ field, tile, cells }: Tile): void {
    for (const [id, { by, hasRow }] of cells) {
      this.#shares.remove(by)
      const key = this.#rowOf(field, id)
      this.#unwritten.delete(key)
      if (hasRow) this.#context.persist({ table: 'cell', key, value: undefined })
    }
    this.#written += cells.size
    this.#tiles.delete(field * this.#context.options.grid.geometry.tiles + tile)
  }
}
