/** One agent with a gateway for itself: its memory when idle, at work and afterwards; and its disk. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BenchProcesses, Command } from './bench-processes.ts'
import { type AddressWindow, type Footprints, footprintOf, sampleFootprints } from './footprint.ts'
import { formatTable, judged } from './measure.ts'
import { AGENT_OPTIONS, GRID_OPTIONS, LSUS, writeAndScan } from './slice-load.ts'
import { startAgent } from './unit-command.ts'

export interface AgentMemoryOptions {
  /** What it is started with, but for its options. */
  readonly command: Command
  /** The built `obelisk`, for the gateway, where this does not run from beside it. */
  readonly gatewayProgram?: string
  /** Of each of both medians. */
  readonly seconds: number
  /** How often all is written and scanned again. */
  readonly rounds: number
  readonly window?: AddressWindow
}

export interface AgentMemory {
  readonly idle: Footprints
  readonly atWork: Footprints
  readonly after: Footprints
  readonly workSeconds: number
  /** Blocks of the disk. */
  readonly diskBytes: number
  /** Bytes of the store's file. */
  readonly storeBytes: number
}

/** Bytes; MB are of 10^6 everywhere here. */
const GOALS = {
  idleRss: 55e6,
  idleAnonymous: 15e6,
  workedAnonymous: 25e6,
  rssPerLsu: 1900,
  diskPerLsu: 800,
}
/** After its first heartbeats and telemetry. */
const WARM_UP_MS = 15_000

export async function measureAgent(
  processes: BenchProcesses,
  options: AgentMemoryOptions,
): Promise<AgentMemory> {
  const { command, gatewayProgram, seconds, rounds, window } = options
  const { port, base } = await processes.startGateway({
    ...(gatewayProgram && { program: gatewayProgram }),
    flags: [...GRID_OPTIONS, '--log-level', 'error'],
  })
  const agent = { id: 'agent', url: `mqtt://127.0.0.1:${port}`, command }
  const { pid, data } = await startAgent(processes, agent, AGENT_OPTIONS)
  const look = () => footprintOf(pid, window)

  await sleep(WARM_UP_MS)
  const idle = await sampleFootprints(look, (samples) => samples === seconds)
  let isWorked = false
  const startMs = performance.now()
  const working = writeAndScan(base, rounds).finally(() => {
    isWorked = true
  })
  const isOver = (samples: number): boolean => isWorked && samples > 0
  const [atWork] = await Promise.all([sampleFootprints(look, isOver), working])
  const workSeconds = (performance.now() - startMs) / 1000
  await sleep(WARM_UP_MS)
  const after = await sampleFootprints(look, (samples) => samples === seconds)
  const files = filesOf(data)
  return {
    idle,
    atWork,
    after,
    workSeconds,
    diskBytes: files.reduce((sum, file) => sum + statSync(file).blocks * 512, 0),
    storeBytes: statSync(files.find((file) => file.endsWith('/data.mdb'))!).size,
  }
}

function filesOf(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
}

/** A table of Markdown with the goals and whether they are met. */
export function describeAgentMemory(memory: AgentMemory): string {
  const { idle, atWork, after, workSeconds, diskBytes, storeBytes } = memory
  const row = (what: string, bytes: number, goal?: number): string[] => {
    const figures = [what, `${(bytes / 1e6).toFixed(1)} MB`]
    if (goal === undefined) return figures
    return [...figures, ...judged(bytes, goal, `${goal / 1e6} MB`)]
  }
  const perLsu = (what: string, bytes: number, goal: number): string[] => {
    const each = bytes / LSUS
    return [what, `${each.toFixed(0)} B`, ...judged(each, goal, `${goal} B`)]
  }
  return formatTable([
    ['What', 'value', 'Goal', 'Verdict'],
    row('idle: Rss', idle.rss, GOALS.idleRss),
    row('idle: Anonymous', idle.anonymous, GOALS.idleAnonymous),
    row('at work: greatest Anonymous', atWork.anonymousMax),
    row('after work: Anonymous', after.anonymous, GOALS.workedAnonymous),
    row('after work: Rss, with mapped pages of the store', after.rss),
    perLsu('after work: Rss an LSU', after.rss, GOALS.rssPerLsu),
    perLsu('disk an LSU', diskBytes, GOALS.diskPerLsu),
    row('file of the store', storeBytes),
    [`${LSUS} LSUs written and scanned in`, `${workSeconds.toFixed(1)} s`],
  ])
}
