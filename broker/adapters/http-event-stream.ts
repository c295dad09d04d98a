/** `GET /api/events`: server-sent events (WHATWG HTML, 9.2). */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Principal, readsAll } from '../../shared/protocol/access.ts'
import type { LiveEvent, LiveKind, Missed } from '../core/live-events.ts'
import { isReadBy, rightOf } from './http-access.ts'
import type { HttpPort } from './http-port.ts'
import { oneOrMoreOf, parseQuery, type QueryRule } from './http-request.ts'
import { badQuery } from './http-task-routes.ts'
import { Places } from './places.ts'
import { type ProblemAnswer, sendProblem } from './problem-json.ts'

export interface EventStreamOptions {
  /** Streams open at the same time. */
  readonly streamsMax: number
  /** Bytes that wait for one reader; beyond that, events are left out and counted. */
  readonly waitingBytesMax: number
  /** Proxies and readers tell an idle stream from a dead one by a beat this often. */
  readonly heartbeatMs: number
}

/** What each kind may be asked for by: readers alone, or submitters too, of what is theirs. */
const KINDS: Readonly<Record<LiveKind, 'readers' | 'own'>> = {
  'task-state': 'own',
  event: 'readers',
  nodes: 'readers',
  moves: 'readers',
  upgrade: 'readers',
}
const KIND_NAMES = Object.keys(KINDS) as LiveKind[]
/** Of a reader who names none: what there was before kinds could be named. */
const KINDS_DEFAULT: readonly LiveKind[] = ['task-state', 'event']

const AFTER_RULE: QueryRule<string> = {
  read: (text) => (/^[\w-]{3,80}$/.test(text) ? text : undefined),
  expected: '"all", or the id of an event, as the stream gave it',
}
/** Instead of an id: everything that is kept. */
const ALL = 'all'
const RULES = { kinds: oneOrMoreOf(KIND_NAMES), after: AFTER_RULE }

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
      ...rightOf('tasks'),
      handler: (request, reply) => this.#start(request, reply),
    })
  }

  /** Ends every stream, so that the server can close. */
  close(): void {
    for (const stream of this.#open) stream.end()
  }

  #start({ who, query, headers }: FastifyRequest, reply: FastifyReply): FastifyReply {
    const { values, faults } = parseQuery(query, RULES)
    if (faults.length > 0) return sendProblem(reply, badQuery(faults))
    const { kinds = KINDS_DEFAULT.filter((kind) => mayFollow(who, kind)) } = values
    const refused = kinds.find((kind) => !mayFollow(who, kind))
    if (refused !== undefined) return sendProblem(reply, notYours(refused))
    if (!this.#places.hasRoom(who)) {
      const detail = `so many event streams are open that no more are taken: ${this.#options.streamsMax}, or half of them by one user`
      return sendProblem(reply, { status: 503, code: 'overloaded', detail })
    }
    reply.hijack()
    // A browser that connects again by itself says it in the header, beside the address that it was given once.
    const named = [headers['last-event-id']].flat()[0] ?? values.after
    const after = named === ALL ? this.#port.live.firstId : named
    const wish = { who, kinds: new Set(kinds), after }
    const stream = new EventStream(this.#options, this.#port, wish, reply.raw)
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

function mayFollow(who: Principal, kind: LiveKind): boolean {
  return KINDS[kind] === 'own' || who.kind !== 'user' || readsAll(who)
}

function notYours(kind: LiveKind): ProblemAnswer {
  const detail = `"${kind}" is for those who may see the whole fleet; you are told of your own tasks`
  return { status: 403, code: 'forbidden', detail }
}

interface Wish {
  readonly who: Principal
  readonly kinds: ReadonlySet<LiveKind>
  /** The id of the last event that the reader had. */
  readonly after: string | undefined
}

class EventStream {
  readonly #options: EventStreamOptions
  readonly #port: HttpPort
  readonly #wish: Wish
  readonly #response: FastifyReply['raw']
  readonly #unsubscribe: () => void
  readonly #heartbeat: NodeJS.Timeout
  #left = 0

  constructor(
    options: EventStreamOptions,
    port: HttpPort,
    wish: Wish,
    response: FastifyReply['raw'],
  ) {
    this.#options = options
    this.#port = port
    this.#wish = wish
    this.#response = response
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
    response.write(`: connected\n\n${this.#opening()}`)
    this.#unsubscribe = port.live.follow(wish.kinds, (event) => this.#send(event))
    this.#heartbeat = setInterval(() => this.#beat(), options.heartbeatMs)
    this.#heartbeat.unref()
  }

  end(): void {
    clearInterval(this.#heartbeat)
    this.#unsubscribe()
    if (!this.#response.writableEnded) this.#response.end()
  }

  /** Where the stream begins, and what the reader has missed. */
  #opening(): string {
    const { live } = this.#port
    const { after } = this.#wish
    const found = after === undefined ? [] : live.after(after)
    const missed: Missed | undefined = typeof found === 'string' ? found : undefined
    const events = typeof found === 'string' ? [] : found.filter((event) => this.#isFor(event))
    // If it breaks off before the last of them, the reader is to ask for the rest.
    const id = after === undefined || missed !== undefined ? live.lastId : after
    const opened = { ts: Date.now(), kinds: [...this.#wish.kinds], ...(missed && { missed }) }
    return (
      textOf({ id, name: 'opened', text: JSON.stringify(opened) }) + events.map(textOf).join('')
    )
  }

  #isFor({ kind, owner }: LiveEvent): boolean {
    const { who, kinds } = this.#wish
    return kinds.has(kind) && (KINDS[kind] === 'readers' || isReadBy(who, owner))
  }

  #send(event: LiveEvent): void {
    if (!this.#isFor(event)) return
    if (this.#isFull) {
      this.#left += 1
      return
    }
    this.#tellWhatWasLeft()
    this.#response.write(textOf(event))
  }

  #beat(): void {
    // A reader that took nothing for a whole beat while its bytes were at the limit is gone.
    if (this.#isFull) {
      this.#response.destroy()
      return
    }
    this.#tellWhatWasLeft()
    const { lastId: id } = this.#port.live
    const beat = textOf({ id, name: 'beat', text: JSON.stringify({ ts: Date.now() }) })
    this.#response.write(`: heartbeat\n\n${beat}`)
  }

  #tellWhatWasLeft(): void {
    if (this.#left === 0) return
    const text = JSON.stringify({ events: this.#left })
    this.#response.write(textOf({ name: 'left-out', text }))
    this.#left = 0
  }

  get #isFull(): boolean {
    return this.#response.writableLength > this.#options.waitingBytesMax
  }
}

/** What has no name comes as a `message`. */
function textOf(event: {
  readonly text: string
  readonly id?: string
  readonly name?: string
}): string {
  const { text, id, name } = event
  const named = name === undefined ? '' : `event: ${name}\n`
  return `${named}${id === undefined ? '' : `id: ${id}\n`}data: ${text}\n\n`
}
