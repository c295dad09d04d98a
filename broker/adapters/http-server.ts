import { chmodSync, rmSync } from 'node:fs'
import { type IncomingMessage, maxHeaderSize } from 'node:http'
import type { AddressInfo } from 'node:net'
import fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify'
import { own } from '../../shared/core/own.ts'
import type { Principal } from '../../shared/protocol/access.ts'
import { mayAsk } from '../../shared/protocol/http-rights.ts'
import { SUBMISSION_BYTES_SKIPPED_MAX } from '../../shared/protocol/limits.ts'
import type { Health } from '../../shared/protocol/views.ts'
import { AppError, EXIT_CONFIG, EXIT_SOFTWARE, messageOf } from '../../shared/runtime/errors.ts'
import type { Logger } from '../../shared/runtime/logger.ts'
import { guardRoutes, type HttpAccessPort, OpenRequests, rightOf } from './http-access.ts'
import { sendInPieces } from './http-answers.ts'
import { registerAuthorityRoutes } from './http-authority-routes.ts'
import { registerBackupRoutes } from './http-backup-routes.ts'
import { BodyRefused, HttpBodies } from './http-bodies.ts'
import { registerCodexRoutes } from './http-codex-routes.ts'
import { HttpConnections } from './http-connections.ts'
import { registerEventRoutes } from './http-event-stream.ts'
import { registerFleetRoutes } from './http-fleet-routes.ts'
import { registerGridRoutes } from './http-grid-routes.ts'
import { registerHistoryRoutes } from './http-history-routes.ts'
import { answerBrokenRequest, createListener } from './http-listener.ts'
import { registerLogRoutes } from './http-log-routes.ts'
import { registerLoginRoutes } from './http-login-routes.ts'
import { refuseOtherMethods } from './http-other-methods.ts'
import { type Page, registerPageRoutes } from './http-page.ts'
import type { HttpPort } from './http-port.ts'
import { registerRecipientRoutes } from './http-recipient-routes.ts'
import { registerRuleRoutes } from './http-rule-routes.ts'
import { HttpSecureDoor } from './http-secure-door.ts'
import { registerSecurityRoutes } from './http-security-routes.ts'
import { SentEvents } from './http-sent-events.ts'
import { registerStatusRoutes } from './http-status-routes.ts'
import { registerTaskRoutes, sendJson } from './http-task-routes.ts'
import { registerTopicRoutes } from './http-topic-routes.ts'
import {
  NO_PACKAGE,
  PACKAGES_ROUTE,
  registerUpgradeRoutes,
  takePackages,
} from './http-upgrade-routes.ts'
import { NO_FILE, registerUploadRoutes, takeUploads, UPLOAD_ROUTE } from './http-upload-routes.ts'
import { registerUserRoutes } from './http-user-routes.ts'
import { Tally } from './mqtt-figures.ts'
import { Paced } from './paced.ts'
import { type ProblemAnswer, sendProblem } from './problem-json.ts'
import { isOfCertificates, type TlsKeys, type TlsListenerOptions } from './tls-listener.ts'
import { Turns } from './turns.ts'

export type { HttpPort } from './http-port.ts'

/** An address, whose port 0 is any free one, or the path of a socket that is its owner's alone. */
export type HttpPlace =
  | { readonly host: string; readonly port: number }
  /** `opened`: somebody has come through it. */
  | { readonly path: string; opened?(): void }

export type HttpServerOptions = HttpPlace & HttpServerSettings

export interface HttpServerSettings {
  /** Asks everybody who he is, over TLS. Without it, anybody may do anything. */
  readonly secure?: TlsListenerOptions & {
    readonly keys: TlsKeys
    /** Shown to who asks for the fixed name of gateways, as agents do: it has no bounds in time. */
    readonly commands?: TlsKeys
    readonly access: HttpAccessPort
  }
  /** Left out where none was built. */
  readonly page?: Page | undefined
  /** Who may show the page within another one: nobody, unless given. */
  readonly frameAncestors?: string
  readonly eventHeartbeatMs?: number
  readonly eventBytesMax?: number
  readonly connectionsMax?: number
  /** For the header of a request, and from the start of a connection. */
  readonly headersTimeoutMs?: number
  readonly bodyComesMs?: number
  readonly answerStallMs?: number
  readonly answerStallLeastMs?: number
  readonly answersBytesMax?: number
  readonly bodiesBytesMax?: number
  /** So long a body may take to come, and a file that is uploaded bring nothing. */
  readonly bodyMs?: number
  /** How often it is looked at whether a file comes fast enough. */
  readonly uploadPaceMs?: number
}

