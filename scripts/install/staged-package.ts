/**
 * A package that the agent has put where root finds it. Root trusts nothing there: every name is opened below the
 * directory that is held open, no link is followed, only plain files of the agent's own user count, and only so many bytes.
 * It is copied first, and the copy alone is looked at: whatever the agent does to its files meanwhile changes nothing.
 */
import { createHash } from 'node:crypto'
import {
  closeSync,
  constants,
  createReadStream,
  createWriteStream,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { PACKAGE_BYTES_MAX } from '../../shared/protocol/fetch.ts'
import { isPackageName } from '../../shared/protocol/upgrade-messages.ts'
import { AppError, messageOf } from '../../shared/runtime/errors.ts'
import { fault } from '../fault.ts'
import { unpackPackage } from '../package/untar.ts'
import { noRoomOr } from '../path-faults.ts'

const REQUEST_FILE = 'request.json'
const REQUEST_BYTES_MAX = 4096

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants

export const untrusted = (message: string): AppError => fault('package-untrusted', message)

/** What the agent asks for. */
export interface StagedRequest {
  /** Of this asking: the outcome names it. */
  readonly id: string
  readonly sha256: string
  /** The kernel's name of this start of the machine. */
  readonly boot: string
}

/** The directory `upgrade` of the agent's state, held open. */
export class StagingPlace {
  readonly #held: number
  readonly #owner: number

  private constructor(held: number, owner: number) {
    this.#held = held
    this.#owner = owner
  }

  /** Nothing if the agent never asked for anything. Throws AppError where something else is in its place. */
  static open(state: string): StagingPlace | undefined {
    const above = openIfThere(state, O_DIRECTORY)
    if (above === undefined) return undefined
    try {
      const held = openIfThere(`/proc/self/fd/${above}/upgrade`, O_DIRECTORY)
      if (held === undefined) return undefined
      const { uid } = fstatSync(above)
      if (fstatSync(held).uid === uid) return new StagingPlace(held, uid)
      closeSync(held)
      throw untrusted(`${state}/upgrade is not the agent's`)
    } finally {
      closeSync(above)
    }
  }

  close(): void {
    closeSync(this.#held)
  }

  /** Nothing if there is none. Throws AppError for what is none. */
  request(): StagedRequest | undefined {
    const descriptor = this.#open(REQUEST_FILE, REQUEST_BYTES_MAX)
    if (descriptor === undefined) return undefined
    try {
      const { id, sha256, boot } = JSON.parse(readFileSync(descriptor, 'utf8')) as StagedRequest
      const isSound = [id, boot].every((one) => typeof one === 'string' && one.length <= 64)
      if (isSound && isPackageName(sha256)) return { id, sha256, boot }
    } catch {
      // It is none, either.
    } finally {
      closeSync(descriptor)
    }
    throw untrusted(`${REQUEST_FILE} is no request`)
  }

  /** Copies the package below `work`, which is root's alone, and unpacks the copy there; says where. Throws AppError. */
  async unpack({ sha256 }: StagedRequest, work: string): Promise<string> {
    const name = `${sha256}.tar.gz`
    const from = this.#open(name, PACKAGE_BYTES_MAX)
    if (from === undefined) throw untrusted(`${name} is not there`)
    const copy = join(work, name)
    mkdirSync(work, { recursive: true, mode: 0o700 })
    if ((await copyOpen(from, copy)) !== sha256)
      throw untrusted(`${name} is not what its name says`)
    const tree = join(work, 'tree')
    try {
      await unpackPackage(copy, tree)
    } catch (error) {
      const failure = noRoomOr(error, work)
      if (failure instanceof AppError) throw failure
      throw untrusted(`${name} cannot be unpacked: ${messageOf(error)}`)
    }
    return tree
  }

  #open(name: string, bytesMax: number): number | undefined {
    const descriptor = openIfThere(`/proc/self/fd/${this.#held}/${name}`, O_NONBLOCK)
    if (descriptor === undefined) return undefined
    const stats = fstatSync(descriptor)
    const isOurs = stats.isFile() && stats.uid === this.#owner && stats.size <= bytesMax
    if (isOurs) return descriptor
    closeSync(descriptor)
    throw untrusted(`${name} is not a plain file of the agent's of ${bytesMax} bytes at most`)
  }
}

function openIfThere(path: string, flags: number): number | undefined {
  try {
    return openSync(path, O_RDONLY | O_NOFOLLOW | flags)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    // A link, a file in the place of a directory, a socket.
    if (['ELOOP', 'ENOTDIR', 'ENXIO'].includes(code)) throw untrusted(`${path}: ${code}`)
    throw error
  }
}

/** Copies an open file, which is closed then, and says the SHA-256 of that; one that grows meanwhile is cut off. */
async function copyOpen(from: number, to: string): Promise<string> {
  const bytes = createReadStream('', { fd: from, end: PACKAGE_BYTES_MAX - 1 })
  const hash = createHash('sha256')
  bytes.on('data', (piece) => hash.update(piece))
  await pipeline(bytes, createWriteStream(to, { flags: 'wx', mode: 0o600 }))
  return hash.digest('hex')
}
