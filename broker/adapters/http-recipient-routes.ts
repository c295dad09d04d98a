/** To whom the gateway seals results, and the key that it signs them by. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import * as v from 'valibot'
import { isId } from '../../shared/core/ids.ts'
import { rightOf } from './http-access.ts'
import type { HttpPort, RecipientPort } from './http-port.ts'
import { askerOf, bodyOf, NOT_SECURED, sendRefusal } from './http-security-routes.ts'
import { sendJson } from './http-task-routes.ts'
import { sendProblem } from './problem-json.ts'

type NameRequest = FastifyRequest<{ Params: { name: string } }>
type Answer = (
  recipients: RecipientPort,
  request: NameRequest,
  reply: FastifyReply,
) => Promise<FastifyReply>

const OPERATE = rightOf('operate')
const KEY_TEXT_MAX = 4096
const keySchema = v.strictObject({ key: v.pipe(v.string(), v.maxLength(KEY_TEXT_MAX)) })

export function registerRecipientRoutes(app: FastifyInstance, port: HttpPort): void {
  const secured =
    (answer: Answer) =>
    async (request: NameRequest, reply: FastifyReply): Promise<FastifyReply> => {
      const recipients = port.security?.recipients
      if (recipients === undefined) return sendProblem(reply, NOT_SECURED)
      try {
        return await answer(recipients, request, reply)
      } catch (error) {
        return sendRefusal(reply, error)
      }
    }
  app.get('/api/seal', rightOf('known'), secured(signer))
  app.get('/api/seal/recipients', OPERATE, secured(list))
  app.post('/api/seal/recipients/:name', OPERATE, secured(add))
  app.delete('/api/seal/recipients/:name', OPERATE, secured(remove))
}

/** It is no secret. */
const signer: Answer = async (recipients, _request, reply) =>
  sendJson(reply, { signer: await recipients.signer() })

const list: Answer = async (recipients, _request, reply) => sendJson(reply, recipients.recipients())

const add: Answer = async (recipients, request, reply) => {
  const { name } = request.params
  if (!isId(name)) {
    const detail = 'a name has 1 to 64 letters, digits, "_" or "-"'
    return sendProblem(reply, { status: 400, code: 'malformed', detail })
  }
  const wish = bodyOf(keySchema, request, reply)
  if (wish === undefined) return reply
  await recipients.add(name, Buffer.from(wish.key, 'base64'), askerOf(request))
  return sendJson(
    reply.code(201),
    recipients.recipients().find((one) => one.name === name),
  )
}

const remove: Answer = async (recipients, request, reply) => {
  const { name } = request.params
  await recipients.remove(name, askerOf(request))
  return sendJson(reply, { recipient: name, removed: true })
}
