/** Packages for boards, and the upgrades that bring boards to them. */

import type { IncomingMessage } from 'node:http'
import { errorCodes, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import * as v from 'valibot'
import { isNodeId, type NodeId } from '../../shared/core/ids.ts'
import { compareVersions } from '../../shared/core/versions.ts'
import { isPackageName } from '../../shared/protocol/upgrade-messages.ts'
import type { UpgradeView } from '../../shared/protocol/views.ts'
import { AppError } from '../../shared/runtime/errors.ts'
import type { UpgradeWish } from '../core/events.ts'
import type { PackageRef } from '../core/ledger-records.ts'
import { rightOf } from './http-access.ts'
import type { HttpPort } from './http-port.ts'
import { bodyOf } from './http-security-routes.ts'
import { sendJson } from './http-task-routes.ts'
import { comes } from './http-upload-routes.ts'
import type { PackageView } from './package-store.ts'
import { type ProblemAnswer, sendProblem } from './problem-json.ts'

const OPERATE = rightOf('operate')
const ADMINISTER = rightOf('administer')
const PACKAGES_MAX = 8
const ONLY_MAX = 1024
const PAUSE_SECONDS_MAX = 86_400

const packageName = v.custom<string>(isPackageName, 'the name of a package')
const wishSchema = v.strictObject({
  packages: v.pipe(v.array(packageName), v.minLength(1), v.maxLength(PACKAGES_MAX)),
  wave: v.optional(
    v.union([
      v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100_000)),
      v.pipe(v.string(), v.regex(/^([1-9]\d?|100)%$/)),
    ]),
  ),
  pause_seconds: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(PAUSE_SECONDS_MAX))),
  only: v.optional(v.pipe(v.array(v.custom<NodeId>(isNodeId, 'an id')), v.maxLength(ONLY_MAX))),
  again: v.optional(v.boolean()),
  allow_away: v.optional(v.boolean()),
  dry_run: v.optional(v.boolean()),
})
const demandSchema = v.strictObject({ demand: v.picklist(['stop', 'resume']) })

export const PACKAGES_ROUTE = '/api/packages'
const PACKAGE_TYPE = 'application/gzip'

/** Bodies of this type are left to the route of packages; any other route refuses them. */
export function takePackages(app: FastifyInstance): void {
  app.addContentTypeParser(PACKAGE_TYPE, (request, _payload, done) => {
    if (request.routeOptions.url === PACKAGES_ROUTE) done(null)
    else done(new errorCodes.FST_ERR_CTP_INVALID_MEDIA_TYPE(PACKAGE_TYPE))
  })
}

type NameRequest = FastifyRequest<{ Params: { sha256: string } }>

export function registerUpgradeRoutes(app: FastifyInstance, port: HttpPort, idleMs: number): void {
  const { upgrades } = port
  app.get('/api/packages', OPERATE, async (_request, reply) => sendJson(reply, upgrades.packages()))
  app.post('/api/packages', ADMINISTER, async (request, reply) => {
    if (request.headers['content-type'] !== PACKAGE_TYPE) return sendProblem(reply, NO_PACKAGE)
    try {
      const body = piecesOf(request.raw, idleMs)
      return sendJson(reply.code(201), await upgrades.takePackage(body))
    } catch (error) {
      request.raw.resume()
      return sendProblem(reply, problemOfPackage(error))
    }
  })
  app.delete('/api/packages/:sha256', ADMINISTER, async (request: NameRequest, reply) => {
    const { sha256 } = request.params
    if (isUnderWay(sha256, upgrades.latest())) return sendProblem(reply, RUNNING)
    if (!upgrades.removePackage(sha256)) return sendProblem(reply, unknownPackage(sha256))
    return sendJson(reply, { sha256, removed: true })
  })
  app.get('/api/upgrades', rightOf('read'), async (_request, reply) =>
    sendJson(reply, { latest: upgrades.latest() ?? null }),
  )
  app.post('/api/upgrades', OPERATE, (request, reply) => begin(port, request, reply))
  app.post('/api/upgrades/latest', OPERATE, async (request, reply) => {
    const wish = bodyOf(demandSchema, request, reply)
    if (wish === undefined) return reply
    const latest = await upgrades.demand(wish.demand)
    return latest === undefined ? sendProblem(reply, NONE) : sendJson(reply, latest)
  })
}

/** Nodes that install after a stop may have to fetch it once more. */
function isUnderWay(sha256: string, latest: UpgradeView | undefined): boolean {
  if (latest === undefined) return false
  const isGoingOn = latest.state === 'running' || (latest.counts.installing ?? 0) > 0
  return isGoingOn && Object.values(latest.packages).some((one) => one.sha256 === sha256)
}

