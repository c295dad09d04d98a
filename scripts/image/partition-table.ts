/**
 * Partition tables, read from the first sectors of an image: MBR (its four primary entries) and GPT (UEFI
 * 2.10, 5.3). Only what finding the boot partition needs. Pure.
 */
export interface Partition {
  readonly number: number
  readonly startBytes: number
  readonly lengthBytes: number
}

export type TableReading =
  | { readonly ok: true; readonly kind: 'mbr' | 'gpt'; readonly partitions: readonly Partition[] }
  | { readonly ok: false; readonly problem: string }

export const SECTOR_BYTES = 512
/** Protective MBR, header, and the 32 sectors of a table of usual size; MBRs need the first only. */
export const TABLE_BYTES = 34 * SECTOR_BYTES

const MBR_ENTRIES_AT = 446
const MBR_ENTRY_BYTES = 16
const GPT_PROTECTIVE = 0xee
const EXTENDED = [0x05, 0x0f, 0x85]

/** `head` is the first TABLE_BYTES of the image; fewer where the image is smaller. */
export function readPartitionTable(head: Buffer): TableReading {
  if (head.length < SECTOR_BYTES) return { ok: false, problem: 'it is shorter than a sector' }
  if (head.readUInt16LE(510) !== 0xaa55) {
    return { ok: false, problem: 'it has no partition table' }
  }
  const entries = [0, 1, 2, 3].map((index) => {
    const at = MBR_ENTRIES_AT + index * MBR_ENTRY_BYTES
    return {
      number: index + 1,
      type: head[at + 4]!,
      startBytes: head.readUInt32LE(at + 8) * SECTOR_BYTES,
      lengthBytes: head.readUInt32LE(at + 12) * SECTOR_BYTES,
    }
  })
  if (entries.some(({ type }) => type === GPT_PROTECTIVE)) return readGpt(head)
  const partitions = entries
    .filter(({ type, lengthBytes }) => type !== 0 && lengthBytes > 0 && !EXTENDED.includes(type))
    .map(({ number, startBytes, lengthBytes }) => ({ number, startBytes, lengthBytes }))
  // A FAT without a partition table has the same signature, and text where the table would be.
  const isSound = partitions.every(({ startBytes }) => startBytes >= SECTOR_BYTES)
  if (partitions.length === 0 || !isSound) {
    return { ok: false, problem: 'it has no partition table' }
  }
  return { ok: true, kind: 'mbr', partitions }
}

function readGpt(head: Buffer): TableReading {
  const problem = (text: string): TableReading => ({ ok: false, problem: text })
  const header = head.subarray(SECTOR_BYTES, 2 * SECTOR_BYTES)
  if (header.length < 92 || header.toString('latin1', 0, 8) !== 'EFI PART') {
    return problem('its partition table (GPT) is damaged')
  }
  const entriesAt = Number(header.readBigUInt64LE(72)) * SECTOR_BYTES
  const count = header.readUInt32LE(80)
  const entryBytes = header.readUInt32LE(84)
  if (entriesAt < 2 * SECTOR_BYTES || entryBytes < 128 || count > 1024) {
    return problem('its partition table (GPT) is damaged')
  }
  const partitions: Partition[] = []
  for (let index = 0; index < count; index++) {
    const at = entriesAt + index * entryBytes
    if (at + 128 > head.length) break
    const entry = head.subarray(at, at + 128)
    if (entry.subarray(0, 16).every((byte) => byte === 0)) continue
    const first = Number(entry.readBigUInt64LE(32))
    const last = Number(entry.readBigUInt64LE(40))
    if (last < first) return problem('its partition table (GPT) is damaged')
    partitions.push({
      number: index + 1,
      startBytes: first * SECTOR_BYTES,
      lengthBytes: (last - first + 1) * SECTOR_BYTES,
    })
  }
  if (partitions.length === 0) return problem('its partition table (GPT) is empty')
  return { ok: true, kind: 'gpt', partitions }
}

/** Where an image that has all its partitions ends. */
export function endOf(partitions: readonly Partition[]): number {
  return Math.max(...partitions.map(({ startBytes, lengthBytes }) => startBytes + lengthBytes))
}

/** Whether a sector begins a FAT file system (Microsoft FAT specification 1.03, section 3). */
export function isFat(sector: Buffer): boolean {
  if (sector.length < SECTOR_BYTES || sector.readUInt16LE(510) !== 0xaa55) return false
  const sectorBytes = sector.readUInt16LE(11)
  const clusterSectors = sector[13]!
  const fats = sector[16]!
  return (
    [512, 1024, 2048, 4096].includes(sectorBytes) &&
    clusterSectors !== 0 &&
    (clusterSectors & (clusterSectors - 1)) === 0 &&
    (fats === 1 || fats === 2) &&
    (sector[0] === 0xeb || sector[0] === 0xe9)
  )
}
