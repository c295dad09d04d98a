/**
 * A file on its way into a field. Its numbers become bands of whole rows of tiles, and these `put` tasks of at most
 * 65,536 cells, of which so many are open at a time: while there is no place, nothing more is read. The file is always
 * cut the same way, and each task is known by the upload's id and its number: so who sends it again after whatever
 * broke has what was taken recognised, and nothing is done twice. It is whole in each tile, and not as a whole.
 */
import { count } from '../../shared/core/count.ts'
import type { TaskId } from '../../shared/core/ids.ts'
import { type CellReader, FileProblem } from '../../shared/grid/cell-readers.ts'
import {
  bytesOfColumn,
  type Column,
  createColumn,
  type Field,
  held,
  takes,
} from '../../shared/grid/fields.ts'
import type { Region } from '../../shared/grid/geometry.ts'
import { isEnded } from '../../shared/protocol/states.ts'
import type { Refusal, RefusalCode } from '../core/effects.ts'
import { bandsOf, piecesOf } from './grid-bands.ts'
import type { HttpClient, HttpPort } from './http-port.ts'

export interface UploadPlan {
  readonly id: string
  readonly field: Field
  /** Of a file whose rows nobody has counted it goes to the lower edge of the grid. */
  readonly region: Region
  readonly isCounted: boolean
  readonly tile: number
}

export type UploadState = 'receiving' | 'ending' | 'done' | 'failed' | 'cut-off'

export interface UploadView {
  readonly id: string
  readonly state: UploadState
  readonly field: string
  /** Whose cells are all in tasks. */
  readonly rows: number
  readonly rows_total?: number
  readonly tasks: number
  readonly completed: number
  readonly failed: number
  readonly lsus: number
  readonly bytes: number
}

const OPEN_TASKS_MAX = 4
/** Of each task: a board may be away for a while. */
const DEADLINE_MS = 600_000
/** So long it is tried again to have a task taken. */
const PATIENCE_MS = 60_000
const RETRY_MS = 500
const WAIT_MS = 30_000

/** What may be over soon. */
const PASSING: readonly RefusalCode[] = [
  ...(['overloaded', 'rate-limited', 'no-node', 'recovering', 'ledger-full'] as const),
]

/** A task was not taken. */
export class UploadRefused extends Error {
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    super(refusal.message)
    this.refusal = refusal
  }
}

export class Upload {
  readonly #plan: UploadPlan
  readonly #port: HttpPort
  readonly #client: HttpClient
  readonly #left: AbortSignal
  readonly #bands: Generator<Region>
  readonly #open = new Set<Promise<void>>()
  #band: Region
  /** Of the band, and how many of them have come. */
  #cells: Column
  #filled = 0
  #rows = 0
  #tasks = 0
  #completed = 0
  #failed = 0
  #lsus = 0
  #bytes = 0
  #state: UploadState = 'receiving'

  constructor(plan: UploadPlan, port: HttpPort, client: HttpClient, left: AbortSignal) {
    this.#plan = plan
    this.#port = port
    this.#client = client
    this.#left = left
    this.#bands = bandsOf(plan.region, plan.tile)
    this.#band = this.#bands.next().value as Region
    this.#cells = createColumn(plan.field.type, this.#band.w * this.#band.h)
  }

