/**
 * Watched cells: their numbers are published, retained, whenever they have changed. A write that touches one makes it
 * due; so do a start, and tiles that come to be or to be lost. What is due and can be answered is read by one `gather`
 * a field, a second at most. Such a read is passing: it has no record and no name that anybody could use, and it takes
 * nobody's share of the looks.
 *
 * Invariants: a cell is read by one look at a time, and that one sees all that got its place before it began. So what is
 * published of a cell never goes back. What is due stays so until it was read: a look that fails leaves it due, and the
 * next one comes later and takes half as many, so that a tile that cannot be read holds up its own cells alone.
 *
 * A cell of a tile that was never written, or whose every copy is lost, has no number: nothing is retained of it. The
 * ledger has the names of the cells alone, so that the next start can clear those that are watched no more.
 */
import { assert } from '../../../shared/core/assert.ts'
import { randomId, type TaskId } from '../../../shared/core/ids.ts'
import { GATHER_LSUS_MAX, gather } from '../../../shared/operations/gather.ts'
import { tileOf } from '../../../shared/operations/named-lsus.ts'
import { checkSubmission, type TaskBody } from '../../../shared/protocol/task.ts'
import type { LedgerContents } from '../ledger-records.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import { namedLsusOf } from '../state/task-extent.ts'
import { operationOf } from '../state/task-ledger.ts'
import { type ReadAsker, UNTOLD } from './read-asker.ts'
import { isReady, type Reads } from './reads.ts'

/** From the beginning of a look to that of the next one of its field. */
export const WATCH_PAUSE_MS = 1000
export const WATCH_PAUSE_MS_MAX = 32_000
/** Longer than a lease, so that another holder is asked, too. */
export const WATCH_LOOK_MS = 30_000

interface Cell {
  readonly id: number
  readonly tile: number
  /** What is retained of it; nothing is the empty text. Undefined: whatever others kept over a start. */
  shown: string | undefined
  /** The look that reads it. */
  look: TaskId | undefined
}

interface Field {
  readonly index: number
  readonly name: string
  /** By LSU. */
  readonly cells: Map<number, Cell>
  /** Those to be read, the one that was put off last at the end. */
  readonly due: Set<Cell>
  /** When the next look may begin. */
  freeMs: number
  pauseMs: number
  /** So many are read at a time. */
  most: number
}

export class Watches {
  readonly #context: CoordinatorContext
  readonly #reads: Reads
  readonly #fields = new Map<number, Field>()
  #epoch: number | undefined

  constructor(context: CoordinatorContext, reads: Reads) {
    this.#context = context
    this.#reads = reads
    const { grid, watches } = context.options
    for (const { field: index, x, y } of watches) {
      const id = y * grid.geometry.width + x
      const tile = tileOf(id, grid.geometry)
      const cell: Cell = { id, tile, shown: undefined, look: undefined }
      const field = this.#fields.get(index) ?? newField(index, grid.fields[index]!.name)
      this.#fields.set(index, field)
      field.cells.set(id, cell)
      field.due.add(cell)
    }
  }

  /** `rows` are the cells that something may be retained of. */
  restore(rows: LedgerContents['watch']): void {
    const names = new Set<string>()
    for (const field of this.#fields.values()) {
      for (const id of field.cells.keys()) names.add(`${field.name}/${id}`)
    }
    for (const { key } of rows) {
      if (names.delete(String(key))) continue
      const [name, id] = String(key).split('/')
      this.#publish(name!, Number(id), '')
      this.#context.persist({ table: 'watch', key, value: undefined })
    }
    for (const key of names) this.#context.persist({ table: 'watch', key, value: true })
  }

