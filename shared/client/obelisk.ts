/** A fleet, for programs that use it: in a browser (browser.ts) and in Node (scripts/client/connect.ts). */
import {
  bytesOfColumn,
  type Column,
  columnFromBytes,
  createColumn,
  type FieldType,
  fieldTypeOf,
  held,
  takes,
} from '../grid/fields.ts'
import type { Region } from '../grid/geometry.ts'
import { bandsOf, copyBand } from './bands.ts'
import { Numbers } from './cbor-writer.ts'
import type { Looks } from './looks.ts'
import { ObeliskError } from './obelisk-error.ts'
import {
  completed,
  type Door,
  type Progress,
  type RingFacts,
  type RunOptions,
  randomTaskId,
  type Task,
  type TaskResult,
  type WorkOptions,
} from './task.ts'

export interface Cells {
  /** Row by row, in the field's own type where one may see the grid, else as `Float64Array`. */
  readonly data: Column
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

export interface Overview {
  readonly step: number
  readonly x: number
  readonly y: number
  readonly columns: number
  readonly rows: number
  readonly mean?: Float32Array
  readonly min?: Float32Array
  readonly max?: Float32Array
}

export interface OverviewOptions extends WorkOptions {
  readonly region?: Region
  readonly step?: number
  readonly width?: number
  readonly height?: number
  readonly of?: readonly ('mean' | 'min' | 'max')[]
}

export interface PutOptions extends WorkOptions {
  /** Tasks are `<id>-<n>`: a `put` that broke off is repeated under the same id, and nothing is written twice. */
  readonly id?: string
}

/** Tasks of one `get` or `put` at a time. */
const OPEN_MAX = 4
/** A put of fewer goes as numbers: to ask what type its field has would cost more. */
const ASKED_LSUS_MIN = 1024
/** Codes for who may not see the grid, over HTTP and MQTT. */
const NOT_OURS = ['forbidden', 'login-refused']

export class Obelisk {
  readonly #door: Door

  constructor(door: Door) {
    this.#door = door
  }

  /**
   * Runs a task once, whatever breaks: the same id is sent until there is an answer. Resolves with its result; a task that
   * failed, expired or was cancelled is an `ObeliskError` with its code, as is one that is refused.
   */
  async run(task: Task, options: RunOptions = {}): Promise<TaskResult> {
    const id = task.id ?? randomTaskId()
    const onProgress = options.onProgress && eachStep(options.onProgress)
    const result = completed(await this.#door.run({ ...task, id }, { ...options, onProgress }))
    const { shards } = result
    // What a door tells of the last step comes before the result, after it, or never.
    if (shards > 0) onProgress?.({ done: shards, total: shards })
    return result
  }

  /** The cells of a field, the whole grid unless a region is given. */
  async get(field: string, region?: Region, options: WorkOptions = {}): Promise<Cells> {
    const looked = await this.#looked((looks) => looks.cells(field, region, options))
    if (looked !== undefined) {
      const { x, y, columns: width, rows: height } = looked.head
      return { data: looked.data, x, y, width, height }
    }
    const ring = await this.#ring(region)
    const { x, y, w, h } = region ?? { x: 0, y: 0, w: ring!.grid.width, h: ring!.grid.height }
    const type = typeIn(ring, field)
    const data = createColumn(type ?? 'f64', w * h)
    const bands = bandsOf({ x, y, w, h })
    const args = { fields: [field], as: type && 'bytes' }
    await this.#each(bands, options, async (band, own) => {
      const { value } = await this.run({ op: 'get', region: band, args }, own)
      const given = value.fields[field]
      const numbers = type === undefined ? given : columnFromBytes(type, bytesIn(given))
      copyBand(numbers, band, data, { x, y, w, h })
    })
    return { data, x, y, width: w, height: h }
  }

