/**
 * Programs of another ARM as if they were of this machine: the kernel hands them to QEMU (binfmt_misc), so
 * that a program can also start itself again. Needs root, unless the system has it set up already.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { type ArmArchitecture, run } from './debian-tree.ts'

const KERNEL = '/proc/sys/fs/binfmt_misc'
/** Of Debian's qemu-user-static. */
const FORMATS = '/usr/lib/binfmt.d'

const PROCESSORS: Readonly<Record<ArmArchitecture, { format: string; model: string }>> = {
  // A Pi Zero, a Pi 2 and a Pi Zero 2 W.
  armel: { format: 'qemu-arm', model: 'arm1176' },
  armhf: { format: 'qemu-arm', model: 'cortex-a7' },
  arm64: { format: 'qemu-aarch64', model: 'cortex-a53' },
}

/** What the environment of such a program has to say, with its libraries in `tree`. */
export function emulate(architecture: ArmArchitecture, tree: string): Record<string, string> {
  const { format, model } = PROCESSORS[architecture]
  if (!existsSync(`${KERNEL}/register`)) run('mount', ['-t', 'binfmt_misc', 'none', KERNEL])
  if (!existsSync(`${KERNEL}/${format}`)) {
    writeFileSync(`${KERNEL}/register`, readFileSync(`${FORMATS}/${format}.conf`, 'utf8').trim())
  }
  return { QEMU_LD_PREFIX: tree, QEMU_CPU: model }
}
