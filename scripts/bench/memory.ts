/**
 * How much memory the agent takes, idle and after work on 512,000 LSUs, how much disk its slice, and whether
 * it works below a hard bound of memory. With Node's flags and variables as the unit of the agent has them; `agent` is
 * that of a package.
 */
import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type AgentMemory, describeAgentMemory, measureAgent } from './agent-memory.ts'
import { benchOptions } from './bench-options.ts'
import { type Command, withProcesses } from './bench-processes.ts'
import { describeMachine, formatTable, judged } from './measure.ts'
import { agentCommand } from './unit-command.ts'

const MIB = 1024 * 1024
/** `MemoryMax=` of the unit. */
const BOUND_BYTES = 128 * MIB
const BOUND_SECONDS = 5
const ROUNDS = 5

const V1 = {
  root: '/sys/fs/cgroup/memory',
  ...{ limit: 'memory.limit_in_bytes', peak: 'memory.max_usage_in_bytes' },
  ...{ kills: 'memory.oom_control', timesAtBound: 'memory.failcnt' },
}
const V2 = {
  root: '/sys/fs/cgroup',
  ...{ limit: 'memory.max', peak: 'memory.peak' },
  ...{ kills: 'memory.events', timesAtBound: 'memory.events' },
}

/**
 * A memory cgroup of its own with a hard bound, of version 1 or 2, and a program inside from its first page on: with a
 * copy of Node that nobody else has in memory, since pages of files are charged to whoever read them first.
 */
class MemoryBound {
  readonly #names = existsSync(join(V1.root, V1.limit)) ? V1 : V2
  readonly #path = join(this.#names.root, `obelisk-memory-${process.pid}`)

  /** Throws with the reason why there can be none here: it takes root, and a kernel with memory cgroups on. */
  constructor(bytes: number) {
    mkdirSync(this.#path)
    writeFileSync(join(this.#path, this.#names.limit), String(bytes), { flag: 'r+' })
  }

  /** The same command inside, with a copy of its program in `directory`. */
  around({ path, argv, environment }: Command, directory: string): Command {
    const copy = join(directory, 'program')
    copyFileSync(path, copy)
    // Without a block to copy, this only drops what is cached of the file.
    const drop = [`of=${copy}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none']
    execFileSync('dd', drop, { stdio: ['ignore', 'ignore', 'inherit'] })
    const enter = `echo $$ > ${join(this.#path, 'cgroup.procs')} && exec "$0" "$@"`
    return { path: '/bin/sh', argv: ['-c', enter, copy, ...argv], environment }
  }

  /** `timesAtBound`: how often it was met and something had to be given back first. */
  use(): Record<'peakBytes' | 'timesAtBound' | 'kills', number> {
    const { peak, kills, timesAtBound } = this.#names
    // A file has a number, or lines of a name and its number.
    const read = (file: string, name: string): number => {
      const text = readFileSync(join(this.#path, file), 'utf8')
      return Number(new RegExp(`^(?:${name} )?(\\d+)$`, 'm').exec(text)![1])
    }
    return {
      peakBytes: read(peak, ''),
      timesAtBound: read(timesAtBound, 'max'),
      kills: read(kills, 'oom_kill'),
    }
  }

  /** Once nothing runs inside. */
  remove(): void {
    rmdirSync(this.#path)
  }
}

const flags = benchOptions({ seconds: 60, agent: '<tree>/agent.mjs', bound: true } as const)
const { seconds } = flags
const command = agentCommand(flags.agent)

async function measured(of: number, bound?: MemoryBound): Promise<AgentMemory> {
  return await withProcesses(async (processes) => {
    const inside = bound === undefined ? command : bound.around(command, processes.directory)
    return await measureAgent(processes, { command: inside, seconds: of, rounds: ROUNDS })
  })
}

async function measureBelowBound(): Promise<string> {
  let bound: MemoryBound
  try {
    bound = new MemoryBound(BOUND_BYTES)
  } catch (error) {
    return `SKIPPED, below a bound of 128 MiB: ${(error as Error).message}`
  }
  try {
    const { workSeconds, after } = await measured(BOUND_SECONDS, bound)
    const { peakBytes, timesAtBound, kills } = bound.use()
    return formatTable([
      ['Below a hard bound of 128 MiB', 'value', 'Goal', 'Verdict'],
      ['killed for want of memory', String(kills), ...judged(kills, 0)],
      ['most that was charged, with pages of files', `${(peakBytes / 1e6).toFixed(1)} MB`],
      ['times that the bound was met', String(timesAtBound)],
      ['after work: Anonymous', `${(after.anonymous / 1e6).toFixed(1)} MB`],
      ['written and scanned in', `${workSeconds.toFixed(1)} s`],
    ])
  } finally {
    bound.remove()
  }
}

console.log(describeMachine())
const variables = Object.entries(command.environment).map((pair) => pair.join('='))
const words = [...variables, 'node', ...command.argv].join(' ')
console.log(`${process.arch}, medians of ${seconds} s: ${words}\n`)
console.log(describeAgentMemory(await measured(seconds)))
if (flags.bound) console.log(`\n${await measureBelowBound()}`)
