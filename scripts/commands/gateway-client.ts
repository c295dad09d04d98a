import { request as httpRequest, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { GATEWAY_SERVER_NAME } from '../../shared/protocol/enrolment.ts'
import {
  AppError,
  EXIT_CONFIG,
  EXIT_FAILED,
  EXIT_NOT_ALLOWED,
  EXIT_TIMED_OUT,
  EXIT_UNAVAILABLE,
} from '../../shared/runtime/errors.ts'

export interface GatewayAnswer {
  readonly status: number
  readonly body: Buffer
  /** Seconds, as the gateway says it. */
  readonly retryAfter?: string | undefined
}

export interface GatewayRequest {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly path: string
  readonly contentType?: string
  readonly body?: Uint8Array
  readonly accept?: string
  /** For the whole answer; a `?wait` is to be added to it by the caller. */
  readonly timeoutMs?: number
  /** Whoever asks does not want to know any more. */
  readonly signal?: AbortSignal
}

interface Problem {
  readonly code?: string
  readonly detail?: string
  readonly errors?: readonly { readonly path: string; readonly message: string }[]
}

/** What a login gives: whom to trust, and what proves us to him. */
export interface Credentials {
  /** PEM. */
  readonly ca: string
  readonly token: string
}

const TIMEOUT_MS = 10_000
/** A host of this machine, as a URL has it. */
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/
/** Refusals that are over by themselves, and say when. */
const PASSING = ['locked', 'rate-limited']

/** An answer that is a refusal; `status` and `code` are the gateway's. */
export class RefusedError extends AppError {
  readonly status: number

  constructor(status: number, code: string, message: string, exitCode: number) {
    super(code, message, { exitCode })
    this.status = status
  }
}

/** Talks to the gateway's HTTP door, and turns what goes wrong into exit codes. */
export class GatewayClient {
  readonly #base: string
  readonly #send: typeof httpRequest
  readonly #place: RequestOptions
  readonly #prefix: string
  readonly #credentials: Credentials | undefined

  /** `http://host:port`, `https://…`, or `unix:/path` of the socket of a gateway's owner. */
  constructor(base: string, credentials?: Credentials) {
    this.#credentials = credentials
    this.#base = base.replace(/\/+$/, '')
    const url = new URL(this.#base)
    this.#send = url.protocol === 'https:' ? httpsRequest : httpRequest
    if (url.protocol === 'unix:') {
      this.#place = { socketPath: decodeURIComponent(url.pathname) }
      this.#prefix = ''
      return
    }
    const { hostname, port, username, password } = url
    const isShown = url.protocol === 'http:' && !LOOPBACK.test(hostname)
    if (username !== '' && isShown) throw notHidden(this.address)
    const [name, secret] = [username, password].map(decodeURIComponent)
    const auth = username === '' ? {} : { auth: `${name}:${secret}` }
    const trust = credentials && {
      ...{ ca: credentials.ca, servername: GATEWAY_SERVER_NAME, minVersion: 'TLSv1.3' as const },
    }
    this.#place = { hostname: hostname.replace(/^\[(.*)\]$/, '$1'), port, ...auth, ...trust }
    this.#prefix = url.pathname === '/' ? '' : url.pathname
  }

  /** Without what may stand in it before the host. */
  get address(): string {
    return this.#base.replace(/\/\/[^@/]*@/, '//')
  }

  /**
   * Before a secret goes there, or comes from there: over `http://` whoever has the port may be anybody, also on this
   * machine, and a gateway that knows secrets is not spoken to like that.
   */
  assertHidden(): void {
    if (this.#base.startsWith('http:')) throw notHidden(this.address)
  }

  async request(request: GatewayRequest): Promise<GatewayAnswer> {
    const timeoutMs = Math.ceil(request.timeoutMs ?? TIMEOUT_MS)
    const timeout = AbortSignal.timeout(timeoutMs)
    const { signal } = request
    const until = signal === undefined ? timeout : AbortSignal.any([timeout, signal])
    try {
      const answer = await this.#exchange(request, until)
      if (answer.status < 200 || answer.status > 299) throw this.#refusalOf(answer)
      return answer
    } catch (error) {
      if (error instanceof AppError) throw error
      if (timeout.aborted) {
        const message = `no answer from ${this.address} within ${timeoutMs / 1000} s`
        throw new AppError('timed-out', message, { cause: error, exitCode: EXIT_TIMED_OUT })
      }
      throw this.#failureOf(error)
    }
  }

  async json<T>(request: GatewayRequest): Promise<T> {
    const { body } = await this.request(request)
    return parseAnswer(body) as T
  }

  #exchange(request: GatewayRequest, signal: AbortSignal): Promise<GatewayAnswer> {
    const { method = 'GET', path, body, contentType, accept = 'application/json' } = request
    const token = this.#credentials?.token
    const headers = {
      accept,
      ...(contentType ? { 'content-type': contentType } : {}),
      ...(token ? { authorization: `Bearer ${token}` } : {}),
    }
    const options = { ...this.#place, method, path: `${this.#prefix}${path}`, headers, signal }
    return new Promise((resolve, reject) => {
      const asking = this.#send(options, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.once('end', () => {
          const { statusCode, headers } = response
          const body = Buffer.concat(chunks)
          resolve({ status: statusCode!, body, retryAfter: headers['retry-after'] })
        })
        response.once('error', reject)
      })
      asking.once('error', reject)
      asking.end(body)
    })
  }

  /** What the network did; anything else is a bug of ours and keeps its own words. */
  #failureOf(error: unknown): unknown {
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined || (error as Error).name === 'AbortError') return error
    if (code === 'EACCES') {
      const message = `${this.#base} is its owner's alone: run it as root, sudo obelisk …, or log in`
      return new AppError('not-permitted', message, { cause: error, exitCode: EXIT_NOT_ALLOWED })
    }
    if (isOfTrust(code)) return this.#untrusted(error, code)
    const message = `no gateway at ${this.address} (${code}); is it running? --http says where, or obelisk login`
    return new AppError('unreachable', message, { cause: error, exitCode: EXIT_UNAVAILABLE })
  }

  #untrusted(error: unknown, code: string): AppError {
    const message =
      this.#credentials === undefined
        ? `this machine does not trust what answers at ${this.address} (${code}): obelisk login ${this.address}`
        : `what answers at ${this.address} is not the gateway of the login (${code}), and was told nothing; if the gateway got new keys, log in again`
    return new AppError('gateway-not-pinned', message, { cause: error, exitCode: EXIT_CONFIG })
  }

  #refusalOf(answer: GatewayAnswer): RefusedError {
    const refusal = refusalOf(answer)
    if (answer.status !== 401) return refusal
    const { status, code, exitCode } = refusal
    const message =
      this.#credentials === undefined
        ? `${code}: not logged in; obelisk login ${this.address}`
        : `${code}: the gateway does not take the token of the login any more: it is over, or was revoked; log in with another: obelisk login ${this.address}`
    return new RefusedError(status, code, message, exitCode)
  }
}

