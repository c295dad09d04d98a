/** Programs that tasks name, their versions, and which of them is meant in which context. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import * as v from 'valibot'
import { own } from '../../shared/core/own.ts'
import { MAIN_CONTEXT } from '../../shared/protocol/program-call.ts'
import type { CodexOutcome } from '../core/effects.ts'
import type { CodexDemand } from '../core/events.ts'
import { rightOf } from './http-access.ts'
import type { HttpPort } from './http-port.ts'
import { askerOf, bodyOf } from './http-security-routes.ts'
import { sendJson } from './http-task-routes.ts'
import { problemOfRefusal, sendProblem } from './problem-json.ts'

const READ = rightOf('read')
const OPERATE = rightOf('operate')
const VERSION_MAX = 999_999_999
/** Equal tasks until a ghost is through, unless it is said otherwise. */
const GHOST_RUNS = 100
const GHOST_RUNS_MAX = 1_000_000
/** Beyond what is taken, so that this is told by the compiler. */
const SOURCE_CHARACTERS_MAX = 64 * 1024

type NameRequest = FastifyRequest<{ Params: { name: string } }>
type VersionRequest = FastifyRequest<{ Params: { name: string; version: string } }>

const version = v.pipe(
  v.number('must be a number'),
  v.integer('must be a whole number'),
  v.minValue(1, 'must be 1 at least'),
  v.maxValue(VERSION_MAX, `must be ${VERSION_MAX} at most`),
)
const source = v.pipe(
  v.string('must be text'),
  v.maxLength(SOURCE_CHARACTERS_MAX, 'is far too long'),
)
const checkSchema = v.strictObject({ source })
const defineSchema = v.strictObject({
  source,
  columns: v.exactOptional(v.pipe(v.string('must be text'), v.maxLength(4096, 'is too long'))),
  glyph: v.exactOptional(v.pipe(v.string('must be text'), v.maxLength(16, 'is one character'))),
  parent: v.exactOptional(version),
})
const useSchema = v.strictObject({
  version,
  context: v.optional(
    v.pipe(v.string('must be text'), v.maxLength(64, 'is too long')),
    MAIN_CONTEXT,
  ),
  if_version: v.exactOptional(version),
})
const ghostSchema = v.strictObject({
  version,
  sample: v.optional(
    v.pipe(
      v.number('must be a number'),
      v.gtValue(0, 'must be above 0'),
      v.maxValue(1, 'must be 1 at most'),
    ),
    1,
  ),
  runs: v.optional(
    v.pipe(
      v.number('must be a number'),
      v.integer('must be a whole number'),
      v.minValue(1, 'must be 1 at least'),
      v.maxValue(GHOST_RUNS_MAX, `must be ${GHOST_RUNS_MAX} at most`),
    ),
    GHOST_RUNS,
  ),
  tolerance: v.optional(
    v.pipe(
      v.number('must be a number'),
      v.finite('must be finite'),
      v.minValue(0, 'must be 0 at least'),
    ),
    0,
  ),
  promote: v.optional(v.picklist(['manual', 'auto'], 'must be manual or auto'), 'manual'),
})
const contextSchema = v.strictObject({
  programs: v.record(v.string(), version, 'must be an object of versions'),
  if_version: v.exactOptional(
    v.pipe(v.number('must be a number'), v.integer('must be a whole number'), v.minValue(0)),
  ),
})