const KIB = 1024
/** Of `sun_path` on Linux, without its end (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 107
const OWNER_ALONE = 0o600

const BODY_MS = 30_000
const UPLOAD_PACE_MS = 10_000
const CONNECTION_BOUNDS = {
  connectionsMax: 1024,
  aheadMax: 100,
  aheadTotalMax: 1000,
  // After its answer, from whoever waited for it (http-bodies.ts).
  bodyComesMs: BODY_MS + 2000,
  answerStallMs: 300_000,
  answerStallLeastMs: 10_000,
  answersBytesMax: 64 * KIB * KIB,
}
/** Of requests, on their way. */
const BODIES_BYTES_MAX = 64 * KIB * KIB
/** Long enough for a slow client, and looked at that often. */
const EVENT_STREAMS_MAX = 64
const SERVER_OPTIONS = {
  headersTimeout: 10_000,
  // Of a file that is uploaded; other bodies have `bodyComesMs`.
  requestTimeout: 4 * 3_600_000,
  keepAliveTimeout: 10_000,
  connectionsCheckingInterval: 1000,
}
/** No route has one. Without this fastify loads two compilers for them, which is more than the rest of it. */
const NO_SCHEMAS = { buildValidator: refuseSchema, buildSerializer: refuseSchema }

/** Of what is dear to make, each kind by itself. */
export const PACE_MS = 100

/** The HTTP door of the gateway. Bodies are never logged: they are what users compute on. */
export class HttpServer {
  readonly #options: HttpServerOptions
  readonly #app: FastifyInstance
  readonly #events: SentEvents
  readonly #log: Logger
  readonly #connections: HttpConnections
  readonly #refused = new Tally()
  readonly #door: HttpSecureDoor | undefined
  readonly #open = new OpenRequests()

