/**
 * Shared objects of ELF, little-endian (System V ABI, chapters 4 and 5): of one of 64 bits no more than what is loaded, and
 * which versions of system libraries one asks for. Of our own, since no strip(1) of one machine knows the objects of all
 * others.
 */
import { assert } from '../../shared/core/assert.ts'

const PT_LOAD = 1
/** Where a header says that the section headers are, and their count and then the index of their names. */
const SECTIONS = { start: 40, end: 48 }
const SECTION_COUNTS = { start: 60, end: 64 }

/** Only what is loaded: no debug information, no symbol table, and no section headers, which no loader reads. */
export function strip(elf: Buffer): Buffer {
  const isOurs = elf.readUInt32BE(0) === 0x7f454c46 && elf.readUInt16LE(4) === 0x0102
  assert(isOurs, 'a little-endian ELF file of 64 bits')
  const word = (from: number): number => Number(elf.readBigUInt64LE(from))
  const [programs, bytes, count] = [word(32), elf.readUInt16LE(54), elf.readUInt16LE(56)]
  const ends = Array.from({ length: count }, (_, index) => programs + index * bytes)
    .filter((program) => elf.readUInt32LE(program) === PT_LOAD)
    .map((program) => word(program + 8) + word(program + 32))
  const stripped = Buffer.from(elf.subarray(0, Math.max(...ends)))
  return stripped
    .fill(0, SECTIONS.start, SECTIONS.end)
    .fill(0, SECTION_COUNTS.start, SECTION_COUNTS.end)
}

/**
 * The newest version of each family that an object which defines none itself asks of libraries: `GLIBC` → `2.34`. They
 * stand by name among its dynamic strings, and such names nowhere else.
 */
export function versionsNeeded(elf: Buffer): Map<string, string> {
  const names = elf.toString('latin1').matchAll(/\0([A-Z]+)_(\d[\d.]*)(?=\0)/g)
  const needed = Array.from(names, ([, family, version]) => [family!, version!] as const)
  const inOrder = needed.sort(([, left], [, right]) => {
    return left.localeCompare(right, 'en', { numeric: true })
  })
  // Of several the last stays.
  return new Map(inOrder)
}
