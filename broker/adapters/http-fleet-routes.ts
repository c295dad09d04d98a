import { isDeepStrictEqual } from 'node:util'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { isNodeId } from '../../shared/core/ids.ts'
import { encodeCbor } from '../../shared/protocol/cbor.ts'
import { toJsonText } from '../../shared/protocol/json-text.ts'
import type { NodeView } from '../../shared/protocol/views.ts'
import { rightOf } from './http-access.ts'
import { NODE_LIST_RULES, selectNodes } from './http-node-list.ts'
import type { HttpPort } from './http-port.ts'
import { FLAG_RULE, listRule, parseQuery, wholeRule } from './http-request.ts'
import { askerOf } from './http-security-routes.ts'
import { badQuery, JSON_TYPE, sendJson, sendPaced } from './http-task-routes.ts'
import { listText } from './json-list.ts'
import type { Paced } from './paced.ts'
import { type ProblemAnswer, sendProblem } from './problem-json.ts'
import { inTurns, slicesOf } from './turns.ts'

/** Each node is many points on a ring that is made for the question. */
const PLAN_NODES_MAX = 64

const NODES_RULE = listRule(isNodeId, PLAN_NODES_MAX, 'ids of nodes')

const RING_RULES = { holders: FLAG_RULE }
const PLAN_RULES = { join: NODES_RULE, leave: NODES_RULE }

const TILE_RULE = wholeRule(0, 999_999)
const AREA_RULES = { x: TILE_RULE, y: TILE_RULE, w: TILE_RULE, h: TILE_RULE }

const READ = rightOf('read')
const OPERATE = rightOf('operate')

type IdRequest = FastifyRequest<{ Params: { id: string } }>

/** The nodes, what lies on them, and what moves between them. */
export function registerFleetRoutes(
  app: FastifyInstance,
  port: HttpPort,
  newPaced: () => Paced,
): void {
  const routes = new FleetRoutes(port, newPaced)
  const moves = newPaced()
  app.get('/api/nodes', READ, (request, reply) => routes.nodes(request, reply))
  app.get('/api/nodes/:id', READ, (request: IdRequest, reply) => routes.node(request, reply))
  app.delete('/api/nodes/:id', OPERATE, (request: IdRequest, reply) =>
    routes.remove(request, reply),
  )
  app.post('/api/nodes/:id/drain', OPERATE, (request: IdRequest, reply) =>
    routes.drain(request, reply),
  )
  app.delete('/api/nodes/:id/drain', OPERATE, (request: IdRequest, reply) =>
    routes.keep(request, reply),
  )
  app.get('/api/ring', READ, (request, reply) => routes.ring(request, reply))
  app.get('/api/ring/tiles', READ, (request, reply) => routes.tiles(request, reply))
  app.get('/api/ring/moves', READ, (_request, reply) =>
    sendPaced(reply, moves, '', () => port.moves()),
  )
  app.get('/api/ring/plan', READ, (request, reply) => routes.plan(request, reply))
  app.post('/api/ring/recreate', OPERATE, (request, reply) => routes.recreate(request, reply))
  app.get('/api/detector', READ, async (_request, reply) => sendJson(reply, port.detector()))
  app.post('/api/detector', OPERATE, async (request, reply) => {
    if (demands(request.body, { trust: true })) return sendJson(reply, port.trust())
    return sendProblem(reply, otherDemand('{"trust":true}'))
  })
}

/** How many rows there are, whatever part of them is sent. */
const TOTAL = 'x-total-count'

/** Rows that are put into text without a break. */
const NODES_A_SLICE = 64

class NodeList {
  readonly nodes: readonly NodeView[]
  #bytes: Promise<Buffer> | undefined

  constructor(nodes: readonly NodeView[]) {
    this.nodes = nodes
  }

  /** Of all, as JSON. */
  get bytes(): Promise<Buffer> {
    this.#bytes ??= inTurns(listText(slicesOf(this.nodes, NODES_A_SLICE))).then((text) =>
      Buffer.from(text),
    )
    return this.#bytes
  }
}

class FleetRoutes {
  readonly #port: HttpPort
  readonly #nodes: Paced
  readonly #rings: Paced
  readonly #plans: Paced
  readonly #tiles: Paced

  constructor(port: HttpPort, newPaced: () => Paced) {
    this.#port = port
    this.#nodes = newPaced()
    this.#rings = newPaced()
    this.#plans = newPaced()
    this.#tiles = newPaced()
  }

  /** Whoever asks for all gets all, as one text that is made for many; a part is found in the same rows. */
  async nodes(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { values, faults } = parseQuery(request.query, NODE_LIST_RULES)
    if (faults.length > 0) return sendProblem(reply, badQuery(faults))
    const list = await this.#nodes.get(reply, '', () => new NodeList(this.#port.nodes()))
    if (Object.keys(values).length === 0) {
      return reply
        .header(TOTAL, list.nodes.length)
        .type(JSON_TYPE)
        .send(await list.bytes)
    }
    const { rows, total } = selectNodes(list.nodes, values)
    return sendJson(reply.header(TOTAL, total), rows)
  }

  async node({ params: { id } }: IdRequest, reply: FastifyReply): Promise<FastifyReply> {
    const node = isNodeId(id) ? this.#port.node(id) : undefined
    return node === undefined ? sendProblem(reply, unknownNode(id)) : sendJson(reply, node)
  }

