/**
 * How much memory the agent takes, idle and after work on 512,000 LSUs, how much disk its slice, and whether
 * it works below a hard bound of memory. With Node's flags and variables as the unit of the agent has them, or `bare`;
 * `agent` is that of a package.
 */
import { describeAgentMemory, measureAgent } from './agent-memory.ts'
import { benchOptions } from './bench-options.ts'
import { withProcesses } from './bench-processes.ts'
import { describeMachine, formatTable } from './measure.ts'
import { MemoryBound } from './memory-bound.ts'
import { agentCommand, NO_SETUP, unitSetup } from './unit-command.ts'

const MIB = 1024 * 1024
/** `MemoryMax=` of the unit. */
const BOUND_BYTES = 128 * MIB
const BOUND_SECONDS = 5
const ROUNDS = 5

const { flags } = benchOptions({
  ...{ seconds: 60, agent: '<tree>/agent.mjs', bare: false, bound: true },
} as const)
const { seconds } = flags
const setup = flags.bare ? NO_SETUP : unitSetup('agent')
const command = agentCommand(setup, flags.agent)

async function measureBelowBound(): Promise<string> {
  let bound: MemoryBound
  try {
    bound = new MemoryBound(BOUND_BYTES)
  } catch (error) {
    return `SKIPPED, below a bound of 128 MiB: ${(error as Error).message}`
  }
  try {
    const { workSeconds, after } = await withProcesses(async (processes) => {
      const inside = bound.around(command, processes.directory)
      const options = { rounds: ROUNDS, command: inside, seconds: BOUND_SECONDS }
      return await measureAgent(processes, options)
    })
    const { peakBytes, timesAtBound, kills } = bound.use()
    return formatTable([
      ['Below a hard bound of 128 MiB', 'value', 'Goal', 'Verdict'],
      ['killed for want of memory', String(kills), '0', kills === 0 ? 'holds' : 'missed'],
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
const variables = Object.entries(setup.environment).map((pair) => pair.join('='))
const words = [...variables, 'node', ...command.argv].join(' ')
console.log(`${process.arch}, medians of ${seconds} s: ${words}\n`)
const options = { rounds: ROUNDS, command, seconds }
const memory = await withProcesses((processes) => measureAgent(processes, options))
console.log(describeAgentMemory(memory))
if (flags.bound) console.log(`\n${await measureBelowBound()}`)
