/** What the map asks of the gateway. Each throws an ObeliskError, and ends when its signal does. */
import type { Region } from '../../../shared/grid/geometry.ts'
import type { GridView } from '../../../shared/protocol/views.ts'
import { decodeCbor } from '../cbor.ts'
import { answerTo, ask, textOf } from '../session.ts'
import type { Of, PieceRequest } from './pieces.ts'
import type { Cell } from './regions.ts'
import type { Range } from './scale.ts'
import { readTileMap, type TileMap } from './tiles.ts'

export function askHead(): Promise<GridView> {
  return ask<GridView>('api/grid')
}

/** `form` is the kind of file, with its dot; nothing for the field itself. */
export function pathOf(
  field: string,
  form: string,
  query: Readonly<Record<string, unknown>>,
): string {
  const pairs = Object.entries(query).map(([key, value]) => [key, String(value)])
  return `api/grid/${encodeURIComponent(field)}${form}?${new URLSearchParams(pairs)}`
}

/** The squares of a piece, row by row; NaN where every copy is lost. */
export async function askSquares(
  request: PieceRequest,
  signal: AbortSignal,
): Promise<Float32Array> {
  const { field, of, step } = request.piece
  const path = pathOf(field, '.f32', { ...request.region, step, of, holes: true })
  const { body } = await answerTo(path, { signal })
  return new Float32Array(body.buffer)
}

/** The least numbers of the field in squares of `step`, and after them the greatest. */
export async function askEnds(
  field: string,
  step: number,
  signal: AbortSignal,
): Promise<Float32Array> {
  const path = pathOf(field, '.f32', { step, of: 'min,max', holes: true })
  const { body } = await answerTo(path, { signal })
  return new Float32Array(body.buffer)
}

export async function askTiles(area: Region, signal: AbortSignal): Promise<TileMap | undefined> {
  const query = new URLSearchParams(Object.entries(area).map(([key, side]) => [key, `${side}`]))
  const { body } = await answerTo(`api/ring/tiles?${query}`, { signal })
  return readTileMap(decodeCbor(body))
}

/** The number that a cell holds, in the field's own type. */
export async function askCell(field: string, cell: Cell, signal: AbortSignal): Promise<number> {
  const { body } = await answerTo(pathOf(field, '.csv', { ...cell, w: 1, h: 1 }), { signal })
  return Number(textOf(body))
}

export type FileForm = 'npy' | 'csv' | 'png'

/** Where a region can be had as a file. */
export function filePath(
  form: FileForm,
  given: {
    readonly field: string
    readonly region: Region
    readonly of: Of
    readonly colours: string
    readonly range: Range
  },
): string {
  const { field, region, of, colours, range } = given
  const picture = { of, colours, low: range.low, high: range.high }
  return pathOf(field, `.${form}`, form === 'png' ? { ...region, ...picture } : { ...region })
}
