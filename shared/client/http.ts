/**
 * A gateway over HTTP, in a browser or in Node: one question, its answer, and every refusal as an `ObeliskError`. What
 * carries a question is a function like the browser's `fetch`, so that Node can bring a pinned authority or a socket.
 */
import { type Fault, ObeliskError } from './obelisk-error.ts'

/** Carries a question to the gateway. Rejects when there is no answer; a refusal is an answer. */
export type Carrier = (path: string, question: Carried) => Promise<Response>

export interface Carried {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>
  /** What a browser wants to be told of a stream. */
  readonly duplex?: 'half'
  readonly signal: AbortSignal
}

export interface GatewayOptions {
  /** Of a user, as `obelisk user token create` makes them; a browser has its cookie. */
  readonly token?: string | undefined
  /** The browser's own unless given. */
  readonly carrier?: Carrier
  /** What is thrown instead, for who has more to say about an error. */
  readonly explain?: (error: ObeliskError) => ObeliskError
}

export interface Question {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Below the address, as `/api/nodes?limit=100`. */
  readonly path: string
  /** Bytes, and streams of them, need their `contentType`; anything else goes as JSON. */
  readonly body?: Uint8Array | ReadableStream<Uint8Array> | object | undefined
  readonly contentType?: string
  /** The answer's type; `application/json` unless given. */
  readonly accept?: string
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** For the whole answer; a `?wait` is to be added to it by the caller. */
  readonly timeoutMs?: number
  /** Whoever asks does not want to know any more: the question then rejects with the reason of the signal. */
  readonly signal?: AbortSignal | undefined
}

export interface Answer {
  /** 200 to 299, or 304 where the question named an `if-none-match`. */
  readonly status: number
  readonly headers: Headers
  readonly body: Uint8Array<ArrayBuffer>
}

const TIMEOUT_MS = 10_000
const NOT_MODIFIED = 304
const JSON_TYPE = 'application/json'

export class GatewayClient {
  /** As errors name it; without what may stand in it before the host. */
  readonly address: string
  readonly #carrier: Carrier
  readonly #token: string | undefined
  readonly #explain: (error: ObeliskError) => ObeliskError

  /** `https://host:port`; empty for the gateway that a page came from. */
  constructor(address: string, options: GatewayOptions = {}) {
    const base = address.replace(/\/+$/, '')
    this.address = shown(base)
    this.#token = options.token
    this.#carrier = options.carrier ?? ((path, question) => fetch(`${base}${path}`, question))
    this.#explain = options.explain ?? ((error) => error)
  }

  /** The whole answer. Fails with `ObeliskError`. */
  async request(question: Question): Promise<Answer> {
    const { timeoutMs = TIMEOUT_MS, signal } = question
    const timeout = AbortSignal.timeout(Math.ceil(timeoutMs))
    const until = signal === undefined ? timeout : AbortSignal.any([timeout, signal])
    try {
      const response = await this.#carry(question, until)
      // What has begun may be cut off, too.
      const body = new Uint8Array(await response.arrayBuffer())
      return { status: response.status, headers: response.headers, body }
    } catch (cause) {
      if (signal?.aborted || !timeout.aborted) throw this.#failureOf(cause, signal)
      const detail = `no answer from ${this.#name} within ${timeoutMs / 1000} s`
      throw this.#explain(new ObeliskError({ code: 'timed-out', detail, cause }))
    }
  }

  /** The answer as UTF-8. */
  async text(question: Question): Promise<string> {
    const { body } = await this.request(question)
    return new TextDecoder().decode(body)
  }

  /** The answer as JSON. */
  async json<T>(question: Question): Promise<T> {
    return jsonOf<T>(await this.text(question))
  }

  /** An answer that has begun, for who reads it as it comes; nothing but `signal` ends it. */
  async open(question: Question, signal: AbortSignal): Promise<Response> {
    try {
      return await this.#carry(question, signal)
    } catch (error) {
      throw this.#failureOf(error, signal)
    }
  }

  get #name(): string {
    return this.address || 'this address'
  }

  async #carry(question: Question, signal: AbortSignal): Promise<Response> {
    const { method = 'GET', path, accept = JSON_TYPE, headers } = question
    const { type, ...sent } = bodyOf(question)
    const response = await this.#carrier(path, {
      method,
      headers: {
        accept,
        ...(type === undefined ? {} : { 'content-type': type }),
        ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
        ...headers,
      },
      ...sent,
      signal,
    })
    if (response.ok || response.status === NOT_MODIFIED) return response
    throw await refusalOf(response)
  }

  #failureOf(error: unknown, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return signal.reason
    if (error instanceof ObeliskError) return this.#explain(error)
    const detail = `no gateway at ${this.#name} (${wordsOf(error)})`
    return this.#explain(new ObeliskError({ code: 'unreachable', detail, cause: error }))
  }
}

/** What an answer says. Fails with `not-a-gateway`. */
export function jsonOf<T>(text: string): T {
  return ofGateway(() => JSON.parse(text) as T)
}

/** What is read from an answer. Fails with `not-a-gateway`. */
function ofGateway<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    const detail = 'what is said there is not ours; is that address the gateway?'
    throw new ObeliskError({ code: 'not-a-gateway', detail, cause })
  }
}

/** Without the secret that may stand before the host. */
export function shown(address: string): string {
  return address.replace(/\/\/[^@/]*@/, '//')
}

function bodyOf({
  body,
  contentType,
}: Question): Pick<Carried, 'body' | 'duplex'> & { readonly type?: string | undefined } {
  if (body === undefined) return {}
  if (body instanceof ReadableStream) return { type: contentType, body, duplex: 'half' }
  if (body instanceof Uint8Array) {
    return { type: contentType, body: body as Uint8Array<ArrayBuffer> }
  }
  return { type: JSON_TYPE, body: new TextEncoder().encode(JSON.stringify(body)) }
}

interface Problem {
  readonly code?: string
  readonly detail?: string
  readonly errors?: readonly Fault[]
}

async function refusalOf(response: Response): Promise<ObeliskError> {
  const { status } = response
  let problem: Problem = {}
  const text = await response.text()
  try {
    problem = JSON.parse(text) as Problem
  } catch {
    // Not from the gateway itself: a proxy's page says less than the status does.
  }
  const seconds = response.headers.get('retry-after') ?? ''
  const retryAfterMs = /^\d+$/.test(seconds) ? 1000 * Number(seconds) : undefined
  // JSON may be none of ours, too.
  return ofGateway(() => {
    const {
      code = `http-${status}`,
      detail = `the gateway answered ${status}`,
      errors = [],
    } = problem
    return new ObeliskError({ code, detail, errors, status, retryAfterMs, answer: problem })
  })
}

/** Node's `fetch` has what the network did as its cause. */
function wordsOf(error: unknown): string {
  const { code, cause, message } = error as Error & { code?: string }
  const { code: deeper, message: words } = (cause ?? {}) as { code?: string; message?: string }
  return code ?? deeper ?? words ?? message
}
