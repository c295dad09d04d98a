/** Server-sent events (WHATWG HTML, 9.2): streams that are open, each bounded, and all of them in one pool of places. */
import type { FastifyReply } from 'fastify'
import type { Principal } from '../../shared/protocol/access.ts'
import { Places } from './places.ts'
import { sendProblem } from './problem-json.ts'

export interface SentEventsOptions {
  /** Streams open at the same time. */
  readonly streamsMax: number
  /** Bytes that wait for one reader; beyond that, events are left out and counted. */
  readonly waitingBytesMax: number
  /** Proxies and readers tell an idle stream from a dead one by a beat this often. */
  readonly heartbeatMs: number
}

export interface SentEvent {
  /** JSON, on one line. */
  readonly text: string
  readonly id?: string
  /** What has none comes as a `message`. */
  readonly name?: string
}

/** What a stream is about. */
export interface Source {
  /** Gives the stream its first events, and what follows; returns what ends that. */
  follow(stream: SentStream): () => void
  /** Where the stream stands. */
  id?(): string
}

export class SentEvents {
  readonly #options: SentEventsOptions
  readonly #open = new Set<SentStream>()
  readonly #places: Places

  constructor(options: SentEventsOptions) {
    this.#options = options
    this.#places = new Places(options.streamsMax)
  }

  start(who: Principal, reply: FastifyReply, source: Source): FastifyReply {
    if (!this.#places.hasRoom(who)) {
      const detail = `so many event streams are open that no more are taken: ${this.#options.streamsMax}, or half of them by one user`
      return sendProblem(reply, { status: 503, code: 'overloaded', detail })
    }
    reply.hijack()
    const stream = new SentStream(this.#options, reply.raw, source)
    this.#open.add(stream)
    const leave = this.#places.take(who)
    reply.raw.once('close', () => {
      stream.end()
      leave()
      this.#open.delete(stream)
    })
    return reply
  }

  /** Ends every stream, so that the server can close. */
  close(): void {
    for (const stream of this.#open) stream.end()
  }
}

export class SentStream {
  readonly #options: SentEventsOptions
  readonly #response: FastifyReply['raw']
  readonly #source: Source
  readonly #unfollow: () => void
  readonly #heartbeat: NodeJS.Timeout
  #left = 0

  constructor(options: SentEventsOptions, response: FastifyReply['raw'], source: Source) {
    this.#options = options
    this.#response = response
    this.#source = source
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
    response.write(': connected\n\n')
    this.#unfollow = source.follow(this)
    this.#heartbeat = setInterval(() => this.#beat(), options.heartbeatMs)
    this.#heartbeat.unref()
  }

  end(): void {
    clearInterval(this.#heartbeat)
    this.#unfollow()
    if (!this.#response.writableEnded) this.#response.end()
  }

  /** However much waits: what is bounded by itself. */
  begin(events: readonly SentEvent[]): void {
    this.#response.write(events.map(textOf).join(''))
  }

  send(event: SentEvent): void {
    if (this.#isFull) this.leaveOut()
    else {
      this.tellWhatWasLeft()
      this.#response.write(textOf(event))
    }
  }

  /** One was not sent, and is only counted. */
  leaveOut(): void {
    this.#left += 1
  }

  tellWhatWasLeft(): void {
    if (this.#left === 0 || this.#isFull) return
    const text = JSON.stringify({ events: this.#left })
    this.#response.write(textOf({ name: 'left-out', text }))
    this.#left = 0
  }

  #beat(): void {
    // A reader that took nothing for a whole beat while its bytes were at the limit is gone.
    if (this.#isFull) {
      this.#response.destroy()
      return
    }
    this.tellWhatWasLeft()
    const id = this.#source.id?.()
    const beat = { name: 'beat', text: JSON.stringify({ ts: Date.now() }) }
    this.#response.write(`: heartbeat\n\n${textOf(id === undefined ? beat : { ...beat, id })}`)
  }

  get #isFull(): boolean {
    return this.#response.writableLength > this.#options.waitingBytesMax
  }
}

function textOf({ text, id, name }: SentEvent): string {
  const named = name === undefined ? '' : `event: ${name}\n`
  return `${named}${id === undefined ? '' : `id: ${id}\n`}data: ${text}\n\n`
}