  /** Writes `data`, row by row, into a region. Each tile is written whole or not; the region as a whole is not. */
  async put(
    field: string,
    region: Region,
    data: ArrayLike<number>,
    options: PutOptions = {},
  ): Promise<{ readonly id: string; readonly tasks: number; readonly lsus: number }> {
    const lsus = region.w * region.h
    if (data.length !== lsus) {
      throw new RangeError(`${data.length} numbers for a region of ${lsus} LSUs`)
    }
    const { id = randomTaskId() } = options
    const type = lsus < ASKED_LSUS_MIN ? undefined : await this.#typeOf(field)
    const bands = bandsOf(region)
    await this.#each(bands, options, async (band, own, n) => {
      const column = columnLike(data, band.w * band.h)
      copyBand(data, region, column, band)
      const args = { field, values: valuesOf(column, type) }
      await this.run({ id: `${id}-${n}`, op: 'put', region: band, args }, own)
    })
    return { id, tasks: bands.length, lsus }
  }

  /** A field as a picture of squares: their means, or least and greatest, of the whole grid unless a region is given. */
  async overview(field: string, options: OverviewOptions = {}): Promise<Overview> {
    const { region, step, width, height, of = ['mean'], ...own } = options
    const wish = { step, width, height, of }
    const looked = await this.#looked((looks) => looks.squares(field, { ...region, ...wish }, own))
    if (looked !== undefined) {
      const { step, x, y, columns, rows, of: names = [] } = looked.head
      const planes = names.map((name, n) => [name, looked.planes[n]])
      return { step, x, y, columns, rows, ...Object.fromEntries(planes) }
    }
    const args = { field, ...wish }
    const { value } = await this.run({ op: 'overview', ...(region && { region }), args }, own)
    const planes = of.map((name) => [name, columnFromBytes('f32', bytesIn(value[name]))])
    const { step: chosen, x, y, columns, rows } = value
    return { step: chosen, x, y, columns, rows, ...Object.fromEntries(planes) }
  }

  /**
   * What happens from now on, for as long as it is listened to, over breaks: values with a `type` (docs/protocol.md,
   * Events), and `{type: 'missed'}` where some were.
   */
  async *watch(
    options: { readonly kinds?: readonly string[]; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<{ readonly type: string; readonly [member: string]: unknown }, void> {
    const stop = new AbortController()
    const signals = options.signal === undefined ? [] : [options.signal]
    const signal = AbortSignal.any([stop.signal, ...signals])
    try {
      for await (const item of this.#door.watch({ kinds: options.kinds, signal })) {
        if (item.kind === 'missed') yield { type: 'missed' }
        else yield item.value as { type: string }
      }
    } finally {
      stop.abort()
    }
  }

  async close(): Promise<void> {
    await this.#door.close()
  }

  /** Nothing where there are no looks, or not for us: a submitter may see no more than the results of its tasks. */
  async #looked<T>(look: (looks: Looks) => Promise<T>): Promise<T | undefined> {
    const { looks } = this.#door
    try {
      return looks && (await look(looks))
    } catch (error) {
      if (!isNotOurs(error)) throw error
      return undefined
    }
  }

  /** Nothing for who may not see it, and who does not need it. */
  async #ring(region: Region | undefined) {
    try {
      return await this.#door.ring()
    } catch (error) {
      if (region === undefined || !isNotOurs(error)) throw error
      return undefined
    }
  }

  /** Nothing where that is not told, for whatever reason: numbers do as well. */
  async #typeOf(field: string): Promise<FieldType | undefined> {
    return typeIn(await this.#door.ring().catch(() => undefined), field)
  }

  /** Some at a time; the first failure ends the others. */
  async #each(
    bands: readonly Region[],
    { onProgress, onAway, signal }: WorkOptions,
    work: (band: Region, own: WorkOptions, n: number) => Promise<void>,
  ): Promise<void> {
    const failure = new AbortController()
    const own = { onAway, signal: AbortSignal.any([failure.signal, ...(signal ? [signal] : [])]) }
    const progress: { -readonly [K in keyof Progress]: number } = { done: 0, total: bands.length }
    let next = 0
    const worker = async (): Promise<void> => {
      while (next < bands.length) {
        const n = next++
        await work(bands[n]!, own, n)
        progress.done += 1
        onProgress?.({ ...progress })
      }
    }
    const workers = Array.from({ length: OPEN_MAX }, async () => {
      try {
        await worker()
      } catch (error) {
        failure.abort(error)
        throw error
      }
    })
    await Promise.all(workers)
  }
}

/** A gateway that is asked again, and one that comes back, say the same again. */
function eachStep(tell: (progress: Progress) => void): (progress: Progress) => void {
  let last: Progress = { done: 0, total: 0 }
  return (progress) => {
    const { done, total } = last
    if (progress.done === done && progress.total === total) return
    last = progress
    tell(progress)
  }
}

function isNotOurs(error: unknown): boolean {
  return error instanceof ObeliskError && NOT_OURS.includes(error.code)
}

function columnLike(data: ArrayLike<number>, length: number): Column {
  return data instanceof Float32Array ? new Float32Array(length) : new Float64Array(length)
}

function typeIn(ring: RingFacts | undefined, field: string): FieldType | undefined {
  return fieldTypeOf(ring?.fields?.find(({ name }) => name === field)?.type ?? '')
}

/** Bytes of the field's type; what that cannot hold is sent as it is, and the gateway says so. */
function valuesOf(column: Column, type: FieldType | undefined): Numbers | Uint8Array {
  if (type === undefined || !column.every((value) => takes(type, value))) return new Numbers(column)
  const own = createColumn(type, column.length)
  for (let n = 0; n < own.length; n++) own[n] = held(type, column[n]!)
  return bytesOfColumn(own)
}

/** In JSON they are base64. */
function bytesIn(packed: Uint8Array | string): Uint8Array {
  return typeof packed === 'string' ? Uint8Array.from(atob(packed), (c) => c.charCodeAt(0)) : packed
}
