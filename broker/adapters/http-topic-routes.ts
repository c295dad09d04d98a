/** Topics, decoded: what is retained, and what is published as it comes; as a subscription would give them. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { toJsonText } from '../../shared/protocol/json-text.ts'
import { readPayload } from '../../shared/protocol/payload.ts'
import { isFilter } from '../../shared/protocol/topic-filters.ts'
import { rightOf } from './http-access.ts'
import type { HttpPort } from './http-port.ts'
import { parseQuery, type QueryRule, wholeRule } from './http-request.ts'
import type { SentEvents, SentStream } from './http-sent-events.ts'
import { badQuery, JSON_TYPE } from './http-task-routes.ts'
import type { RetainedMessage } from './mqtt-retained.ts'
import type { PublishedMessage } from './mqtt-topic-views.ts'
import type { Paced } from './paced.ts'
import { sendProblem } from './problem-json.ts'

const TOPICS_MAX = 500
const TOPICS_DEFAULT = 100
const TOPIC_BYTES_MAX = 1024
/** A larger payload is only measured. */
const PAYLOAD_BYTES_MAX = 64 * 1024
/** Of all payloads in one answer. */
const PAGE_BYTES_MAX = 1024 * 1024
/** Decoded before others have their turn. */
const TURN_BYTES = 64 * 1024
const TAIL_PER_SECOND = 20
const SECOND_MS = 1000

const FILTER_RULE: QueryRule<string> = {
  read: (text) => (isFilter(text) && Buffer.byteLength(text) <= TOPIC_BYTES_MAX ? text : undefined),
  expected: 'a filter of MQTT, as obelisk/v1/node/+/state or #',
}
const LIST_RULES = {
  filter: FILTER_RULE,
  limit: wholeRule(1, TOPICS_MAX),
  after: {
    read: (text: string) => (Buffer.byteLength(text) <= TOPIC_BYTES_MAX ? text : undefined),
    expected: 'a topic',
  },
}
const TAIL_RULES = { filter: FILTER_RULE }
const ALL = '#'

export function registerTopicRoutes(
  app: FastifyInstance,
  port: HttpPort,
  paced: Paced,
  sent: SentEvents,
): void {
  app.get('/api/topics', rightOf('read'), (request, reply) => list(request, reply, port, paced))
  app.route({
    method: 'GET',
    url: '/api/topics/live',
    exposeHeadRoute: false,
    ...rightOf('read'),
    handler: (request, reply) => follow(request, reply, port, sent),
  })
}

let pages = 0

async function list(
  { query, who }: FastifyRequest,
  reply: FastifyReply,
  port: HttpPort,
  paced: Paced,
): Promise<FastifyReply> {
  const { values, faults } = parseQuery(query, LIST_RULES)
  if (faults.length > 0) return sendProblem(reply, badQuery(faults))
  const wish = { filter: ALL, after: '', limit: TOPICS_DEFAULT, ...values }
  // Each has a page of his own: two who ask for the same may not see the same.
  const text = await paced.get(reply, `${++pages}`, async () => {
    const messages = await port.topics.page(who, wish, () => reply.raw.destroyed)
    return await pageOf(messages)
  })
  return reply.type(JSON_TYPE).send(text)
}

async function pageOf(messages: readonly RetainedMessage[]): Promise<string> {
  const rows: string[] = []
  let [room, turn] = [PAGE_BYTES_MAX, TURN_BYTES]
  for (const message of messages) {
    const bytes = message.payload.length
    const isShown = bytes <= Math.min(room, PAYLOAD_BYTES_MAX)
    if (isShown) {
      room -= bytes
      turn -= bytes
    }
    rows.push(toJsonText(rowOf({ ...message, retain: true }, isShown)))
    if (turn > 0) continue
    turn = TURN_BYTES
    await new Promise(setImmediate)
  }
  return `[${rows.join(',')}]`
}

function rowOf({ topic, payload, retain: retained }: PublishedMessage, isShown: boolean): object {
  const row = { topic, bytes: payload.length, retained }
  return isShown ? { ...row, ...readPayload(topic, Buffer.from(payload)) } : row
}

/** All who follow have a message at once: it is decoded for the first of them. */
let decoded: { readonly message: PublishedMessage; readonly row: object } | undefined

function publishedRowOf(message: PublishedMessage): object {
  if (decoded?.message !== message) {
    const row = rowOf(message, message.payload.length <= PAYLOAD_BYTES_MAX)
    decoded = { message, row }
  }
  return decoded.row
}

function follow(
  { query, who }: FastifyRequest,
  reply: FastifyReply,
  port: HttpPort,
  sent: SentEvents,
): FastifyReply {
  const { values, faults } = parseQuery(query, TAIL_RULES)
  if (faults.length > 0) return sendProblem(reply, badQuery(faults))
  const { filter = ALL } = values
  return sent.start(who, reply, {
    follow(stream) {
      stream.begin([{ name: 'opened', text: JSON.stringify({ ts: Date.now(), filter }) }])
      const tail = new TopicTail(stream)
      const unfollow = port.topics.follow(who, filter, (message) => tail.take(message))
      return () => {
        unfollow()
        tail.end()
      }
    },
  })
}

/** So many messages a second go to a reader; the others are counted. */
class TopicTail {
  readonly #stream: SentStream
  readonly #second: NodeJS.Timeout
  #sent = 0

  constructor(stream: SentStream) {
    this.#stream = stream
    this.#second = setInterval(() => {
      this.#sent = 0
      stream.tellWhatWasLeft()
    }, SECOND_MS)
    this.#second.unref()
  }

  take(message: PublishedMessage): void {
    if (this.#sent >= TAIL_PER_SECOND) {
      this.#stream.leaveOut()
      return
    }
    this.#sent += 1
    this.#stream.send({ text: toJsonText({ ...publishedRowOf(message), ts: Date.now() }) })
  }

  end(): void {
    clearInterval(this.#second)
  }
}