class BodyStopped extends Error {}

/** Until the end. One at a time is taken, so nobody may hold that place and bring nothing. */
async function* piecesOf(body: IncomingMessage, idleMs: number): AsyncGenerator<Uint8Array> {
  for (;;) {
    const piece = body.read() as Buffer | null
    if (piece !== null) yield piece
    else if (body.readableEnded) return
    else if (body.destroyed) throw new BodyStopped('it was cut off')
    else if (!(await comes(body, idleMs))) {
      throw new BodyStopped(`it brought nothing for ${idleMs / 1000} s`)
    }
  }
}

async function begin(
  port: HttpPort,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { upgrades } = port
  const body = bodyOf(wishSchema, request, reply)
  if (body === undefined) return reply
  const found = body.packages.map((sha256) => ({ sha256, view: upgrades.find(sha256) }))
  const missing = found.find(({ view }) => view === undefined)
  if (missing !== undefined) return sendProblem(reply, unknownPackage(missing.sha256))
  const stranger = body.only?.find((id) => port.node(id) === undefined)
  if (stranger !== undefined) {
    const detail = `there is no node "${stranger}"`
    return sendProblem(reply, { status: 404, code: 'unknown-node', detail })
  }
  const wish = wishOf(
    body,
    found.map(({ view }) => view!),
  )
  if (wish === undefined) return sendProblem(reply, MIXED)
  const problem = upgrades.problemOf(wish)
  if (problem !== undefined) {
    const { message: detail } = problem
    return problem.code === 'upgrade-running'
      ? sendProblem(reply, { status: 409, code: 'upgrade-running', detail })
      : sendProblem(reply, { status: 409, code: 'sole-copies', detail })
  }
  if (body.dry_run === true) {
    return sendJson(reply, { version: wish.version, nodes: upgrades.planFor(wish) })
  }
  return sendJson(reply.code(202), await upgrades.start(wish))
}

/** Nothing unless all are of one version, and each of an architecture of its own. */
function wishOf(
  body: v.InferOutput<typeof wishSchema>,
  packages: readonly PackageView[],
): UpgradeWish | undefined {
  const [{ version }] = packages as [PackageView]
  const refs = new Map<string, PackageRef>(
    packages.map(({ architecture, sha256, bytes }) => [architecture, { sha256, bytes }]),
  )
  if (refs.size < packages.length || packages.some((one) => one.version !== version)) {
    return undefined
  }
  const { wave = 1, pause_seconds: pauseSeconds = 0, only } = body
  return {
    ...{ version, packages: Object.fromEntries(refs), pauseMs: pauseSeconds * 1000 },
    wave: typeof wave === 'number' ? { nodes: wave } : { percent: Number.parseInt(wave, 10) },
    ...downgradeOf(packages),
    mayBeAway: body.allow_away === true,
    again: body.again === true,
    ...(only === undefined ? {} : { only }),
  }
}

/** What all of them allow. */
function downgradeOf(packages: readonly PackageView[]): Pick<UpgradeWish, 'downgradeFrom'> {
  const all = packages.map(({ downgrade_from: from }) => from)
  if (!all.every((from) => from !== undefined)) return {}
  const [downgradeFrom] = all.sort(compareVersions)
  return downgradeFrom === undefined ? {} : { downgradeFrom }
}

function problemOfPackage(error: unknown): ProblemAnswer {
  if (error instanceof BodyStopped) {
    return { status: 408, code: 'malformed', detail: error.message }
  }
  if (!(error instanceof AppError)) throw error
  const { code, message: detail } = error
  if (code === 'overloaded') return { status: 503, code: 'overloaded', detail }
  if (code === 'too-large') return { status: 413, code: 'too-large', detail }
  if (code === 'packages-full') return { status: 507, code: 'packages-full', detail }
  return { status: 422, code: 'package-untrusted', detail }
}

function unknownPackage(sha256: string): ProblemAnswer {
  const detail = `there is no package "${sha256.slice(0, 64)}": send it first (POST /api/packages)`
  return { status: 404, code: 'unknown-package', detail }
}

const RUNNING: ProblemAnswer = {
  status: 409,
  code: 'upgrade-running',
  detail: 'an upgrade to it is under way, and boards may still fetch it',
}
const MIXED: ProblemAnswer = {
  status: 400,
  code: 'malformed',
  detail: 'the packages of an upgrade are of one version, and each of another architecture',
}
export const NO_PACKAGE: ProblemAnswer = {
  status: 415,
  code: 'unsupported-media-type',
  detail: `a package is ${PACKAGE_TYPE}, by Content-Type`,
}
const NONE: ProblemAnswer = {
  status: 404,
  code: 'no-upgrade',
  detail: 'there never was an upgrade',
}