  async drain(request: IdRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { id } = request.params
    const isForced = demands(request.body, { drain: true, force: true })
    if (!isForced && !demands(request.body, { drain: true })) {
      return sendProblem(reply, otherDemand('{"drain":true}, perhaps with "force":true'))
    }
    const problem = isNodeId(id) && !isForced ? this.#port.drainProblem(id) : undefined
    if (problem !== undefined) {
      const detail = `${problem}; ${OR_BY_FORCE}`
      return sendProblem(reply, { status: 409, code: 'too-few-nodes', detail })
    }
    return this.#setDrain(id, true, reply)
  }

  async remove(request: IdRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { id } = request.params
    if (!isNodeId(id) || this.#port.stateOf(id) === undefined) {
      return sendProblem(reply, unknownNode(id))
    }
    const problem = await this.#port.remove(id, askerOf(request))
    if (problem === undefined) return sendJson(reply, { id, removed: true })
    const { reason, message: detail } = problem
    return reason === 'node-alive'
      ? sendProblem(reply, { status: 409, code: 'node-alive', detail })
      : sendProblem(reply, { status: 409, code: 'node-holds-tiles', detail })
  }

  async keep(request: IdRequest, reply: FastifyReply): Promise<FastifyReply> {
    return this.#setDrain(request.params.id, false, reply)
  }

  async #setDrain(id: string, isWanted: boolean, reply: FastifyReply): Promise<FastifyReply> {
    const node = isNodeId(id) ? await this.#port.drain(id, isWanted) : undefined
    if (node === undefined) return sendProblem(reply, unknownNode(id))
    return sendJson(reply.code(isWanted ? 202 : 200), node)
  }

  async ring(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { values, faults } = parseQuery(request.query, RING_RULES)
    if (faults.length > 0) return sendProblem(reply, badQuery(faults))
    const { holders: withHolders = false } = values
    const bytes = await this.#rings.get(reply, `${withHolders}`, async () => {
      const text = toJsonText(this.#port.ring())
      if (!withHolders) return Buffer.from(text)
      const list = await inTurns(listText(this.#port.ringHolders()))
      return Buffer.from(`${text.slice(0, -1)},"holders":${list}}`)
    })
    return reply.type(JSON_TYPE).send(bytes)
  }

  async recreate({ body }: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const shown = textIn(body, 'shown')
    const demand = { recreate: 'missing', ...(shown === undefined ? {} : { shown }) }
    if (!demands(body, demand)) {
      return sendProblem(reply, otherDemand('{"recreate":"missing"}, perhaps with "shown" too'))
    }
    const tiles = await this.#port.recreate(shown)
    if (tiles === undefined) return sendProblem(reply, MORE_MISSING)
    return sendJson(reply, { tiles })
  }

  /** CBOR whatever is accepted: as JSON it would be four times as much, and dear to make. */
  async tiles(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { values, faults } = parseQuery(request.query, AREA_RULES)
    if (faults.length > 0) return sendProblem(reply, badQuery(faults))
    const { x, y, w, h } = values
    const read = this.#port.ringTiles(values)
    if (!read.ok) {
      const { code, message: detail } = read.problem
      return sendProblem(reply, { status: 422, code, detail })
    }
    const bytes = await this.#tiles.get(reply, `${x} ${y} ${w} ${h}`, async () => {
      const { buffer, byteOffset, length } = encodeCbor(await inTurns(read.slices))
      return Buffer.from(buffer, byteOffset, length)
    })
    return reply.type('application/cbor').send(bytes)
  }

  async plan(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { values, faults } = parseQuery(request.query, PLAN_RULES)
    if (faults.length > 0) return sendProblem(reply, badQuery(faults))
    const { join = [], leave = [] } = values
    const stranger = leave.find((id) => this.#port.stateOf(id) === undefined)
    if (stranger !== undefined) return sendProblem(reply, unknownNode(stranger))
    const member = join.find((id) => (this.#port.stateOf(id) ?? 'left') !== 'left')
    if (member !== undefined) {
      const detail = `node "${member}" has joined already`
      return sendProblem(reply, { status: 409, code: 'known-node', detail })
    }
    const key = `${join}/${leave}`
    return sendPaced(reply, this.#plans, key, () => inTurns(this.#port.plan({ join, leave })))
  }
}

const OR_BY_FORCE =
  'start another agent first, or force it (--force, "force":true): it drains as far as that goes, and leaves once another node is there'

const MORE_MISSING: ProblemAnswer = {
  status: 409,
  code: 'more-missing',
  detail: 'more tiles are missing now than were shown: nothing is given up',
}

function textIn(body: unknown, name: string): string | undefined {
  try {
    const value = JSON.parse(String(body))?.[name]
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

/**
 * A demand has a body, whose type a page of another origin cannot give without being asked about it
 * first: so no page that an operator looks at can demand anything.
 */
function demands(body: unknown, demand: object): boolean {
  try {
    return isDeepStrictEqual(JSON.parse(String(body)), demand)
  } catch {
    return false
  }
}

function otherDemand(expected: string): ProblemAnswer {
  const detail = `the body must be ${expected}: that is all that can be demanded`
  return { status: 400, code: 'malformed', detail }
}

export function unknownNode(id: string): ProblemAnswer {
  return { status: 404, code: 'unknown-node', detail: `there is no node "${id.slice(0, 64)}"` }
}
