/**
 * Shared objects of ELF, little-endian, of 32 or 64 bits (System V ABI, chapters 4 and 5): without their
 * debug sections, and which versions of system libraries they ask for. Of our own, since no strip(1)
 * of one machine knows the objects of all others.
 */
import { Buffer } from 'node:buffer'
import { assert } from '../../shared/core/assert.ts'

interface Layout {
  readonly is64: boolean
  /** Where the ELF header says where the section headers are. */
  readonly tableOffset: number
  /** Where it says of what size they are; their count, and the index of their names, follow. */
  readonly entrySize: number
  readonly sectionBytes: number
}

const LAYOUT_32: Layout = { is64: false, tableOffset: 32, entrySize: 46, sectionBytes: 40 }
const LAYOUT_64: Layout = { is64: true, tableOffset: 40, entrySize: 58, sectionBytes: 64 }

const SHF_ALLOC = 2
const SHT_STRTAB = 3
const SHT_NOBITS = 8
const SHT_GNU_VERNEED = 0x6ffffffe
/** .ARM.attributes: which ARM the code needs. */
const SHT_ARM_ATTRIBUTES = 0x70000003

interface Section {
  readonly name: string
  readonly type: number
  readonly flags: number
  readonly offset: number
  readonly size: number
  readonly link: number
  readonly info: number
  readonly align: number
  readonly raw: Buffer
}

function layoutOf(elf: Buffer): Layout {
  assert(elf.readUInt32BE(0) === 0x7f454c46 && elf[5] === 1, 'a little-endian ELF file')
  return elf[4] === 2 ? LAYOUT_64 : LAYOUT_32
}

function sectionsOf(elf: Buffer): Section[] {
  const layout = layoutOf(elf)
  const table = readWord(elf, layout.tableOffset, layout)
  const count = elf.readUInt16LE(layout.entrySize + 2)
  const raws = Array.from({ length: count }, (_, index) => {
    const start = table + index * layout.sectionBytes
    return elf.subarray(start, start + layout.sectionBytes)
  })
  const names = fieldsOf(raws[elf.readUInt16LE(layout.entrySize + 4)]!, layout)
  return raws.map((raw) => {
    const fields = fieldsOf(raw, layout)
    return { ...fields, name: textAt(elf, names.offset + fields.nameOffset), raw }
  })
}

function fieldsOf(raw: Buffer, layout: Layout) {
  const word = layout.is64 ? 8 : 4
  // name and type of 4 bytes; flags, address, offset, size as words; link and info of 4; alignment.
  return {
    nameOffset: raw.readUInt32LE(0),
    type: raw.readUInt32LE(4),
    flags: readWord(raw, 8, layout),
    offset: readWord(raw, 8 + 2 * word, layout),
    size: readWord(raw, 8 + 3 * word, layout),
    link: raw.readUInt32LE(8 + 4 * word),
    info: raw.readUInt32LE(12 + 4 * word),
    align: readWord(raw, 16 + 4 * word, layout),
  }
}

function readWord(bytes: Buffer, offset: number, { is64 }: Layout): number {
  return is64 ? Number(bytes.readBigUInt64LE(offset)) : bytes.readUInt32LE(offset)
}

function writeWord(bytes: Buffer, value: number, offset: number, { is64 }: Layout): void {
  if (is64) bytes.writeBigUInt64LE(BigInt(value), offset)
  else bytes.writeUInt32LE(value, offset)
}

function textAt(bytes: Buffer, start: number): string {
  return bytes.toString('latin1', start, bytes.indexOf(0, start))
}

