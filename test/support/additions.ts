/** Adds over one small grid, sent until they are acknowledged, and what they must amount to. */
import type { Test } from 'tap'
import type { Random } from '../../shared/core/random.ts'
import { eventually } from './processes.ts'
import { type HttpClient, isEnd, type Json, type WireClient } from './wire-client.ts'

/** Submissions of one client that wait for their acknowledgement. */
const IN_FLIGHT = 6
/** Longer than any test: where this is given, nothing may expire. */
export const PATIENT = { deadline_ms: 600_000 }

export interface AdditionsOptions {
  /** What the ids begin with: no two clients of a test may share it. */
  readonly name?: string
  /** Each add adds 1 to this. At 1, an LSU counts the tasks that covered it. */
  readonly valueMax?: number
}

export class Additions {
  readonly tasks = new Map<string, Json>()
  /** Not known to be acknowledged. */
  readonly open = new Map<string, Json>()
  readonly #cells: number[]
  readonly #side: number
  readonly #random: Random
  readonly #name: string
  readonly #valueMax: number

  /** Of field `n` of a grid of `side` times `side`. */
  constructor(side: number, random: Random, { name = 'add', valueMax = 9 }: AdditionsOptions = {}) {
    this.#side = side
    this.#random = random
    this.#name = name
    this.#valueMax = valueMax
    this.#cells = new Array<number>(side * side).fill(0)
  }

  /** What each LSU has to be, row by row. */
  get cells(): readonly number[] {
    return this.#cells
  }

  /** A new task, which counts from now on. */
  next(): Json {
    const random = this.#random
    const side = this.#side
    const [x, y] = [random.integer(side), random.integer(side)]
    const region = { x, y, w: 1 + random.integer(side - x), h: 1 + random.integer(side - y) }
    const value = 1 + random.integer(this.#valueMax)
    const id = `${this.#name}-${this.tasks.size}`
    const task = { id, op: 'add', region, args: { field: 'n', value }, ...PATIENT }
    this.tasks.set(id, task)
    this.open.set(id, task)
    for (let row = y; row < y + region.h; row++) {
      for (let at = row * side + x; at < row * side + x + region.w; at++) this.#cells[at]! += value
    }
    return task
  }

  /** Sends all that is open, some at the same time, until the connection closes. */
  async send(wire: WireClient, acknowledged: () => void = () => {}): Promise<void> {
    const waiting = [...this.open.values()]
    const sendNext = async (): Promise<void> => {
      for (let task = waiting.shift(); task !== undefined; task = waiting.shift()) {
        if (!(await wire.submit(task, this.#random.integer(2) === 0 ? 'json' : 'cbor'))) return
        this.open.delete(task.id)
        acknowledged()
      }
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, sendNext))
  }

  async areDone(t: Test, http: HttpClient): Promise<void> {
    await allCompleted(t, http, this.tasks.keys())
  }

  async areHeld(t: Test, http: HttpClient, name: string): Promise<void> {
    const { value } = await http.run({ op: 'get', args: { fields: ['n'] } })
    areEqual(t, value.fields.n, this.#cells, name)
  }
}

/** Of thousands of numbers, and of one that differs: tap would compare and print them all, for long. */
export function areEqual(
  t: Test,
  found: readonly number[],
  cells: readonly number[],
  name: string,
): void {
  const lsu = cells.findIndex((value, at) => value !== found[at])
  t.same([found.length, lsu, found[lsu]], [cells.length, -1, undefined], name)
}

/** Each of these writes, acknowledged before, ends well. */
export async function allCompleted(
  t: Test,
  http: HttpClient,
  ids: Iterable<string>,
): Promise<void> {
  const others: Json[] = []
  for (const id of ids) {
    const ended = await eventually(`${id} has ended`, async () => {
      const { status, body } = await http.request(`/api/tasks/${id}?wait=20s`)
      if (status !== 200) throw new Error(`${id} was acknowledged, and is lost: ${status}`)
      return isEnd(body.state) && body
    })
    if (ended.state !== 'completed' || ended.effect !== 'done') others.push(ended)
  }
  t.same(others, [], 'every task is completed')
}
