import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { FastifyReply } from 'fastify'
import { own } from '../../shared/core/own.ts'
import type { OslCode } from '../../shared/osl/osl-problems.ts'
import type { Refusal, RefusalCode } from '../core/effects.ts'

/** What `errors` holds: one wrong member of the request each. */
export interface RequestFault {
  readonly path: string
  readonly code: string
  readonly message: string
}

/** An answer that is not the one asked for (RFC 9457). */
export interface ProblemAnswer {
  readonly status: number
  /** Stable; the table stands in docs/operations.md. */
  readonly code: string
  readonly detail: string
  readonly errors?: readonly RequestFault[]
  /** After which trying again makes sense, where that is known. */
  readonly retryMs?: number
  /** Members of its own, as RFC 9457 §3.2 allows. */
  readonly extra?: Readonly<Record<string, unknown>>
}

const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

/** Header fields of every answer. */
export const EVERY_ANSWER = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }

const INVALID = 422

/** Those of a program's text are not listed: each is `INVALID`. */
const STATUS_OF_REFUSAL: Readonly<Record<Exclude<RefusalCode, OslCode>, number>> = {
  malformed: 400,
  missing: INVALID,
  'unknown-key': INVALID,
  'wrong-type': INVALID,
  'out-of-range': INVALID,
  'unknown-operation': INVALID,
  'unknown-glyph': INVALID,
  'unknown-version': INVALID,
  'unknown-context': INVALID,
  'program-damaged': INVALID,
  'unknown-field': INVALID,
  'outside-grid': INVALID,
  'wrong-count': INVALID,
  'too-large': 413,
  duplicate: INVALID,
  'not-allowed': INVALID,
  'not-granted': 403,
  'unknown-recipient': INVALID,
  'too-expensive': INVALID,
  invalid: INVALID,
  'task-id-conflict': 409,
  'no-node': 503,
  'too-late': 409,
  'unknown-task': 404,
  'unknown-program': 404,
  'unknown-ghost': 404,
  'version-conflict': 409,
  'codex-full': 409,
  overloaded: 429,
  'rate-limited': 429,
  'too-many-looks': 429,
  recovering: 503,
  'ledger-full': 503,
  'disk-full': 503,
  'store-full': 507,
  'tile-missing': 503,
}

/** Seconds after which trying again makes sense. */
const RETRY_AFTER_SECONDS: Readonly<Record<number, string>> = { 429: '1', 503: '5' }

export function problemOfRefusal(refusal: Refusal, task: string | undefined): ProblemAnswer {
  const { code, message, errors, retryMs } = refusal
  // A body that cannot be read at all is refused as `invalid` too, with one problem of the whole.
  const whole = errors?.find((error) => error.path === '')
  return {
    status: statusOf(code === 'invalid' && whole ? whole.code : code),
    code,
    detail: message,
    ...(errors === undefined ? {} : { errors }),
    ...(retryMs === undefined ? {} : { retryMs }),
    ...(task === undefined ? {} : { extra: { id: task } }),
  }
}

function statusOf(code: RefusalCode): number {
  return own<number>(STATUS_OF_REFUSAL, code) ?? INVALID
}

function problemText(problem: ProblemAnswer): string {
  const { status, code, detail, errors, extra } = problem
  return JSON.stringify({
    type: 'about:blank',
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail,
    code,
    ...(errors === undefined ? {} : { errors }),
    ...extra,
  })
}

export function sendProblem(reply: FastifyReply, problem: ProblemAnswer): FastifyReply {
  const retryAfter = retryAfterOf(problem)
  if (retryAfter !== undefined) reply.header('retry-after', retryAfter)
  return reply.code(problem.status).type(PROBLEM_TYPE).send(problemText(problem))
}

function retryAfterOf({ status, retryMs }: ProblemAnswer): string | undefined {
  if (retryMs === undefined) return RETRY_AFTER_SECONDS[status]
  return `${Math.max(1, Math.ceil(retryMs / 1000))}`
}

/** Answers a request that no route has seen, and ends its connection. */
export function endWithProblem(response: ServerResponse, problem: ProblemAnswer): void {
  const body = problemText(problem)
  response.writeHead(problem.status, headersOf(body)).end(body)
}

/** The whole answer, for a socket that is not in the hands of HTTP. */
export function problemResponse(problem: ProblemAnswer): string {
  const body = problemText(problem)
  const head = Object.entries(headersOf(body)).map(([name, value]) => `${name}: ${value}`)
  const { status } = problem
  return [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...head, '', body].join('\r\n')
}

function headersOf(body: string): Record<string, string | number> {
  return {
    'content-type': PROBLEM_TYPE,
    'content-length': Buffer.byteLength(body),
    ...EVERY_ANSWER,
    connection: 'close',
  }
}
