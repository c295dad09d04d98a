/**
 * What it costs that a gateway is secured: an open and a secured one side by side, each thing done to both in turn.
 * `connections` are nodes that come all at once, each with a whole handshake, and stay.
 */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { enrol } from '../../firmware-agent/adapters/enrolment-client.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import { parseToken, type Token } from '../../shared/protocol/tokens.ts'
import { newKeyPair, pemOf } from '../../shared/runtime/public-keys.ts'
import { createToken } from '../commands/token.ts'
import { BenchGateway, type Shown } from './bench-gateway.ts'
import { benchOptions, chosenOf } from './bench-options.ts'
import { type BenchProcesses, withProcesses } from './bench-processes.ts'
import { type Footprints, footprintOf, sampleFootprints } from './footprint.ts'
import { connectAll, LightNode, nodeNames } from './light-node.ts'
import { inMs, judged, median, quantile, report } from './measure.ts'
import { agentCommand } from './unit-command.ts'

/** As the gateways' flags have it. */
const GEOMETRY = new Geometry({ width: 64, height: 64, tile: 16 })
/** Nodes say nothing while it counts. */
const QUIET = ['--suspect-after-ms', '600000', '--dead-after-ms', '700000']
const WARM_UP_MS = 15_000
const SETTLE_MS = 3000
const REVOKED = 50
/** As many as the gateway looks at together. */
const ENROLMENTS_AT_A_TIME = 4
const BUSY_MS = 20

const flags = benchOptions({
  only: 'agents,connections,enrolments,revocations',
  ...{ count: 1000, seconds: 60, agent: '<tree>/agent.mjs' },
} as const)
const { count, seconds } = flags

interface Gateways {
  readonly processes: BenchProcesses
  readonly open: BenchGateway
  readonly secured: BenchGateway
}

/** What, open, secured, their ratio or difference, goal, verdict. */
type Row = readonly string[]

const HEAD: Row = ['What', 'open', 'secured', 'secured ÷ open', 'Goal', 'Verdict']

function row(
  what: string,
  [open, secured]: readonly number[],
  format: (one: number) => string,
  goal?: number,
): Row {
  const cells = [what, format(open!), format(secured!), (secured! / open!).toFixed(2)]
  return [...cells, ...judged(secured!, goal, format(goal ?? 0))]
}

const inMegabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`
const inKilobytes = (bytes: number): string => `${(bytes / 1e3).toFixed(1)} KB`

async function enrolOne(port: number, node: NodeId, token: Token): Promise<Shown> {
  const pair = newKeyPair()
  const to = { host: '127.0.0.1', port, node, version: 'bench' }
  for (;;) {
    try {
      return { key: pemOf(pair), cert: (await enrol(to, token, pair)).certificate }
    } catch (error) {
      if ((error as { code?: string }).code !== 'busy') throw error
      await sleep(BUSY_MS)
    }
  }
}

/** Keys for boards, as each gets its own; and how long they took together, s. */
async function enrolAll(
  { owner, port }: BenchGateway,
  nodes: readonly NodeId[],
): Promise<{ shown: Map<NodeId, Shown>; seconds: number }> {
  const waiting: [NodeId, Token][] = []
  for (const node of nodes) {
    const { token } = await createToken(owner, { node })
    waiting.push([node, parseToken(token)!])
  }
  const shown = new Map<NodeId, Shown>()
  const startMs = performance.now()
  const work = async (): Promise<void> => {
    for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
      shown.set(one[0], await enrolOne(port, ...one))
    }
  }
  await Promise.all(Array.from({ length: ENROLMENTS_AT_A_TIME }, work))
  return { shown, seconds: (performance.now() - startMs) / 1000 }
}

/** A packaged agent at each, idle. */
async function measureAgents({ processes, open, secured }: Gateways): Promise<Row[]> {
  const command = agentCommand(flags.agent)
  const token = join(processes.directory, 'token')
  const made = await createToken(secured.owner, { node: 'agent-secured' })
  writeFileSync(token, made.token, { mode: 0o600 })
  const agents = [
    await open.startAgent('agent-open', command),
    await secured.startAgent('agent-secured', command, '--enroll-token-file', token),
  ]
  await sleep(WARM_UP_MS)
  const isOver = (samples: number): boolean => samples === seconds
  const looks = agents.map(({ pid }) => sampleFootprints(() => footprintOf(pid), isOver))
  const idle = await Promise.all(looks)
  const each = (of: keyof Footprints): number[] => idle.map((one) => one[of])
  return [
    row('idle agent: Rss', each('rss'), inMegabytes, 55e6),
    row('idle agent: Anonymous', each('anonymous'), inMegabytes, 15e6),
  ]
}

interface ConnectionCost {
  readonly bytesEach: number
  readonly tookMs: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly cpuEachMs: number
}

/** First they come one group after the other, and those of the second half count; then all at once. */
async function costOf(
  gateway: BenchGateway,
  shown: ReadonlyMap<NodeId, Shown>,
): Promise<ConnectionCost> {
  const nodes = [...shown].map(([id, keys]) => {
    const open = () => gateway.open(keys)
    return new LightNode({ id, port: gateway.port, geometry: GEOMETRY, open })
  })
  const half = Math.floor(nodes.length / 2)
  const join = async (some: readonly LightNode[]): Promise<number> => {
    await connectAll(some)
    await sleep(SETTLE_MS)
    return await gateway.anonymous()
  }
  const before = await join(nodes.slice(0, half))
  const after = await join(nodes.slice(half))
  const bytesEach = (after - before) / (nodes.length - half)
  const leave = async (): Promise<void> => {
    for (const node of nodes) node.cut('fin')
    await sleep(SETTLE_MS)
  }
  await leave()
  await gateway.probe()
  const { wallMs, gatewayMs } = await gateway.cost(() => {
    return Promise.all(nodes.map((node) => node.connect()))
  })
  const { p99Ms, maxMs } = await gateway.probe()
  await leave()
  return { bytesEach, tookMs: wallMs, p99Ms, maxMs, cpuEachMs: gatewayMs / nodes.length }
}

async function measureConnections({ open, secured }: Gateways): Promise<Row[]> {
  const names = nodeNames(count, 'c')
  const { shown } = await enrolAll(secured, names)
  // What the enrolments took is no memory of connections.
  await secured.end()
  const again = await secured.again()
  const costs = [
    await costOf(open, new Map(names.map((name) => [name, {}]))),
    await costOf(again, shown),
  ]
  const each = (of: keyof ConnectionCost): number[] => costs.map((one) => one[of])
  const [bare = 0, kept = 0] = each('bytesEach')
  const tls = kept - bare
  return [
    row('memory a node that is connected', each('bytesEach'), inKilobytes),
    ['of it for TLS', '', inKilobytes(tls), '', ...judged(tls, 70e3, inKilobytes(70e3))],
    row(`${count} nodes at once: event loop, p99`, each('p99Ms'), inMs, 150),
    row('the same, worst', each('maxMs'), inMs),
    row('the same, until all are admitted', each('tookMs'), inMs),
    row('processor time a node', each('cpuEachMs'), inMs),
  ]
}

async function measureEnrolments({ secured }: Gateways): Promise<Row[]> {
  const { gatewayMs, value } = await secured.cost(() => enrolAll(secured, nodeNames(count, 'e')))
  const rate = count / value.seconds
  const what = `enrolments a second, ${count} boards`
  return [
    [what, '', rate.toFixed(1), '', '≥ 50', rate >= 50 ? 'holds' : 'missed'],
    ['processor time a board, with its token', '', inMs(gatewayMs / count)],
  ]
}

async function measureRevocations({ secured }: Gateways): Promise<Row[]> {
  const { shown } = await enrolAll(secured, nodeNames(REVOKED, 'r'))
  const times: number[] = []
  for (const [id, keys] of shown) {
    const socket = secured.open(keys)
    const open = () => socket
    await new LightNode({ id, port: secured.port, geometry: GEOMETRY, open }).connect()
    const closed = once(socket, 'close')
    const startMs = performance.now()
    const asked = secured.owner.request({ method: 'DELETE', path: `/api/identities/node/${id}` })
    await closed
    times.push(performance.now() - startMs)
    await asked
  }
  const worst = quantile(times, 1)
  return [
    [`revocation, to the end of the connection: p50 of ${REVOKED}`, '', inMs(median(times))],
    ['the same, worst', '', inMs(worst), '', ...judged(worst, 100, '100 ms')],
  ]
}

const MEASURES = {
  agents: measureAgents,
  connections: measureConnections,
  enrolments: measureEnrolments,
  revocations: measureRevocations,
}

const rows: Row[] = [HEAD]
for (const name of chosenOf(Object.keys(MEASURES) as (keyof typeof MEASURES)[], flags.only)) {
  await withProcesses(async (processes) => {
    const wishes = { flags: QUIET, nodeFlags: ['--expose-gc'] }
    const open = await BenchGateway.start(processes, { ...wishes, name: 'open' })
    const own = { ...wishes, name: 'secured', isSecured: true }
    const secured = await BenchGateway.start(processes, own)
    rows.push(...(await MEASURES[name]({ processes, open, secured })))
  })
}
report(rows)
