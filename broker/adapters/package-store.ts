/**
 * The packages that boards can be brought to: each a file, named by its digest, and beside it what it says of itself. One is
 * kept only once it is whole, on disk, and signed as it has to be. Together they take so much disk and no more.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { open, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PACKAGE_BYTES_MAX } from '../../shared/protocol/fetch.ts'
import { PROTOCOL_VERSION } from '../../shared/protocol/messages.ts'
import { isPackageName } from '../../shared/protocol/upgrade-messages.ts'
import { AppError, messageOf } from '../../shared/runtime/errors.ts'
import { flush } from '../../shared/runtime/flush.ts'
import { releaseKey, verifyProgram } from './verify-program.ts'

export interface PackageView {
  readonly sha256: string
  readonly bytes: number
  readonly version: string
  readonly architecture: string
  /** Fingerprint of the keys of its release. */
  readonly signed_by: string
  /** Boards that run a newer version, up to this one, may be brought to it. */
  readonly downgrade_from?: string
}

export interface PackageStoreOptions {
  readonly directory: string
  readonly bytesMax: number
}

/** As `verify.mjs --package` says. */
interface Described {
  readonly version?: string
  readonly role?: string
  readonly architecture?: string
  readonly protocol?: number
  readonly downgradeFrom?: string
  readonly signedBy?: string
  readonly problems: readonly string[]
}

const CHECK_MS = 60_000
const ANSWER_LENGTH_MAX = 64 * 1024
const COMING = 'coming'

export class PackageStore {
  readonly #folder: string
  readonly #bytesMax: number
  readonly #packages = new Map<string, PackageView>()
  #isTaking = false

  constructor({ directory, bytesMax }: PackageStoreOptions) {
    this.#folder = join(directory, 'packages')
    this.#bytesMax = bytesMax
    if (!existsSync(this.#folder)) return
    for (const name of readdirSync(this.#folder)) {
      const [sha256, kind] = [name.slice(0, 64), name.slice(64)]
      if (kind !== '.json') continue
      const view = readView(this.#at(name))
      if (view?.sha256 === sha256 && existsSync(this.#at(`${sha256}.tar.gz`))) {
        this.#packages.set(sha256, view)
      }
    }
    this.#forgetUnknown()
  }

  get all(): readonly PackageView[] {
    const names = [...this.#packages.keys()].sort()
    return names.map((sha256) => this.find(sha256)).filter((view) => view !== undefined)
  }

  /** One whose file is gone, whoever took it, is none, so that it can be sent again. */
  find(sha256: string): PackageView | undefined {
    const view = this.#packages.get(sha256)
    if (view === undefined || existsSync(this.#at(`${sha256}.tar.gz`))) return view
    this.remove(sha256)
    return undefined
  }

  pathOf(sha256: string): string | undefined {
    return this.find(sha256) && this.#at(`${sha256}.tar.gz`)
  }

  /** Throws AppError: `packages-full`, `too-large`, `package-untrusted`, `overloaded`. Nothing of it is kept then. */
  async take(body: AsyncIterable<Uint8Array>): Promise<PackageView> {
    if (this.#isTaking) throw new AppError('overloaded', 'another package comes at this moment')
    this.#isTaking = true
    const [coming, work] = [this.#at(COMING), this.#at(`${COMING}.tree`)]
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 })
      for (const path of [coming, work]) await rm(path, { recursive: true, force: true })
      const { sha256, bytes } = await this.#receive(body, coming)
      const known = this.find(sha256)
      if (known !== undefined) return known
      const view = viewOf(await describe(coming, work), { sha256, bytes })
      await rename(coming, this.#at(`${sha256}.tar.gz`))
      await writeFile(this.#at(`${sha256}.json`), `${JSON.stringify(view)}\n`, { flush: true })
      flush(this.#folder)
      this.#packages.set(sha256, view)
      return view
    } finally {
      this.#isTaking = false
      for (const path of [coming, work]) await rm(path, { recursive: true, force: true })
    }
  }

  /** False if there is none. */
  remove(sha256: string): boolean {
    if (!this.#packages.delete(sha256)) return false
    for (const kind of ['json', 'tar.gz']) rmSync(this.#at(`${sha256}.${kind}`), { force: true })
    return true
  }

  async #receive(
    body: AsyncIterable<Uint8Array>,
    path: string,
  ): Promise<{ sha256: string; bytes: number }> {
    const held = this.all.reduce((sum, { bytes }) => sum + bytes, 0)
    const hash = createHash('sha256')
    const file = await open(path, 'wx', 0o600)
    let bytes = 0
    try {
      for await (const chunk of body) {
        bytes += chunk.length
        if (bytes > PACKAGE_BYTES_MAX) {
          throw new AppError('too-large', `a package has at most ${PACKAGE_BYTES_MAX} bytes`)
        }
        if (held + bytes > this.#bytesMax) {
          const message = `packages have ${this.#bytesMax} bytes together: remove one, or allow more with --packages-bytes-max`
          throw new AppError('packages-full', message)
        }
        hash.update(chunk)
        await file.write(chunk)
      }
      await file.sync()
    } finally {
      await file.close()
    }
    return { sha256: hash.digest('hex'), bytes }
  }

  /** What a gateway that was killed left half. */
  #forgetUnknown(): void {
    for (const name of readdirSync(this.#folder)) {
      if (this.#packages.has(name.slice(0, 64))) continue
      rmSync(this.#at(name), { recursive: true, force: true })
    }
  }

  #at(name: string): string {
    return join(this.#folder, name)
  }
}

function viewOf(
  described: Described,
  { sha256, bytes }: { sha256: string; bytes: number },
): PackageView {
  const { version, role, architecture, protocol, downgradeFrom, signedBy, problems } = described
  const [problem] = problems
  const isKnown = version !== undefined && architecture !== undefined && signedBy !== undefined
  if (problem !== undefined || !isKnown) throw untrusted(problem ?? 'it says nothing of itself')
  if (role !== 'agent') throw untrusted(`it is of the ${role}`)
  if (protocol !== PROTOCOL_VERSION) {
    const spoken = protocol ?? 'none that is named'
    throw untrusted(`it speaks protocol ${spoken}, and this gateway ${PROTOCOL_VERSION}`)
  }
  const downgrade = downgradeFrom === undefined ? {} : { downgrade_from: downgradeFrom }
  return { sha256, bytes, version, architecture, signed_by: signedBy, ...downgrade }
}

/** In a process of its own: signatures and digests take long on a small machine. */
async function describe(archive: string, work: string): Promise<Described> {
  const program = fileURLToPath(verifyProgram())
  const words = [program, '--package', archive, work, fileURLToPath(releaseKey())]
  const child = spawn(process.execPath, [...process.execArgv, ...words], {
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: CHECK_MS,
  })
  // A program that cannot be started says nothing, too.
  child.on('error', () => {})
  let text = ''
  try {
    for await (const chunk of child.stdout.setEncoding('utf8')) {
      if (text.length < ANSWER_LENGTH_MAX) text += chunk
    }
    return JSON.parse(text) as Described
  } catch (error) {
    throw untrusted(`it could not be looked at: ${messageOf(error)}`)
  }
}

function readView(path: string): PackageView | undefined {
  try {
    const view = JSON.parse(readFileSync(path, 'utf8')) as PackageView
    return isPackageName(view.sha256) ? view : undefined
  } catch {
    return undefined
  }
}

function untrusted(message: string): AppError {
  return new AppError('package-untrusted', message)
}
