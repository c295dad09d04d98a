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
import { benchOptions, misused } from './bench-options.ts'
import { BenchProcesses, cpuSecondsOf } from './bench-processes.ts'
import { footprintOf } from './footprint.ts'
import { leastSquares } from './least-squares.ts'
import { describeMachine, formatTable, median } from './measure.ts'
import { TaskClient } from './task-client.ts'
import { agentCommand, startAgent, unitSetup } from './unit-command.ts'

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
const WARM_UP_MIN_MS = 60_000
const HOUR_MS = 3_600_000
const HOURS_A_YEAR = 24 * 365
const MB = 1e6
const TELEMETRY_GOAL_PERCENT = 0.2

const { flags } = benchOptions({
  ...{ minutes: 10, agents: 3, 'tasks-per-second': 4, 'telemetry-interval': 10, seed: 1 },
  agent: '<tree>/agent.mjs',
} as const)
const { minutes } = flags
if (!(minutes >= 2)) misused('--minutes: at least 2')
const command = agentCommand(unitSetup('agent'), flags.agent)
const random = new Random(flags.seed)
const processes = new BenchProcesses()

interface Subject {
  readonly name: string
  readonly pid: number
  readonly directory: string
}

/** What an agent says itself that it wrote to its store since that was made. */
async function ownCountOf(http: string, id: string): Promise<number> {
  const response = await fetch(`${http}/api/nodes/${id}`)
  const node = (await response.json()) as { telemetry?: { store_written_bytes_total?: number } }
  const bytes = node.telemetry?.store_written_bytes_total
  if (bytes === undefined) throw new Error(`no telemetry of ${id}`)
  return bytes
}

interface Point {
  readonly atMs: number
  readonly anonymousBytes: number
  readonly fileBytes: number
  /** All that it gave to write(2) and its like, to sockets too (`wchar` of /proc/<pid>/io). */
  readonly writtenBytes: number
  readonly cpuSeconds: number
}

/** Not `write_bytes`: that counts a large page of the cache as a whole when a part of it is written. */
function writtenBytesOf(pid: number): number {
  return Number(/^wchar: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))![1])
}

function look({ pid, directory }: Subject): Point {
  return {
    atMs: performance.now(),
    anonymousBytes: footprintOf(pid).anonymous,
    fileBytes: statSync(join(directory, 'state-64', 'data.mdb')).size,
    writtenBytes: writtenBytesOf(pid),
    cpuSeconds: cpuSecondsOf(pid),
  }
}

async function startGateway(name: string): Promise<Subject & { port: number; base: string }> {
  const flags = [
    ...['--grid', `${WIDTH}x${HEIGHT}`, '--replicas', '2', '--log-level', 'warn'],
    ...['--retention-hours', '1', '--retention-tasks', '1000'],
  ]
  const { pid, data, port, base } = await processes.startGateway({ name, flags })
  return { name, pid, directory: data, port, base }
}

async function subjectOf(id: string, port: number, interval: string): Promise<Subject> {
  const agent = { id, url: `mqtt://127.0.0.1:${port}`, command }
  const { pid, data } = await startAgent(processes, agent, ['--telemetry-interval', interval])
  return { name: id, pid, directory: data }
}

/** Submits at the rate until told to stop; tasks that the machine is too slow for are left out. */
class Load {
  readonly #client: TaskClient
  readonly #timer: NodeJS.Timeout
  #count = 0
  #leftOut = 0
  failure: unknown

  constructor(client: TaskClient, tasksPerSecond: number) {
    this.#client = client
    this.#timer = setInterval(() => this.#submit(), 1000 / tasksPerSecond)
  }

