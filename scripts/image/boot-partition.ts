/**
 * The boot partition inside an image file, edited with mtools: no mount, no root. mtools refuses a FAT32
 * with fewer than 65,525 clusters, which no system's image has.
 */
import type { FileHandle } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Readable } from 'node:stream'
import { AppError } from '../../shared/runtime/errors.ts'
import { fault } from '../fault.ts'
import type { ProgramResult, SystemPrograms } from '../install/system-programs.ts'

/** An image that is open for as long as its partition is worked on. */
export interface OpenImage {
  readonly path: string
  readonly handle: FileHandle
}

/** Finds the boot partition: the FAT that has a cmdline.txt. Throws AppError for another image. */
export async function openBootPartition(
  image: OpenImage,
  label: string,
  programs: SystemPrograms,
): Promise<BootPartition> {
  const partitions = await partitionsOf(image, label, programs)
  const end = Math.max(...partitions.map(({ from, bytes }) => from + bytes))
  const { size } = await image.handle.stat()
  if (end > size) {
    const message = `${label} is cut off: it has ${size} bytes, and its partitions end at ${end}`
    throw fault('bad-image', message)
  }
  let hasFat = false
  for (const { from } of partitions) {
    const boot = new BootPartition(image, from, programs)
    const names = await boot.names().catch(ifNoFat)
    if (names?.some((name) => name.toLowerCase() === 'cmdline.txt')) return boot
    hasFat ||= names !== undefined
  }
  throw fault(
    'bad-image',
    hasFat
      ? `${label} has no cmdline.txt on its boot partition: it is no image of a Raspberry Pi system`
      : `${label} has no FAT partition to boot from`,
  )
}

/** What mtools cannot read is another file system. */
function ifNoFat(error: unknown): undefined {
  if (error instanceof AppError && error.code === 'bad-image') return undefined
  throw error
}

/** Where they begin and how long they are, in bytes. */
async function partitionsOf({ handle }: OpenImage, label: string, programs: SystemPrograms) {
  const { code, stdout, stderr } = await programs.run('sfdisk', ['--json', IMAGE], {
    descriptors: [handle.fd],
  })
  if (code !== 0) {
    const complaint = stderr.replaceAll(`${IMAGE}: `, '')
    throw fault('bad-image', `${label} is not the image of a card: ${complaint}`)
  }
  const { sectorsize, partitions = [] } = (JSON.parse(stdout) as PartitionTable).partitiontable
  return partitions.map(({ start, size }) => ({
    from: start * sectorsize,
    bytes: size * sectorsize,
  }))
}

/** As sfdisk(8) tells it. */
interface PartitionTable {
  readonly partitiontable: {
    readonly sectorsize: number
    /** In sectors. */
    readonly partitions?: readonly { readonly start: number; readonly size: number }[]
  }
}

/** How a program finds the image that it is handed open. */
const IMAGE = '/proc/self/fd/3'

export class BootPartition {
  readonly #image: OpenImage
  readonly #where: string
  readonly #programs: SystemPrograms

  constructor(image: OpenImage, startBytes: number, programs: SystemPrograms) {
    this.#image = image
    // By number, not by name: mtools would look for the place in a name that has `@@` in it.
    this.#where = `${IMAGE}@@${startBytes}`
    this.#programs = programs
  }

  /** In its root. */
  async names(): Promise<string[]> {
    const { stdout } = await this.#run('mdir', ['-b', '-a', '::/'])
    return stdout
      .split('\n')
      .map((line) => line.replace(/^::\//, '').replace(/\/$/, '').trim())
      .filter((name) => name !== '')
  }

  async freeBytes(): Promise<number> {
    const { stdout } = await this.#run('mdir', ['::/'])
    const said = /([\d ]+) bytes free/.exec(stdout)?.[1]
    return Number((said ?? '').replaceAll(' ', ''))
  }

  async read(name: string): Promise<string> {
    return (await this.#run('mtype', [`::/${name}`])).stdout
  }

  async write(name: string, text: string): Promise<void> {
    await this.#run('mcopy', ['-o', '-', `::/${name}`], text)
  }

  /** Puts a file of this machine there; one of that name is replaced. */
  async copyIn(path: string, name: string): Promise<void> {
    // A name that begins with a letter and a colon would be one of a drive.
    await this.#run('mcopy', ['-o', resolve(path), `::/${name}`])
  }

  /** An empty folder; one that was there goes with all that is in it. */
  async makeFolder(name: string): Promise<void> {
    if ((await this.names()).includes(name)) await this.#run('mdeltree', [`::/${name}`])
    await this.#run('mmd', [`::/${name}`])
  }

  async #run(name: string, words: readonly string[], text?: string): Promise<ProgramResult> {
    const { path, handle } = this.#image
    const argv = ['-i', this.#where, ...words]
    const input = text === undefined ? {} : { input: Readable.from([text]) }
    const result = await this.#programs.run(name, argv, { descriptors: [handle.fd], ...input })
    const complaint = result.stderr.replaceAll(IMAGE, path)
    // The words of this machine, where the image lies; those of mtools are for the partition in it.
    if (/no space left|quota exceeded/i.test(complaint)) {
      throw fault('no-room', `the disk of ${path} is full`)
    }
    if (/disk full/i.test(complaint))
      throw fault('no-room', 'the boot partition of the image is full')
    if (result.code !== 0)
      throw fault('bad-image', `${name}: ${complaint || `ended with ${result.code}`}`)
    return result
  }
}
