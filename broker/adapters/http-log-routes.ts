/** Lines of a board's own log, which it keeps in memory: the last ones, or what came after those that one has. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { isId, isNodeId } from '../../shared/core/ids.ts'
import { LOG_LINES_MAX } from '../../shared/protocol/log-line.ts'
import { LOG_LEVEL_NAMES } from '../../shared/protocol/log-messages.ts'
import { AppError } from '../../shared/runtime/errors.ts'
import { rightOf } from './http-access.ts'
import { unknownNode } from './http-fleet-routes.ts'
import type { HttpPort } from './http-port.ts'
import { oneOf, parseQuery, type QueryRule, wholeRule } from './http-request.ts'
import { badQuery, sendJson } from './http-task-routes.ts'
import { type ProblemAnswer, sendProblem } from './problem-json.ts'

const LINES_DEFAULT = 100
const AFTER_RULE: QueryRule<string> = {
  read: (text) => (isId(text) ? text : undefined),
  expected: 'the "next" of an answer before',
}
const RULES = {
  lines: wholeRule(1, LOG_LINES_MAX),
  level: oneOf(LOG_LEVEL_NAMES),
  after: AFTER_RULE,
}

type IdRequest = FastifyRequest<{ Params: { id: string } }>

export function registerLogRoutes(app: FastifyInstance, port: HttpPort): void {
  app.get('/api/nodes/:id/log', rightOf('operate'), (request: IdRequest, reply) =>
    read(request, reply, port),
  )
}

async function read(
  { params: { id }, query }: IdRequest,
  reply: FastifyReply,
  port: HttpPort,
): Promise<FastifyReply> {
  const { values, faults } = parseQuery(query, RULES)
  if (faults.length > 0) return sendProblem(reply, badQuery(faults))
  if (!isNodeId(id) || port.stateOf(id) === undefined) return sendProblem(reply, unknownNode(id))
  try {
    const wish = { lines: LINES_DEFAULT, level: 'debug', ...values } as const
    return sendJson(reply, await port.logs.read(id, wish))
  } catch (error) {
    return sendProblem(reply, problemOf(error))
  }
}

function problemOf(error: unknown): ProblemAnswer {
  if (!(error instanceof AppError)) throw error
  const { code, message: detail } = error
  if (code === 'log-not-kept') return { status: 409, code: 'log-not-kept', detail }
  if (code === 'overloaded') return { status: 503, code: 'overloaded', detail }
  return { status: 504, code: 'node-away', detail }
}
