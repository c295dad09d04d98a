/** The file of the security log that is written, and how it is put aside. Each step may be the last one. */
import { constants, existsSync } from 'node:fs'
import { type FileHandle, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { NEXT_NAME, nameOf } from '../../shared/runtime/security-log-files.ts'

const { O_RDWR, O_APPEND, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants
const OWN = 0o600

export class SecurityLogFile {
  readonly #folder: string
  readonly #filesKept: number
  #file: FileHandle | undefined
  #bytes = 0
  /** What failed, or was cut off, may stand behind the bytes that count. */
  #isWhole = true
  /** Its name is on disk. */
  #isNamed = true

  constructor(folder: string, filesKept: number) {
    this.#folder = folder
    this.#filesKept = filesKept
  }

  /** Goes on with the file that is there, behind its whole lines. */
  async goOn(wholeBytes: number): Promise<void> {
    const file = await open(join(this.#folder, nameOf(0)), O_RDWR | O_APPEND | O_NOFOLLOW)
    this.#file = file
    await file.chmod(OWN)
    const { size } = await file.stat()
    this.#bytes = wholeBytes
    this.#isWhole = size === wholeBytes
  }

  /** 0 where there is none yet. */
  get bytes(): number {
    return this.#bytes
  }

  get isOpen(): boolean {
    return this.#file !== undefined
  }

  /** Resolves once it is on disk. */
  async write(chunk: Buffer): Promise<void> {
    await this.cutBack()
    if (!this.#isNamed) await this.#flushNames()
    this.#isNamed = true
    this.#isWhole = false
    await this.#file!.appendFile(chunk)
    await this.#file!.datasync()
    this.#isWhole = true
    this.#bytes += chunk.length
  }

  /** What was never told to be written must not stand there, and the next line not be joined to it. */
  async cutBack(): Promise<void> {
    if (this.#isWhole) return
    await this.#file!.truncate(this.#bytes)
    this.#isWhole = true
  }

  /** Puts the file aside for one that begins with this line, which is on disk before anything is moved. */
  async begin(line: Buffer): Promise<void> {
    if (this.#file !== undefined) await this.cutBack()
    const path = join(this.#folder, NEXT_NAME)
    const flags = O_RDWR | O_APPEND | O_CREAT | O_TRUNC | O_NOFOLLOW
    const next = await open(path, flags, OWN)
    try {
      await next.chmod(OWN)
      await this.#giveToOwner(next)
      await next.appendFile(line)
      await next.datasync()
      await this.#flushNames()
      await this.#putAside()
      await rename(path, join(this.#folder, nameOf(0)))
    } catch (error) {
      await next.close()
      throw error
    }
    const before = this.#file
    this.#file = next
    this.#bytes = line.length
    this.#isWhole = true
    this.#isNamed = false
    await before?.close()
  }

  async close(): Promise<void> {
    await this.#file?.close()
    this.#file = undefined
  }

  /** Root may have begun it for a gateway that has another user. */
  async #giveToOwner(file: FileHandle): Promise<void> {
    if (process.geteuid?.() !== 0) return
    const folder = await open(this.#folder)
    try {
      const { uid, gid } = await folder.stat()
      await file.chown(uid, gid)
    } finally {
      await folder.close()
    }
  }

  /** Files move up as far as the first free number, which an attempt before may have left. */
  async #putAside(): Promise<void> {
    const path = (number: number): string => join(this.#folder, nameOf(number))
    // That attempt may have put it aside already.
    if (!existsSync(path(0))) return
    let free = 1
    while (free < this.#filesKept && existsSync(path(free))) free++
    for (let number = free; number > 0; number--) await rename(path(number - 1), path(number))
  }

  async #flushNames(): Promise<void> {
    const folder = await open(this.#folder)
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  }
}
