/**
 * The grid over HTTP. What is asked for is a look (core/looks.ts): nothing of it is kept in the ledger, and it is
 * taken back when whoever asked leaves.
 */
import { Readable } from 'node:stream'
import { setTimeout, setImmediate as turn } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { own } from '../../shared/core/own.ts'
import { COLOUR_MAPS, colourTable } from '../../shared/grid/colours.ts'
import {
  bytesOfColumn,
  type Column,
  columnFromBytes,
  createColumn,
  type Field,
  findField,
} from '../../shared/grid/fields.ts'
import type { Region } from '../../shared/grid/geometry.ts'
import { npyHead } from '../../shared/grid/npy.ts'
import { coloursOf, enlarged, paletteOf, rangeOf, UNKNOWN } from '../../shared/grid/picture.ts'
import type { LookOutcome } from '../core/effects.ts'
import { bandsOf, piecesOf } from './grid-bands.ts'
import { rightOf } from './http-access.ts'
import { piecesOf as answerPiecesOf } from './http-answers.ts'
import type { HttpConnections } from './http-connections.ts'
import type { HttpPort } from './http-port.ts'
import {
  FLAG_RULE,
  namesTag,
  oneOf,
  oneOrMoreOf,
  parseQuery,
  type QueryRule,
  type QueryValues,
  wholeRule,
} from './http-request.ts'
import { badQuery, clientOf, sendJson } from './http-task-routes.ts'
import type { Paced } from './paced.ts'
import { encodePng } from './png.ts'
import { type ProblemAnswer, problemOfRefusal, sendProblem } from './problem-json.ts'
import { inTurns } from './turns.ts'

const ANSWERS = ['mean', 'min', 'max'] as const

const SCALE_MAX = 8
/** Of a picture: 2048 × 2048. */
const PIXELS_MAX = 4_194_304
/** Cells whose text is made in one go. */
const TEXT_LSUS_MAX = 4096
/** So often, and so long after each time, a download asks for a place among the looks. */
const CROWDED_TRIES = 60
const CROWDED_MS = 500

const PLACE = wholeRule(0, 999_999)
const SIDE = wholeRule(1, 999_999)
const REGION_RULES = { x: PLACE, y: PLACE, w: SIDE, h: SIDE }
const SQUARE_RULES = {
  ...REGION_RULES,
  ...{ step: SIDE, width: SIDE, height: SIDE, holes: FLAG_RULE },
  of: oneOrMoreOf(ANSWERS),
}
const CELLS_RULES = {
  at: {
    read(text: string): readonly (readonly number[])[] | undefined {
      const cells = text.split(';')
      if (!cells.every((cell) => /^\d{1,5},\d{1,5}$/.test(cell))) return undefined
      return cells.map((cell) => cell.split(',').map(Number))
    },
    expected: 'places of cells, as 3,4 or 3,4;5,6',
  },
}
const NUMBER: QueryRule<number> = {
  read: (text) => (text !== '' && Number.isFinite(Number(text)) ? Number(text) : undefined),
  expected: 'a number',
}
const PICTURE_RULES = {
  ...SQUARE_RULES,
  colours: oneOf(COLOUR_MAPS),
  ...{ low: NUMBER, high: NUMBER, scale: wholeRule(1, SCALE_MAX) },
}
const RULES = { f32: SQUARE_RULES, npy: SQUARE_RULES, csv: SQUARE_RULES, png: PICTURE_RULES }

type Query = QueryValues<typeof SQUARE_RULES>
type CellsRequest = FastifyRequest<{ Params: { field: string } }>
type GridRequest = FastifyRequest<{ Params: { field: string; form: string } }>

/** The squares of an overview. */
interface Squares {
  readonly columns: number
  readonly rows: number
  readonly planes: readonly Float32Array[]
  readonly head: Readonly<Record<string, unknown>>
  readonly tag: string | undefined
}

