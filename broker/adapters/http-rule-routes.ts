/** The rule book: what it says, and another one in its place. */
import type { FastifyInstance } from 'fastify'
import { rightOf } from './http-access.ts'
import type { HttpPort } from './http-port.ts'
import { jsonOf } from './http-security-routes.ts'
import { sendJson } from './http-task-routes.ts'
import { problemOfRefusal, sendProblem } from './problem-json.ts'

export function registerRuleRoutes(app: FastifyInstance, { rules }: HttpPort): void {
  app.get('/api/rules', rightOf('read'), async (_request, reply) => sendJson(reply, rules.book()))
  app.put('/api/rules', rightOf('operate'), async (request, reply) => {
    const parsed = rules.parse(jsonOf(request.body))
    if (!parsed.ok) return sendProblem(reply, problemOfRefusal(parsed.refusal, undefined))
    const book = rules.set(parsed.value)
    if (book !== undefined) return sendJson(reply, await book)
    const { version } = rules.book()
    const detail = `the rule book is at version ${version}, not ${parsed.value.ifVersion}`
    return sendProblem(reply, { status: 409, code: 'version-conflict', detail, extra: { version } })
  })
}
