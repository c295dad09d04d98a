/**
 * What becomes of a request before any route has it, and of what is no request at all: all answers here
 * are problems (RFC 9457), too, on a socket that HTTP has let go of for one.
 */
import {
  createServer,
  type IncomingMessage,
  maxHeaderSize,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { HttpConnections, HttpHandler, HttpSocket } from './http-connections.ts'
import { hostOf, isLoopbackHost } from './http-host.ts'
import { SlicedSocket, SliceTurns } from './http-sliced-socket.ts'
import {
  EVERY_ANSWER,
  endWithProblem,
  type ProblemAnswer,
  problemResponse,
} from './problem-json.ts'

/** Misdirected Request [RFC 9110 §15.5.20]. */
const WRONG_HOST_STATUS = 421

/** Takes a bare socket, and gives it back once it is secured, if it ever is. */
export type Secure = (bare: Socket, enter: (secured: Socket) => HttpSocket) => void

/**
 * A server whose handler only gets requests that are for this gateway, one at a time of a connection. Where everybody is
 * asked who he is, a host is nothing that a request could be known by.
 */
export function createListener(
  options: ServerOptions,
  connections: HttpConnections,
  handler: HttpHandler,
  refused: (reason: string) => void,
  secure?: Secure,
): Server {
  const hostProblem = (request: IncomingMessage): ProblemAnswer | undefined => {
    const problem = problemOfHost(request, secure === undefined)
    if (problem?.status === WRONG_HOST_STATUS) refused(problem.code)
    return problem
  }
  // Without a body, Node's own answer to a missing host would be no problem.
  const server = createServer({ ...options, requireHostHeader: false })
  const listen = (event: 'request' | 'checkExpectation', answer: HttpHandler): void => {
    server.on(event, (request: IncomingMessage, response: ServerResponse) => {
      for (const [name, value] of Object.entries(EVERY_ANSWER)) response.setHeader(name, value)
      connections.take(request, response, answer)
    })
  }
  listen('request', (request, response) => {
    const problem = hostProblem(request)
    if (problem === undefined) handler(request, response)
    else endWithProblem(response, problem)
  })
  listen('checkExpectation', (request, response) => {
    const detail = `"${request.headers.expect?.slice(0, 64)}" is nothing that can be expected here`
    endWithProblem(response, hostProblem(request) ?? expectationFailed(detail))
  })
  const turns = new SliceTurns()
  const [serve] = server.listeners('connection')
  server.removeAllListeners('connection')
  const enter = (socket: Socket): HttpSocket => {
    const sliced = new SlicedSocket(socket, turns)
    connections.accept(sliced)
    serve!.call(server, sliced)
    return sliced
  }
  server.on('connection', (bare: Socket) => {
    if (secure === undefined) enter(bare)
    else secure(bare, enter)
  })
  server.on('connect', (request: IncomingMessage, socket: Duplex) => {
    endSocket(socket, hostProblem(request) ?? NO_PROXY)
  })
  return server
}

/** Answers what is no request of HTTP/1.1 on the bare socket. */
export function answerBrokenRequest(error: Error & { code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy()
  else endSocket(socket, problemOfBroken(error.code))
}

function problemOfHost(
  request: IncomingMessage,
  isLoopbackOnly: boolean,
): ProblemAnswer | undefined {
  const host = hostOf(request)
  if (host === undefined) {
    if (request.httpVersion === '1.0') return undefined
    return { status: 400, code: 'malformed', detail: 'a request of HTTP/1.1 has a Host' }
  }
  if (!isLoopbackOnly || isLoopbackHost(host)) return undefined
  const detail = `this gateway is not "${host.slice(0, 128)}": it answers loopback names and addresses`
  return { status: WRONG_HOST_STATUS, code: 'wrong-host', detail }
}

function problemOfBroken(code: string | undefined): ProblemAnswer {
  if (code === 'HPE_HEADER_OVERFLOW') {
    const detail = `target and header fields have at most ${maxHeaderSize} bytes together`
    return { status: 431, code: 'too-large', detail }
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return { status: 408, code: 'malformed', detail: 'the request took too long to arrive' }
  }
  return { status: 400, code: 'malformed', detail: 'this is not a request of HTTP/1.1' }
}

const NO_PROXY: ProblemAnswer = {
  status: 405,
  code: 'method-not-allowed',
  detail: 'CONNECT is not taken here: this is no proxy',
}

function expectationFailed(detail: string): ProblemAnswer {
  return { status: 417, code: 'malformed', detail }
}

function endSocket(socket: Duplex, problem: ProblemAnswer): void {
  socket.on('error', () => {})
  socket.end(problemResponse(problem))
}
