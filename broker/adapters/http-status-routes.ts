/** Whether the gateway is secured, and how it stands with who may come in. */
import type { FastifyInstance } from 'fastify'
import { rightOf } from './http-access.ts'
import type { HttpPort } from './http-port.ts'
import { sendJson } from './http-task-routes.ts'

export function registerStatusRoutes(app: FastifyInstance, port: HttpPort): void {
  app.get('/api/security/status', rightOf('administer'), async (_request, reply) => {
    const { security, listeners } = port
    if (security === undefined) return sendJson(reply, { mode: 'open', listeners })
    return sendJson(reply, { mode: 'secured', listeners, ...(await security.status()) })
  })
}