function notHidden(address: string): AppError {
  const message = `no secret goes to ${address}: only to the socket of a gateway's owner (as root, on its machine), or over https:// (obelisk login)`
  return new AppError('url-not-secure', message, { exitCode: EXIT_CONFIG })
}

/** OpenSSL's words for a certificate that it does not trust. */
export function isOfTrust(code: string): boolean {
  return /CERT|SIGNED|VERIFY|INVALID_(CA|PURPOSE)|ALTNAME/.test(code)
}

function parseAnswer(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch (error) {
    const message = 'the answer is not JSON; is that address the gateway?'
    throw new AppError('not-a-gateway', message, { cause: error, exitCode: EXIT_UNAVAILABLE })
  }
}

function refusalOf({ status, body, retryAfter }: GatewayAnswer): RefusedError {
  let problem: Problem = {}
  try {
    problem = JSON.parse(body.toString('utf8')) as Problem
  } catch {
    // Not from the gateway itself: a proxy's page says less than the status does.
  }
  const {
    code = `http-${status}`,
    detail = `the gateway answered ${status}`,
    errors = [],
  } = problem
  // The detail of several is all of them in one line.
  const isRepeated = errors.length > 1 && errors.every(({ message }) => detail.includes(message))
  const head = isRepeated ? `${errors.length} problems` : detail
  const lines = errors
    .filter(({ message }) => message !== head)
    .map(({ path, message }) => {
      const isNamed = path !== '' && message.startsWith(path)
      return isNamed ? `\n  ${message}` : `\n  ${path === '' ? 'the whole' : path}: ${message}`
    })
  const isPassing = PASSING.includes(code) && retryAfter !== undefined
  const pause = isPassing ? `; again in ${retryAfter} s` : ''
  const message = `${code}: ${head}${pause}${lines.join('')}`
  return new RefusedError(status, code, message, exitCodeOf(status, code))
}

function exitCodeOf(status: number, code: string): number {
  if (status === 401 || status === 403 || code === 'locked') return EXIT_NOT_ALLOWED
  return status === 408 || status === 504 ? EXIT_TIMED_OUT : EXIT_FAILED
}
