/** Tokens, and who is whom, of a gateway that is secured. Secrets leave here once, in the answer that makes them. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import * as v from 'valibot'
import { isNodeId, type NodeId } from '../../shared/core/ids.ts'
import { own } from '../../shared/core/own.ts'
import { identityOf } from '../../shared/protocol/access.ts'
import { toJsonText } from '../../shared/protocol/json-text.ts'
import { isTokenId } from '../../shared/protocol/tokens.ts'
import { AppError } from '../../shared/runtime/errors.ts'
import { rightOf } from './http-access.ts'
import type { Asker, HttpPort, SecurityPort } from './http-port.ts'
import { parseQuery } from './http-request.ts'
import { badQuery, JSON_TYPE, LIMIT_RULE, LISTED_MAX, sendJson } from './http-task-routes.ts'
import type { Paced } from './paced.ts'
import { type ProblemAnswer, sendProblem } from './problem-json.ts'

const OPERATE = rightOf('operate')

type IdRequest = FastifyRequest<{ Params: { id: string } }>

const HOUR_MS = 3_600_000
const TTL_HOURS_MAX = 90 * 24
const TTL_HOURS = 24

const wishSchema = v.strictObject({
  /** Left out or null: for any node that nobody has heard of. */
  node: v.optional(v.nullable(v.custom<NodeId>(isNodeId, 'is not a name of a node')), null),
  replace: v.optional(v.boolean('must be true or false'), false),
  ttl_hours: v.optional(
    v.pipe(
      v.number(`must be a number of hours, at most ${TTL_HOURS_MAX}`),
      v.minValue(0.01, 'must be 0.01 at least'),
      v.maxValue(TTL_HOURS_MAX, `must be ${TTL_HOURS_MAX} at most`),
    ),
    TTL_HOURS,
  ),
})

const CONFLICT = 409
const UNSUITABLE = 422
/** The status of what is refused. */
const REFUSALS: Readonly<Record<string, number>> = {
  'backup-under-way': CONFLICT,
  forbidden: 403,
  'passphrase-unsuitable': UNSUITABLE,
  'node-exists': CONFLICT,
  'node-left': CONFLICT,
  'tokens-full': CONFLICT,
  'unknown-backup': 404,
  'user-exists': CONFLICT,
  'user-unknown': 404,
  'user-name-wrong': UNSUITABLE,
  'topic-filter-wrong': UNSUITABLE,
  'grant-incomplete': UNSUITABLE,
  'user-key-unknown': 404,
  'user-token-unknown': 404,
  'user-keys-full': CONFLICT,
  'user-tokens-full': CONFLICT,
  'users-full': CONFLICT,
  'key-known': CONFLICT,
  'recipient-exists': CONFLICT,
  'recipient-unknown': 404,
  'recipients-full': CONFLICT,
  'key-unsuitable': UNSUITABLE,
  'password-unsuitable': UNSUITABLE,
  'backup-damaged': 500,
  'not-secured': CONFLICT,
  'no-room': 507,
  recovering: 503,
  'log-broken': 503,
  overloaded: 503,
  'rate-limited': 429,
}

export const NOT_SECURED: ProblemAnswer = {
  status: 409,
  code: 'not-secured',
  detail: 'this gateway asks nobody who he is: obelisk gateway secure',
}

export function registerSecurityRoutes(app: FastifyInstance, port: HttpPort, paced: Paced): void {
  const secured =
    <R extends FastifyRequest>(answer: Answer<R>) =>
    async (request: R, reply: FastifyReply): Promise<FastifyReply> => {
      const { security } = port
      if (security === undefined) return sendProblem(reply, NOT_SECURED)
      return await answer(security, request, reply)
    }
  app.get('/ca.crt', rightOf('none'), secured(sendAuthority))
  app.get('/api/tokens', OPERATE, secured(listTokens(paced)))
  app.post('/api/tokens', OPERATE, secured(createToken))
  app.delete('/api/tokens/:id', OPERATE, secured(revokeToken))
  app.get('/api/identities/node/:id', OPERATE, secured(showNode))
  app.delete('/api/identities/node/:id', OPERATE, secured(revokeNode))
  app.post('/api/identities/node/:id/rotate', OPERATE, secured(rotateNode))
}

type Answer<R> = (security: SecurityPort, request: R, reply: FastifyReply) => Promise<FastifyReply>

/** What clients that check names are told to trust; it is no secret. */
const sendAuthority: Answer<FastifyRequest> = async ({ authority }, _request, reply) =>
  reply.type('application/x-pem-file').send(authority)

