import { statSync } from 'node:fs'
import { request as httpRequest, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { resolve } from 'node:path'
import {
  AppError,
  EXIT_FAILED,
  EXIT_NOT_ALLOWED,
  EXIT_TIMED_OUT,
  EXIT_UNAVAILABLE,
} from '../../shared/runtime/errors.ts'

export interface GatewayAnswer {
  readonly status: number
  readonly body: Buffer
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

export const HTTP_DEFAULT = 'http://127.0.0.1:8025'
/** Where a gateway that is secured waits for its owner: that of the unit, and one started by hand. */
const OWNERS_SOCKETS = ['/run/obelisk-gateway/admin.sock', './obelisk-gateway/admin.sock']
const TIMEOUT_MS = 10_000

/** Where commands go that were not told. */
export function gatewayAtHand(): string {
  const socket = OWNERS_SOCKETS.find(isThere)
  return socket === undefined ? HTTP_DEFAULT : `unix:${resolve(socket)}`
}

/** What cannot be looked at is there. */
function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined
  } catch {
    return true
  }
}

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

  /** `http://host:port`, `https://…`, or `unix:/path` of the socket of a gateway's owner. */
  constructor(base: string) {
    this.#base = base.replace(/\/+$/, '')
    const url = new URL(this.#base)
    this.#send = url.protocol === 'https:' ? httpsRequest : httpRequest
    if (url.protocol === 'unix:') {
      this.#place = { socketPath: decodeURIComponent(url.pathname) }
      this.#prefix = ''
      return
    }
    const { hostname, port, username, password } = url
    const auth = username === '' ? {} : { auth: `${username}:${password}` }
    this.#place = { hostname: hostname.replace(/^\[(.*)\]$/, '$1'), port, ...auth }
    this.#prefix = url.pathname === '/' ? '' : url.pathname
  }

  async request(request: GatewayRequest): Promise<GatewayAnswer> {
    const timeoutMs = Math.ceil(request.timeoutMs ?? TIMEOUT_MS)
    const timeout = AbortSignal.timeout(timeoutMs)
    const { signal } = request
    const until = signal === undefined ? timeout : AbortSignal.any([timeout, signal])
    try {
      const answer = await this.#exchange(request, until)
      if (answer.status < 200 || answer.status > 299) throw refusalOf(answer)
      return answer
    } catch (error) {
      if (error instanceof AppError) throw error
      if (timeout.aborted) {
        const message = `no answer from ${this.#base} within ${timeoutMs / 1000} s`
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
    const headers = { accept, ...(contentType ? { 'content-type': contentType } : {}) }
    const options = { ...this.#place, method, path: `${this.#prefix}${path}`, headers, signal }
    return new Promise((resolve, reject) => {
      const asking = this.#send(options, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.once('end', () => {
          resolve({ status: response.statusCode!, body: Buffer.concat(chunks) })
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
      const message = `${this.#base} is its owner's alone: run it as root, sudo obelisk …`
      return new AppError('not-permitted', message, { cause: error, exitCode: EXIT_NOT_ALLOWED })
    }
    const message = `no gateway at ${this.#base} (${code}); is it running? --http says where`
    return new AppError('unreachable', message, { cause: error, exitCode: EXIT_UNAVAILABLE })
  }
}

function parseAnswer(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch (error) {
    const message = 'the answer is not JSON; is that address the gateway?'
    throw new AppError('not-a-gateway', message, { cause: error, exitCode: EXIT_UNAVAILABLE })
  }
}

function refusalOf({ status, body }: GatewayAnswer): RefusedError {
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
  return new RefusedError(status, code, `${code}: ${head}${lines.join('')}`, exitCodeOf(status))
}

function exitCodeOf(status: number): number {
  if (status === 401 || status === 403) return EXIT_NOT_ALLOWED
  return status === 408 || status === 504 ? EXIT_TIMED_OUT : EXIT_FAILED
}
