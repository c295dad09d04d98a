/**
 * What it costs that a gateway is secured: an open and a secured one side by side, each thing done to both in turn.
 * `connections` are nodes that come all at once, each with a whole handshake, and stay.
 */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NodeId } from '../../shared/core/ids.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import { createToken } from '../commands/token.ts'
import { benchOptions } from './bench-options.ts'
import { type BenchProcesses, withProcesses } from './bench-processes.ts'
import { type Footprints, footprintOf, sampleFootprints } from './footprint.ts'
import { connectAll, nodeNames } from './light-fleet.ts'
import { LightNode } from './light-node.ts'
import { formatMs, judged, median, quantile, report } from './measure.ts'
import { Messenger } from './messenger.ts'
import { BenchGateway, type Shown } from './secured-gateway.ts'
import { AGENT_OPTIONS } from './slice-load.ts'
import { agentCommand, startAgent, unitSetup } from './unit-command.ts'

/** As the gateway's flags have it. */
const GEOMETRY = new Geometry({ width: 64, height: 64, tile: 16 })
const WARM_UP_MS = 15_000
const SETTLE_MS = 3000
const MESSAGES = 40_000
const ROUNDS = 7
const REVOKED = 50
const TOPIC = 'bench/secured'

const { flags } = benchOptions({
  only: 'agents,connections,messages,enrolments,revocations',
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
  return goal === undefined ? cells : [...cells, ...judged(secured!, goal, format(goal))]
}

const inMegabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`
const inKilobytes = (bytes: number): string => `${(bytes / 1e3).toFixed(1)} KB`
const inMs = (ms: number): string => `${formatMs(ms)} ms`
const inMicroseconds = (s: number): string => `${(s * 1e6).toFixed(1)} µs`

/** A packaged agent at each, idle. */
async function measureAgents({ processes, open, secured }: Gateways): Promise<Row[]> {
  const command = agentCommand(unitSetup('agent'), flags.agent)
  const start = async (gateway: BenchGateway, more: readonly string[]): Promise<number> => {
    const agent = { id: `agent-${gateway.isSecured ? 'secured' : 'open'}`, command }
    const argv = [...AGENT_OPTIONS, ...more]
    return (await startAgent(processes, { ...agent, url: gateway.url }, argv)).pid
  }
  const token = join(processes.directory, 'token')
  const made = await createToken(secured.owner, { node: 'agent-secured' })
  writeFileSync(token, made.token, { mode: 0o600 })
  const pids = [await start(open, []), await start(secured, ['--enroll-token-file', token])]
  await sleep(WARM_UP_MS)
  const looks = pids.map((pid) =>
    sampleFootprints(
      () => footprintOf(pid),
      (samples) => samples === seconds,
    ),
  )
  const idle = await Promise.all(looks)
  const each = (of: keyof Footprints): number[] => idle.map((one) => one[of])
  return [
    row('idle agent: Rss', each('rss'), inMegabytes, 55e6),
    row('idle agent: Anonymous', each('anonymous'), inMegabytes, 15e6),
  ]
}

interface Cost {
  readonly bytesEach: number
  readonly tookMs: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly cpuEach: number
}

/** First they come one group after the other, and those of the second half count; then all at once. */
async function costOf(gateway: BenchGateway, shown: ReadonlyMap<NodeId, Shown>): Promise<Cost> {
  const { port } = gateway
  const nodes = [...shown].map(([id, keys]) => {
    const open = (): Socket => gateway.open(keys)
    return new LightNode({ id, port, geometry: GEOMETRY, open }, () => {})
  })
  const leave = async (some: readonly LightNode[]): Promise<void> => {
    for (const node of some) node.cut('fin')
    await sleep(SETTLE_MS)
  }
  const half = Math.floor(nodes.length / 2)
  const join = async (some: readonly LightNode[]): Promise<number> => {
    await connectAll(some)
    await sleep(SETTLE_MS)
    return await gateway.anonymous()
  }
  const before = await join(nodes.slice(0, half))
  const after = await join(nodes.slice(half))
  const bytesEach = (after - before) / (nodes.length - half)
  await leave(nodes)

  await gateway.loopDelay()
  const cpu = gateway.cpuSeconds
  const startMs = performance.now()
  await Promise.all(nodes.map((node) => node.connect()))
  const tookMs = performance.now() - startMs
  const { p99Ms, maxMs } = await gateway.loopDelay()
  const cpuEach = (gateway.cpuSeconds - cpu) / nodes.length
  await leave(nodes)
  return { bytesEach, tookMs, p99Ms, maxMs, cpuEach }
}

async function measureConnections({ processes, open, secured }: Gateways): Promise<Row[]> {
  const names = nodeNames(count, 'c')
  const { shown } = await secured.enrolAll(names)
  // What the enrolments took is no memory of connections.
  await secured.end()
  const again = await BenchGateway.start(processes, 'secured')
  const costs = [
    await costOf(open, new Map(names.map((name) => [name, {}]))),
    await costOf(again, shown),
  ]
  const each = (of: keyof Cost): number[] => costs.map((one) => one[of])
  const [bare = 0, kept = 0] = each('bytesEach')
  const tls = kept - bare
  return [
    row('memory a node that is connected', each('bytesEach'), inKilobytes),
    ['of it for TLS', '', inKilobytes(tls), '', ...judged(tls, 70e3, inKilobytes(70e3))],
    row(`${count} nodes at once: event loop, p99`, each('p99Ms'), inMs, 150),
    row('the same, worst', each('maxMs'), inMs),
    row('the same, until all are admitted', each('tookMs'), inMs),
    row('processor time a node', each('cpuEach'), inMicroseconds),
  ]
}

async function measureMessages({ open, secured }: Gateways): Promise<Row[]> {
  const password = 'a long password for a benchmark'
  await secured.owner.request({
    method: 'POST',
    path: '/api/identities/user/bench',
    body: { roles: ['operator'], password, topics: ['bench/#'] },
  })
  const login = { username: 'bench', password: Buffer.from(password) }
  const connected = (gateway: BenchGateway, more: { login?: typeof login }): Promise<Messenger> =>
    Messenger.connect({
      ...more,
      topic: TOPIC,
      open: () => gateway.open(),
      cpuSeconds: () => gateway.cpuSeconds,
    })
  const messengers = [await connected(open, {}), await connected(secured, { login })]
  const each: number[][] = [[], []]
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [which, messenger] of messengers.entries()) {
      const cpu = await messenger.round(MESSAGES)
      // The first is for the compiler.
      if (round > 0) each[which]!.push(cpu)
    }
  }
  const [bare = 0, kept = 0] = each.map((one) => median(one))
  return [
    [
      ...row(`processor time a message of 100 B, TLS and rights`, [bare, kept], inMicroseconds),
      ...judged(kept, 1.1 * bare, '1.10 times'),
    ],
  ]
}

async function measureEnrolments({ secured }: Gateways): Promise<Row[]> {
  const cpu = secured.cpuSeconds
  const taken = await secured.enrolAll(nodeNames(count, 'e'))
  const rate = count / taken.seconds
  const each = (secured.cpuSeconds - cpu) / count
  return [
    [
      `enrolments a second, ${count} boards`,
      '',
      rate.toFixed(1),
      '',
      '≥ 50',
      judged(-rate, -50)[1],
    ],
    ['processor time a board, with its token', '', inMs(each * 1000)],
  ]
}

async function measureRevocations({ secured }: Gateways): Promise<Row[]> {
  const { shown } = await secured.enrolAll(nodeNames(REVOKED, 'r'))
  const times: number[] = []
  for (const [id, keys] of shown) {
    const socket = secured.open(keys)
    const open = { id, port: secured.port, geometry: GEOMETRY, open: () => socket }
    await new LightNode(open, () => {}).connect()
    const closed = once(socket, 'close')
    const startMs = performance.now()
    const asked = secured.owner.request({ method: 'DELETE', path: `/api/identities/node/${id}` })
    await closed
    times.push(performance.now() - startMs)
    await asked
  }
  const [p50, worst] = [median(times), quantile(times, 1)]
  return [
    [`revocation, to the end of the connection: p50 of ${REVOKED}`, '', inMs(p50)],
    ['the same, worst', '', inMs(worst), '', ...judged(worst, 100, '100 ms')],
  ]
}

const MEASURES = {
  agents: measureAgents,
  connections: measureConnections,
  messages: measureMessages,
  enrolments: measureEnrolments,
  revocations: measureRevocations,
}

async function measureAll(): Promise<void> {
  const rows: Row[] = [HEAD]
  for (const [name, measure] of Object.entries(MEASURES)) {
    if (flags.only !== undefined && !flags.only.split(',').includes(name)) continue
    await withProcesses(async (processes) => {
      const open = await BenchGateway.start(processes, 'open')
      const secured = await BenchGateway.start(processes, 'secured')
      const made = await measure({ processes, open, secured })
      for (const one of made) process.stderr.write(`${one.join('  ')}\n`)
      rows.push(...made)
    })
  }
  report(rows)
}

await measureAll()
