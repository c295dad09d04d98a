import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { isTaskId, type TaskId } from '../../shared/core/ids.ts'
import { OPERATIONS_SHOWN } from '../../shared/operations/catalog.ts'
import { ownerNameOf, readsAll } from '../../shared/protocol/access.ts'
import { decodeCbor } from '../../shared/protocol/cbor.ts'
import { toJsonText } from '../../shared/protocol/json-text.ts'
import { isEnded, TASK_STATES, type TaskState } from '../../shared/protocol/states.ts'
import { isReadBy, rightOf } from './http-access.ts'
import type { HttpClient, HttpPort } from './http-port.ts'
import {
  negotiateFormat,
  oneOf,
  parseQuery,
  type ResultFormat,
  WAIT_RULE,
  wholeRule,
} from './http-request.ts'
import type { Paced } from './paced.ts'
import { Places } from './places.ts'
import {
  type ProblemAnswer,
  problemOfRefusal,
  type RequestFault,
  sendProblem,
} from './problem-json.ts'

const TASKS_LISTED_DEFAULT = 100
export const LISTED_MAX = 1000
/** Half of the connections: those that only ask something find room beside those that wait. */
const WAITS_MAX = 512
const FLUSH_MS = 2000
export const JSON_TYPE = 'application/json; charset=utf-8'

/** Results are our own bytes: only their shape is checked, not their size. */
const RESULT_LIMITS = {
  bytesMax: Number.MAX_SAFE_INTEGER,
  depthMax: 16,
  itemsMax: Number.MAX_SAFE_INTEGER,
}

/** Of a list that has its newest first. */
export const LIMIT_RULE = wholeRule(1, LISTED_MAX)

const LIST_RULES = {
  limit: LIMIT_RULE,
  state: oneOf(TASK_STATES),
}

type IdRequest = FastifyRequest<{ Params: { id: string } }>

const SUBMIT = rightOf('submit')
const TASKS = rightOf('tasks')

/** Submitting, looking at and cancelling tasks. */
export function registerTaskRoutes(app: FastifyInstance, port: HttpPort, paced: Paced): void {
  const routes = new TaskRoutes(port, paced)
  app.post('/process', SUBMIT, (request, reply) => routes.submit(request, reply))
  app.get('/api/tasks', TASKS, (request, reply) => routes.list(request, reply))
  app.get('/api/tasks/:id', TASKS, (request: IdRequest, reply) => routes.show(request, reply))
  app.delete('/api/tasks/:id', SUBMIT, (request: IdRequest, reply) => routes.cancel(request, reply))
  app.get('/api/tasks/:id/result', TASKS, (request: IdRequest, reply) =>
    routes.result(request, reply),
  )
  app.get('/api/operations', rightOf('known'), (_request, reply) =>
    sendJson(reply, OPERATIONS_SHOWN),
  )
}

class TaskRoutes {
  readonly #port: HttpPort
  readonly #lists: Paced
  readonly #waits = new Places(WAITS_MAX)

  constructor(port: HttpPort, lists: Paced) {
    this.#port = port
    this.#lists = lists
  }

