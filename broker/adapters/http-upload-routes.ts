/** Files into fields (grid-upload.ts), streamed: what has come is in tasks before more is read. */
import type { IncomingMessage } from 'node:http'
import { errorCodes, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { count } from '../../shared/core/count.ts'
import { isTaskId, randomId } from '../../shared/core/ids.ts'
import { LatestMap } from '../../shared/core/latest-map.ts'
import {
  type CellReader,
  FileProblem,
  numberBytes,
  PackedReader,
  TextReader,
} from '../../shared/grid/cell-readers.ts'
import { type Field, type FieldType, findField } from '../../shared/grid/fields.ts'
import type { Region } from '../../shared/grid/geometry.ts'
import { readNpyHead, typeProblem } from '../../shared/grid/npy.ts'
import { ownerNameOf, type Principal } from '../../shared/protocol/access.ts'
import { SystemRandom } from '../../shared/runtime/system-random.ts'
import { Upload, UploadRefused, type UploadView } from './grid-upload.ts'
import { isReadBy, rightOf } from './http-access.ts'
import type { HttpConnections } from './http-connections.ts'
import type { HttpPort } from './http-port.ts'
import { parseQuery, type QueryRule, type QueryValues, wholeRule } from './http-request.ts'
import { badQuery, clientOf, sendJson } from './http-task-routes.ts'
import { Places } from './places.ts'
import { type ProblemAnswer, problemOfRefusal, sendProblem } from './problem-json.ts'

const NPY = 'application/x-npy'
const CSV = 'text/csv'
const PACKED = 'application/octet-stream'
const TYPES = [NPY, CSV, PACKED]
export const UPLOAD_ROUTE = '/api/grid/:field'

const BYTES_MAX = 2 ** 30
/** At a time; each has a band in memory. */
const UPLOADS_MAX = 4
/** That are told of, ended ones among them. */
const UPLOADS_KEPT = 64
/** With the number of a task behind it, it is the id of one. */
const PREFIX_LENGTH_MAX = 56
/** That come at least in a while of waiting for them, or a few who trickle would have all places. */
const PACE_BYTES = 4096
/** How long the rest of a file that was refused is read away, so that its sender hears of it. */
const REST_MS = 10_000

const SIDE = wholeRule(0, 999_999)
const ID_RULE: QueryRule<string> = {
  read: (text) => (isTaskId(text) && text.length <= PREFIX_LENGTH_MAX ? text : undefined),
  expected: `1 to ${PREFIX_LENGTH_MAX} letters, digits, "_" or "-"`,
}
const REGION_RULES = { x: SIDE, y: SIDE, w: SIDE, h: SIDE }
const RULES = { ...REGION_RULES, id: ID_RULE }
type Query = QueryValues<typeof REGION_RULES>

/** It is another matter than the file: why nothing, or no more, of it is taken. */
class UploadStopped extends Error {
  readonly problem: ProblemAnswer

  constructor(problem: ProblemAnswer) {
    super(problem.detail)
    this.problem = problem
  }
}

export interface Waits {
  /** So long a file may bring nothing. */
  readonly idleMs: number
  /** In each so long, of waiting for it, it brings `PACE_BYTES`. */
  readonly paceMs: number
}

interface Known {
  readonly id: string
  readonly upload: Upload
  readonly owner: string | undefined
}

type UploadRequest = FastifyRequest<{ Params: { field: string } }>
type IdRequest = FastifyRequest<{ Params: { id: string } }>

/** Bodies of these types are left to the route of uploads; any other route refuses them. */
export function takeUploads(app: FastifyInstance): void {
  for (const type of TYPES) {
    app.addContentTypeParser(type, (request, _payload, done) => {
      if (request.routeOptions.url === UPLOAD_ROUTE) done(null)
      else done(new errorCodes.FST_ERR_CTP_INVALID_MEDIA_TYPE(type))
    })
  }
}

export function registerUploadRoutes(
  app: FastifyInstance,
  port: HttpPort,
  connections: HttpConnections,
  waits: Waits,
): void {
  const routes = new UploadRoutes(port, connections, waits)
  const submit = rightOf('submit')
  app.put('/api/grid/:field', submit, (request: UploadRequest, reply) => routes.put(request, reply))
  app.get('/api/uploads/:id', rightOf('tasks'), (request: IdRequest, reply) =>
    routes.show(request, reply),
  )
}

class UploadRoutes {
  readonly #port: HttpPort
  readonly #connections: HttpConnections
  readonly #waits: Waits
  readonly #places = new Places(UPLOADS_MAX)
  /** By id and owner: each has his own, whatever others call theirs. The one that began last is the last. */
  readonly #known = new LatestMap<string, Known>(UPLOADS_KEPT)

  constructor(port: HttpPort, connections: HttpConnections, waits: Waits) {
    this.#port = port
    this.#connections = connections
    this.#waits = waits
  }

  async put(request: UploadRequest, reply: FastifyReply): Promise<FastifyReply> {
    try {
      const view = await this.#receive(request)
      if (view.state === 'done') return sendJson(reply, view)
      const detail = `${view.failed} of ${count(view.tasks, 'task')} of it failed: GET /api/tasks/${view.id}-0 and so on say why; send it again with another id`
      return sendProblem(reply, { status: 502, code: 'upload-failed', detail, extra: { ...view } })
    } catch (error) {
      if (!(error instanceof UploadStopped)) throw error
      const rest = setTimeout(() => {
        if (!request.raw.complete) request.raw.destroy()
      }, REST_MS)
      request.raw.once('close', () => clearTimeout(rest))
      request.raw.resume()
      return sendProblem(reply, error.problem)
    }
  }

  async show({ params: { id }, who }: IdRequest, reply: FastifyReply): Promise<FastifyReply> {
    const own = this.#known.get(keyOf(id, ownerOf(who)))
    const isSeen = (known: Known): boolean => known.id === id && isReadBy(who, known.owner)
    const known = own ?? [...this.#known.values()].findLast(isSeen)
    if (known !== undefined) return sendJson(reply, known.upload.view())
    const detail = `there is no upload "${id.slice(0, 64)}"; what a gateway knew of one is gone after a restart`
    return sendProblem(reply, { status: 404, code: 'unknown-task', detail })
  }

  async #receive(request: UploadRequest): Promise<UploadView> {
    const { values, faults } = parseQuery(request.query, RULES)
    if (faults.length > 0) throw new UploadStopped(badQuery(faults))
    const { id = randomId(new SystemRandom()), ...query } = values
    if (!this.#places.hasRoom(request.who)) throw new UploadStopped(TOO_MANY)
    const leave = this.#places.take(request.who)
    const left = new AbortController()
    request.raw.once('close', () => {
      if (!request.raw.complete) left.abort()
    })
    // It asks for something, whatever it still has to bring.
    this.#connections.isWorking(request.raw.socket)
    const chunks = chunksOf(request.raw, this.#waits)
    let upload: Upload | undefined
    try {
      const head = await this.#headOf(request, query, chunks)
      const { field, region, isCounted } = head
      const refusal = this.#port.putRefusal(field.name, region, clientOf(request))
      if (refusal !== undefined) throw new UploadRefused(refusal)
      const { tile } = this.#port.grid()
      const plan = { id, field, region, isCounted, tile }
      upload = new Upload(plan, this.#port, clientOf(request), left.signal)
      this.#remember(id, upload, request)
      await upload.receive(withFirst(head.first, chunks), head.reader)
      // Nothing of it is in memory any more, whether its sender waits for its tasks or not.
      leave()
      await upload.end()
      return upload.view()
    } catch (error) {
      throw stopOf(error, id, upload?.view())
    } finally {
      leave()
    }
  }

  #remember(id: string, upload: Upload, { who }: UploadRequest): void {
    const owner = ownerOf(who)
    this.#known.set(keyOf(id, owner), { id, upload, owner })
  }

  /** All that can be told of the file before any of it is taken. */
  async #headOf(
    request: UploadRequest,
    query: Query,
    chunks: AsyncGenerator<Uint8Array>,
  ): Promise<{
    readonly field: Field
    readonly region: Region
    readonly isCounted: boolean
    readonly reader: CellReader
    /** What has come of its numbers. */
    readonly first: Uint8Array
  }> {
    const type = (request.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase()
    if (!TYPES.includes(type)) throw new UploadStopped(NO_FILE)
    const { fields } = this.#port.grid()
    const field = findField(fields, request.params.field)
    if (field === undefined) {
      const known = fields.map(({ name }) => name).join(', ')
      const detail = `there is no field "${request.params.field.slice(0, 64)}", only ${known}`
      throw new UploadStopped({ status: 422, code: 'unknown-field', detail })
    }
    const declared = Number(request.headers['content-length'] ?? Number.NaN)
    if (declared > BYTES_MAX) throw new UploadStopped(TOO_LARGE)
    if (type === NPY) {
      const { head, first } = await npyHeadOf(chunks, field.type)
      const problem = typeProblem(head.type, field.type)
      if (problem !== undefined) throw new FileProblem(problem)
      const region = this.#regionOf(query, { w: head.columns, h: head.rows })
      const bytes = head.bytes + region.w * region.h * numberBytes(head.type)
      checkBytes(declared, bytes)
      return { field, region, isCounted: true, reader: new PackedReader(head.type), first }
    }
    if (type === CSV) {
      const { columns, first } = await firstRowOf(chunks)
      const region = this.#regionOf(query, { w: columns, h: undefined })
      const isCounted = query.h !== undefined
      return { field, region, isCounted, reader: new TextReader(), first }
    }
    const region = this.#regionOf(query, { w: undefined, h: undefined })
    checkBytes(declared, region.w * region.h * numberBytes(field.type))
    const reader = new PackedReader(field.type)
    return { field, region, isCounted: true, reader, first: new Uint8Array(0) }
  }

  /** As the file says it, or the query where the file does not. */
  #regionOf(
    { x = 0, y = 0, w, h }: Query,
    file: { readonly w: number | undefined; readonly h: number | undefined },
  ): Region {
    const { width, height } = this.#port.grid()
    for (const [name, asked, has] of [
      ['columns', w, file.w],
      ['rows', h, file.h],
    ] as const) {
      if (asked !== undefined && has !== undefined && asked !== has) {
        throw new FileProblem(`it has ${has} ${name}, and ${asked} were asked for`)
      }
    }
    const region = { x, y, w: file.w ?? w ?? width - x, h: file.h ?? h ?? height - y }
    const isInside =
      region.w >= 1 && region.h >= 1 && x + region.w <= width && y + region.h <= height
    if (isInside) return region
    const detail = `${region.w} × ${region.h} cells at ${x},${y} do not lie in the grid of ${width} × ${height}`
    throw new UploadStopped({ status: 422, code: 'outside-grid', detail })
  }
}

function ownerOf(who: Principal): string | undefined {
  return who.kind === 'user' ? ownerNameOf(who) : undefined
}

/** There is no space in an id. */
function keyOf(id: string, owner: string | undefined): string {
  return `${id} ${owner ?? ''}`
}

/** What comes, until the end; nothing, or next to nothing, for so long is the end, too. */
async function* chunksOf(
  body: IncomingMessage,
  { idleMs, paceMs }: Waits,
): AsyncGenerator<Uint8Array> {
  let bytes = 0
  // Since the pace was looked at last. What is not read while tasks are open is no fault of its sender.
  let [newBytes, waitedMs] = [0, 0]
  for (;;) {
    const chunk = body.read() as Buffer | null
    if (chunk !== null) {
      bytes += chunk.length
      newBytes += chunk.length
      if (bytes > BYTES_MAX) throw new UploadStopped(TOO_LARGE)
      yield chunk
    } else if (body.readableEnded) {
      return
    } else if (body.destroyed) {
      throw new FileProblem('it was cut off')
    } else {
      if (waitedMs >= paceMs) {
        if (newBytes < PACE_BYTES) {
          const detail = `it brought ${newBytes} bytes in ${seconds(waitedMs)} s, and is to bring ${PACE_BYTES} in ${seconds(paceMs)} s`
          throw new UploadStopped({ ...SLOW, detail })
        }
        newBytes = 0
        waitedMs = 0
      }
      const startedMs = performance.now()
      if (!(await comes(body, idleMs))) {
        throw new UploadStopped({ ...SLOW, detail: `it brought nothing for ${seconds(idleMs)} s` })
      }
      waitedMs += performance.now() - startedMs
    }
  }
}

const seconds = (ms: number): number => Math.round(ms / 100) / 10

/** Whether something happens within the time. */
export function comes(body: IncomingMessage, idleMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (isThere: boolean): void => {
      clearTimeout(timer)
      for (const name of NEWS) body.off(name, come)
      resolve(isThere)
    }
    const come = (): void => settle(true)
    const timer = setTimeout(() => settle(false), idleMs)
    for (const name of NEWS) body.on(name, come)
  })
}

