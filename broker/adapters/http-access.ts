/**
 * Who a request is from, and whether he may ask for that. Where everybody is asked who he is, every route has to say
 * what it takes, or the gateway does not start: one that nobody thought of would be open.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import {
  ANYONE,
  identityOf,
  ownerNameOf,
  type Principal,
  readsAll,
  STRANGER,
  type UserPrincipal,
} from '../../shared/protocol/access.ts'
import { type HttpRight, mayAsk } from '../../shared/protocol/http-rights.ts'
import { cookieOf, isFromElsewhere } from './http-cookies.ts'
import type { SecuredClient } from './http-secure-door.ts'
import { type ProblemAnswer, sendProblem } from './problem-json.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    right?: HttpRight
  }
  interface FastifyRequest {
    who: Principal
    /** Who asks may do less than when he asked, or proved himself by what is worth nothing now. */
    isOver: boolean
  }
}

/** What a request shows of who it is from. */
export interface Shown {
  /** SHA-256 of the key of a client's certificate that our authority signed, hexadecimal. */
  readonly key: string | undefined
  /** `Authorization`, as it came. */
  readonly authorization: string | undefined
  /** What a browser was given at a login. */
  readonly cookie: string | undefined
  /** The address that it came from. */
  readonly remote: string
}

/** Why nobody knows who it is, or that he may do nothing. */
export type Unidentified = 'unauthenticated' | 'forbidden' | 'locked' | 'overloaded'

export type Identified =
  | {
      readonly ok: true
      readonly who: Principal
      /** What he has open by it ends with it. */
      readonly session?: string
    }
  | { readonly ok: false; readonly code: Unidentified; readonly retryMs?: number | undefined }

/** Who logs in with a browser, and where. */
export type LoginWish = { readonly remote: string } & (
  | { readonly name: string; readonly password: string }
  | { readonly token: string }
)

export type LoggedIn =
  | {
      readonly ok: true
      readonly who: UserPrincipal
      /** For the browser. */
      readonly secret: string
      readonly seconds: number
    }
  | Extract<Identified, { readonly ok: false }>

/** Of a server that asks who comes. */
export interface HttpAccess {
  readonly port: HttpAccessPort
  readonly open: OpenRequests
  readonly clientOf: (socket: object) => SecuredClient
}

export interface HttpAccessPort {
  /** Who it is; a stranger shows nothing, and one who shows something that is wrong is no stranger. */
  identify(shown: Shown, isGone: () => boolean): Promise<Identified>
  /** Somebody did not come in for the certificates that he showed. */
  certificateRefused(code: string, remote: string): void
  /** Somebody may not have what he asked for. */
  refused(who: Principal, remote: string, code: string): void
  login(wish: LoginWish, isGone: () => boolean): Promise<LoggedIn>
  /** False if the browser was logged out already. */
  logout(secret: string): boolean
}

/** The option of a route. */
export function rightOf(right: HttpRight): { readonly config: { readonly right: HttpRight } } {
  return { config: { right } }
}

/** Whether a task of this owner may be shown to him. */
export function isReadBy(who: Principal, owner: string | undefined): boolean {
  if (who.kind !== 'user') return who.kind === 'anyone'
  return readsAll(who) || owner === ownerNameOf(who)
}

/** Whom a turn is of: a user, wherever he comes from, else the address. The owner's socket has none. */
export function askerNameOf({ who, ip }: FastifyRequest): string {
  return who.kind === 'user' ? identityOf(who) : (ip ?? '')
}

/** Who has something open: an order, an answer that is on its way, a stream, a wait. */
export class OpenRequests {
  readonly #requests = new Map<string, Set<FastifyRequest>>()