export function registerCodexRoutes(app: FastifyInstance, port: HttpPort): void {
  const { codex } = port
  app.get('/api/codex', READ, async (_request, reply) => sendJson(reply, await codex.list()))
  app.get('/api/codex/:name', READ, async ({ params: { name } }: NameRequest, reply) => {
    const program = codex.program(name)
    return program === undefined ? unknownProgram(reply, name) : sendJson(reply, program)
  })
  app.get('/api/codex/:name/:version', READ, async ({ params }: VersionRequest, reply) => {
    const { name, version: named } = params
    if (codex.program(name) === undefined) return unknownProgram(reply, name)
    const found = /^[1-9]\d{0,8}$/.test(named) ? codex.version(name, Number(named)) : undefined
    if (found !== undefined) return sendJson(reply, found)
    const detail = `there is no version "${named.slice(0, 16)}" of ${name}`
    return sendProblem(reply, { status: 404, code: 'unknown-version', detail })
  })
  app.post('/api/codex/check', rightOf('known'), async (request, reply) => {
    const wish = bodyOf(checkSchema, request, reply)
    if (wish === undefined) return reply
    const checked = codex.check(wish.source)
    if (checked.ok) return sendJson(reply, checked.value)
    return sendProblem(reply, problemOfRefusal(checked.refusal, undefined))
  })
  const define = changes(
    port,
    defineSchema,
    (name, wish) => ({ do: 'define', name, ...wish }),
    (name, { version: made }) => {
      const { number, hash } = codex.version(name, made)!
      const { programs } = codex.context(MAIN_CONTEXT)
      return { name, number, version: made, hash, current: own(programs, name) }
    },
  )
  app.put('/api/codex/:name', OPERATE, define)
  // The inline patch.
  const use = changes(
    port,
    useSchema,
    (name, { version: wanted, context, ...guard }) => {
      return { do: 'use', name, version: wanted, context, ...guarded(guard) }
    },
    (name, { version: used, isNew }, wish) => {
      return { name, version: used, context: wish.context, changed: isNew }
    },
  )
  app.post('/api/codex/:name/current', OPERATE, use)
  const beginGhost = changes(
    port,
    ghostSchema,
    (name, wish) => ({ do: 'begin-ghost', name, ...wish }),
    (name) => ({ name, ...codex.program(name)?.ghost }),
  )
  app.post('/api/codex/:name/ghost', OPERATE, beginGhost)
  app.delete('/api/codex/:name/ghost', OPERATE, async (request: NameRequest, reply) => {
    const { name } = request.params
    const outcome = await codex.demand({ do: 'end-ghost', name }, askerIn(port, request))
    if (!outcome.ok) return refuse(reply, outcome)
    return sendJson(reply, { name, ...codex.program(name)?.ghost })
  })
  app.get('/api/contexts/:name', READ, async ({ params: { name } }: NameRequest, reply) => {
    const context = codex.context(name)
    if (context.version > 0) return sendJson(reply, context)
    const detail = `there is no context "${name.slice(0, 32)}"`
    return sendProblem(reply, { status: 404, code: 'unknown-context', detail })
  })
  const setContext = changes(
    port,
    contextSchema,
    (name, wish) => ({ do: 'set-context', name, programs: wish.programs, ...guarded(wish) }),
    (name) => codex.context(name),
  )
  app.put('/api/contexts/:name', OPERATE, setContext)
}

type Done = Extract<CodexOutcome, { ok: true }>

/** What there was not before. */
const MAKING: readonly CodexDemand['do'][] = ['define', 'begin-ghost']

/** What an operator wants of what the path names, as the body says it; `shown` is what he gets when it is done. */
function changes<S extends v.GenericSchema>(
  port: HttpPort,
  schema: S,
  demandOf: (name: string, wish: v.InferOutput<S>) => CodexDemand,
  shown: (name: string, done: Done, wish: v.InferOutput<S>) => object,
): (request: NameRequest, reply: FastifyReply) => Promise<FastifyReply> {
  return async (request, reply) => {
    const { name } = request.params
    const wish = bodyOf(schema, request, reply)
    if (wish === undefined) return reply
    const demand = demandOf(name, wish)
    const outcome = await port.codex.demand(demand, askerIn(port, request))
    if (!outcome.ok) return refuse(reply, outcome)
    const isMade = MAKING.includes(demand.do) && outcome.isNew
    return sendJson(reply.code(isMade ? 201 : 200), shown(name, outcome, wish))
  }
}

function guarded({ if_version: ifVersion }: { readonly if_version?: number }): {
  readonly ifVersion?: number
} {
  return ifVersion === undefined ? {} : { ifVersion }
}

/** Where everybody is asked who he is. */
function askerIn({ security }: HttpPort, request: FastifyRequest): string | undefined {
  return security === undefined ? undefined : askerOf(request).who
}

function refuse(
  reply: FastifyReply,
  { refusal }: Extract<CodexOutcome, { ok: false }>,
): FastifyReply {
  const problem = problemOfRefusal(refusal, undefined)
  // Of what the path names, and not of what a task does.
  const isOfPath = refusal.errors === undefined && refusal.code.startsWith('unknown-')
  return sendProblem(reply, isOfPath ? { ...problem, status: 404 } : problem)
}

function unknownProgram(reply: FastifyReply, name: string): FastifyReply {
  const detail = `there is no program "${name.slice(0, 32)}"`
  return sendProblem(reply, { status: 404, code: 'unknown-program', detail })
}