  get counts(): string {
    return `${this.#count} tasks, ${this.#leftOut} left out`
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #submit(): void {
    if (this.#client.openCount >= OPEN_MAX) {
      this.#leftOut += 1
      return
    }
    this.#count += 1
    const x = random.integer(WIDTH - REGION_SIDE)
    const y = random.integer(HEIGHT - REGION_SIDE)
    const region = { x, y, w: REGION_SIDE, h: REGION_SIDE }
    const isRead = this.#count % READ_EVERY === 0
    const task = isRead
      ? { op: 'stat', args: { field: 'value', bins: 16 }, region }
      : { op: 'add', args: { field: 'value', value: 1 }, region }
    this.#client.submit(task).ended.catch((error: unknown) => {
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

/** Median anonymous memory, MB, of each part of the time. */
function partsOf(name: string, points: readonly Point[]): string[] {
  const cuts = Array.from({ length: PARTS + 1 }, (_, part) => {
    return Math.round((points.length * part) / PARTS)
  })
  return [
    name,
    ...cuts.slice(1).map((end, part) => {
      const inside = points.slice(cuts[part], end)
      return (median(inside.map(({ anonymousBytes }) => anonymousBytes)) / MB).toFixed(1)
    }),
  ]
}

function rowOf(name: string, points: readonly Point[]): string[] {
  const [first, last] = [points[0]!, points.at(-1)!]
  const hours = (last.atMs - first.atMs) / HOUR_MS
  const writtenMb = (last.writtenBytes - first.writtenBytes) / hours / MB
  const cpuPercent = ((last.cpuSeconds - first.cpuSeconds) / (hours * 3600)) * 100
  return [
    name,
    (median(points.map(({ anonymousBytes }) => anonymousBytes)) / MB).toFixed(1),
    slopeOf(points, ({ anonymousBytes }) => anonymousBytes, MB),
    (last.fileBytes / MB).toFixed(1),
    slopeOf(points, ({ fileBytes }) => fileBytes, 1000),
    writtenMb.toFixed(1),
    ((writtenMb * HOURS_A_YEAR) / 1000).toFixed(0),
    cpuPercent.toFixed(2),
  ]
}

try {
  const gateway = await startGateway('gateway')
  const interval = String(flags['telemetry-interval'])
  const agents: Subject[] = []
  for (let count = 1; count <= flags.agents; count++) {
    agents.push(await subjectOf(`agent-${count}`, gateway.port, interval))
  }
  const quiet = await startGateway('idle-gateway')
  const often = await subjectOf('idle-telemetry-1s', quiet.port, '1')
  const never = await subjectOf('idle-telemetry-3600s', quiet.port, '3600')
  const client = await TaskClient.connect(gateway.port)
  await client.submit({ op: 'scale', args: { fields: { value: 1.5 } } }).ended
  const load = new Load(client, flags['tasks-per-second'])

  const subjects = [gateway, ...agents, often, never]
  const points = new Map(subjects.map(({ name }) => [name, [] as Point[]]))
  const beganMs = performance.now()
  const warmUpMs = Math.max(WARM_UP_MIN_MS, minutes * 60_000 * WARM_UP_SHARE)
  const counted = new Map<string, number>()
  while (performance.now() - beganMs < minutes * 60_000) {
    await sleep(SAMPLE_MS)
    if (load.failure !== undefined) throw load.failure
    if (performance.now() - beganMs < warmUpMs) continue
    if (counted.size === 0) {
      for (const { name } of agents) counted.set(name, await ownCountOf(gateway.base, name))
    }
    for (const subject of subjects) points.get(subject.name)!.push(look(subject))
    const passed = Math.round((performance.now() - beganMs) / 1000)
    if (passed % 60 < SAMPLE_MS / 1000) {
      const now = subjects.map(({ name }) => points.get(name)!.at(-1)!.anonymousBytes / MB)
      const anonymous = now.map((mb) => mb.toFixed(1)).join(' ')
      process.stderr.write(`${passed} s, ${load.counts}; anonymous, MB: ${anonymous}\n`)
    }
  }
  const hours = (performance.now() - beganMs - warmUpMs) / HOUR_MS
  const ownMb = await Promise.all(
    agents.map(async ({ name }) => {
      const bytes = (await ownCountOf(gateway.base, name)) - counted.get(name)!
      return `${name} ${(bytes / MB / hours).toFixed(1)}`
    }),
  )
  load.stop()
  await client.close()

  console.log(describeMachine())
  console.log(
    `${minutes} min of which ${Math.round(warmUpMs / 1000)} s warm-up; ${load.counts}; telemetry every ${interval} s`,
  )
  console.log(
    formatTable([
      ['process', 'anonymous, MB', 'slope, MB/h', 'file, MB', 'slope, KB/h'].concat([
        'written, MB/h',
        'GB/year',
        'CPU, % of a core',
      ]),
      ...subjects.map(({ name }) => rowOf(name, points.get(name)!)),
    ]),
  )
  const ends = Array.from({ length: PARTS }, (_, part) => `${part + 1} of ${PARTS}`)
  const parts = subjects.map(({ name }) => partsOf(name, points.get(name)!))
  console.log('\nanonymous memory, MB, medians of parts of that time, one after the other')
  console.log(formatTable([['process', ...ends], ...parts]))
  console.log(`written to the stores, as the agents count it, MB/h: ${ownMb.join(', ')}`)
  const shareOf = ({ name }: Subject): number => {
    const [first, last] = [points.get(name)![0]!, points.get(name)!.at(-1)!]
    return (last.cpuSeconds - first.cpuSeconds) / ((last.atMs - first.atMs) / 1000)
  }
  const sampleMs = (shareOf(often) - shareOf(never)) * 1000
  const percent = (sampleMs / 10_000) * 100
  const verdict = percent < TELEMETRY_GOAL_PERCENT ? 'holds' : 'missed'
  console.log(
    `telemetry: ${sampleMs.toFixed(2)} ms of CPU each; every 10 s that is ${percent.toFixed(3)} % of a core, goal < ${TELEMETRY_GOAL_PERCENT} %: ${verdict}`,
  )
} finally {
  await processes.close()
}
