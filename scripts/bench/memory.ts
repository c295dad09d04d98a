/**
 * How much memory the built agent takes, idle and after work on 512,000 LSUs, and how much disk its
 * slice. Starts a gateway and one agent in a temporary directory. After `npm run build`:
 * `node dist/scripts/bench/memory.js [--seconds 60] [--node-flags="--max-old-space-size=64"]
 * [--agent /usr/lib/obelisk-agent/agent.mjs]`, the last for the agent of a package.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { describeMachine, formatTable, median } from './measure.ts'

const WIDTH = 1024
const HEIGHT = 500
const LSUS = WIDTH * HEIGHT
/** Rows of one `put`: its values stay below the 1 MiB that a submission may have. */
const PUT_ROWS = 50
const ADDS = 5
const MIB = 1024 * 1024
/** MB are of 10^6 bytes; 1.9 KB of memory and 0.8 KB of disk an LSU likewise. */
const GOALS = {
  idleRssMb: 75,
  idleAnonymousMb: 30,
  workedAnonymousMb: 60,
  rssBytesPerLsu: 1900,
  diskBytesPerLsu: 800,
}
const PROGRAM = fileURLToPath(new URL('../obelisk.js', import.meta.url))

const { values: flags } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    'node-flags': { type: 'string', default: '' },
    agent: { type: 'string' },
  },
})
const seconds = Number(flags.seconds)
if (!Number.isInteger(seconds) || seconds < 1) throw new Error('--seconds: a whole number above 0')

const children: ChildProcess[] = []

/** Starts a program of ours; resolves with the line that says that it serves. */
async function start(argv: readonly string[]): Promise<{ child: ChildProcess; ready: string }> {
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'ignore', 'pipe'] })
  children.push(child)
  const said: string[] = []
  for await (const line of createInterface({ input: child.stderr! })) {
    if (line.startsWith('ready')) {
      child.stderr!.resume()
      return { child, ready: line }
    }
    said.push(line)
  }
  throw new Error(`${argv.join(' ')} ended:\n${said.join('\n')}`)
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}

interface Footprint {
  readonly rssMib: number
  readonly anonymousMib: number
}

function footprintOf(pid: number): Footprint {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const mibOf = (name: string): number => {
    const kib = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1]
    if (kib === undefined) throw new Error(`no ${name} in smaps_rollup`)
    return Number(kib) / 1024
  }
  return { rssMib: mibOf('Rss'), anonymousMib: mibOf('Anonymous') }
}

interface Footprints extends Footprint {
  readonly rssMaxMib: number
  readonly anonymousMaxMib: number
}

/** Samples once a second while `isOver` says no; medians and the greatest. */
async function sample(pid: number, isOver: (samples: number) => boolean): Promise<Footprints> {
  const samples: Footprint[] = []
  while (!isOver(samples.length)) {
    samples.push(footprintOf(pid))
    await sleep(1000)
  }
  const rss = samples.map(({ rssMib }) => rssMib)
  const anonymous = samples.map(({ anonymousMib }) => anonymousMib)
  return {
    rssMib: median(rss),
    anonymousMib: median(anonymous),
    rssMaxMib: Math.max(...rss),
    anonymousMaxMib: Math.max(...anonymous),
  }
}

/** Submits a task over HTTP and waits for its end; a task that does not complete is an error. */
async function run(base: string, task: Record<string, unknown>): Promise<void> {
  const response = await fetch(`${base}/process?wait=60s`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(task),
  })
  const answer = (await response.json()) as { state?: string; value?: { count?: number } }
  if (response.status !== 200 || answer.state !== 'completed') {
    throw new Error(`${task.op}: ${response.status} ${JSON.stringify(answer).slice(0, 500)}`)
  }
  if (task.op === 'stat' && answer.value?.count !== LSUS) throw new Error('stat missed LSUs')
}

/** Writes and scans every LSU, several times over and in every way. */
async function work(base: string): Promise<void> {
  await run(base, { op: 'scale', args: { fields: { value: 1.5 } } })
  for (let y = 0; y < HEIGHT; y += PUT_ROWS) {
    const values = Array.from({ length: WIDTH * PUT_ROWS }, (_, index) => ((index + y) % 1000) / 8)
    const region = { x: 0, y, w: WIDTH, h: PUT_ROWS }
    await run(base, { op: 'put', region, args: { field: 'value', values } })
  }
  for (let count = 0; count < ADDS; count++) {
    await run(base, { op: 'add', args: { field: 'value', value: count } })
    await run(base, { op: 'stat', args: { field: 'value', bins: 64 } })
  }
  await run(base, { op: 'get', region: { x: 0, y: 0, w: 256, h: 256 }, args: {} })
}