/** Only what is loaded, and the sections that describe it: no debug information, no symbol table. */
export function strip(elf: Buffer): Buffer {
  const layout = layoutOf(elf)
  const sections = sectionsOf(elf)
  const kept = sections.filter(
    ({ flags, type }, index) =>
      index === 0 || (flags & SHF_ALLOC) !== 0 || type === SHT_ARM_ATTRIBUTES,
  )
  const newIndex = new Map(kept.map((section, index) => [sections.indexOf(section), index]))
  const loadedBytes = Math.max(
    ...kept
      .filter(({ flags, type }) => (flags & SHF_ALLOC) !== 0 && type !== SHT_NOBITS)
      .map(({ offset, size }) => offset + size),
  )
  const chunks: Buffer[] = [Buffer.from(elf.subarray(0, loadedBytes))]
  let end = loadedBytes
  const append = (bytes: Buffer, align: number): number => {
    const padding = (align - (end % align)) % align
    chunks.push(Buffer.alloc(padding), bytes)
    end += padding + bytes.length
    return end - bytes.length
  }
  const names = Buffer.from(`${kept.map(({ name }) => name).join('\0')}\0.shstrtab\0`, 'latin1')
  const headers = kept.map((section) => {
    const { type, flags, offset, size, align } = section
    const isAppended = type === SHT_ARM_ATTRIBUTES
    const place = isAppended
      ? append(elf.subarray(offset, offset + size), Math.max(1, align))
      : // Where sections that hold no bytes stand means nothing, but must be in the file.
        Math.min(offset, loadedBytes)
    const raw = Buffer.from(section.raw)
    raw.writeUInt32LE(names.indexOf(`${section.name}\0`), 0)
    writeWord(raw, place, layout.is64 ? 24 : 16, layout)
    raw.writeUInt32LE(newIndex.get(section.link) ?? 0, layout.is64 ? 40 : 24)
    // `info` is a section where the section says so, by SHF_INFO_LINK.
    if ((flags & 0x40) !== 0) {
      raw.writeUInt32LE(newIndex.get(section.info) ?? 0, layout.is64 ? 44 : 28)
    }
    return raw
  })
  const namesHeader = Buffer.alloc(layout.sectionBytes)
  namesHeader.writeUInt32LE(names.indexOf('.shstrtab\0'), 0)
  namesHeader.writeUInt32LE(SHT_STRTAB, 4)
  writeWord(namesHeader, append(names, 1), layout.is64 ? 24 : 16, layout)
  writeWord(namesHeader, names.length, layout.is64 ? 32 : 20, layout)
  writeWord(namesHeader, 1, layout.is64 ? 48 : 32, layout)
  const table = append(Buffer.concat([...headers, namesHeader]), 8)
  const stripped = Buffer.concat(chunks)
  writeWord(stripped, table, layout.tableOffset, layout)
  stripped.writeUInt16LE(headers.length + 1, layout.entrySize + 2)
  stripped.writeUInt16LE(headers.length, layout.entrySize + 4)
  return stripped
}

/** The newest version of each family that the object asks of libraries: `GLIBC` → `2.34`. */
export function versionsNeeded(elf: Buffer): Map<string, string> {
  const sections = sectionsOf(elf)
  const newest = new Map<string, string>()
  for (const section of sections) {
    if (section.type !== SHT_GNU_VERNEED) continue
    const names = sections[section.link]!
    let file = section.offset
    for (let left = section.info; left > 0; left--) {
      let version = file + elf.readUInt32LE(file + 8)
      for (let more = elf.readUInt16LE(file + 2); more > 0; more--) {
        noteVersion(newest, textAt(elf, names.offset + elf.readUInt32LE(version + 8)))
        version += elf.readUInt32LE(version + 12)
      }
      file += elf.readUInt32LE(file + 12)
    }
  }
  return newest
}

function noteVersion(newest: Map<string, string>, name: string): void {
  const [, family = '', version = ''] = /^([A-Z]+)_([\d.]+)$/.exec(name) ?? []
  if (family === '') return
  const known = newest.get(family)
  if (known === undefined || compareVersions(known, version) < 0) newest.set(family, version)
}

function compareVersions(left: string, right: string): number {
  const [mine, others] = [left, right].map((text) => text.split('.').map(Number))
  for (let index = 0; index < Math.max(mine!.length, others!.length); index++) {
    const difference = (mine![index] ?? 0) - (others![index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