  view(): UploadView {
    const { id, field, region, isCounted } = this.#plan
    return {
      ...{ id, state: this.#state, field: field.name, rows: this.#rows },
      ...(isCounted ? { rows_total: region.h } : {}),
      ...{ tasks: this.#tasks, completed: this.#completed, failed: this.#failed },
      ...{ lsus: this.#lsus, bytes: this.#bytes },
    }
  }

  /** Takes the file in. Resolves once all of it is in tasks; throws a `FileProblem` or an `UploadRefused`. */
  async receive(chunks: AsyncIterable<Uint8Array>, reader: CellReader): Promise<void> {
    try {
      for await (const chunk of chunks) {
        this.#bytes += chunk.length
        await this.#take(reader.read(chunk), reader)
      }
      await this.#take(reader.end(), reader)
      await this.#takeRest()
      this.#state = 'ending'
    } catch (error) {
      this.#state = 'cut-off'
      throw error
    } finally {
      this.#cells = createColumn('u8', 0)
    }
  }

  /** Resolves once all its tasks have ended. */
  async end(): Promise<void> {
    await Promise.all(this.#open)
    this.#state = this.#failed > 0 ? 'failed' : 'done'
  }

  async #take(numbers: ArrayLike<number>, reader: CellReader): Promise<void> {
    const { type } = this.#plan.field
    for (let from = 0; from < numbers.length; ) {
      if (this.#filled === this.#cells.length) this.#nextBand()
      const count = Math.min(numbers.length - from, this.#cells.length - this.#filled)
      for (let index = 0; index < count; index++) {
        const number = numbers[from + index]!
        if (!takes(type, number)) throw this.#notTaken(this.#filled + index, number, reader)
        this.#cells[this.#filled + index] = held(type, number)
      }
      this.#filled += count
      from += count
      if (this.#filled === this.#cells.length) await this.#put(this.#band)
    }
  }

  #notTaken(place: number, number: number, reader: CellReader): FileProblem {
    const { field, region } = this.#plan
    const row = this.#band.y - region.y + Math.floor(place / region.w)
    const where = reader.placeOf(row, place % region.w)
    return new FileProblem(`${where}: ${number} is nothing that a field of ${field.type} holds`)
  }

  #nextBand(): void {
    const next = this.#bands.next()
    if (next.done === true)
      throw new FileProblem(`it has more than ${count(this.#plan.region.h, 'row')}`)
    this.#band = next.value
    const lsus = next.value.w * next.value.h
    // The same memory again, but for the first and the last band.
    if (lsus <= this.#cells.length) this.#cells = this.#cells.subarray(0, lsus)
    else this.#cells = createColumn(this.#plan.field.type, lsus)
    this.#filled = 0
  }

  async #takeRest(): Promise<void> {
    const { region, isCounted } = this.#plan
    const { w } = region
    if (this.#filled < this.#cells.length) {
      if (this.#filled % w !== 0) throw new FileProblem('it ends within a row')
      if (isCounted) {
        const rows = this.#band.y - region.y + this.#filled / w
        throw new FileProblem(`it has ${count(rows, 'row')}, and was to have ${region.h}`)
      }
      if (this.#bytes === 0) throw new FileProblem('it is empty')
      if (this.#filled > 0) await this.#put({ ...this.#band, h: this.#filled / w })
    } else if (isCounted && this.#rows < region.h) {
      throw new FileProblem(`it has ${count(this.#rows, 'row')}, and was to have ${region.h}`)
    }
  }

  /** Its cells are there. */
  async #put(band: Region): Promise<void> {
    const { tile } = this.#plan
    for (const piece of piecesOf(band, tile)) {
      while (this.#open.size >= OPEN_TASKS_MAX) await Promise.race(this.#open)
      await this.#submit(piece, this.#valuesOf(piece, band))
    }
    this.#rows += band.h
  }

  /** Valid until the next band. */
  #valuesOf(piece: Region, band: Region): Column {
    if (piece.w === band.w) return this.#cells.subarray(0, piece.w * piece.h)
    const values = createColumn(this.#plan.field.type, piece.w * piece.h)
    for (let row = 0; row < piece.h; row++) {
      const from = row * band.w + piece.x - band.x
      values.set(this.#cells.subarray(from, from + piece.w), row * piece.w)
    }
    return values
  }

  async #submit(region: Region, values: Column): Promise<void> {
    const { id, field } = this.#plan
    const task = `${id}-${this.#tasks}` as TaskId
    const wish = {
      id: task,
      op: 'put',
      region,
      args: { field: field.name, values: bytesOfColumn(values) },
      deadline_ms: DEADLINE_MS,
    }
    const untilMs = performance.now() + PATIENCE_MS
    for (;;) {
      if (this.#left.aborted) throw new FileProblem('it was cut off')
      const outcome = await this.#port.submitWish(wish, this.#client)
      if (outcome.ok) break
      const { code, retryMs = RETRY_MS } = outcome.refusal
      if (!PASSING.includes(code) || performance.now() > untilMs) {
        throw new UploadRefused(outcome.refusal)
      }
      await new Promise((resolve) => setTimeout(resolve, retryMs))
    }
    this.#tasks += 1
    this.#lsus += region.w * region.h
    const ended = this.#follow(task).then(() => {
      this.#open.delete(ended)
    })
    this.#open.add(ended)
  }

  async #follow(task: TaskId): Promise<void> {
    const never = new AbortController().signal
    while (!isEnded(this.#port.task(task)?.state ?? 'completed')) {
      await this.#port.waitForEnd(task, WAIT_MS, never)
    }
    if (this.#port.task(task)?.state === 'completed') this.#completed += 1
    else this.#failed += 1
  }
}
