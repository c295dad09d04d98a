/**
 * Ten thousand agents on one gateway: they come all at once, beat, and come back after the gateway was killed and started
 * anew. None may be lost or suspected meanwhile. The agents are simple ones (light-node.ts) in processes of their own, which
 * connect again as agents do.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Order, Seen } from './agents.ts'
import { benchOptions } from './bench-options.ts'
import {
  type BenchProcesses,
  cpuSecondsOf,
  delayOf,
  type Gateway,
  NODE,
  PROBED,
  withProcesses,
} from './bench-processes.ts'
import { footprintOf } from './footprint.ts'
import { formatMs, judged, report } from './measure.ts'
import { unitSetup } from './unit-command.ts'

const AGENTS = fileURLToPath(new URL('agents.js', import.meta.url))
const LOOK_MS = 100
const LIMIT_MS = 120_000
const KIB = 1024

const { flags } = benchOptions({
  ...{ count: 10_000, processes: 4, seconds: 30 },
  'gateway-flags': '="--cpu-prof"',
} as const)
const { count, seconds } = flags

type Row = readonly string[]

class Fleet {
  readonly #children: ChildProcess[]
  /** Connections of admitted ones that ended by themselves. */
  lost = 0

  static async start(processes: BenchProcesses, port: number): Promise<Fleet> {
    const children: ChildProcess[] = []
    const each = Math.ceil(count / flags.processes)
    for (let first = 0; first < count; first += each) {
      const words = [port, Math.min(each, count - first), first].map(String)
      children.push((await processes.start(`agents-${first}`, [AGENTS, ...words])).child)
    }
    return new Fleet(children)
  }

  private constructor(children: ChildProcess[]) {
    this.#children = children
  }

  order(order: Order): void {
    for (const child of this.#children) child.send(order)
  }

  async admitted(): Promise<number> {
    const answers = this.#children.map((child) => once(child, 'message') as Promise<[Seen]>)
    this.order('look')
    const seen = (await Promise.all(answers)).map(([one]) => one)
    this.lost += seen.reduce((sum, one) => sum + one.lost, 0)
    return seen.reduce((sum, one) => sum + one.admitted, 0)
  }

  /** How long it takes until all are admitted, ms. */
  async all(): Promise<number> {
    const startMs = performance.now()
    for (let admitted = 0; admitted < count; await sleep(LOOK_MS)) {
      admitted = await this.admitted()
      if (performance.now() > startMs + LIMIT_MS) throw new Error(`only ${admitted} are admitted`)
    }
    return performance.now() - startMs
  }
}

/** What a gateway did while `work` lasted. */
async function watched(
  what: string,
  { child, pid }: Gateway,
  fleet: Fleet,
  work: () => Promise<unknown>,
): Promise<Row[]> {
  await delayOf(child)
  const [cpu, lost, startMs] = [cpuSecondsOf(pid), fleet.lost, performance.now()]
  await work()
  const tookMs = performance.now() - startMs
  const cpuSeconds = cpuSecondsOf(pid) - cpu
  const { p99Ms, maxMs } = await delayOf(child)
  return [
    [what, `${formatMs(tookMs)} ms`],
    ['of it processor time', `${formatMs(cpuSeconds * 1000)} ms`],
    ['event loop, p99', `${formatMs(p99Ms)} ms`, ...judged(p99Ms, 100, '100 ms')],
    ['event loop, worst', `${formatMs(maxMs)} ms`],
    ['connections lost', `${fleet.lost - lost}`, ...judged(fleet.lost - lost, 0)],
  ]
}

function suspicionsIn({ data }: Gateway): number {
  return (
    readFileSync(join(data, 'events.jsonl'), 'utf8').split(/"node-(?:suspect|dead)"/).length - 1
  )
}

await withProcesses(async (processes) => {
  const { environment } = unitSetup('gateway')
  const own = flags['gateway-flags']?.split(' ') ?? []
  const command = { ...NODE, argv: ['--expose-gc', ...PROBED, ...own], environment }
  const start = (port: number): Promise<Gateway> => {
    const ports = port === 0 ? [] : ['--port', String(port)]
    const quiet = ['--grid', '64x64', '--tile', '16', '--log-level', 'error']
    return processes.startGateway({ flags: [...quiet, ...ports], command })
  }
  const gateway = await start(0)
  const fleet = await Fleet.start(processes, gateway.port)
  await delayOf(gateway.child)
  const before = footprintOf(gateway.pid).anonymous
  let each = 0
  const came = await watched(`${count} agents connect at once`, gateway, fleet, async () => {
    const cpu = cpuSecondsOf(gateway.pid)
    fleet.order('connect')
    await fleet.all()
    each = ((cpuSecondsOf(gateway.pid) - cpu) / count) * 1000
  })
  const stayed = await watched(`${count} agents beat`, gateway, fleet, () => sleep(seconds * 1000))
  await delayOf(gateway.child)
  const bytes = (footprintOf(gateway.pid).anonymous - before) / count / KIB
  const exited = once(gateway.child, 'exit')
  gateway.child.kill('SIGKILL')
  await exited
  // All have seen it.
  while ((await fleet.admitted()) > 0) await sleep(LOOK_MS)
  fleet.lost = 0
  const again = await start(gateway.port)
  const back = await watched('they come back after its restart', again, fleet, () => fleet.all())
  const suspicions = suspicionsIn(again)
  report([
    ['What', '', 'Goal', 'Verdict'],
    ...came,
    ['processor time each', `${formatMs(each)} ms`, ...judged(each, 0.5, '0.5 ms')],
    ...stayed,
    ['memory each', `${bytes.toFixed(1)} KiB`, ...judged(bytes, 20, '20 KiB')],
    ...back,
    ['suspicions', `${suspicions}`, ...judged(suspicions, 0)],
  ])
})
