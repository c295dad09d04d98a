import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { AddressInfo } from 'node:net'
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from 'fastify'
import { SUBMISSION_BYTES_MAX, SUBMISSION_BYTES_SKIPPED_MAX } from '../../shared/protocol/limits.ts'
import { AppError, EXIT_SOFTWARE, messageOf } from '../../shared/runtime/errors.ts'
import type { Logger } from '../../shared/runtime/logger.ts'
import type { Health } from '../core/views.ts'
import { EventStreams } from './http-event-stream.ts'
import { registerFleetRoutes } from './http-fleet-routes.ts'
import type { HttpPort } from './http-port.ts'
import { registerTaskRoutes, sendJson } from './http-task-routes.ts'
import { PROBLEM_TYPE, type ProblemAnswer, problemText, sendProblem } from './problem-json.ts'

export type { HttpPort } from './http-port.ts'

export interface HttpServerOptions {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  readonly eventHeartbeatMs?: number
  readonly eventBytesMax?: number
}

const KIB = 1024

const CONNECTIONS_MAX = 1024
const EVENT_STREAMS_MAX = 64
const HEADERS_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 30_000
const KEEP_ALIVE_TIMEOUT_MS = 10_000

/** The HTTP door of the gateway. Bodies are never logged: they are what users compute on. */
export class HttpServer {
  readonly #options: HttpServerOptions
  readonly #app: FastifyInstance
  readonly #events: EventStreams
  readonly #log: Logger

  constructor(options: HttpServerOptions, port: HttpPort, log: Logger) {
    this.#options = options
    this.#log = log
    this.#app = fastify({
      logger: false,
      bodyLimit: SUBMISSION_BYTES_MAX,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      forceCloseConnections: true,
      routerOptions: { maxParamLength: 256 },
      clientErrorHandler: answerBrokenRequest,
    })
    this.#app.server.headersTimeout = HEADERS_TIMEOUT_MS
    this.#app.server.maxConnections = CONNECTIONS_MAX
    this.#events = new EventStreams(
      {
        streamsMax: EVENT_STREAMS_MAX,
        waitingBytesMax: options.eventBytesMax ?? 256 * KIB,
        heartbeatMs: options.eventHeartbeatMs ?? 15_000,
      },
      port,
    )
    this.#prepare()
    const paths = collectPaths(this.#app)
    registerTaskRoutes(this.#app, port)
    registerFleetRoutes(this.#app, port)
    registerHealthRoutes(this.#app, port)
    this.#events.register(this.#app)
    refuseOtherMethods(this.#app, paths)
  }

  /** Resolves with the address once connections are taken. */
  async listen(): Promise<{ host: string; port: number }> {
    const { host, port } = this.#options
    try {
      await this.#app.listen({ host, port })
    } catch (error) {
      throw new AppError('http-listen-failed', `HTTP ${host}:${port}: ${messageOf(error)}`, {
        cause: error,
        exitCode: EXIT_SOFTWARE,
      })
    }
    const address = this.#app.server.address() as AddressInfo
    return { host: address.address, port: address.port }
  }

  /** Ends event streams and waiting requests too. */
  async close(): Promise<void> {
    this.#events.close()
    await this.#app.close()
  }

  #prepare(): void {
    const app = this.#app
    app.removeAllContentTypeParsers()
    for (const type of ['application/json', 'application/cbor']) {
      app.addContentTypeParser(type, { parseAs: 'buffer' }, (_request, body, done) => {
        done(null, body)
      })
    }
    app.addHook('onRequest', async (_request, reply) => {
      reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff')
    })
    app.setNotFoundHandler((request, reply) => {
      const path = request.url.split('?')[0]!.slice(0, 128)
      const hint = path === '/' ? ': the web page is not part of this version, see /api/nodes' : ''
      const detail = `there is nothing at ${path}${hint}`
      sendProblem(reply, { status: 404, code: 'not-found', detail })
    })
    app.setErrorHandler(async (error: FastifyError, request, reply) => {
      const problem = problemOfError(error)
      if (problem.status === 500) this.#log.error({ err: error }, 'an HTTP request failed')
      if (problem.status === 413) await skipRest(request.raw)
      return sendProblem(reply, problem)
    })
  }
}

/**
 * Reads away what a client still sends, up to a bound: if the connection ended under it, it could miss why
 * it was refused.
 */
async function skipRest(body: IncomingMessage): Promise<void> {
  const declared = Number(body.headers['content-length'] ?? 0)
  if (declared > SUBMISSION_BYTES_SKIPPED_MAX) return
  let skipped = 0
  await new Promise<void>((resolve) => {
    body.on('data', (chunk: Buffer) => {
      skipped += chunk.length
      if (skipped > SUBMISSION_BYTES_SKIPPED_MAX) resolve()
    })
    for (const end of ['end', 'error', 'close']) body.once(end, () => resolve())
    body.resume()
  })
}

function problemOfError(error: FastifyError): ProblemAnswer {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    const detail = `a body has at most ${SUBMISSION_BYTES_MAX} bytes`
    return { status: 413, code: 'too-large', detail }
  }
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    const detail = 'a task is application/json or application/cbor, by Content-Type'
    return { status: 415, code: 'unsupported-media-type', detail }
  }
  const status = error.statusCode ?? 500
  if (status >= 400 && status < 500) return { status, code: 'malformed', detail: error.message }
  return { status: 500, code: 'internal', detail: 'the gateway failed to answer; its log says why' }
}

/** What is not HTTP at all is answered on the bare socket. */
function answerBrokenRequest(
  error: Error & { code?: string },
  socket: { writable: boolean; end(text: string): unknown; destroy(): unknown },
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const status = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
  const body = problemText({
    status,
    code: 'malformed',
    detail: 'this is not a request of HTTP/1.1',
  })
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

function registerHealthRoutes(app: FastifyInstance, port: HttpPort): void {
  const sendHealth = (reply: FastifyReply, health: Health): FastifyReply =>
    sendJson(reply.code(health.ok ? 200 : 503), health)
  app.get('/healthz', async (_request, reply) => sendHealth(reply, port.health()))
  app.get('/readyz', async (_request, reply) => sendHealth(reply, port.ready()))
  app.get('/metrics', async (_request, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(await port.metrics()),
  )
}

type Paths = Map<string, Set<string>>

function collectPaths(app: FastifyInstance): Paths {
  const paths: Paths = new Map()
  app.addHook('onRoute', ({ url, method }) => {
    const methods = paths.get(url) ?? new Set()
    for (const name of [method].flat()) methods.add(name)
    paths.set(url, methods)
  })
  return paths
}

/** Answers 405 where a path is known and the method is not, before any body is read. */
function refuseOtherMethods(app: FastifyInstance, paths: Paths): void {
  for (const [url, known] of [...paths]) {
    const allowed = [...known].sort().join(', ')
    const others = app.supportedMethods.filter((method) => !known.has(method))
    app.route({
      method: others,
      url,
      onRequest: (request, reply, _done) => {
        const detail = `${request.method} is not taken here, only ${allowed}`
        reply.header('allow', allowed)
        sendProblem(reply, { status: 405, code: 'method-not-allowed', detail })
      },
      handler: () => undefined,
    })
  }
}
