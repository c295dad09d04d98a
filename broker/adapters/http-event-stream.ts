/** `GET /api/events`: server-sent events (WHATWG HTML, 9.2). */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Principal, readsAll } from '../../shared/protocol/access.ts'
import type { LiveEvent, LiveEvents, LiveKind, Missed } from '../core/views/live-events.ts'
import { isReadBy, rightOf } from './http-access.ts'
import type { HttpPort } from './http-port.ts'
import { oneOrMoreOf, parseQuery, type QueryRule } from './http-request.ts'
import type { SentEvent, SentEvents } from './http-sent-events.ts'
import { badQuery } from './http-task-routes.ts'
import { type ProblemAnswer, sendProblem } from './problem-json.ts'

/** What each kind may be asked for by: readers alone, or submitters too, of what is theirs. */
const KINDS: Readonly<Record<LiveKind, 'readers' | 'own'>> = {
  'task-state': 'own',
  event: 'readers',
  cells: 'readers',
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

export function registerEventRoutes(app: FastifyInstance, port: HttpPort, sent: SentEvents): void {
  app.route({
    method: 'GET',
    url: '/api/events',
    exposeHeadRoute: false,
    ...rightOf('tasks'),
    handler: (request, reply) => start(request, reply, port, sent),
  })
}

function start(
  { who, query, headers }: FastifyRequest,
  reply: FastifyReply,
  { live }: HttpPort,
  sent: SentEvents,
): FastifyReply {
  const { values, faults } = parseQuery(query, RULES)
  if (faults.length > 0) return sendProblem(reply, badQuery(faults))
  const { kinds = KINDS_DEFAULT.filter((kind) => mayFollow(who, kind)) } = values
  const refused = kinds.find((kind) => !mayFollow(who, kind))
  if (refused !== undefined) return sendProblem(reply, notYours(refused))
  // A browser that connects again by itself says it in the header, beside the address that it was given once.
  const named = [headers['last-event-id']].flat()[0] ?? values.after
  const after = named === ALL ? live.firstId : named
  const wish = { who, kinds: new Set(kinds), after }
  return sent.start(who, reply, {
    follow(stream) {
      stream.begin(openingOf(live, wish))
      return live.follow(wish.kinds, (event) => {
        if (isFor(wish, event)) stream.send(sentOf(event))
      })
    },
    id: () => live.lastId,
  })
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

/** Where the stream begins, and what the reader has missed. */
function openingOf(live: LiveEvents, wish: Wish): SentEvent[] {
  const { kinds, after } = wish
  const found = after === undefined ? [] : live.after(after)
  const missed: Missed | undefined = typeof found === 'string' ? found : undefined
  const events = typeof found === 'string' ? [] : found.filter((event) => isFor(wish, event))
  // If it breaks off before the last of them, the reader is to ask for the rest.
  const id = after === undefined || missed !== undefined ? live.lastId : after
  const opened = { ts: Date.now(), kinds: [...kinds], ...(missed && { missed }) }
  return [{ id, name: 'opened', text: JSON.stringify(opened) }, ...events.map(sentOf)]
}

function isFor({ who, kinds }: Wish, { kind, owner }: LiveEvent): boolean {
  return kinds.has(kind) && (KINDS[kind] === 'readers' || isReadBy(who, owner))
}

function sentOf({ text, id }: LiveEvent): SentEvent {
  return id === undefined ? { text } : { text, id }
}
