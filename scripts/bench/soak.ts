/**
 * Whether anything creeps: a built gateway and built agents under a steady load, and the slopes of their
 * memory and of their files after a warm-up; what goes to the agents' disks in an hour, and what that is
 * in a year; and what telemetry costs, as the CPU time of two idle agents of which one sends it every
 * second. `agent` is that of a package. Longer runs tell more.
 */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Random } from '../../shared/core/random.ts'
import { databasePath } from '../../shared/runtime/lmdb.ts'
import { connect, type Obelisk } from '../client/connect.ts'
import { BenchGateway } from './bench-gateway.ts'
import { benchOptions, misused } from './bench-options.ts'
import { cpuSecondsOf, withProcesses } from './bench-processes.ts'
import { footprintOf } from './footprint.ts'
import { leastSquares } from './least-squares.ts'
import { formatTable, judged, median, report } from './measure.ts'
import { agentCommand } from './unit-command.ts'

/** As many LSUs as a board is made for, on each agent when there are two replicas. */
const WIDTH = 640
const HEIGHT = 400
const REGION_SIDE = 32
/** Every fourth task reads. */
const READ_EVERY = 4
const OPEN_MAX = 64
const SAMPLE_MS = 5000
/** The time after the warm-up in as many parts of the same length, for what slows down or ends. */
const PARTS = 5
/** Of the run, and at least a minute: heaps grow to their size first. */
const WARM_UP_SHARE = 0.2
const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const HOURS_A_YEAR = 24 * 365
const MB = 1e6
const TELEMETRY_GOAL_PERCENT = 0.2

const flags = benchOptions({
  ...{ minutes: 10, agents: 3, 'tasks-per-second': 4, 'telemetry-interval': 10 },
  agent: '<tree>/agent.mjs',
} as const)
const { minutes } = flags
if (!(minutes >= 2)) misused('--minutes: at least 2')
const command = agentCommand(flags.agent)
const random = new Random(1)

interface Point {
  readonly atMs: number
  readonly anonymousBytes: number
  readonly fileBytes: number
  /** All that it gave to write(2) and its like, to sockets too (`wchar` of /proc/<pid>/io). */
  readonly writtenBytes: number
  readonly cpuSeconds: number
}

interface Subject {
  readonly name: string
  readonly pid: number
  readonly data: string
  readonly points: Point[]
}

function look({ pid, data }: Omit<Subject, 'points'>): Point {
  // Not `write_bytes`: that counts a large page of the cache as a whole when a part of it is written.
  const [, written] = /^wchar: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))!
  return {
    atMs: performance.now(),
    anonymousBytes: footprintOf(pid).anonymous,
    fileBytes: statSync(join(databasePath(data), 'data.mdb')).size,
    writtenBytes: Number(written),
    cpuSeconds: cpuSecondsOf(pid),
  }
}

/** What an agent says itself that it wrote to its store since that was made. */
async function ownCountOf({ base }: BenchGateway, { name }: Subject): Promise<number> {
  const response = await fetch(`${base}/api/nodes/${name}`)
  const node = (await response.json()) as { telemetry?: { store_written_bytes_total?: number } }
  const bytes = node.telemetry?.store_written_bytes_total
  if (bytes === undefined) throw new Error(`no telemetry of ${name}`)
  return bytes
}

/** Submits at the rate until told to stop; tasks that the machine is too slow for are left out. */
class Load {
  readonly #fleet: Obelisk
  readonly #timer: NodeJS.Timeout
  #open = 0
  #count = 0
  #leftOut = 0
  failure: unknown

  constructor(fleet: Obelisk, tasksPerSecond: number) {
    this.#fleet = fleet
    this.#timer = setInterval(() => this.#submit(), 1000 / tasksPerSecond)
  }

  get counts(): string {
    return `${this.#count} tasks, ${this.#leftOut} left out`
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #submit(): void {
    if (this.#open >= OPEN_MAX) {
      this.#leftOut += 1
      return
    }
    this.#count += 1
    this.#open += 1
    const x = random.integer(WIDTH - REGION_SIDE)
    const y = random.integer(HEIGHT - REGION_SIDE)
    const region = { x, y, w: REGION_SIDE, h: REGION_SIDE }
    const isRead = this.#count % READ_EVERY === 0
    const task = isRead
      ? { op: 'stat', args: { field: 'value', bins: 16 }, region }
      : { op: 'add', args: { field: 'value', value: 1 }, region }
    const ended = this.#fleet.run(task).finally(() => {
      this.#open -= 1
    })
    ended.catch((error: unknown) => {
      this.failure ??= error
    })
  }
}

function slopeOf(points: readonly Point[], of: (point: Point) => number, unit: number): string {
  const { slope, slopeError } = leastSquares(
    points.map((point) => ({ x: point.atMs / HOUR_MS, y: of(point) / unit })),
  )
  return `${slope.toFixed(2)} ± ${slopeError.toFixed(2)}`
}

function anonymousMb(points: readonly Point[]): string {
  return (median(points.map(({ anonymousBytes }) => anonymousBytes)) / MB).toFixed(1)
}

