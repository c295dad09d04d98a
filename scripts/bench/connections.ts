/**
 * Ten thousand agents on one gateway: they come all at once, beat, and come back after the gateway was killed and started
 * anew. None may be lost or suspected meanwhile. The agents are simple ones (light-node.ts) in processes of their own, which
 * connect again as agents do.
 */
import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Order, Seen } from './agents.ts'
import { BenchGateway, type Cost } from './bench-gateway.ts'
import { benchOptions, wordsOf } from './bench-options.ts'
import { ask, type BenchProcesses, withProcesses } from './bench-processes.ts'
import { inMs, judged, report } from './measure.ts'

const LOOK_MS = 100
const LIMIT_MS = 120_000
const KIB = 1024

const flags = benchOptions({
  ...{ count: 10_000, processes: 4, seconds: 30, 'gateway-flags': '=--cpu-prof' },
} as const)
const { count, seconds } = flags

class Fleet {
  readonly #children: ChildProcess[]
  /** Connections of admitted ones that ended by themselves. */
  lost = 0

  static async start(processes: BenchProcesses, port: number): Promise<Fleet> {
    const children: ChildProcess[] = []
    const each = Math.ceil(count / flags.processes)
    for (let first = 0; first < count; first += each) {
      const some = Math.min(each, count - first)
      children.push((await processes.startBeside('agents', port, some, first)).child)
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
    const seen = await Promise.all(this.#children.map((child) => ask<Seen>(child, 'look')))
    this.lost += seen.reduce((sum, one) => sum + one.lost, 0)
    return seen.reduce((sum, one) => sum + one.admitted, 0)
  }

  async all(): Promise<void> {
    const startMs = performance.now()
    for (let admitted = 0; admitted < count; await sleep(LOOK_MS)) {
      admitted = await this.admitted()
      if (performance.now() > startMs + LIMIT_MS) throw new Error(`only ${admitted} are admitted`)
    }
  }
}

const rows: string[][] = [['What', '', 'Goal', 'Verdict']]

/** What a gateway did while `work` lasted. */
async function watched(
  what: string,
  gateway: BenchGateway,
  fleet: Fleet,
  work: () => Promise<unknown>,
): Promise<Cost<unknown>> {
  await gateway.delay()
  fleet.lost = 0
  const cost = await gateway.cost(work)
  const { p99Ms, maxMs } = await gateway.delay()
  rows.push(
    [what, inMs(cost.wallMs)],
    ['of it processor time', inMs(cost.gatewayMs)],
    ['event loop, p99', inMs(p99Ms), ...judged(p99Ms, 100, '100 ms')],
    ['event loop, worst', inMs(maxMs)],
    ['connections lost', `${fleet.lost}`, ...judged(fleet.lost, 0)],
  )
  return cost
}

await withProcesses(async (processes) => {
  const nodeFlags = ['--expose-gc', ...wordsOf(flags['gateway-flags'])]
  const gateway = await BenchGateway.start(processes, { nodeFlags })
  const fleet = await Fleet.start(processes, gateway.port)
  const before = await gateway.anonymous()
  const came = await watched(`${count} agents connect at once`, gateway, fleet, () => {
    fleet.order('connect')
    return fleet.all()
  })
  const eachMs = came.gatewayMs / count
  rows.push(['processor time each', inMs(eachMs), ...judged(eachMs, 0.5, '0.5 ms')])
  const rest = (): Promise<void> => sleep(seconds * 1000)
  await watched(`${count} agents beat`, gateway, fleet, rest)
  const kib = ((await gateway.anonymous()) - before) / count / KIB
  rows.push(['memory each', `${kib.toFixed(1)} KiB`, ...judged(kib, 20, '20 KiB')])
  await gateway.end('SIGKILL')
  // All have seen it.
  while ((await fleet.admitted()) > 0) await sleep(LOOK_MS)
  const again = await gateway.again()
  await watched('they come back after its restart', again, fleet, () => fleet.all())
  const events = readFileSync(join(again.data, 'events.jsonl'), 'utf8')
  const suspicions = events.split(/"node-(?:suspect|dead)"/).length - 1
  rows.push(['suspicions', `${suspicions}`, ...judged(suspicions, 0)])
})
report(rows)
