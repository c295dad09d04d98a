/**
 * Shared objects of ELF, little-endian, of 32 or 64 bits (System V ABI, chapters 4 and 5): no more than what is loaded,
 * and which versions of system libraries they ask for. Of our own, since no strip(1) of one machine knows the objects of
 * all others.
 */
import { assert } from '../../shared/core/assert.ts'

const PT_LOAD = 1

/** Where the header says where program and section headers are, and how many; and where a program header says what it loads. */
interface Layout {
  readonly programs: number
  readonly programBytes: number
  readonly programCount: number
  readonly sections: number
  /** Its count, and then the index of their names. */
  readonly sectionCount: number
  readonly offset: number
  readonly size: number
}

const LAYOUT_32: Layout = {
  ...{ programs: 28, programBytes: 42, programCount: 44, sections: 32, sectionCount: 48 },
  ...{ offset: 4, size: 16 },
}
const LAYOUT_64: Layout = {
  ...{ programs: 32, programBytes: 54, programCount: 56, sections: 40, sectionCount: 60 },
  ...{ offset: 8, size: 32 },
}

/** Only what is loaded: no debug information, no symbol table, and no section headers, which no loader reads. */
export function strip(elf: Buffer): Buffer {
  assert(elf.readUInt32BE(0) === 0x7f454c46 && elf[5] === 1, 'a little-endian ELF file')
  const is64 = elf[4] === 2
  const at = is64 ? LAYOUT_64 : LAYOUT_32
  const word = (from: number): number =>
    is64 ? Number(elf.readBigUInt64LE(from)) : elf.readUInt32LE(from)
  const programs = Array.from({ length: elf.readUInt16LE(at.programCount) }, (_, index) => {
    return word(at.programs) + index * elf.readUInt16LE(at.programBytes)
  })
  const loaded = programs.filter((program) => elf.readUInt32LE(program) === PT_LOAD)
  const ends = loaded.map((program) => word(program + at.offset) + word(program + at.size))
  const stripped = Buffer.from(elf.subarray(0, Math.max(...ends)))
  return stripped
    .fill(0, at.sections, at.sections + (is64 ? 8 : 4))
    .fill(0, at.sectionCount, at.sectionCount + 4)
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
