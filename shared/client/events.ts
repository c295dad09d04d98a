/**
 * Server-sent events (WHATWG HTML, 9.2) by `fetch`, which takes a token and tells why it failed, as `EventSource` does
 * not. A stream that breaks is opened again with `Last-Event-ID`, so that the gateway sends what came meanwhile, as far as
 * it still has it.
 */
import { type GatewayClient, jsonOf } from './http.ts'
import { ObeliskError } from './obelisk-error.ts'
import { pause, Waits } from './waits.ts'

export interface Message {
  readonly kind: 'message'
  /** `<start of the gateway>-<n>`, of what is kept for those who connect again. */
  readonly id: string | undefined
  /** Decoded from JSON; `type` says what it is (docs/protocol.md, Events). */
  readonly value: unknown
}

export type StreamItem =
  | Message
  /**
   * The stream is open. `isWhole`: everything that is kept and came since the last message follows; else what one shows
   * is read anew. `ts` is the gateway's time, Unix ms.
   */
  | { readonly kind: 'open'; readonly isWhole: boolean; readonly ts: number }
  /** Some messages will not come: what one shows is read anew. */
  | { readonly kind: 'missed' }
  | { readonly kind: 'away'; readonly error: ObeliskError; readonly againMs: number }

export interface FollowOptions {
  /** Query included; `/api/events` unless given. */
  readonly path?: string
  /** Ends it, without an error. */
  readonly signal: AbortSignal
  /** Longer than this without a byte, heartbeats included, and the connection is thought dead. */
  readonly idleMs?: number
}

interface Opened {
  readonly ts: number
  readonly missed?: string
}

/** The gateway has a heartbeat each 15 s. */
const IDLE_MS = 45_000
/** Characters of one message, so that what is no gateway cannot fill the memory. */
const MESSAGE_MAX = 1024 * 1024

/**
 * What the gateway says, for as long as `signal` lets it. A gateway that is away is waited for, at most 15 s between two
 * tries; any other refusal ends it with its `ObeliskError`.
 */
export async function* follow(
  gateway: GatewayClient,
  { path = '/api/events', signal, idleMs = IDLE_MS }: FollowOptions,
): AsyncGenerator<StreamItem, void> {
  const waits = new Waits()
  let lastId: string | undefined
  while (!signal.aborted) {
    const silence = new Silence(idleMs)
    try {
      const question = {
        path,
        accept: 'text/event-stream',
        headers: lastId === undefined ? {} : { 'last-event-id': lastId },
      }
      const response = await gateway.open(question, AbortSignal.any([signal, silence.signal]))
      const isAgain = lastId !== undefined
      for await (const block of blocksOf(response, silence)) {
        lastId = block.id ?? lastId
        waits.reset()
        if (block.event === 'opened') {
          // `null` is JSON, and nothing of a gateway's.
          const { ts, missed } = jsonOf<Opened | null>(block.data!) ?? jsonOf<Opened>('')
          yield { kind: 'open', isWhole: isAgain && missed === undefined, ts }
        } else if (block.event === 'left-out') yield { kind: 'missed' }
        else if (block.event === undefined && block.data !== undefined) {
          yield { kind: 'message', id: block.id, value: jsonOf(block.data) }
        }
      }
      throw new ObeliskError({ code: 'unreachable', detail: `${gateway.address} ended the stream` })
    } catch (cause) {
      if (signal.aborted) return
      const error = cause instanceof ObeliskError ? cause : brokenBy(cause, gateway)
      if (!error.isPassing) throw error
      const againMs = waits.next(error)
      yield { kind: 'away', error, againMs }
      await pause(againMs, signal).catch(() => {})
    } finally {
      silence.end()
    }
  }
}

/** Ends a connection that says nothing. */
class Silence {
  readonly #limitMs: number
  readonly #end = new AbortController()
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(limitMs: number) {
    this.#limitMs = limitMs
    this.broken()
  }

  get signal(): AbortSignal {
    return this.#end.signal
  }

  broken(): void {
    this.end()
    const stop = (): void => this.#end.abort(new Error(`nothing for ${this.#limitMs / 1000} s`))
    this.#timer = setTimeout(stop, this.#limitMs)
  }

  end(): void {
    clearTimeout(this.#timer)
  }
}

interface Block {
  event?: string
  id?: string
  data?: string
}

/** The lines up to an empty one, which may be nothing but a comment. */
async function* blocksOf(response: Response, silence: Silence): AsyncGenerator<Block, void> {
  const reader = response.body!.getReader()
  const decoder = new TextDecoder()
  let rest = ''
  let hasCr = false
  let block: Block | undefined
  try {
    while (true) {
      const { done, value } = await reader.read()
      if (done) return
      silence.broken()
      const piece = decoder.decode(value, { stream: true })
      // A CR that ended the last piece ended a line, and its LF comes with this one.
      const lines = (rest + (hasCr ? piece.replace(/^\n/, '') : piece)).split(/\r\n|\n|\r/)
      if (piece !== '') hasCr = piece.endsWith('\r')
      rest = lines.pop()!
      for (const line of lines) {
        if (line !== '') block = withLine(block ?? {}, line)
        else if (block !== undefined) {
          yield block
          block = undefined
        }
      }
      if (rest.length + (block?.data?.length ?? 0) > MESSAGE_MAX) {
        const detail = 'a message of the stream has no end; is that address the gateway?'
        throw new ObeliskError({ code: 'not-a-gateway', detail })
      }
    }
  } finally {
    // Whoever has heard enough ends the connection, too.
    await reader.cancel().catch(() => {})
  }
}

function withLine(block: Block, line: string): Block {
  const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line)!
  if (name === 'event') block.event = value
  else if (name === 'id') block.id = value
  else if (name === 'data')
    block.data = block.data === undefined ? value : `${block.data}\n${value}`
  return block
}

function brokenBy(cause: unknown, { address }: GatewayClient): ObeliskError {
  const detail = `${address} ended the stream (${(cause as Error).message})`
  return new ObeliskError({ code: 'unreachable', detail, cause })
}
