/** One thing that is wrong with what was sent. */
export interface Fault {
  /** Where it stands, as `args.field`; empty for the whole. */
  readonly path: string
  readonly code: string
  readonly message: string
  /** In the text of a program: both from 1, in characters; and what may have been meant. */
  readonly line?: number
  readonly column?: number
  readonly length?: number
  readonly hint?: string
}

export interface ObeliskErrorOptions {
  readonly code: string
  readonly detail: string
  readonly errors?: readonly Fault[]
  /** Of an HTTP answer. */
  readonly status?: number | undefined
  /** After which trying again makes sense, milliseconds, where the gateway says so. */
  readonly retryAfterMs?: number | undefined
  /** All that the gateway answered, with members that this refusal alone has (RFC 9457). */
  readonly answer?: object | undefined
  readonly cause?: unknown
}

/** What a proxy says for a gateway that is away; of the gateway itself these have another code. */
const PROXY_CODES = ['http-502', 'http-504']
/** Refusals, over MQTT, of what the same may be taken later. */
const PASSING = [
  ...['no-node', 'tile-missing', 'overloaded', 'rate-limited'],
  ...['recovering', 'ledger-full', 'disk-full'],
]

/**
 * What a gateway refused, with its `code` (docs/operations.md), or why there was no answer: `unreachable`, `timed-out`,
 * `not-a-gateway`, and in Node `gateway-not-pinned`, `not-permitted`. `message` is the detail, and a line a fault.
 */
export class ObeliskError extends Error {
  readonly code: string
  readonly detail: string
  readonly errors: readonly Fault[]
  readonly status: number | undefined
  readonly retryAfterMs: number | undefined
  readonly answer: object | undefined

  constructor(options: ObeliskErrorOptions) {
    const { code, detail, errors = [], status, retryAfterMs, answer, cause } = options
    super(messageOf(detail, errors), cause === undefined ? undefined : { cause })
    this.name = 'ObeliskError'
    this.code = code
    this.detail = detail
    this.errors = errors
    this.status = status
    this.retryAfterMs = retryAfterMs
    this.answer = answer
  }

  /** Whether nobody has answered: the gateway is away, starts again, or cannot be reached. */
  get isAway(): boolean {
    if (this.status !== undefined) return this.status === 503 || PROXY_CODES.includes(this.code)
    return this.code === 'unreachable' || this.code === 'timed-out'
  }

  /** Whether the same may be answered later: the gateway is away, or has no room or no node now. */
  get isPassing(): boolean {
    return this.isAway || this.status === 429 || PASSING.includes(this.code)
  }
}

function messageOf(detail: string, errors: readonly Fault[]): string {
  // The detail of several is all of them in one line.
  const isRepeated = errors.length > 1 && errors.every(({ message }) => detail.includes(message))
  const [first] = errors
  const isOne = errors.length === 1 && first!.message === detail
  const head = isRepeated ? `${errors.length} problems` : isOne ? wordsOf(first!) : detail
  const lines = errors
    .filter(({ message }) => !isOne && message !== head)
    .map((error) => {
      const { path, message } = error
      const isNamed = path !== '' && message.startsWith(path)
      const words = wordsOf(error)
      return isNamed ? `\n  ${words}` : `\n  ${path === '' ? 'the whole' : path}: ${words}`
    })
  return `${head}${lines.join('')}`
}

function wordsOf({ message, line, column, hint }: Fault): string {
  const place = line === undefined ? '' : `line ${line}, column ${column}: `
  return `${place}${message}${hint === undefined ? '' : ` (${hint})`}`
}