const NEWS = ['readable', 'end', 'close', 'error']

async function* withFirst(
  first: Uint8Array,
  chunks: AsyncGenerator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (first.length > 0) yield first
  yield* chunks
}

async function npyHeadOf(chunks: AsyncGenerator<Uint8Array>, type: FieldType) {
  let come = new Uint8Array(0)
  for (;;) {
    const next = await chunks.next()
    if (next.done === true) throw new FileProblem('it ends within its head')
    come = Buffer.concat([come, next.value])
    const reading = readNpyHead(come, type)
    if (reading.kind === 'problem') throw new FileProblem(reading.problem)
    if (reading.kind === 'head') {
      const { head } = reading
      return { head, first: come.subarray(head.bytes) }
    }
  }
}

/** How many numbers the first line has; what is wrong with it is said by its reader. */
async function firstRowOf(chunks: AsyncGenerator<Uint8Array>) {
  let come = new Uint8Array(0)
  for (;;) {
    const next = await chunks.next()
    if (next.done === true && come.length === 0) throw new FileProblem('it is empty')
    if (next.done !== true) come = Buffer.concat([come, next.value])
    const trial = new TextReader()
    trial.read(come)
    if (next.done === true) trial.end()
    const { columns } = trial
    if (columns !== undefined) return { columns, first: come }
  }
}

