/**
 * The card that an image may be written to: only one that can be taken out, is not in use, is big enough
 * and is not what this machine runs from. The judgement is pure; sysfs and /proc are read beside it.
 */
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'

/** Of sysfs, whatever those of the disk are. */
const SECTOR_BYTES = 512

export interface CardFacts {
  /** `sdb`. */
  readonly name: string
  readonly isBlockDevice: boolean
  readonly isPartition: boolean
  readonly isRemovable: boolean
  readonly isReadOnly: boolean
  readonly bytes: number
  readonly model: string
  /** Where the disk or its partitions are mounted, or `swap`. */
  readonly usedAt: readonly string[]
  /** LVM, RAID or encryption on it. */
  readonly holders: readonly string[]
}

/** Why the card is refused, or nothing. */
export function cardProblem(card: CardFacts, imageBytes: number): string | undefined {
  const { name, usedAt, holders, bytes } = card
  if (!card.isBlockDevice) return `${name} is not a disk; for a file use --output`
  if (card.isPartition) return `${name} is a partition; name the whole disk`
  if (
    usedAt.some((place) => ['/', '/usr', '/boot', '/boot/firmware', '/boot/efi'].includes(place))
  ) {
    return `${name} is the disk that this machine runs from`
  }
  if (usedAt.length > 0) {
    return `${name} is in use at ${usedAt.join(', ')}: sudo umount ${usedAt.join(' ')}`
  }
  if (holders.length > 0) return `${name} is in use by ${holders.join(', ')}`
  if (!card.isRemovable) return `${name} cannot be taken out of this machine`
  if (card.isReadOnly) return `${name} is write-protected: mind the switch at its side`
  if (bytes < imageBytes) {
    return `${name} has ${roomOf(bytes)}, and the image needs ${needOf(imageBytes)}`
  }
  return undefined
}

/** Of what is there, rounded down; in KB where MB would say little. */
export function roomOf(bytes: number): string {
  return sizeText(bytes, Math.floor)
}

/** Of what is needed, rounded up: always more than the room that is too small for it. */
export function needOf(bytes: number): string {
  return sizeText(bytes, Math.ceil)
}

function sizeText(bytes: number, round: (size: number) => number): string {
  return bytes < 10e6 ? `${round(bytes / 1e3)} KB` : `${round(bytes / 1e6)} MB`
}

export interface SystemPaths {
  readonly sys: string
  readonly proc: string
}

export function readCard(device: string, { sys, proc }: SystemPaths): CardFacts {
  const path = existsSync(device) ? realpathSync(device) : device
  const name = basename(path)
  const block = join(sys, 'class', 'block', name)
  const read = (file: string): string => {
    const at = join(block, file)
    return existsSync(at) ? readFileSync(at, 'utf8').trim() : ''
  }
  const isBlockDevice = existsSync(block) && existsSync(path) && isBlock(path)
  const parts = existsSync(block)
    ? readdirSync(block).filter((entry) => existsSync(join(block, entry, 'partition')))
    : []
  const holders = [name, ...parts].flatMap((one) => {
    const at = join(sys, 'class', 'block', one, 'holders')
    return existsSync(at) ? readdirSync(at) : []
  })
  return {
    name,
    isBlockDevice,
    isPartition: existsSync(join(block, 'partition')),
    // A built-in reader is not removable, and its card is.
    isRemovable: read('removable') === '1' || read('device/type') === 'SD',
    isReadOnly: read('ro') === '1',
    bytes: Number(read('size') || 0) * SECTOR_BYTES,
    model: read('device/model') || read('device/name'),
    usedAt: usesOf(
      [read('dev'), ...parts.map((part) => read(`${part}/dev`))],
      [name, ...parts],
      proc,
    ),
    holders,
  }
}

function isBlock(path: string): boolean {
  return statSync(path).isBlockDevice()
}

/** Mounts by device number (proc(5), mountinfo), swap by name. */
function usesOf(numbers: readonly string[], names: readonly string[], proc: string): string[] {
  const mounts = readFileSync(join(proc, 'self', 'mountinfo'), 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , number = '']) => number !== '' && numbers.includes(number))
    .map(([, , , , point = '']) => point.replaceAll('\\040', ' '))
  const swaps = existsSync(join(proc, 'swaps')) ? readFileSync(join(proc, 'swaps'), 'utf8') : ''
  const isSwap = swaps
    .split('\n')
    .some((line) => names.some((name) => line.startsWith(`/dev/${name} `)))
  return [...new Set(mounts), ...(isSwap ? ['swap'] : [])].sort()
}