/** What the files of a directory take, as blocks of the disk. */
function diskBytes(directory: string): number {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).blocks * 512, 0)
}

function verdict(isMet: boolean): string {
  return isMet ? 'holds' : 'missed'
}

const directory = mkdtempSync(join(tmpdir(), 'obelisk-memory-'))
try {
  const gateway = await start(
    [PROGRAM, 'gateway', '--port', '0', '--http-port', '0', '--data', join(directory, 'gateway')]
      .concat(['--grid', `${WIDTH}x${HEIGHT}`, '--tile', '16', '--replicas', '1'])
      .concat(['--log-level', 'error']),
  )
  const [, mqtt, http] = /mqtt=(\S+) http=(\S+)/.exec(gateway.ready) ?? []
  if (mqtt === undefined || http === undefined) throw new Error(`not as expected: ${gateway.ready}`)
  const agentData = join(directory, 'agent')
  const nodeFlags = flags['node-flags'].split(' ').filter((flag) => flag !== '')
  const agentProgram = flags.agent === undefined ? [PROGRAM, 'agent'] : [flags.agent]
  const agent = await start(
    [...nodeFlags, ...agentProgram, '--id', 'bench', '--url', `mqtt://${mqtt}`]
      .concat(['--data', agentData])
      .concat(['--log-level', 'error']),
  )
  const { pid } = agent.child
  if (pid === undefined) throw new Error('the agent has no process')

  const idle = await sample(pid, (samples) => samples === seconds)
  let isWorked = false
  const startMs = performance.now()
  const working = work(`http://${http}`).finally(() => {
    isWorked = true
  })
  const [during] = await Promise.all([sample(pid, (samples) => isWorked && samples > 0), working])
  const workedSeconds = (performance.now() - startMs) / 1000
  const after = await sample(pid, (samples) => samples === seconds)
  const gatewayAfter = footprintOf(gateway.child.pid!)
  const perLsu = diskBytes(agentData) / LSUS

  const memory = (what: string, mib: number, goalMb?: number): string[] => {
    const mb = (mib * MIB) / 1e6
    const figures = [what, `${mb.toFixed(1)} MB (${mib.toFixed(1)} MiB)`]
    return goalMb === undefined ? figures : [...figures, `≤ ${goalMb} MB`, verdict(mb <= goalMb)]
  }
  const perCell = (what: string, bytes: number, goalBytes: number): string[] => {
    return [what, bytes.toFixed(1), `≤ ${goalBytes}`, verdict(bytes <= goalBytes)]
  }
  console.log(describeMachine())
  console.log(
    `${agentProgram.join(' ')}: node ${nodeFlags.join(' ') || 'without flags'}; medians of ${seconds} s`,
  )
  console.log(
    formatTable([
      ['what', 'value', 'goal', 'verdict'],
      memory('idle: Rss', idle.rssMib, GOALS.idleRssMb),
      memory('idle: Anonymous', idle.anonymousMib, GOALS.idleAnonymousMb),
      memory('during work: greatest Rss', during.rssMaxMib),
      memory('during work: greatest Anonymous', during.anonymousMaxMib),
      memory('after work: Rss, with mapped pages of the store', after.rssMib),
      memory('after work: Anonymous', after.anonymousMib, GOALS.workedAnonymousMb),
      memory('the gateway after work: Rss', gatewayAfter.rssMib),
      perCell('after work: Rss, bytes an LSU', (after.rssMib * MIB) / LSUS, GOALS.rssBytesPerLsu),
      perCell('disk of the agent, bytes an LSU', perLsu, GOALS.diskBytesPerLsu),
      [`${LSUS} LSUs written and scanned in`, `${workedSeconds.toFixed(1)} s`],
    ]),
  )
} finally {
  for (const child of children.toReversed()) await end(child)
  rmSync(directory, { recursive: true, force: true })
}