export function registerGridRoutes(
  app: FastifyInstance,
  port: HttpPort,
  connections: HttpConnections,
  paced: Paced,
): void {
  const routes = new GridRoutes(port, connections, paced)
  const read = rightOf('read')
  app.get('/api/grid', read, async (_request, reply) => sendJson(reply, port.grid()))
  app.get('/api/grid/:field/cells', read, (request: CellsRequest, reply) =>
    routes.cells(request, reply),
  )
  app.get('/api/grid/:field.:form', read, (request: GridRequest, reply) =>
    routes.show(request, reply),
  )
}

class GridRoutes {
  readonly #port: HttpPort
  readonly #connections: HttpConnections
  readonly #paced: Paced
  #untagged = 0

  constructor(port: HttpPort, connections: HttpConnections, paced: Paced) {
    this.#port = port
    this.#connections = connections
    this.#paced = paced
  }

  async show(request: GridRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { form } = request.params
    const rules = own(RULES, form)
    if (rules === undefined) {
      const detail = `there is no form "${form.slice(0, 32)}", only ${Object.keys(RULES).join(', ')}`
      return sendProblem(reply, { status: 404, code: 'not-found', detail })
    }
    const { values, faults } = parseQuery(request.query, rules as typeof PICTURE_RULES)
    if (faults.length > 0) return sendProblem(reply, badQuery(faults))
    const { step, width, height, of, holes } = values
    const isWhole = [step, width, height, of, holes].every((value) => value === undefined)
    if (isWhole && (form === 'npy' || form === 'csv')) {
      return this.#sendCells(request, reply, values, form)
    }
    if (form !== 'f32' && (of?.length ?? 1) > 1) {
      const message = `a ${form} shows one of ${ANSWERS.join(', ')}`
      return sendProblem(reply, badQuery([{ path: 'of', code: 'malformed', message }]))
    }
    const squares = await this.#squares(request, reply, values)
    if ('status' in squares) return sendProblem(reply, squares)
    const { head, tag } = squares
    if (tag !== undefined) {
      reply.header('etag', `"${tag}"`)
      if (namesTag(request.headers['if-none-match'], `"${tag}"`)) return reply.code(304).send()
    }
    reply.header('x-overview', JSON.stringify(head))
    if (form === 'png') return this.#sendPicture(request, reply, squares, values)
    if (form === 'csv') return this.#sendTable(request, reply, squares)
    const bytes = squares.planes.map((plane) => bytesOfColumn(plane))
    if (form === 'npy') bytes.unshift(npyHead('f32', squares.rows, squares.columns))
    return reply.type('application/octet-stream').send(Buffer.concat(bytes))
  }

  /** Some cells by their places. */
  async cells(request: CellsRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { values, faults } = parseQuery(request.query, CELLS_RULES)
    if (faults.length > 0) return sendProblem(reply, badQuery(faults))
    const { field } = request.params
    const args = { field, cells: values.at ?? [] }
    const outcome = await this.#look(request, reply, 'gather', undefined, args)
    if (!outcome.ok) return sendProblem(reply, problemOfLook(outcome))
    const { type } = findField(this.#port.grid().fields, field)!
    return sendJson(reply, { field, type, ...(outcome.value as object) })
  }

  async #squares(
    request: GridRequest,
    reply: FastifyReply,
    values: Query,
  ): Promise<Squares | ProblemAnswer> {
    const { step, width, height, of = ['mean'], holes } = values
    const args = { field: request.params.field, step, width, height, of, holes }
    const outcome = await this.#look(request, reply, 'overview', this.#regionOf(values), args)
    if (!outcome.ok) return problemOfLook(outcome)
    // What is unknown is not a number: that says as much as `count`.
    const { mean, min, max, count: _, ...head } = outcome.value as Record<string, unknown>
    const answers = new Map(Object.entries({ mean, min, max }))
    const planes = of.map((name) => columnFromBytes('f32', answers.get(name) as Uint8Array))
    return {
      columns: head.columns as number,
      rows: head.rows as number,
      planes: planes as Float32Array[],
      head: { ...head, of, consistent: outcome.consistent },
      tag: outcome.tag,
    }
  }

