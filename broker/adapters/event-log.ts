import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from '../../shared/runtime/logger.ts'
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
 * The gateway's event log, `events.jsonl`: one notice a line. Appends never wait and never throw;
 * what the disk does not take is counted, and said in the log once it takes lines again.
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
  #isClosed = false
  #dropped = 0
  #droppedUnsaid = 0

  /** Opens the log in `directory`, which is made if it is not there. */
  static async open(options: EventLogOptions, log: Logger): Promise<EventLog> {
    await mkdir(options.directory, { recursive: true })
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
    if (this.#droppedUnsaid > 0 && !this.#isFailing) {
      this.#sayWhatWasDropped()
      await this.#drain()
    }
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
    while (this.#waiting.length > 0) {
      if (this.#droppedUnsaid > 0 && !this.#isFailing) this.#sayWhatWasDropped()
      const lines = this.#takeForFile()
      try {
        if (lines.length === 0) await this.#rotate()
        else await this.#write(lines)
        this.#isFailing = false
      } catch (error) {
        this.#onFailure(error, lines.length)
      }
    }
    this.#writing = undefined
  }

  #sayWhatWasDropped(): void {
    const events = this.#droppedUnsaid
    this.#droppedUnsaid = 0
    const record = { ts: Date.now(), level: 'warn', code: 'events-dropped', events }
    const message = `${events} events were not written`
    const line = Buffer.from(`${JSON.stringify({ ...record, message })}\n`)
    this.#waiting.push(line)
    this.#waitingBytes += line.length
  }

  /** The lines that still fit into the file: none when it has to be put aside first. */
  #takeForFile(): Buffer[] {
    let bytes = this.#fileBytes
    let count = 0
    for (const line of this.#waiting) {
      // A file takes at least one line, however long.
      if (bytes > 0 && bytes + line.length > this.#options.fileBytesMax) break
      bytes += line.length
      count += 1
    }
    const lines = this.#waiting.splice(0, count)
    for (const line of lines) this.#waitingBytes -= line.length
    return lines
  }

  async #write(lines: readonly Buffer[]): Promise<void> {
    const chunk = Buffer.concat(lines)
    await this.#file.appendFile(chunk)
    this.#fileBytes += chunk.length
  }

  async #rotate(): Promise<void> {
    const { filesKept } = this.#options
    await rm(`${this.#path}.${filesKept}`, { force: true })
    for (let number = filesKept - 1; number >= 1; number--) {
      await renameIfThere(`${this.#path}.${number}`, `${this.#path}.${number + 1}`)
    }
    if (filesKept > 0) await renameIfThere(this.#path, `${this.#path}.1`)
    else await rm(this.#path, { force: true })
    const next = await openForAppend(this.#path)
    await this.#file.close()
    this.#file = next.file
    this.#fileBytes = next.bytes
  }

  /** A full disk must neither stop the gateway nor fill its log with complaints. */
  #onFailure(error: unknown, lost: number): void {
    // What waits behind a failed rotation is lost with it, or the loop would never end.
    const events = lost > 0 ? lost : this.#waiting.length
    if (lost === 0) {
      this.#waiting = []
      this.#waitingBytes = 0
    }
    this.#drop(events)
    if (!this.#isFailing) this.#log.error({ err: error, events }, 'the event log cannot be written')
    this.#isFailing = true
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

async function renameIfThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
