/**
 * How long a write of the whole grid takes: 8192 × 8192 LSUs of one f64 field in tiles of 16 × 16 on four agents of this
 * machine, two replicas, each with the flags of its unit. Submitted over HTTP, to the end of the task; how many copies
 * it had then, and what the slices take of the disk. First with one value everywhere, then with a pattern that leaves no
 * tile one value.
 */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { npyHead } from '../../shared/grid/npy.ts'
import { benchOptions, misused } from './bench-options.ts'
import { cpuSecondsOf, withProcesses } from './bench-processes.ts'
import { footprintOf } from './footprint.ts'
import { type GridFleet, runTask, startGridFleet } from './grid-fleet.ts'
import { judged, median, report } from './measure.ts'
import { unitSetup } from './unit-command.ts'

const MIB = 1024 * 1024
const AGENTS = 4
const REPLICAS = 2

const { flags } = benchOptions({
  ...{ side: 8192, runs: 5, pattern: true, 'agent-flags': '', 'gateway-flags': '' },
} as const)
const { side, runs } = flags
if (side % 16 !== 0) misused('--side: a multiple of 16')

interface Timed {
  readonly seconds: number
  readonly copies: number
  readonly gatewaySeconds: number
  readonly agentSeconds: number
  /** Of all slices, and of the fullest. */
  readonly diskBytes: number
  readonly anonymousMax: number
}

/** Blocks of the disk that the slices take. */
function diskBytesOf(directory: string): number {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name === 'data.mdb')
    .map(({ parentPath, name }) => statSync(join(parentPath, name)).blocks * 512)
    .reduce((sum, bytes) => sum + bytes, 0)
}

async function timed(fleet: GridFleet, directory: string, task: object): Promise<Timed> {
  const [gateway, agents] = [cpuSecondsOf(fleet.pid), cpuSecondsOf(...fleet.agents)]
  const startMs = performance.now()
  const { copies } = await runTask(fleet.base, { ...task })
  const seconds = (performance.now() - startMs) / 1000
  return {
    seconds,
    copies: copies ?? 0,
    gatewaySeconds: cpuSecondsOf(fleet.pid) - gateway,
    agentSeconds: cpuSecondsOf(...fleet.agents) - agents,
    diskBytes: fleet.agents.reduce((sum, _, at) => sum + diskBytesOf(slicesOf(directory, at)), 0),
    anonymousMax: Math.max(
      ...[fleet.pid, ...fleet.agents].map((pid) => footprintOf(pid).anonymous),
    ),
  }
}

function slicesOf(directory: string, agent: number): string {
  return join(directory, `whole-${agent + 1}`)
}

/** Another number in each LSU of a tile, row after row, as a file of numpy. */
function* patternOf(): Generator<Uint8Array> {
  yield npyHead('f64', side, side)
  for (let y = 0; y < side; y++) {
    yield new Uint8Array(
      Float64Array.from({ length: side }, (_, x) => (x % 16) + 16 * (y % 16)).buffer,
    )
  }
}

async function putPattern({ base }: GridFleet): Promise<void> {
  const response = await fetch(`${base}/api/grid/value?id=pattern`, {
    method: 'PUT',
    headers: { 'content-type': 'application/x-npy' },
    body: Readable.toWeb(Readable.from(patternOf())),
    duplex: 'half',
  } as RequestInit)
  const text = await response.text()
  if (response.status !== 200) throw new Error(`upload: ${response.status} ${text}`)
}

const rows: string[][] = [
  [
    ...['What', 's', 'Goal', 'Verdict', 'worst s', 'copies', 'CPU gateway, s', 'CPU agents, s'],
    ...['disk, MB', 'most Anonymous, MiB'],
  ],
]

function rowOf(what: string, all: readonly Timed[], goal: number): string[] {
  const seconds = median(all.map((one) => one.seconds))
  const last = all.at(-1)!
  const mid = (of: (one: Timed) => number): string => median(all.map(of)).toFixed(2)
  return [
    ...[what, seconds.toFixed(2), ...judged(seconds, goal)],
    Math.max(...all.map((one) => one.seconds)).toFixed(2),
    [...new Set(all.map(({ copies }) => copies))].join(', '),
    ...[mid((one) => one.gatewaySeconds), mid((one) => one.agentSeconds)],
    (last.diskBytes / 1e6).toFixed(1),
    (Math.max(...all.map((one) => one.anonymousMax)) / MIB).toFixed(1),
  ]
}

const wordsOf = (text: string | undefined): string[] => text?.split(' ').filter(Boolean) ?? []

await withProcesses(async (processes) => {
  const { directory } = processes
  const agentFlags = wordsOf(flags['agent-flags'])
  const setup = { name: 'whole', side, type: 'f64', agents: AGENTS, replicas: REPLICAS, agentFlags }
  const { flags: nodeFlags, environment } = unitSetup('gateway')
  const argv = [...nodeFlags, ...wordsOf(flags['gateway-flags'])]
  const fleet = await startGridFleet(setup, processes, {
    path: process.execPath,
    argv,
    environment,
  })
  const first = { x: 0, y: 0, w: 16, h: 16 }
  // Until the fleet has settled no tile is born.
  await runTask(fleet.base, { op: 'scale', region: first, args: { fields: { value: 0.5 } } })
  const many = async (tasks: readonly object[]): Promise<Timed[]> => {
    const all: Timed[] = []
    for (const task of tasks) all.push(await timed(fleet, directory, task))
    return all
  }
  const scale = (value: number): object => ({ op: 'scale', args: { fields: { value } } })
  const add = { op: 'add', args: { field: 'value', value: 1 } }
  rows.push(rowOf('`scale`, all tiles new', await many([scale(1.5)]), 1))
  rows.push(rowOf('`scale` again', await many(Array.from({ length: runs }, (_, n) => scale(n))), 1))
  rows.push(rowOf('`add`, each tile one value', await many(new Array(runs).fill(add)), 1))
  if (!flags.pattern) return
  await putPattern(fleet)
  rows.push(rowOf('`add`, no tile one value', await many(new Array(runs).fill(add)), 5))
})
report(rows, `${side} × ${side} LSUs, ${AGENTS} agents, ${REPLICAS} replicas.`)
