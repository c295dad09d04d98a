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
  readonly method?: 'GET' | 'POST' | 'DELETE'
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
const TIMEOUT_MS = 10_000

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

  constructor(base: string) {
    this.#base = base.replace(/\/+$/, '')
  }

  async request(request: GatewayRequest): Promise<GatewayAnswer> {
    const { method = 'GET', path, body, contentType, accept = 'application/json' } = request
    const timeoutMs = Math.ceil(request.timeoutMs ?? TIMEOUT_MS)
    const timeout = AbortSignal.timeout(timeoutMs)
    const { signal } = request
    try {
      const response = await fetch(`${this.#base}${path}`, {
        method,
        headers: { accept, ...(contentType ? { 'content-type': contentType } : {}) },
        ...(body === undefined ? {} : { body: Buffer.from(body) }),
        signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
      })
      const answer = { status: response.status, body: Buffer.from(await response.arrayBuffer()) }
      if (!response.ok) throw refusalOf(answer)
      return answer
    } catch (error) {
      throw error instanceof AppError ? error : this.#failureOf(error, timeoutMs)
    }
  }

  async json<T>(request: GatewayRequest): Promise<T> {
    const { body } = await this.request(request)
    return parseAnswer(body) as T
  }

  #failureOf(error: unknown, timeoutMs: number): Error {
    if ((error as Error).name === 'TimeoutError') {
      const message = `no answer from ${this.#base} within ${timeoutMs / 1000} s`
      return new AppError('timed-out', message, { cause: error, exitCode: EXIT_TIMED_OUT })
    }
    // fetch wraps what the network did; anything else is a bug of ours and keeps its own words.
    const { cause } = error as { cause?: unknown }
    if (!(error instanceof TypeError) || cause === undefined) return error as Error
    const reason = (cause as { code?: string }).code ?? (cause as Error).message
    const message = `no gateway at ${this.#base} (${reason}); is it running? --http says where`
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
