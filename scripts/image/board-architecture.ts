/**
 * Which architecture an image and a program are for. Raspberry Pi images show it by the kernels on their
 * boot partition: those of 32 bits bring `kernel.img` and `kernel7.img`, and often the 64-bit kernel
 * besides; those of 64 bits bring `kernel8.img` alone. Pure.
 */
import type { Architecture } from '../package/architectures.ts'

/** From the names in the root of the boot partition, or nothing when they do not tell. */
export function architectureOfImage(names: readonly string[]): Architecture | undefined {
  const lower = names.map((name) => name.toLowerCase())
  if (lower.some((name) => /^kernel(7l?)?\.img$/.test(name))) return 'armhf'
  if (lower.some((name) => /^kernel(8|_2712)\.img$/.test(name))) return 'arm64'
  if (lower.includes('bootaa64.efi')) return 'arm64'
  if (lower.includes('bootx64.efi')) return 'amd64'
  return undefined
}

/** ELF's e_machine (gabi, chapter 4): EM_ARM, EM_X86_64, EM_AARCH64. */
const MACHINES: Readonly<Record<number, Architecture>> = { 40: 'armhf', 62: 'amd64', 183: 'arm64' }

/** Of a program, by its first 20 bytes. */
export function architectureOfProgram(head: Buffer): Architecture | undefined {
  if (head.length < 20 || head.toString('latin1', 0, 4) !== '\u007fELF') return undefined
  return MACHINES[head.readUInt16LE(18)]
}