  /** A write got its place. */
  noteWrite(body: TaskBody): void {
    if (this.#fields.size === 0) return
    const operation = operationOf(body)
    assert(operation.kind === 'write', `${body.op} is a write`)
    const written = operation.fieldsOf(body.args)
    for (const field of this.#fields.values()) {
      if (written !== 'all' && !written.includes(field.index)) continue
      for (const cell of this.#touched(field, body)) field.due.add(cell)
      this.#lookSoon(field)
    }
  }

  /** Members came or caught up: what could not be answered perhaps can be now. */
  wake(): void {
    for (const field of this.#fields.values()) this.#lookSoon(field)
  }

  /** To be called with each step: tiles may have come to be, or be lost. */
  follow(): void {
    const { placement, identity } = this.#context
    // Before the nodes have said what they hold, nothing is lost.
    if (identity.isRecovering === true || this.#epoch === placement.epoch) return
    this.#epoch = placement.epoch
    for (const field of this.#fields.values()) {
      for (const cell of field.cells.values()) {
        if (placement.isHeld(cell.tile)) continue
        // Whatever is read of it was before.
        cell.look = undefined
        field.due.add(cell)
        this.#show(field, cell, '')
      }
      this.#lookSoon(field)
    }
  }

  #lookSoon(field: Field): void {
    const { deadlines, nowMs } = this.#context
    const name = `watch/${field.index}`
    if (field.due.size === 0 || deadlines.has(name)) return
    deadlines.set(name, Math.max(nowMs, field.freeMs), () => this.#look(field))
  }

  #look(field: Field): void {
    const { nowMs, random, deadlines } = this.#context
    const cells = this.#take(field)
    if (cells.length === 0) return
    field.freeMs = nowMs + field.pauseMs
    const id = randomId(random) as TaskId
    for (const cell of cells) cell.look = id
    const deadline = `watch-look/${id}`
    const giveUp = (): void => {
      this.#reads.abandon(id)
      this.#fail(field, id, cells)
    }
    const look: ReadAsker = {
      ...UNTOLD,
      id,
      body: this.#bodyOf(field, cells),
      deadlineMs: nowMs + WATCH_LOOK_MS,
      shards: { total: 0, done: 0, failed: 0 },
      // Nobody is there who could answer all of it: the rest does not wait for him.
      waits: (reason) => {
        if (reason !== undefined) deadlines.set(deadline, this.#context.nowMs, giveUp)
      },
      completed: ({ value }) => {
        deadlines.clear(deadline)
        this.#complete(field, id, cells, (value as { values: number[] }).values)
      },
      failed: () => {
        deadlines.clear(deadline)
        this.#fail(field, id, cells)
      },
    }
    deadlines.set(deadline, look.deadlineMs, giveUp)
    this.#reads.submit(look)
  }

  /** What is due and can be answered now. */
  #take(field: Field): Cell[] {
    const readable = new Map<number, boolean>()
    const cells: Cell[] = []
    for (const cell of field.due) {
      if (cells.length === field.most) break
      if (cell.look !== undefined) continue
      const { tile } = cell
      if (!readable.has(tile)) readable.set(tile, this.#isReadable(tile))
      if (readable.get(tile)) cells.push(cell)
    }
    for (const cell of cells) field.due.delete(cell)
    return cells
  }

  #isReadable(tile: number): boolean {
    const { placement, members } = this.#context
    if (!placement.isHeld(tile)) return false
    return placement.holdersOf(tile).some((index) => isReady(gather, members.at(index)))
  }

  #bodyOf({ name, index }: Field, cells: readonly Cell[]): TaskBody {
    const { grid } = this.#context.options
    const { width } = grid.geometry
    const places = cells.map(({ id }) => [id % width, Math.floor(id / width)])
    const result = checkSubmission({ op: gather.name, args: { field: name, cells: places } }, grid)
    assert(result.ok, `cells of field ${index} can be read`)
    return result.submission.body
  }

  #complete(field: Field, look: TaskId, cells: readonly Cell[], values: readonly number[]): void {
    field.pauseMs = WATCH_PAUSE_MS
    field.most = Math.min(2 * field.most, GATHER_LSUS_MAX)
    cells.forEach((cell, at) => {
      if (cell.look !== look) return
      cell.look = undefined
      this.#show(field, cell, textOf(values[at]!))
    })
    this.#lookSoon(field)
  }

  #fail(field: Field, look: TaskId, cells: readonly Cell[]): void {
    field.pauseMs = Math.min(2 * field.pauseMs, WATCH_PAUSE_MS_MAX)
    field.freeMs = this.#context.nowMs + field.pauseMs
    field.most = Math.max(1, Math.floor(cells.length / 2))
    for (const cell of cells) {
      if (cell.look !== look) continue
      cell.look = undefined
      field.due.delete(cell)
      field.due.add(cell)
    }
    this.#lookSoon(field)
  }

  #show({ name }: Field, cell: Cell, text: string): void {
    if (cell.shown === text) return
    cell.shown = text
    this.#publish(name, cell.id, text)
  }

  #publish(field: string, id: number, payload: string): void {
    const { width } = this.#context.options.grid.geometry
    const topic = { kind: 'cell-value', field, x: id % width, y: Math.floor(id / width) } as const
    this.#context.retain(topic, payload)
  }

  /** Those of a field that a write goes over. */
  *#touched({ cells }: Field, body: TaskBody): Generator<Cell> {
    const ids = namedLsusOf(body)
    if (ids !== undefined) {
      for (const id of ids) {
        const cell = cells.get(id)
        if (cell !== undefined) yield cell
      }
      return
    }
    const { width } = this.#context.options.grid.geometry
    const { x, y, w, h } = body.region!
    for (const cell of cells.values()) {
      const row = Math.floor(cell.id / width)
      const column = cell.id - row * width
      if (column >= x && column < x + w && row >= y && row < y + h) yield cell
    }
  }
}

function newField(index: number, name: string): Field {
  return {
    ...{ index, name, cells: new Map<number, Cell>(), due: new Set<Cell>() },
    ...{ freeMs: 0, pauseMs: WATCH_PAUSE_MS, most: GATHER_LSUS_MAX },
  }
}

/** As `get` gives it. Cells hold finite numbers alone; whatever else a node says is no number. */
function textOf(value: number): string {
  return Number.isFinite(value) ? JSON.stringify(value) : ''
}
