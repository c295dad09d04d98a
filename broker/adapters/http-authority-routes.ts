/** The authority of a secured fleet, for admins: what it is, and a backup of all that cannot be made anew. */
import type { FastifyInstance } from 'fastify'
import * as v from 'valibot'
import { rightOf } from './http-access.ts'
import type { HttpPort } from './http-port.ts'
import { askerOf, bodyOf, NOT_SECURED, sendRefusal } from './http-security-routes.ts'
import { sendJson } from './http-task-routes.ts'
import { sendProblem } from './problem-json.ts'

const backupSchema = v.strictObject({ passphrase: v.string('must be a text') })
const keptSchema = v.strictObject({
  ts: v.pipe(v.number('must be a number'), v.safeInteger('must be whole')),
})

export function registerAuthorityRoutes(app: FastifyInstance, port: HttpPort): void {
  const administer = rightOf('administer')
  app.get('/api/security/ca', administer, async (_request, reply) => {
    const { security } = port
    if (security === undefined) return sendProblem(reply, NOT_SECURED)
    return sendJson(reply, security.authorityCalls.view())
  })
  app.post('/api/security/backup', administer, async (request, reply) => {
    const { security } = port
    if (security === undefined) return sendProblem(reply, NOT_SECURED)
    const wish = bodyOf(backupSchema, request, reply)
    if (wish === undefined) return reply
    try {
      const file = await security.authorityCalls.backup(wish.passphrase, askerOf(request))
      return reply.type('application/octet-stream').send(file)
    } catch (error) {
      return sendRefusal(reply, error)
    }
  })
  app.post('/api/security/backup/kept', administer, async (request, reply) => {
    const { security } = port
    if (security === undefined) return sendProblem(reply, NOT_SECURED)
    const said = bodyOf(keptSchema, request, reply)
    if (said === undefined) return reply
    try {
      security.authorityCalls.kept(said.ts)
      return reply.code(204).send()
    } catch (error) {
      return sendRefusal(reply, error)
    }
  })
}