  async #sendPicture(
    request: GridRequest,
    reply: FastifyReply,
    { columns, rows, planes, tag }: Squares,
    values: QueryValues<typeof PICTURE_RULES>,
  ): Promise<FastifyReply> {
    const { colours = 'viridis', scale = 1 } = values
    const whole = rangeOf(planes[0]!, colours)
    const range = { low: values.low ?? whole.low, high: values.high ?? whole.high }
    if (range.low > range.high) {
      const message = `low is ${range.low}, above high, which is ${range.high}`
      return sendProblem(reply, badQuery([{ path: 'low', code: 'out-of-range', message }]))
    }
    if (columns * rows * scale * scale > PIXELS_MAX) {
      const message = `${columns} × ${rows} squares at scale ${scale} are more than ${PIXELS_MAX} pixels`
      return sendProblem(reply, badQuery([{ path: 'scale', code: 'out-of-range', message }]))
    }
    // Who asks for the same one at the same time has the same.
    const key = tag === undefined ? `${++this.#untagged}` : `${tag} ${request.url}`
    const png = await this.#paced.get(reply, key, async () => {
      const pixels = await inTurns(enlarged(coloursOf(planes[0]!, range), columns, scale))
      const picture = { width: columns * scale, height: rows * scale, pixels }
      return await encodePng({
        ...picture,
        palette: paletteOf(colourTable(colours)),
        clear: UNKNOWN,
      })
    })
    return reply.type('image/png').send(png)
  }

  async #sendTable(
    request: GridRequest,
    reply: FastifyReply,
    { planes, columns }: Squares,
  ): Promise<FastifyReply> {
    const { buffer, byteOffset, byteLength } = planes[0]!
    // Whether its reader takes it is seen, as of any large answer.
    this.#connections.holdAnswer(request.raw.socket, Buffer.from(buffer, byteOffset, byteLength))
    reply.type('text/csv; charset=utf-8')
    return reply.send(Readable.from(textInPieces(planes[0]!, columns), { highWaterMark: 1 }))
  }

  /** The cells themselves, in the field's own type. The first band is there before anything is said. */
  async #sendCells(
    request: GridRequest,
    reply: FastifyReply,
    values: Query,
    form: 'npy' | 'csv',
  ): Promise<FastifyReply> {
    const { tile, width, height, fields } = this.#port.grid()
    const region = this.#regionOf(values) ?? { x: 0, y: 0, w: width, h: height }
    const field = findField(fields, request.params.field)
    const bands = bandsOf(region, tile)
    // Not before it is known that the region lies in the grid, or it might have no end.
    const isSound =
      field !== undefined && region.x + region.w <= width && region.y + region.h <= height
    const first = isSound ? (bands.next().value as Region) : { ...region, h: Math.min(region.h, 1) }
    // Who asks for the head alone has nothing read for him.
    const isHeadAlone = request.method === 'HEAD' && isSound
    const band = isHeadAlone ? undefined : await this.#band(request, reply, first, field)
    if (band !== undefined && 'status' in band) return sendProblem(reply, band)
    const { x, y, w: columns, h: rows } = region
    const { name, type } = field!
    reply.header('x-overview', JSON.stringify({ field: name, type, step: 1, x, y, columns, rows }))
    const head = form === 'npy' ? npyHead(type, rows, columns) : undefined
    if (head !== undefined) {
      const cell = createColumn(type, 1).BYTES_PER_ELEMENT
      reply.header('content-length', head.length + rows * columns * cell)
    }
    reply.type(form === 'npy' ? 'application/x-npy' : 'text/csv; charset=utf-8')
    if (isHeadAlone) return reply.send(Readable.from([]))
    const toBytes = form === 'npy' ? bytesInPieces : textInPieces
    const take = (next: Region): Promise<Column | ProblemAnswer> =>
      this.#band(request, reply, next, field)
    const connections = this.#connections
    async function* all(): AsyncGenerator<Uint8Array> {
      if (head !== undefined) yield head
      let cells: Column | ProblemAnswer = band as Column
      for (;;) {
        if ('status' in cells) throw new Error(`the rest of it cannot be read: ${cells.detail}`)
        connections.holdAnswer(request.raw.socket, Buffer.from(cells.buffer))
        yield* toBytes(cells, columns)
        const next = bands.next()
        if (next.done === true) return
        cells = await take(next.value)
      }
    }
    return reply.send(Readable.from(all(), { highWaterMark: 1 }))
  }

  async #band(
    request: GridRequest,
    reply: FastifyReply,
    band: Region,
    field: Field | undefined,
  ): Promise<Column | ProblemAnswer> {
    const { tile } = this.#port.grid()
    const cells = createColumn(field?.type ?? 'u8', band.w * band.h)
    for (const piece of field === undefined ? [band] : piecesOf(band, tile)) {
      const args = { fields: [request.params.field], as: 'bytes' }
      let outcome = await this.#look(request, reply, 'get', piece, args, true)
      for (let tries = 1; isCrowded(outcome) && tries < CROWDED_TRIES; tries++) {
        await setTimeout(CROWDED_MS)
        outcome = await this.#look(request, reply, 'get', piece, args, true)
      }
      if (!outcome.ok) return problemOfLook(outcome)
      const { fields } = outcome.value as { fields: object }
      const [bytes] = Object.values(fields) as [Uint8Array]
      const given = columnFromBytes(field!.type, bytes)
      for (let row = 0; row < piece.h; row++) {
        const from = row * piece.w
        cells.set(given.subarray(from, from + piece.w), row * band.w + piece.x - band.x)
      }
    }
    return cells
  }

  /** Never settles for one who leaves. */
  async #look(
    request: CellsRequest,
    reply: FastifyReply,
    op: string,
    region: Region | undefined,
    args: object,
    isOnce = false,
  ): Promise<LookOutcome> {
    const left = new AbortController()
    const leave = (): void => left.abort()
    reply.raw.once('close', leave)
    try {
      if (reply.raw.destroyed) leave()
      const wish = { op, ...(region === undefined ? {} : { region }), args: definedOf(args) }
      return await this.#port.look(wish, clientOf(request), left.signal, isOnce)
    } finally {
      reply.raw.off('close', leave)
    }
  }

  /** What is left out goes to the edge of the grid. */
  #regionOf({ x, y, w, h }: Query): Region | undefined {
    if ([x, y, w, h].every((side) => side === undefined)) return undefined
    const { width, height } = this.#port.grid()
    const [left, top] = [x ?? 0, y ?? 0]
    return { x: left, y: top, w: w ?? Math.max(1, width - left), h: h ?? Math.max(1, height - top) }
  }
}