  /** `name` is an identity, a session, or a token. */
  add(name: string, request: FastifyRequest, { raw }: FastifyReply): void {
    const requests = this.#requests.get(name) ?? new Set()
    this.#requests.set(name, requests.add(request))
    raw.once('close', () => {
      requests.delete(request)
      if (requests.size === 0 && this.#requests.get(name) === requests) this.#requests.delete(name)
    })
  }

  /** It is answered in any case. */
  release(request: FastifyRequest): void {
    for (const requests of this.#requests.values()) requests.delete(request)
  }

  /** What was asked by this name may not be answered any more. */
  endOf(name: string): void {
    for (const request of this.#requests.get(name) ?? []) {
      request.isOver = true
      // Who changes what he himself may do is to hear that it is done; none of it is long.
      if (request.routeOptions.config.right !== 'administer') request.raw.socket.destroy()
    }
  }
}

/** Where the page, and whoever else comes, learns whether he has to log in. */
export const WHO_PATH = '/api/whoami'

/** Without a port everybody may do everything. */
export function guardRoutes(app: FastifyInstance, access: HttpAccess | undefined): void {
  app.decorateRequest('who')
  app.decorateRequest('isOver', false)
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
    // Of two Node would hide the second.
    if ((request.raw.headersDistinct.authorization?.length ?? 0) > 1) {
      return refuse(request, reply, TWICE)
    }
    const cookie = cookieOf(request.headers.cookie)
    const isStranger = key === undefined && authorization === undefined && cookie === undefined
    const identified: Identified = isStranger
      ? { ok: true, who: STRANGER }
      : await port.identify({ key, authorization, cookie, remote }, () => reply.raw.destroyed)
    const who = identified.ok ? identified.who : STRANGER
    const session = identified.ok ? identified.session : undefined
    const { right } = request.routeOptions.config
    const isAllowed = identified.ok && (right === undefined || mayAsk(who, right))
    if (isAllowed && !isFromElsewhere(request.raw, session !== undefined)) {
      request.who = who
      if (who.kind === 'user') open.add(identityOf(who), request, reply)
      if (who.kind === 'user' && who.token !== undefined) {
        open.add(`token/${who.token}`, request, reply)
      }
      if (session !== undefined) open.add(session, request, reply)
      return
    }
    const problem = isAllowed
      ? WRONG_ORIGIN
      : identified.ok
        ? problemOfRight(who)
        : problemOfLogin(identified)
    // Who did not come in is told of already; who shows nothing and asks who he is has tried nothing.
    const isQuestion = isStranger && request.routeOptions.url === WHO_PATH
    if (identified.ok && !isQuestion) port.refused(who, remote, problem.code)
    return refuse(request, reply, problem)
  })
  // Its body came later than he was asked who he is.
  app.addHook('preHandler', (request, reply, done) => {
    if (request.isOver) refuse(request, reply, PROBLEMS.forbidden)
    else done()
  })
}

function refuse(
  request: FastifyRequest,
  reply: FastifyReply,
  problem: ProblemAnswer,
): FastifyReply {
  challenge(request, reply, problem.code)
  // What he still sends is not read.
  if (request.headers['content-length'] !== undefined) reply.header('connection', 'close')
  return sendProblem(reply, problem)
}

/** By which ways somebody may say who he is. A script of a page is to ask in the page, not by the browser's own window. */
export function challenge(request: FastifyRequest, reply: FastifyReply, code: string): void {
  if (code !== 'unauthenticated') return
  const mode = request.headers['sec-fetch-mode']
  const isScript = mode !== undefined && mode !== 'navigate'
  const scheme = isScript ? 'Bearer realm="obelisk"' : 'Basic realm="obelisk", charset="UTF-8"'
  reply.header('www-authenticate', scheme)
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

const TWICE: ProblemAnswer = {
  status: 400,
  code: 'malformed',
  detail: 'there are two Authorization headers: say once who you are',
}

const WRONG_ORIGIN: ProblemAnswer = {
  status: 403,
  code: 'wrong-origin',
  detail: 'a browser may only ask that from a page of this gateway',
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
