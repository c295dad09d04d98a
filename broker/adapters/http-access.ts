/**
 * Who a request is from, and whether he may ask for that. Where everybody is asked who he is, every route has to say
 * what it takes, or the gateway does not start: one that nobody thought of would be open.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import {
  ANYONE,
  identityOf,
  type Principal,
  readsAll,
  STRANGER,
} from '../../shared/protocol/access.ts'
import { type HttpRight, mayAsk } from '../../shared/protocol/http-rights.ts'
import type { SecuredClient } from './http-secure-door.ts'
import { type ProblemAnswer, sendProblem } from './problem-json.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    right?: HttpRight
  }
  interface FastifyRequest {
    who: Principal
  }
}

/** What a request shows of who it is from. */
export interface Shown {
  /** SHA-256 of the key of a client's certificate that our authority signed, hexadecimal. */
  readonly key: string | undefined
  /** `Authorization`, as it came. */
  readonly authorization: string | undefined
  /** The address that it came from. */
  readonly remote: string
}

/** Why nobody knows who it is, or that he may do nothing. */
export type Unidentified = 'unauthenticated' | 'forbidden' | 'locked' | 'overloaded'

export type Identified =
  | { readonly ok: true; readonly who: Principal }
  | { readonly ok: false; readonly code: Unidentified; readonly retryMs?: number | undefined }

export interface HttpAccessPort {
  /** Who it is; a stranger shows nothing, and one who shows something that is wrong is no stranger. */
  identify(shown: Shown, isGone: () => boolean): Promise<Identified>
  /** Somebody did not come in for the certificates that he showed. */
  certificateRefused(code: string, remote: string): void
  /** Somebody may not have what he asked for. */
  refused(who: Principal, remote: string, code: string): void
}

/** The option of a route. */
export function rightOf(right: HttpRight): { readonly config: { readonly right: HttpRight } } {
  return { config: { right } }
}

/** Whether a task of this owner may be shown to him. */
export function isReadBy(who: Principal, owner: string | undefined): boolean {
  if (who.kind !== 'user') return who.kind === 'anyone'
  return readsAll(who) || owner === identityOf(who)
}

/** Who has something open: an answer that is on its way, a stream, a wait. */
export class OpenRequests {
  readonly #sockets = new Map<string, Set<Socket>>()

  add(who: Principal, { socket }: IncomingMessage, response: ServerResponse): void {
    const identity = identityOf(who)
    const sockets = this.#sockets.get(identity) ?? new Set()
    this.#sockets.set(identity, sockets.add(socket))
    response.once('close', () => {
      // Another request of the connection is begun when this one is over, and not before.
      sockets.delete(socket)
      if (sockets.size === 0 && this.#sockets.get(identity) === sockets) {
        this.#sockets.delete(identity)
      }
    })
  }

  /** What this identity may do is not what it was when it asked. */
  endOf(identity: string): void {
    for (const socket of this.#sockets.get(identity) ?? []) socket.destroy()
  }
}

/** Without a port everybody may do everything. */
export function guardRoutes(
  app: FastifyInstance,
  access:
    | {
        readonly port: HttpAccessPort
        readonly open: OpenRequests
        readonly clientOf: (socket: object) => SecuredClient
      }
    | undefined,
): void {
  app.decorateRequest('who')
  app.addHook('onRoute', ({ url, method, config }) => {
    if (config?.right === undefined) {
      throw new Error(`assertion failed: ${method} ${url} does not say who may ask for it`)
    }
  })
  if (access === undefined) {
    app.addHook('onRequest', (request, _reply, done) => {
      request.who = ANYONE
      done()
    })
    return
  }
  const { port, open, clientOf } = access
  app.addHook('onRequest', async (request, reply) => {
    const { key, remote } = clientOf(request.raw.socket)
    const { authorization } = request.headers
    const isStranger = key === undefined && authorization === undefined
    const identified: Identified = isStranger
      ? { ok: true, who: STRANGER }
      : await port.identify({ key, authorization, remote }, () => reply.raw.destroyed)
    const who = identified.ok ? identified.who : STRANGER
    const { right } = request.routeOptions.config
    if (identified.ok && (right === undefined || mayAsk(who, right))) {
      request.who = who
      // Who changes what he himself may do is to hear that it is done; none of it is long.
      if (who.kind === 'user' && right !== 'administer') open.add(who, request.raw, reply.raw)
      return
    }
    const problem = identified.ok ? problemOfRight(who) : problemOfLogin(identified)
    port.refused(who, remote, problem.code)
    return refuse(request, reply, problem)
  })
}

function refuse(
  request: FastifyRequest,
  reply: FastifyReply,
  problem: ProblemAnswer,
): FastifyReply {
  if (problem.status === 401)
    reply.header('www-authenticate', 'Basic realm="obelisk", charset="UTF-8"')
  // What he still sends is not read.
  if (request.headers['content-length'] !== undefined) reply.header('connection', 'close')
  return sendProblem(reply, problem)
}

export function problemOfLogin({
  code,
  retryMs,
}: Extract<Identified, { readonly ok: false }>): ProblemAnswer {
  return retryMs === undefined ? PROBLEMS[code] : { ...PROBLEMS[code], retryMs }
}

function problemOfRight(who: Principal): ProblemAnswer {
  return who.kind === 'stranger' ? PROBLEMS.unauthenticated : PROBLEMS.forbidden
}

const PROBLEMS: Readonly<Record<Unidentified, ProblemAnswer>> = {
  unauthenticated: {
    status: 401,
    code: 'unauthenticated',
    detail: 'say who you are: name and password, a token, or a certificate of this fleet',
  },
  forbidden: {
    status: 403,
    code: 'forbidden',
    detail: 'you are known, and may not do that; an admin can change your role',
  },
  locked: { status: 429, code: 'locked', detail: 'too many wrong passwords: wait, then try again' },
  overloaded: {
    status: 503,
    code: 'overloaded',
    detail: 'others log in at this moment: try again',
  },
}