/** There may be 20,000: they are gone through once for all who ask, and the newest are shown. */
const listTokens =
  (paced: Paced): Answer<FastifyRequest> =>
  async (security, request, reply) => {
    const { values, faults } = parseQuery(request.query, { limit: LIMIT_RULE })
    if (faults.length > 0) return sendProblem(reply, badQuery(faults))
    const { limit = LISTED_MAX } = values
    const texts = await paced.get(reply, '', async () =>
      (await security.tokens()).slice(0, LISTED_MAX).map((view) => toJsonText(view)),
    )
    return reply.type(JSON_TYPE).send(`[${texts.slice(0, limit).join(',')}]`)
  }

const revokeToken: Answer<IdRequest> = async (security, request, reply) => {
  const { id } = request.params
  const isKnown = isTokenId(id) && (await security.revokeToken(id, askerOf(request)))
  return isKnown ? sendJson(reply, { id, revoked: true }) : sendProblem(reply, unknownToken(id))
}

const showNode: Answer<IdRequest> = async (security, { params: { id } }, reply) => {
  const identity = isNodeId(id) ? security.identity(id) : undefined
  return identity ? sendJson(reply, identity) : sendProblem(reply, unknownNode(id))
}

const revokeNode: Answer<IdRequest> = async (security, request, reply) => {
  const { id } = request.params
  const isKnown = isNodeId(id) && (await security.revokeNode(id, askerOf(request)))
  return isKnown
    ? sendJson(reply, { node: id, revoked: true })
    : sendProblem(reply, unknownNode(id))
}

const rotateNode: Answer<IdRequest> = async (security, request, reply) => {
  const { id } = request.params
  try {
    const isKnown = isNodeId(id) && (await security.rotateNode(id, askerOf(request)))
    return isKnown
      ? sendJson(reply, { node: id, rotating: true })
      : sendProblem(reply, unknownNode(id))
  } catch (error) {
    return sendRefusal(reply, error)
  }
}

const createToken: Answer<FastifyRequest> = async (security, request, reply) => {
  const wish = bodyOf(wishSchema, request, reply)
  if (wish === undefined) return reply
  const { node, replace: replaces, ttl_hours: hours } = wish
  const asked = { node, replaces, ttlMs: Math.round(hours * HOUR_MS) }
  try {
    const { token, view } = await security.createToken(asked, askerOf(request))
    return sendJson(reply.code(201), { token, ...view })
  } catch (error) {
    return sendRefusal(reply, error)
  }
}

/** Who asks: over the socket that only the gateway's owner can open nobody has a name. */
export function askerOf(request: FastifyRequest): Asker {
  const { who } = request
  const named = who.kind === 'user' ? identityOf(who) : 'admin'
  return {
    who: named,
    via: who.kind === 'user' ? 'http' : 'socket',
    assertMay() {
      if (!request.isOver) return
      throw new AppError(
        'forbidden',
        `what ${named} may do, or is known by, has changed: ask again`,
      )
    },
  }
}

/** What the body says; nothing where the problem with it has been sent. */
export function bodyOf<T extends v.GenericSchema>(
  schema: T,
  request: FastifyRequest,
  reply: FastifyReply,
): v.InferOutput<T> | undefined {
  const parsed = v.safeParse(schema, jsonOf(request.body))
  if (parsed.success) return parsed.output
  const errors = parsed.issues.map((issue) => {
    const path = v.getDotPath(issue) ?? ''
    const message = path === '' ? 'the body is not a JSON object' : `${path}: ${issue.message}`
    return { path, code: 'malformed', message }
  })
  const detail = errors.map(({ message }) => message).join('; ')
  sendProblem(reply, { status: 400, code: 'malformed', detail, errors })
  return undefined
}

export function jsonOf(body: unknown): unknown {
  try {
    return JSON.parse(String(body))
  } catch {
    return undefined
  }
}

/** What is not to be had, as a problem; anything else is a fault of ours, and thrown on. */
export function sendRefusal(reply: FastifyReply, error: unknown): FastifyReply {
  const code = error instanceof AppError ? own(REFUSALS, error.code) : undefined
  if (code === undefined) throw error
  const { code: name, message: detail } = error as AppError
  return sendProblem(reply, { status: code, code: name, detail })
}

function unknownToken(id: string): ProblemAnswer {
  return { status: 404, code: 'unknown-token', detail: `there is no token "${id.slice(0, 64)}"` }
}

function unknownNode(id: string): ProblemAnswer {
  const detail = `nobody has given node "${id.slice(0, 64)}" an identity, or a token for one`
  return { status: 404, code: 'unknown-node', detail }
}