function checkBytes(declared: number, bytes: number): void {
  if (Number.isNaN(declared) || declared === bytes) return
  throw new FileProblem(`it has ${declared} bytes, and would have ${bytes} by its shape and type`)
}

const TOO_LARGE: ProblemAnswer = {
  status: 413,
  code: 'too-large',
  detail: 'a file has at most 1 GiB: cut it, and send each part to its own region (x, y)',
}

export const NO_FILE: ProblemAnswer = {
  status: 415,
  code: 'unsupported-media-type',
  detail: `a file is ${TYPES.join(', ')}, by Content-Type`,
}

const SLOW: ProblemAnswer = { status: 408, code: 'malformed', detail: '' }

const TOO_MANY: ProblemAnswer = {
  status: 429,
  code: 'overloaded',
  detail: `${UPLOADS_MAX} files are on their way already, or half of them of one user: try again`,
}

/** What became of it, with what is written. */
function stopOf(error: unknown, id: string, view: UploadView | undefined): unknown {
  const stop = problemOf(error)
  if (stop === undefined) return error
  if (view === undefined && !(error instanceof FileProblem)) return new UploadStopped(stop)
  const { tasks = 0, rows = 0 } = view ?? {}
  const written =
    tasks === 0
      ? 'nothing of it is written'
      : `${count(rows, 'row')} ${rows === 1 ? 'is' : 'are'}, or will be, written by the tasks ${id}-0 to ${id}-${tasks - 1}`
  return new UploadStopped({ ...stop, detail: `${stop.detail}; ${written}`, extra: { ...view } })
}

function problemOf(error: unknown): ProblemAnswer | undefined {
  if (error instanceof UploadStopped) return error.problem
  if (error instanceof UploadRefused) return problemOfRefusal(error.refusal, undefined)
  if (!(error instanceof FileProblem)) return undefined
  return { status: 422, code: 'file-unsuitable', detail: error.message }
}
