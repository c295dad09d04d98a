/** A backup of the gateway while it runs, for admins. It is sent as it lies on the disk, and never in memory as a whole. */
import type { FastifyInstance } from 'fastify'
import * as v from 'valibot'
import { rightOf } from './http-access.ts'
import type { HttpConnections } from './http-connections.ts'
import type { HttpPort } from './http-port.ts'
import { askerOf, bodyOf, sendRefusal } from './http-security-routes.ts'

const wishSchema = v.strictObject({ passphrase: v.optional(v.string('must be a text')) })

export function registerBackupRoutes(
  app: FastifyInstance,
  port: HttpPort,
  connections: HttpConnections,
): void {
  app.post('/api/backup', rightOf('administer'), async (request, reply) => {
    const wish = bodyOf(wishSchema, request, reply)
    if (wish === undefined) return reply
    try {
      const { bytes, content } = await port.backups.make(wish.passphrase, askerOf(request))
      // Whether its reader takes it is seen, as of any large answer.
      const { socket } = request.raw
      content.on('data', (piece: Buffer) => connections.holdAnswer(socket, piece)).pause()
      return reply.type('application/x-tar').header('content-length', bytes).send(content)
    } catch (error) {
      return sendRefusal(reply, error)
    }
  })
}
