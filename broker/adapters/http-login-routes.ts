/** How browsers log in and out. What they keep is a cookie, and worth nothing after the gateway has started again. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import * as v from 'valibot'
import { challenge, type HttpAccess, problemOfLogin, rightOf } from './http-access.ts'
import { clearCookie, cookieOf, setCookie } from './http-cookies.ts'
import { bodyOf } from './http-security-routes.ts'
import { sendJson } from './http-task-routes.ts'
import { type ProblemAnswer, sendProblem } from './problem-json.ts'

const loginSchema = v.union(
  [
    v.strictObject({
      name: v.pipe(v.string(), v.maxLength(64)),
      password: v.pipe(v.string(), v.maxLength(1024)),
    }),
    v.strictObject({ token: v.pipe(v.string(), v.maxLength(256)) }),
  ],
  'must have name and password, or a token',
)

/** Where nobody is asked. */
const NO_LOGIN: ProblemAnswer = {
  status: 409,
  code: 'not-secured',
  detail: 'nobody is asked here who he is',
}

export function registerLoginRoutes(app: FastifyInstance, access: HttpAccess | undefined): void {
  if (access === undefined) {
    const refuse = async (_request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> =>
      sendProblem(reply, NO_LOGIN)
    app.post('/api/login', rightOf('none'), refuse)
    app.post('/api/logout', rightOf('known'), refuse)
    return
  }
  const { port, open, clientOf } = access
  /** What the browser had until now; this request is answered all the same. */
  const endShown = (request: FastifyRequest): boolean => {
    const secret = cookieOf(request.headers.cookie)
    open.release(request)
    return secret !== undefined && port.logout(secret)
  }
  app.post('/api/login', rightOf('none'), async (request, reply) => {
    const { remote } = clientOf(request.raw.socket)
    const shown = bodyOf(loginSchema, request, reply)
    if (shown === undefined) return reply
    const answer = await port.login({ ...shown, remote }, () => reply.raw.destroyed)
    if (!answer.ok) {
      challenge(request, reply, answer.code)
      return sendProblem(reply, problemOfLogin(answer))
    }
    const { who, secret, seconds } = answer
    endShown(request)
    reply.header('set-cookie', setCookie(secret, seconds))
    return sendJson(reply, { user: who.name, roles: who.roles })
  })
  app.post('/api/logout', rightOf('known'), async (request, reply) => {
    reply.header('set-cookie', clearCookie())
    return sendJson(reply, { loggedOut: endShown(request) })
  })
}
