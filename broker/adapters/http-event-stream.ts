import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Principal } from '../../shared/protocol/access.ts'
import { toJsonText } from '../../shared/protocol/json-text.ts'
import { rightOf } from './http-access.ts'
import type { HttpPort } from './http-port.ts'
import { Places } from './places.ts'
import { sendProblem } from './problem-json.ts'

export interface EventStreamOptions {
  /** Streams open at the same time. */
  readonly streamsMax: number
  /** Bytes that wait for one reader; beyond that, events are left out and counted. */
  readonly waitingBytesMax: number
  /** Proxies and readers tell an idle stream from a dead one by a comment this often. */
  readonly heartbeatMs: number
}

/** `GET /api/events`: server-sent events (WHATWG HTML, 9.2). */
export class EventStreams {
  readonly #options: EventStreamOptions
  readonly #port: HttpPort
  readonly #open = new Set<EventStream>()
  readonly #places: Places

  constructor(options: EventStreamOptions, port: HttpPort) {
    this.#options = options
    this.#port = port
    this.#places = new Places(options.streamsMax)
  }

  register(app: FastifyInstance): void {
    app.route({
      method: 'GET',
      url: '/api/events',
      exposeHeadRoute: false,
      ...rightOf('read'),
      handler: ({ who }, reply) => this.#start(who, reply),
    })
  }

  /** Ends every stream, so that the server can close. */
  close(): void {
    for (const stream of this.#open) stream.end()
  }

  #start(who: Principal, reply: FastifyReply): FastifyReply {
    if (!this.#places.hasRoom(who)) {
      const detail = `so many event streams are open that no more are taken: ${this.#options.streamsMax}, or half of them by one user`
      return sendProblem(reply, { status: 503, code: 'overloaded', detail })
    }
    reply.hijack()
    const stream = new EventStream(this.#options, this.#port, reply.raw)
    this.#open.add(stream)
    const leave = this.#places.take(who)
    reply.raw.once('close', () => {
      stream.end()
      leave()
      this.#open.delete(stream)
    })
    return reply
  }
}

class EventStream {
  readonly #options: EventStreamOptions
  readonly #response: FastifyReply['raw']
  readonly #unsubscribe: () => void
  readonly #heartbeat: NodeJS.Timeout
  #left = 0

  constructor(options: EventStreamOptions, port: HttpPort, response: FastifyReply['raw']) {
    this.#options = options
    this.#response = response
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
    response.write(': connected\n\n')
    this.#unsubscribe = port.subscribeEvents((event) => this.#send(event))
    this.#heartbeat = setInterval(() => this.#beat(), options.heartbeatMs)
    this.#heartbeat.unref()
  }

  end(): void {
    clearInterval(this.#heartbeat)
    this.#unsubscribe()
    if (!this.#response.writableEnded) this.#response.end()
  }

  #send(event: object): void {
    if (this.#isFull) {
      this.#left += 1
      return
    }
    this.#tellWhatWasLeft()
    this.#response.write(`data: ${toJsonText(event)}\n\n`)
  }

  #beat(): void {
    // A reader that took nothing for a whole beat while its bytes were at the limit is gone.
    if (this.#isFull) {
      this.#response.destroy()
      return
    }
    this.#tellWhatWasLeft()
    this.#response.write(': heartbeat\n\n')
  }

  #tellWhatWasLeft(): void {
    if (this.#left === 0) return
    this.#response.write(`event: left-out\ndata: ${JSON.stringify({ events: this.#left })}\n\n`)
    this.#left = 0
  }

  get #isFull(): boolean {
    return this.#response.writableLength > this.#options.waitingBytesMax
  }
}
