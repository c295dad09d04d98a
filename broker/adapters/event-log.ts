import { existsSync } from 'node:fs'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { count } from '../../shared/core/count.ts'
import type { Logger } from '../../shared/runtime/logger.ts'
import { makeDirectory } from '../../shared/runtime/make-directory.ts'
import type { GatewayNotice } from '../core/effects.ts'

export interface EventLogOptions {
  readonly directory: string
  /** A file is put aside before it would pass this. */
  readonly fileBytesMax?: number
  /** Files kept beside the one that is written: `events.jsonl.1` is the newest. */
  readonly filesKept?: number
  /** Lines that wait for the disk; beyond that, events are dropped and counted. */
  readonly waitingBytesMax?: number
}

const MIB = 1024 * 1024

/**
 * The gateway's event log, `events.jsonl`: one notice a line. Appends never wait and never throw; what
 * the disk does not take waits, up to a bound, and is tried again with the next event. What is beyond
 * that is counted, and said in the log once the disk takes lines again.
 */
export class EventLog {
  readonly #options: Required<EventLogOptions>
  readonly #log: Logger
  readonly #path: string
  #file: FileHandle
  #fileBytes: number
  #waiting: Buffer[] = []
  #waitingBytes = 0
  #writing: Promise<void> | undefined
  #isFailing = false
  /** No part of a line that failed stands at the end of the file. */
  #isWhole = true
  #isClosed = false
  #dropped = 0
  #droppedUnsaid = 0

  /** Opens the log in `directory`, which is made if it is not there. */
  static async open(options: EventLogOptions, log: Logger): Promise<EventLog> {
    makeDirectory(options.directory)
    const path = join(options.directory, 'events.jsonl')
    const { file, bytes } = await openForAppend(path)
    return new EventLog(options, log, { path, file, bytes })
  }

  private constructor(
    options: EventLogOptions,
    log: Logger,
    opened: { path: string; file: FileHandle; bytes: number },
  ) {
    const { fileBytesMax = 10 * MIB, filesKept = 5, waitingBytesMax = MIB, directory } = options
    this.#options = { directory, fileBytesMax, filesKept, waitingBytesMax }
    this.#log = log
    this.#path = opened.path
    this.#file = opened.file
    this.#fileBytes = opened.bytes
  }

  /** Events that never reached the disk. */
  get dropped(): number {
    return this.#dropped
  }

  /** `ts` is Unix ms. */
  append(ts: number, notice: GatewayNotice): void {
    const { level, code, message, fields } = notice
    const head = { ts, level, code, message }
    this.#enqueue(Buffer.from(`${JSON.stringify({ ...head, ...fields, ...head })}\n`))
  }

  /** Writes what waits, and closes the file. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#writing
    if (this.#droppedUnsaid > 0 && !this.#isFailing) this.#sayWhatWasDropped()
    await this.#drain()
    this.#drop(this.#waiting.length)
    await this.#file.close()
  }

  #enqueue(line: Buffer): void {
    if (this.#isClosed || this.#waitingBytes + line.length > this.#options.waitingBytesMax) {
      this.#drop(1)
      return
    }
    this.#waiting.push(line)
    this.#waitingBytes += line.length
    this.#writing ??= this.#drain()
  }

  #drop(events: number): void {
    this.#dropped += events
    this.#droppedUnsaid += events
  }

  async #drain(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        if (this.#droppedUnsaid > 0 && !this.#isFailing) this.#sayWhatWasDropped()
        const count = this.#countForFile()
        if (count === 0) await this.#rotate()
        else await this.#write(count)
        this.#isFailing = false
      }
    } catch (error) {
      await this.#onFailure(error)
    }
    this.#writing = undefined
  }

  #sayWhatWasDropped(): void {
    const events = this.#droppedUnsaid
    this.#droppedUnsaid = 0
    const record = { ts: Date.now(), level: 'warn', code: 'events-dropped', events }
    const message = `${count(events, 'event')} not written`
    const line = Buffer.from(`${JSON.stringify({ ...record, message })}\n`)
    this.#waiting.push(line)
    this.#waitingBytes += line.length
  }

  /** How many lines still fit into the file: none when it has to be put aside first. */
  #countForFile(): number {
    // One is enough to see whether the disk takes lines again.
    const countMax = this.#isFailing ? 1 : this.#waiting.length
    let bytes = this.#fileBytes
    let count = 0
    for (const { length } of this.#waiting) {
      // A file takes at least one line, however long.
      if (count === countMax || (bytes > 0 && bytes + length > this.#options.fileBytesMax)) break
      bytes += length
      count += 1
    }
    return count
  }

  async #write(count: number): Promise<void> {
    const chunk = Buffer.concat(this.#waiting.slice(0, count))
    await this.#cutBack()
    this.#isWhole = false
    await this.#file.appendFile(chunk)
    this.#isWhole = true
    this.#fileBytes += chunk.length
    this.#waiting.splice(0, count)
    this.#waitingBytes -= chunk.length
  }

  /** A full disk may have taken part of a line: the next one must not be joined to it. */
  async #cutBack(): Promise<void> {
    if (this.#isWhole) return
    await this.#file.truncate(this.#fileBytes)
    this.#isWhole = true
  }

  /** Whatever fails here is tried again and costs no file: the next one is open first. */
  async #rotate(): Promise<void> {
    const path = `${this.#path}.next`
    const next = await openForAppend(path)
    try {
      await this.#putAside()
      await rename(path, this.#path)
    } catch (error) {
      await next.file.close()
      throw error
    }
    await this.#file.close()
    this.#file = next.file
    this.#fileBytes = next.bytes
  }

  /** Files move up as far as the first free number, which an attempt before may have left. */
  async #putAside(): Promise<void> {
    const { filesKept } = this.#options
    // That attempt may have put it aside already.
    if (!existsSync(this.#path)) return
    if (filesKept === 0) {
      await rm(this.#path)
      return
    }
    let free = 1
    while (free < filesKept && existsSync(`${this.#path}.${free}`)) free++
    for (let number = free; number > 1; number--) {
      await rename(`${this.#path}.${number - 1}`, `${this.#path}.${number}`)
    }
    await rename(this.#path, `${this.#path}.1`)
  }

  /** A full disk must neither stop the gateway nor fill its log with complaints. */
  async #onFailure(error: unknown): Promise<void> {
    if (!this.#isFailing) this.#log.error({ err: error }, 'the event log cannot be written')
    this.#isFailing = true
    await this.#cutBack().catch(() => {})
  }
}

async function openForAppend(path: string): Promise<{ file: FileHandle; bytes: number }> {
  const file = await open(path, 'a+', 0o640)
  const { size } = await file.stat()
  if (size === 0) return { file, bytes: 0 }
  // A crash may have cut the last line; the next one must not be joined to it.
  const last = Buffer.alloc(1)
  await file.read(last, 0, 1, size - 1)
  if (last[0] === 0x0a) return { file, bytes: size }
  await file.appendFile('\n')
  return { file, bytes: size + 1 }
}