  constructor(options: HttpServerOptions, port: HttpPort, log: Logger) {
    this.#options = options
    this.#log = log
    const { headersTimeoutMs: headersTimeout = SERVER_OPTIONS.headersTimeout } = options
    const serverOptions = { ...SERVER_OPTIONS, headersTimeout }
    const turns = new Turns()
    const { bodyMs = BODY_MS, uploadPaceMs: paceMs = UPLOAD_PACE_MS } = options
    const bounds = { ...CONNECTION_BOUNDS, ...options }
    const refused = (reason: string): void => this.#refused.add(reason)
    const connections = new HttpConnections(bounds, turns, refused)
    this.#connections = connections
    const { secure } = options
    const door =
      secure &&
      new HttpSecureDoor(secure, secure, (reason, remote) => {
        this.#refused.add(reason)
        if (isOfCertificates(reason)) secure.access.certificateRefused(reason, remote)
      })
    this.#door = door
    this.#app = fastify({
      logger: false,
      forceCloseConnections: true,
      // What is no id of anything is for the routes to say, whatever its length.
      routerOptions: { maxParamLength: maxHeaderSize },
      schemaController: { compilersFactory: NO_SCHEMAS },
      serverFactory: (handler) =>
        createListener(
          serverOptions,
          connections,
          handler,
          refused,
          door && ((bare, enter) => door.accept(bare, enter)),
        ),
      clientErrorHandler: answerBrokenRequest,
      frameworkErrors: (error, _request, reply) => {
        void sendProblem(reply, problemOfError(error))
      },
    })
    this.#events = new SentEvents({
      streamsMax: EVENT_STREAMS_MAX,
      waitingBytesMax: options.eventBytesMax ?? 256 * KIB,
      heartbeatMs: options.eventHeartbeatMs ?? 15_000,
    })
    this.#prepare(new HttpBodies(options.bodiesBytesMax ?? BODIES_BYTES_MAX, bodyMs, turns))
    sendInPieces(this.#app, connections)
    const access = secure &&
      door && {
        ...{ port: secure.access, open: this.#open },
        clientOf: (socket: object) => door.clientOf(socket),
      }
    guardRoutes(this.#app, access)
    refuseOtherMethods(this.#app)
    const newPaced = (): Paced => new Paced(PACE_MS, connections)
    registerTaskRoutes(this.#app, port, newPaced())
    registerCodexRoutes(this.#app, port)
    registerFleetRoutes(this.#app, port, newPaced)
    registerLogRoutes(this.#app, port)
    registerGridRoutes(this.#app, port, connections, newPaced())
    registerUploadRoutes(this.#app, port, connections, { idleMs: bodyMs, paceMs })
    registerSecurityRoutes(this.#app, port, newPaced())
    registerAuthorityRoutes(this.#app, port)
    registerBackupRoutes(this.#app, port, connections)
    registerUserRoutes(this.#app, port)
    registerLoginRoutes(this.#app, access)
    registerRecipientRoutes(this.#app, port)
    registerStatusRoutes(this.#app, port)
    registerRuleRoutes(this.#app, port)
    registerUpgradeRoutes(this.#app, port, bodyMs)
    registerHistoryRoutes(this.#app, port, newPaced())
    registerHealthRoutes(this.#app, port, newPaced())
    registerPageRoutes(this.#app, options.page, options.frameAncestors ?? "'none'")
    registerEventRoutes(this.#app, port, this.#events)
    registerTopicRoutes(this.#app, port, newPaced(), this.#events)
  }

  /** Resolves once connections are taken. */
  async listen(): Promise<void> {
    const place = placeOf(this.#options)
    try {
      if ('path' in place) {
        // Of a gateway that was killed. Whoever is alive has the lock of the data.
        rmSync(place.path, { force: true })
        if (place.opened !== undefined) this.#app.server.on('connection', place.opened)
        // Until then the umask of the program keeps others out.
        await this.#app.listen({ path: place.path })
        chmodSync(place.path, OWNER_ALONE)
      } else await this.#app.listen(place)
    } catch (error) {
      const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
      const help = isTaken
        ? '; another program has it: end that, or take another one with --http-port'
        : ''
      const at = 'path' in place ? place.path : `${place.host}:${place.port}`
      throw new AppError('http-listen-failed', `HTTP ${at}: ${messageOf(error)}${help}`, {
        cause: error,
        exitCode: EXIT_SOFTWARE,
      })
    }
  }

  /** Of an address. */
  get port(): number {
    return (this.#app.server.address() as AddressInfo).port
  }

  /** Connections that were closed or not taken, by reason. */
  get refused(): Readonly<Record<string, number>> {
    return this.#refused.toRecord()
  }

  /** What a secured server shows from now on. */
  renew(keys: TlsKeys): void {
    this.#door?.renew(keys)
  }

  /** Ends what this identity, or session, has open: it may no longer be told what it asked for. */
  endOf(name: string): void {
    this.#open.endOf(name)
  }

  /** Ends event streams and waiting requests too. */
  async close(): Promise<void> {
    this.#events.close()
    this.#door?.close()
    await this.#app.close()
    this.#connections.close()
  }

  #prepare(bodies: HttpBodies): void {
    const app = this.#app
    app.removeAllContentTypeParsers()
    for (const type of ['application/json', 'application/cbor']) {
      app.addContentTypeParser(type, (_request: FastifyRequest, payload: IncomingMessage) =>
        bodies.receive(payload),
      )
    }
    takeUploads(app)
    takePackages(app)
    app.setNotFoundHandler((request, reply) => {
      const path = request.url.split('?')[0]!.slice(0, 128)
      const detail = `there is nothing at ${path}`
      sendProblem(reply, { status: 404, code: 'not-found', detail })
    })
    app.setErrorHandler(async (error: FastifyError, request, reply) => {
      const problem = problemOfError(error, request.routeOptions.url)
      if (problem.status === 500) this.#log.error({ err: error }, 'an HTTP request failed')
      if (problem.status === 413 || problem.status === 415) await skipRest(request.raw)
      // The rest is read away beside the answer, or a client that still sends could miss that.
      if (problem.status === 503) reply.removeHeader('connection')
      return sendProblem(reply, problem)
    })
  }
}

function refuseSchema(): never {
  throw new Error('assertion failed: a route has a schema, and there is no compiler for it')
}

function placeOf(options: HttpServerOptions): HttpPlace {
  if (!('path' in options)) return { host: options.host, port: options.port }
  const bytes = Buffer.byteLength(options.path)
  if (bytes <= SOCKET_PATH_BYTES_MAX) return options
  const message = `${options.path}: the path of a socket has at most ${SOCKET_PATH_BYTES_MAX} bytes, and this has ${bytes}`
  throw new AppError('path-too-long', message, { exitCode: EXIT_CONFIG })
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

/** Of routes that take files, what is said of a body of another type. */
const FILE_PROBLEMS: Readonly<Record<string, ProblemAnswer>> = {
  [UPLOAD_ROUTE]: NO_FILE,
  [PACKAGES_ROUTE]: NO_PACKAGE,
}

function problemOfError(error: FastifyError, route = ''): ProblemAnswer {
  const isForeign = error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE'
  const isLarge = error instanceof BodyRefused && error.problem.status === 413
  const file = own(FILE_PROBLEMS, route)
  // What is too large for a task may be a file, by another type.
  if (file !== undefined && (isForeign || isLarge)) return file
  if (error instanceof BodyRefused) return error.problem
  if (isForeign) {
    const detail =
      route === '/process'
        ? 'a task is application/json or application/cbor, by Content-Type'
        : 'the body of this request is application/json, by Content-Type'
    return { status: 415, code: 'unsupported-media-type', detail }
  }
  if (error.code === 'FST_ERR_BAD_URL') {
    const detail = 'the path cannot be read: %XX stands for a byte of UTF-8'
    return { status: 400, code: 'malformed', detail }
  }
  const status = error.statusCode ?? 500
  if (status >= 400 && status < 500) return { status, code: 'malformed', detail: error.message }
  return { status: 500, code: 'internal', detail: 'the gateway failed to answer; its log says why' }
}

function registerHealthRoutes(app: FastifyInstance, port: HttpPort, paced: Paced): void {
  // What is wrong is told to those who may see it.
  const sendHealth = (reply: FastifyReply, who: Principal, health: Health): FastifyReply =>
    sendJson(reply.code(health.ok ? 200 : 503), mayAsk(who, 'read') ? health : { ok: health.ok })
  const open = rightOf('none')
  app.get('/healthz', open, async ({ who }, reply) => sendHealth(reply, who, port.health()))
  app.get('/readyz', open, async ({ who }, reply) => sendHealth(reply, who, port.ready()))
  app.get('/metrics', rightOf('read'), async (_request, reply) => {
    const text = await paced.get(reply, '', async () => Buffer.from(await port.metrics()))
    return reply.type('text/plain; version=0.0.4; charset=utf-8').send(text)
  })
}
