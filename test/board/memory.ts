/**
 * The memory of the packaged agents of each ARM under QEMU's user emulation, with the Node of that Debian and
 * the flags of the unit: what they are without the emulator's own, since everything of the emulated program lies
 * in a window of addresses that QEMU is told. Pages of files count as they are read, translated or not.
 *
 * `npm run memory [-- --seconds 60] [--architecture armel,armhf,arm64] [--release]`; needs what `npm run
 * test:arm` needs. `release`: the Node of nodejs.org instead of Debian's, which there is for arm64.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { describeAgentMemory, measureAgent } from '../../scripts/bench/agent-memory.ts'
import { withProcesses } from '../../scripts/bench/bench-processes.ts'
import type { AddressWindow } from '../../scripts/bench/footprint.ts'
import { describeMachine } from '../../scripts/bench/measure.ts'
import { unitSetup } from '../../scripts/bench/unit-command.ts'
import { armTree } from './arm-trees.ts'
import type { ArmArchitecture } from './debian-tree.ts'
import { BOARDS, unpackAgent } from './emulated-board.ts'
import { emulate } from './emulation.ts'
import { nodeRelease } from './node-release.ts'

/** Where nothing else of a process lies on a machine of 48 address bits. */
const WINDOW_START = 0x2000_0000_0000n
const WINDOW_BYTES = { 32: 0xffff_f000n, 64: 0x80_0000_0000n }
/** It takes minutes to write and scan everything once. */
const ROUNDS = 1
const PROGRAM = new URL('../../dist/scripts/obelisk.js', import.meta.url).pathname

const { values: flags } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    architecture: { type: 'string', default: Object.keys(BOARDS).join(',') },
    release: { type: 'boolean', default: false },
  },
})
const seconds = Number(flags.seconds)
if (!Number.isInteger(seconds) || seconds < 1) throw new Error('--seconds: a whole number above 0')

async function measure(architecture: ArmArchitecture): Promise<string> {
  return await withProcesses(async (processes) => {
    const tree = await armTree(architecture)
    const setup = unitSetup('agent')
    const bytes = WINDOW_BYTES[architecture === 'arm64' ? 64 : 32]
    const window: AddressWindow = { start: WINDOW_START, bytes }
    const emulator = {
      ...emulate(architecture, tree),
      QEMU_GUEST_BASE: `0x${window.start.toString(16)}`,
      QEMU_RESERVED_VA: `0x${window.bytes.toString(16)}`,
    }
    const command = {
      path: flags.release ? nodeRelease('arm64') : join(tree, 'usr/bin/node'),
      argv: [...setup.flags, await unpackAgent(architecture, processes.directory)],
      environment: { ...setup.environment, ...emulator },
    }
    const options = { command, gatewayProgram: PROGRAM, seconds, rounds: ROUNDS, window }
    return describeAgentMemory(await measureAgent(processes, options))
  })
}

for (const architecture of flags.architecture.split(',') as ArmArchitecture[]) {
  const board = BOARDS[architecture]
  if (board === undefined) throw new Error(`--architecture: ${architecture} is none of them`)
  if (flags.release && architecture !== 'arm64') {
    throw new Error(`--release: nodejs.org has no Node 20 for ${architecture} that runs here`)
  }
  console.log(describeMachine())
  const what = `${architecture}, as for a ${board}, EMULATED by QEMU`
  const node = flags.release ? 'Node of nodejs.org' : "Debian's Node"
  console.log(`${what}; ${node}; medians of ${seconds} s, flags and variables of the unit\n`)
  console.log(`${await measure(architecture)}\n`)
}
