/** The grid as numbers, by looks: reads that are no tasks, of which the gateway keeps nothing (docs/protocol.md). */
import { type Column, columnFromBytes, type FieldType } from '../grid/fields.ts'
import type { Region } from '../grid/geometry.ts'
import type { GatewayClient } from './http.ts'
import type { RunOptions } from './task.ts'
import { untilAnswered } from './waits.ts'

/** What `X-Overview` says. */
interface Head {
  readonly type?: FieldType
  readonly step: number
  readonly x: number
  readonly y: number
  readonly columns: number
  readonly rows: number
  readonly of?: readonly ('mean' | 'min' | 'max')[]
  readonly consistent?: boolean
}

export type SquareQuery = Partial<Region> & {
  readonly step?: number | undefined
  readonly width?: number | undefined
  readonly height?: number | undefined
  readonly of?: readonly string[] | undefined
}

/** A whole grid of 8192 × 8192 f64 is 512 MiB. */
const TIMEOUT_MS = 600_000

export class Looks {
  readonly #gateway: GatewayClient

  constructor(gateway: GatewayClient) {
    this.#gateway = gateway
  }

  /** Cells in the type of the field. */
  async cells(
    field: string,
    region: Region | undefined,
    options: RunOptions,
  ): Promise<{ readonly head: Head; readonly data: Column }> {
    const { head, body } = await this.#look(field, 'npy', { ...region }, options)
    const type = head.type!
    return { head, data: columnFromBytes(type, body.subarray(headBytesOf(body))) }
  }

  /** A plane for each of `of`, in the order of the head. */
  async squares(
    field: string,
    query: SquareQuery,
    options: RunOptions,
  ): Promise<{ readonly head: Head; readonly planes: Float32Array[] }> {
    const { head, body } = await this.#look(field, 'f32', query, options)
    const all = columnFromBytes('f32', body) as Float32Array
    const count = head.columns * head.rows
    const planes = (head.of ?? []).map((_, n) => all.subarray(n * count, (n + 1) * count))
    return { head, planes }
  }

  async #look(field: string, form: string, query: SquareQuery, options: RunOptions) {
    const pairs = Object.entries(query).filter(([, value]) => value !== undefined)
    const text = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)]))
    const question = {
      path: `/api/grid/${encodeURIComponent(field)}.${form}?${text}`,
      accept: 'application/octet-stream',
      timeoutMs: TIMEOUT_MS,
      signal: options.signal,
    }
    const { headers, body } = await untilAnswered(() => this.#gateway.request(question), options)
    return { head: JSON.parse(headers.get('x-overview')!) as Head, body }
  }
}

/** Magic, version, and the length of a text that says what follows (numpy.lib.format, version 1.0). */
function headBytesOf(npy: Uint8Array): number {
  return 10 + new DataView(npy.buffer, npy.byteOffset).getUint16(8, true)
}