function isCrowded(outcome: LookOutcome): boolean {
  return 'refusal' in outcome && outcome.refusal.code === 'too-many-looks'
}

function definedOf(args: object): object {
  return Object.fromEntries(Object.entries(args).filter(([, value]) => value !== undefined))
}

/** As a query names it: there is no `args` and no `region` in one. */
function problemOfLook(outcome: Exclude<LookOutcome, { ok: true }>): ProblemAnswer {
  if ('error' in outcome) {
    const { code, message } = outcome.error
    return { status: code === 'deadline' ? 504 : 502, code, detail: message }
  }
  const plain = (text: string): string => text.replaceAll(/\b(args|region)\./g, '')
  const { detail, errors, ...problem } = problemOfRefusal(outcome.refusal, undefined)
  const named = errors?.map(({ path, message, ...rest }) => ({
    ...rest,
    path: plain(path),
    message: plain(message),
  }))
  return { ...problem, detail: plain(detail), ...(named === undefined ? {} : { errors: named }) }
}

async function* bytesInPieces(cells: Column): AsyncGenerator<Uint8Array> {
  yield* answerPiecesOf(Buffer.from(cells.buffer))
}

/** Rows of numbers with a comma between them (RFC 4180), no head. */
async function* textInPieces(cells: Column, columns: number): AsyncGenerator<Uint8Array> {
  const rows = Math.max(1, Math.floor(TEXT_LSUS_MAX / columns))
  for (let from = 0; from < cells.length; from += rows * columns) {
    const end = Math.min(cells.length, from + rows * columns)
    let text = ''
    for (let row = from; row < end; row += columns) {
      text += `${cells.subarray(row, row + columns).join()}\r\n`
    }
    yield Buffer.from(text, 'latin1')
    await turn()
  }
}
