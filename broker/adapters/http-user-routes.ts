/** Users of a gateway that is secured, and what proves them. Secrets leave here once, in the answer that makes them. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import * as v from 'valibot'
import { ROLES } from '../../shared/protocol/access.ts'
import { rightOf } from './http-access.ts'
import type { HttpPort, UserOrder, UserPort } from './http-port.ts'
import { askerOf, bodyOf, NOT_SECURED, sendRefusal } from './http-security-routes.ts'
import { sendJson } from './http-task-routes.ts'
import { sendProblem } from './problem-json.ts'

type NameRequest = FastifyRequest<{ Params: { name: string; id: string } }>
type Answer = (users: UserPort, request: NameRequest, reply: FastifyReply) => Promise<FastifyReply>

const ADMINISTER = rightOf('administer')
const HOUR_MS = 3_600_000
const TOKEN_HOURS = 90 * 24
const TOKEN_HOURS_MAX = 10 * 365 * 24
const LIST_MAX = 64

const from = (least: number) => v.pipe(v.number(), v.safeInteger(), v.minValue(least))
const label = v.optional(v.pipe(v.string(), v.maxLength(64)), '')
const some = <T extends v.GenericSchema>(one: T) =>
  v.pipe(v.array(one), v.minLength(1), v.maxLength(LIST_MAX))
const name = v.pipe(v.string(), v.minLength(1), v.maxLength(64))
const orEverything = <T extends v.GenericSchema>(some: T) => v.union([v.literal('*'), some])

const grantSchema = v.strictObject({
  ops: v.optional(orEverything(some(name))),
  regions: v.optional(
    orEverything(some(v.strictObject({ x: from(0), y: from(0), w: from(1), h: from(1) }))),
  ),
  fields: v.optional(orEverything(some(name))),
  tasksPerSecond: v.optional(
    v.nullable(v.pipe(v.number(), v.minValue(0.001), v.maxValue(100_000))),
  ),
  openTasksMax: v.optional(v.nullable(from(1))),
})

const orderSchema = v.strictObject({
  roles: v.optional(v.pipe(v.array(v.picklist(ROLES)), v.maxLength(ROLES.length))),
  grant: v.optional(v.nullable(grantSchema)),
  topics: v.optional(v.pipe(v.array(v.pipe(v.string(), v.maxLength(64))), v.maxLength(LIST_MAX))),
  password: v.optional(v.nullable(v.string())),
  disabled: v.optional(v.boolean()),
})

const tokenSchema = v.strictObject({
  label,
  ttl_hours: v.optional(
    v.pipe(v.number(), v.minValue(0.01), v.maxValue(TOKEN_HOURS_MAX)),
    TOKEN_HOURS,
  ),
})

const keySchema = v.strictObject({ label, key: v.pipe(v.string(), v.maxLength(4096)) })

export function registerUserRoutes(app: FastifyInstance, port: HttpPort): void {
  const secured =
    (answer: Answer) =>
    async (request: NameRequest, reply: FastifyReply): Promise<FastifyReply> => {
      const users = port.security?.users
      if (users === undefined) return sendProblem(reply, NOT_SECURED)
      try {
        return await answer(users, request, reply)
      } catch (error) {
        return sendRefusal(reply, error)
      }
    }
  app.get('/api/identities/user', ADMINISTER, secured(list))
  app.get('/api/identities/user/:name', ADMINISTER, secured(show))
  app.post('/api/identities/user/:name', ADMINISTER, secured(add))
  app.put('/api/identities/user/:name', ADMINISTER, secured(set))
  app.delete('/api/identities/user/:name', ADMINISTER, secured(remove))
  app.post('/api/identities/user/:name/tokens', ADMINISTER, secured(addToken))
  app.delete('/api/identities/user/:name/tokens/:id', ADMINISTER, secured(removeToken))
  app.post('/api/identities/user/:name/keys', ADMINISTER, secured(addKey))
  app.delete('/api/identities/user/:name/keys/:id', ADMINISTER, secured(removeKey))
  app.get('/api/whoami', rightOf('known'), async ({ who }, reply) => {
    const mqttPort = port.listeners?.mqtt.port
    if (who.kind !== 'user') return sendJson(reply, { user: null, roles: ['admin'], mqttPort })
    const { name: user, roles, grant, topics } = who
    return sendJson(reply, { user, roles, ...(grant && { grant }), topics, mqttPort })
  })
}

const list: Answer = async (users, _request, reply) => sendJson(reply, users.users())

const show: Answer = async (users, { params: { name } }, reply) => {
  const user = users.user(name)
  if (user !== undefined) return sendJson(reply, user)
  const detail = `there is no user "${name.slice(0, 64)}"`
  return sendProblem(reply, { status: 404, code: 'user-unknown', detail })
}

const add: Answer = async (users, request, reply) => {
  const { name } = request.params
  const order = bodyOf(orderSchema, request, reply)
  if (order === undefined) return reply
  await users.add(name, orderOf(order), askerOf(request))
  return sendJson(reply.code(201), users.user(name))
}

const set: Answer = async (users, request, reply) => {
  const { name } = request.params
  const order = bodyOf(orderSchema, request, reply)
  if (order === undefined) return reply
  await users.set(name, orderOf(order), askerOf(request))
  return sendJson(reply, users.user(name))
}

const remove: Answer = async (users, request, reply) => {
  const { name } = request.params
  await users.remove(name, askerOf(request))
  return sendJson(reply, { user: name, removed: true })
}

const addToken: Answer = async (users, request, reply) => {
  const wish = bodyOf(tokenSchema, request, reply)
  if (wish === undefined) return reply
  const asked = { label: wish.label, ttlMs: Math.round(wish.ttl_hours * HOUR_MS) }
  const made = await users.addToken(request.params.name, asked, askerOf(request))
  return sendJson(reply.code(201), made)
}

const removeToken: Answer = async (users, request, reply) => {
  const { name, id } = request.params
  await users.removeToken(name, id, askerOf(request))
  return sendJson(reply, { user: name, id, revoked: true })
}

const addKey: Answer = async (users, request, reply) => {
  const wish = bodyOf(keySchema, request, reply)
  if (wish === undefined) return reply
  const asked = { label: wish.label, spki: spkiIn(wish.key) }
  const certificate = await users.addKey(request.params.name, asked, askerOf(request))
  return sendJson(reply.code(201), { certificate })
}

const removeKey: Answer = async (users, request, reply) => {
  const { name, id } = request.params
  await users.removeKey(name, id, askerOf(request))
  return sendJson(reply, { user: name, id, revoked: true })
}

function orderOf({ disabled, ...rest }: v.InferOutput<typeof orderSchema>): UserOrder {
  return { ...rest, ...(disabled === undefined ? {} : { isDisabled: disabled }) } as UserOrder
}

const PEM = /^\s*-----BEGIN PUBLIC KEY-----\s([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----\s*$/

/** Its bytes as they stand: what they are is looked at before OpenSSL sees them. */
function spkiIn(pem: string): Uint8Array {
  return Buffer.from(PEM.exec(pem)?.[1] ?? '', 'base64')
}