  async submit(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { values, faults } = parseQuery(request.query, { wait: WAIT_RULE })
    if (faults.length > 0) return sendProblem(reply, badQuery(faults))
    const format = negotiateFormat(request.headers.accept)
    if (format === undefined) return sendProblem(reply, NOT_ACCEPTABLE)
    const body = readBody(request)
    if ('status' in body) return sendProblem(reply, body)
    if (values.wait !== undefined && !this.#waits.hasRoom(request.who)) {
      return sendProblem(reply, TOO_MANY)
    }
    const client = clientOf(request)
    const outcome = await this.#port.submit(body.payload, client)
    if (!outcome.ok) return sendProblem(reply, problemOfRefusal(outcome.refusal, outcome.task))
    const { task, state } = outcome
    reply.header('location', `/api/tasks/${task}`)
    if (values.wait === undefined || !(await this.#ends(reply, task, state, values.wait))) {
      const latest = this.#port.task(task)?.state ?? state
      return sendJson(reply.code(202), { id: task, state: latest })
    }
    return this.#sendResult(reply, task, format)
  }

  async list(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { values, faults } = parseQuery(request.query, LIST_RULES)
    if (faults.length > 0) return sendProblem(reply, badQuery(faults))
    const { limit = TASKS_LISTED_DEFAULT, state } = values
    const query = { limit: LISTED_MAX, ...(state === undefined ? {} : { state }) }
    // One for all limits: or a few clients, each with another limit, had all the turns.
    const { who } = request
    const whose = who.kind === 'user' && !readsAll(who) ? ownerNameOf(who) : ''
    const texts = await this.#lists.get(reply, `${state} ${whose}`, () =>
      this.#port
        .tasks(query)
        .filter(({ id }) => isReadBy(who, this.#port.ownerOf(id)))
        .map((task) => toJsonText(task)),
    )
    return reply.type(JSON_TYPE).send(`[${texts.slice(0, limit).join(',')}]`)
  }

  async show(request: IdRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { values, faults } = parseQuery(request.query, { wait: WAIT_RULE })
    if (faults.length > 0) return sendProblem(reply, badQuery(faults))
    const task = this.#find(request)
    if (task === undefined) return sendProblem(reply, unknownTask(request.params.id))
    if (values.wait !== undefined) await this.#ends(reply, task.id, task.state, values.wait)
    return sendJson(reply, this.#port.task(task.id) ?? task)
  }

  async result(request: IdRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { values, faults } = parseQuery(request.query, { wait: WAIT_RULE })
    if (faults.length > 0) return sendProblem(reply, badQuery(faults))
    const format = negotiateFormat(request.headers.accept)
    if (format === undefined) return sendProblem(reply, NOT_ACCEPTABLE)
    const task = this.#find(request)
    if (task === undefined) return sendProblem(reply, unknownTask(request.params.id))
    if (!(await this.#ends(reply, task.id, task.state, values.wait ?? 0))) {
      const { state = task.state } = this.#port.task(task.id) ?? {}
      const detail = `task ${task.id} is ${state}: it has no result yet`
      return sendProblem(reply, { status: 404, code: 'no-result', detail, extra: { state } })
    }
    return this.#sendResult(reply, task.id, format)
  }

  async cancel(request: IdRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { id } = request.params
    if (!isTaskId(id)) return sendProblem(reply, unknownTask(id))
    const outcome = await this.#port.cancel(id, clientOf(request))
    if (!outcome.ok) return sendProblem(reply, problemOfRefusal(outcome.refusal, outcome.task))
    return sendJson(reply, { id: outcome.task, state: outcome.state })
  }

  /** One that is not his is nothing that he could know of. */
  #find({ params: { id }, who }: IdRequest) {
    if (!isTaskId(id) || !isReadBy(who, this.#port.ownerOf(id))) return undefined
    return this.#port.task(id)
  }

  async #ends(
    reply: FastifyReply,
    task: TaskId,
    state: TaskState,
    timeoutMs: number,
  ): Promise<boolean> {
    const hasEnded = isEnded(state)
    if (hasEnded && this.#port.result(task) !== undefined) return true
    // An end that is decided is told once it is on disk, with its result.
    if (hasEnded) timeoutMs = Math.max(timeoutMs, FLUSH_MS)
    // Who left while his task was accepted is not told of by 'close' any more.
    const { who } = reply.request
    if (timeoutMs === 0 || !this.#waits.hasRoom(who) || reply.raw.destroyed) return false
    const leaveWaits = this.#waits.take(who)
    const left = new AbortController()
    const leave = (): void => left.abort()
    reply.raw.once('close', leave)
    try {
      return await this.#port.waitForEnd(task, timeoutMs, left.signal)
    } finally {
      reply.raw.off('close', leave)
      leaveWaits()
    }
  }

  #sendResult(reply: FastifyReply, task: TaskId, format: ResultFormat): FastifyReply {
    const result = this.#port.result(task)
    reply.header('vary', 'accept')
    if (result === undefined) {
      const detail = `the result of task ${task} is no longer kept`
      return sendProblem(reply, { status: 404, code: 'no-result', detail })
    }
    if (format === 'cbor') return reply.type('application/cbor').send(Buffer.from(result))
    const decoded = decodeCbor(result, RESULT_LIMITS)
    if (!decoded.ok) throw new Error(`the result of ${task} does not decode: ${decoded.message}`)
    return sendJson(reply, decoded.value)
  }
}

export function sendJson(reply: FastifyReply, value: unknown): FastifyReply {
  return reply.type(JSON_TYPE).send(toJsonText(value))
}

/** For what is dear to make: its bytes are shared by all who ask for the same at that time. */
export async function sendPaced(
  reply: FastifyReply,
  paced: Paced,
  key: string,
  make: () => unknown,
): Promise<FastifyReply> {
  const bytes = await paced.get(reply, key, async () => Buffer.from(toJsonText(await make())))
  return reply.type(JSON_TYPE).send(bytes)
}

const TOO_MANY: ProblemAnswer = {
  status: 429,
  code: 'overloaded',
  detail: `so many requests wait for tasks already: ${WAITS_MAX}, or half of them by one user; submit without ?wait`,
}

export const NOT_ACCEPTABLE: ProblemAnswer = {
  status: 406,
  code: 'not-acceptable',
  detail: 'answers are application/json or application/cbor',
}

export function badQuery(errors: readonly RequestFault[]): ProblemAnswer {
  const detail = errors.map((error) => error.message).join('; ')
  return { status: 400, code: 'malformed', detail, errors }
}

function unknownTask(id: string): ProblemAnswer {
  return { status: 404, code: 'unknown-task', detail: `there is no task "${id.slice(0, 64)}"` }
}

/** The payload, if it is what its content type says: the core tells the two apart by a byte. */
function readBody(request: FastifyRequest): { payload: Uint8Array } | ProblemAnswer {
  const type = (request.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase()
  if (type !== 'application/json' && type !== 'application/cbor') {
    const detail = 'a task is application/json or application/cbor, by Content-Type'
    return { status: 415, code: 'unsupported-media-type', detail }
  }
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
  const payload = type === 'application/json' ? withoutLeadingSpace(body) : body
  const isObject = payload[0] === 0x7b
  if (type === 'application/json' ? isObject : payload.length > 0 && !isObject) return { payload }
  const detail =
    type === 'application/json' ? 'the body is not a JSON object' : 'the body is not a CBOR map'
  const errors = [{ path: '', code: 'malformed', message: detail }]
  return { status: 400, code: 'malformed', detail, errors }
}

/** White space before a JSON text (RFC 8259 §2). */
function withoutLeadingSpace(body: Buffer): Buffer {
  let at = 0
  while (at < body.length && [0x20, 0x09, 0x0a, 0x0d].includes(body[at]!)) at += 1
  return body.subarray(at)
}

/** Who comes by the socket that only the gateway's owner can open. */
const ADMIN = 'admin'
const numbers = new WeakMap<object, number>()
let lastNumber = 0

export function clientOf({ ip, socket, who }: FastifyRequest): HttpClient {
  const number = numbers.get(socket) ?? ++lastNumber
  numbers.set(socket, number)
  const user = who.kind === 'user' ? { user: who } : {}
  // A socket with a path has no address.
  return { address: ip ?? ADMIN, connection: `${number}`, ...user }
}
