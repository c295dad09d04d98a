/** How nodes were doing lately. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { isNodeId } from '../../shared/core/ids.ts'
import { encodeCbor } from '../../shared/protocol/cbor.ts'
import {
  HISTORY_METRICS,
  HISTORY_NODES_MAX,
  HISTORY_POINTS_MAX,
  HISTORY_SPANS,
  type HistoryMetric,
} from '../../shared/protocol/history.ts'
import type { HistoryQuery, HistoryView } from '../core/views/history.ts'
import { rightOf } from './http-access.ts'
import type { HttpPort } from './http-port.ts'
import {
  listRule,
  negotiateFormat,
  oneOf,
  oneOrMoreOf,
  parseQuery,
  wholeRule,
} from './http-request.ts'
import { badQuery, JSON_TYPE, NOT_ACCEPTABLE } from './http-task-routes.ts'
import type { Paced } from './paced.ts'
import { type ProblemAnswer, sendProblem } from './problem-json.ts'
import { inTurns } from './turns.ts'

/** Numbers in one answer of JSON: it is made in one piece. */
const JSON_NUMBERS_MAX = 24_000

const RULES = {
  nodes: listRule(isNodeId, HISTORY_NODES_MAX, 'ids of nodes'),
  metrics: oneOrMoreOf(HISTORY_METRICS),
  span: oneOf(HISTORY_SPANS),
  points: wholeRule(1, HISTORY_POINTS_MAX),
}

export function registerHistoryRoutes(app: FastifyInstance, port: HttpPort, paced: Paced): void {
  app.get('/api/history', rightOf('read'), (request, reply) => answer(request, reply, port, paced))
}

async function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  port: HttpPort,
  paced: Paced,
): Promise<FastifyReply> {
  const { values, faults } = parseQuery(request.query, RULES)
  if (faults.length > 0) return sendProblem(reply, badQuery(faults))
  const { nodes, metrics = HISTORY_METRICS, span = '1h', points = HISTORY_POINTS_MAX } = values
  if (nodes === undefined) return sendProblem(reply, badQuery([NO_NODES]))
  const format = negotiateFormat(request.headers.accept)
  if (format === undefined) return sendProblem(reply, NOT_ACCEPTABLE)
  const isLarge = nodes.length * metrics.length * points > JSON_NUMBERS_MAX
  if (format === 'json' && isLarge) return sendProblem(reply, TOO_LARGE)
  const query: HistoryQuery = { nodes, metrics, span, points }
  const key = `${format} ${nodes} ${metrics} ${span} ${points}`
  const bytes = await paced.get(reply, key, async () => {
    const view = await inTurns(port.history(query))
    return format === 'cbor' ? asCbor(view, metrics) : Buffer.from(asJson(view, metrics))
  })
  return reply
    .header('vary', 'accept')
    .type(format === 'cbor' ? 'application/cbor' : JSON_TYPE)
    .send(bytes)
}

const NO_NODES = {
  path: 'nodes',
  code: 'missing',
  message: `nodes must be given: at most ${HISTORY_NODES_MAX} ids, with a comma between them`,
}

const TOO_LARGE: ProblemAnswer = {
  status: 400,
  code: 'malformed',
  detail: `as JSON that would be more than ${JSON_NUMBERS_MAX} numbers: ask for fewer nodes, metrics or points, or for CBOR (Accept: application/cbor)`,
}

/** Columns are f32, little-endian, as all our processors have them. */
function asCbor(view: HistoryView, metrics: readonly HistoryMetric[]): Buffer {
  const nodes = view.nodes.map(({ id, columns }) => ({
    id,
    ...byMetric(metrics, columns, (column) => new Uint8Array(column.buffer)),
  }))
  const { buffer, byteOffset, length } = encodeCbor({ ...headOf(view), nodes })
  return Buffer.from(buffer, byteOffset, length)
}

function asJson(view: HistoryView, metrics: readonly HistoryMetric[]): string {
  const nodes = view.nodes.map(({ id, columns }) => ({
    id,
    ...byMetric(metrics, columns, (column) => Array.from(column, shortened)),
  }))
  return JSON.stringify({ ...headOf(view), nodes })
}

/** Of a number of 24 bits, the digits that it has; JSON makes null of NaN. */
function shortened(value: number): number {
  return Number(value.toPrecision(7))
}

function headOf({ ts, stepSeconds, points }: HistoryView) {
  return { ts, step_seconds: stepSeconds, points }
}

function byMetric<T>(
  metrics: readonly HistoryMetric[],
  columns: readonly Float32Array[],
  shape: (column: Float32Array) => T,
): Record<string, T> {
  return Object.fromEntries(metrics.map((metric, at) => [metric, shape(columns[at]!)]))
}