/** Median anonymous memory, MB, of each part of the time. */
function partsOf({ name, points }: Subject): string[] {
  const cut = (part: number): number => Math.round((points.length * part) / PARTS)
  const parts = Array.from({ length: PARTS }, (_, part) => points.slice(cut(part), cut(part + 1)))
  return [name, ...parts.map(anonymousMb)]
}

function cpuShareOf({ points }: Subject): number {
  const [first, last] = [points[0]!, points.at(-1)!]
  return ((last.cpuSeconds - first.cpuSeconds) * 1000) / (last.atMs - first.atMs)
}

function rowOf(subject: Subject): string[] {
  const { name, points } = subject
  const [first, last] = [points[0]!, points.at(-1)!]
  const hours = (last.atMs - first.atMs) / HOUR_MS
  const writtenMb = (last.writtenBytes - first.writtenBytes) / hours / MB
  return [
    ...[name, anonymousMb(points), slopeOf(points, ({ anonymousBytes }) => anonymousBytes, MB)],
    (last.fileBytes / MB).toFixed(1),
    slopeOf(points, ({ fileBytes }) => fileBytes, 1000),
    ...[writtenMb.toFixed(1), ((writtenMb * HOURS_A_YEAR) / 1000).toFixed(0)],
    (cpuShareOf(subject) * 100).toFixed(2),
  ]
}

await withProcesses(async (processes) => {
  const startGateway = (name: string): Promise<BenchGateway> => {
    const retention = ['--retention-hours', '1', '--retention-tasks', '1000']
    return BenchGateway.start(processes, { name, grid: `${WIDTH}x${HEIGHT}`, flags: retention })
  }
  const agentOf = async (
    gateway: BenchGateway,
    name: string,
    interval: number,
  ): Promise<Subject> => {
    const agent = await gateway.startAgent(name, command, `--telemetry-interval=${interval}`)
    return { name, ...agent, points: [] }
  }
  const gateway = await startGateway('gateway')
  const interval = flags['telemetry-interval']
  const agents: Subject[] = []
  for (let count = 1; count <= flags.agents; count++) {
    agents.push(await agentOf(gateway, `agent-${count}`, interval))
  }
  const quiet = await startGateway('idle-gateway')
  const often = await agentOf(quiet, 'idle-telemetry-1s', 1)
  const never = await agentOf(quiet, 'idle-telemetry-3600s', 3600)
  const fleet = await connect(gateway.url)
  await fleet.run({ op: 'scale', args: { fields: { value: 1.5 } } })
  const load = new Load(fleet, flags['tasks-per-second'])

  const { pid, data } = gateway
  const subjects: Subject[] = [{ name: 'gateway', pid, data, points: [] }, ...agents, often, never]
  const beganMs = performance.now()
  const warmUpMs = Math.max(MINUTE_MS, minutes * MINUTE_MS * WARM_UP_SHARE)
  let counted: number[] = []
  const countAll = (): Promise<number[]> =>
    Promise.all(agents.map((agent) => ownCountOf(gateway, agent)))
  while (performance.now() - beganMs < minutes * MINUTE_MS) {
    await sleep(SAMPLE_MS)
    if (load.failure !== undefined) throw load.failure
    const passedMs = performance.now() - beganMs
    if (passedMs < warmUpMs) continue
    if (counted.length === 0) counted = await countAll()
    for (const subject of subjects) subject.points.push(look(subject))
    if (passedMs % MINUTE_MS >= SAMPLE_MS) continue
    const anonymous = subjects.map(({ points }) => anonymousMb(points.slice(-1))).join(' ')
    const passed = (passedMs / 1000).toFixed(0)
    process.stderr.write(`${passed} s, ${load.counts}; anonymous, MB: ${anonymous}\n`)
  }
  const hours = (performance.now() - beganMs - warmUpMs) / HOUR_MS
  const ownMb = (await countAll()).map((bytes, at) => {
    return ((bytes - counted[at]!) / MB / hours).toFixed(1)
  })
  load.stop()
  await fleet.close()

  const warmUp = `${minutes} min of which ${Math.round(warmUpMs / 1000)} s warm-up`
  const head = [
    ...['process', 'anonymous, MB', 'slope, MB/h', 'file, MB', 'slope, KB/h', 'written, MB/h'],
    ...['GB/year', 'CPU, % of a core'],
  ]
  const note = `${warmUp}; ${load.counts}; telemetry every ${interval} s`
  report([head, ...subjects.map(rowOf)], note)
  const ends = Array.from({ length: PARTS }, (_, part) => `${part + 1} of ${PARTS}`)
  console.log('\nanonymous memory, MB, medians of parts of that time, one after the other')
  console.log(formatTable([['process', ...ends], ...subjects.map(partsOf)]))
  console.log(`written to the stores, as each agent counts it, MB/h: ${ownMb.join(', ')}`)
  const sampleMs = (cpuShareOf(often) - cpuShareOf(never)) * 1000
  const percent = sampleMs / 100
  const verdict = judged(percent, TELEMETRY_GOAL_PERCENT, `${TELEMETRY_GOAL_PERCENT} %`).join(': ')
  console.log(
    `telemetry: ${sampleMs.toFixed(2)} ms of CPU each; every 10 s that is ${percent.toFixed(3)} % of a core, goal ${verdict}`,
  )
})
