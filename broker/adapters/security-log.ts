import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import {
  meaningOf,
  type SecurityEvent,
  type SecurityEventName,
  type ToldEvent,
  type WeighedEvent,
} from '../../shared/protocol/security-events.ts'
import {
  formatLine,
  hashOfLine,
  SECURITY_FILE_BYTES_MAX,
  SECURITY_FILES_KEPT,
  SECURITY_WRITE_BYTES_MAX,
  type SecurityHead,
} from '../../shared/protocol/security-log.ts'
import { AppError, EXIT_UNAVAILABLE, messageOf } from '../../shared/runtime/errors.ts'
import type { Logger } from '../../shared/runtime/logger.ts'
import { makeDirectory } from '../../shared/runtime/make-directory.ts'
import { isThere } from '../../shared/runtime/private-folder.ts'
import { type FoundLog, findSecurityLog } from '../../shared/runtime/security-log-files.ts'
import { SecurityLogFile } from './security-log-file.ts'
import {
  type CountedEvent,
  SAMPLE_BOUNDS,
  type SampleBounds,
  SecuritySamples,
} from './security-samples.ts'

export interface SecurityLogOptions {
  /** Is made if it is not there. */
  readonly folder: string
  /** The head as it was kept elsewhere: a log that does not have it was cut, or changed. */
  readonly expectedHead?: SecurityHead | undefined
  /** Is told each head once it is on disk, in order; it must not throw. */
  readonly onHead?: (head: SecurityHead) => void
  /** Hears of each event that only tells; it must not throw. */
  readonly onTold?: (ts: number, event: SecurityEvent) => void
  readonly now: () => { readonly monotonicMs: number; readonly wallMs: number }
  readonly fileBytesMax?: number
  readonly filesKept?: number
  /** Lines that wait for the disk. */
  readonly waitingMax?: number
  readonly samples?: SampleBounds
  /** After which a disk that failed is tried again. */
  readonly retryMs?: number
}

const HOUR_MS = 3_600_000
/** Of one asker, an hour. */
const GRANTS_MAX = SAMPLE_BOUNDS.perHourMax
const OURS = { who: 'gateway', via: 'gateway' } as const

interface Waiting {
  readonly event: SecurityEvent
  readonly ts: number
  readonly count: number
  readonly settle?: { resolve(): void; reject(error: Error): void }
}

/**
 * The security log: a chain of lines of which none can be changed or taken out unseen. What grants something is on
 * disk before it is granted, and is refused while the disk takes no line; what takes something away happens in
 * any case, and waits for the disk; what only tells is sampled. It needs no call to come back from a full disk,
 * and keeps no process.
 */
export class SecurityLog {
  readonly #options: Required<Omit<SecurityLogOptions, 'expectedHead' | 'samples'>>
  readonly #log: Logger
  readonly #file: SecurityLogFile
  readonly #samples: SecuritySamples
  #head: SecurityHead
  #waiting: Waiting[] = []
  #writing: Promise<void> | undefined
  #isFailing = false
  #isClosed = false
  /** Lines of what grants, by who asked, within this hour. */
  readonly #grants = new Map<string, number>()
  #grantsUntilMs = 0
  /** Events without a line since the disk failed. */
  #lost = 0
  readonly #counts = new Map<SecurityEventName, number>()
  /** Where the file stands that has only its beginning. */
  #beginBytes = 0
  #timer: NodeJS.Timeout | undefined

  /** Opens the log, and says in it what is wrong with it. Throws only where it cannot be read. */
  static async open(options: SecurityLogOptions, log: Logger): Promise<SecurityLog> {
    const { folder, expectedHead, filesKept = SECURITY_FILES_KEPT } = options
    if (!isThere(folder)) {
      makeDirectory(dirname(folder))
      mkdirSync(folder, { mode: 0o700 })
    }
    const found = await findSecurityLog(folder, expectedHead, filesKept)
    const file = new SecurityLogFile(folder, filesKept)
    if (found.wholeBytes !== undefined) await file.goOn(found.wholeBytes)
    const opened = new SecurityLog(options, log, file, found.head)
    await opened.#sayFound(found)
    return opened
  }

  private constructor(
    options: SecurityLogOptions,
    log: Logger,
    file: SecurityLogFile,
    head: SecurityHead,
  ) {
    const { folder, now, onHead = () => {}, onTold = () => {} } = options
    const { samples = SAMPLE_BOUNDS } = options
    const { fileBytesMax = SECURITY_FILE_BYTES_MAX, filesKept = SECURITY_FILES_KEPT } = options
    const { waitingMax = 1000, retryMs = 5000 } = options
    const bounds = { fileBytesMax, filesKept, waitingMax, retryMs }
    this.#options = { folder, now, onHead, onTold, ...bounds }
    this.#log = log
    this.#file = file
    this.#head = head
    this.#samples = new SecuritySamples(samples)
  }

  /** The last line that is on disk. */
  get head(): SecurityHead {
    return this.#head
  }

  /** Whether the disk took no line the last time. */
  get isBroken(): boolean {
    return this.#isFailing
  }

  /** What happened since the start, by its event, whether it got a line of its own or not. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts)
  }

  /**
   * Resolves when the line is on disk. Of what grants something it is rejected with `log-broken` when the disk
   * takes no line, and with `rate-limited` when somebody who is known by a name asks for too many: then it must not be
   * granted. Of what takes something away it is resolved all the same, and the line is written once there is room.
   */
  append(event: SecurityEvent<WeighedEvent>): Promise<void> {
    this.#count(event)
    return new Promise((resolve, reject) => {
      if (meaningOf(event.event).weight === 'grants' && !this.#mayGrant(event.who)) {
        const message = `${event.who} has ${GRANTS_MAX} changes in the security log of this hour: go on later`
        reject(new AppError('rate-limited', message, { exitCode: EXIT_UNAVAILABLE }))
        return
      }
      const waiting = { event, ts: this.#wallMs(), count: 1, settle: { resolve, reject } }
      if (!this.#enqueue(waiting)) this.#giveUp(waiting, 'it has no room for another line')
    })
  }

  /** Of what only tells. It never waits and never throws; repeats become one line. */
  tell(event: SecurityEvent<ToldEvent>): void {
    this.#count(event)
    const { monotonicMs, wallMs } = this.#options.now()
    this.#options.onTold(wallMs, event)
    this.#enqueueAll(this.#samples.take(monotonicMs, event), wallMs)
    this.#arm()
  }

  /** Writes what was held until now, and tries a disk that failed once more. A timer calls it, too. */
  async tick(): Promise<void> {
    const { monotonicMs, wallMs } = this.#options.now()
    this.#enqueueAll(this.#samples.due(monotonicMs), wallMs)
    await this.#settled()
    this.#arm()
  }

  /** Writes what waits, and closes the file. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#enqueueAll(this.#samples.flush(), this.#wallMs())
    this.#isClosed = true
    clearTimeout(this.#timer)
    await this.#settled()
    await this.#file.close()
  }

  async #sayFound({ tornBytes, isCut, changed }: FoundLog): Promise<void> {
    const ts = this.#wallMs()
    if (tornBytes > 0)
      this.#enqueue({ event: { ...OURS, event: 'log-torn' }, ts, count: tornBytes })
    if (changed > 0) {
      const event = { ...OURS, event: 'log-broken', code: 'changed' } as const
      this.#enqueue({ event, ts, count: changed })
    }
    if (isCut) {
      const event = { ...OURS, event: 'log-broken', code: 'cut' } as const
      this.#enqueue({ event, ts, count: 1 })
    }
    if (changed > 0 || isCut) this.#log.error({ changed, isCut }, 'the security log was changed')
    await this.#settled()
  }

  /** Or one who may do little could push what was logged before out of the files. Root could do that anyhow. */
  #mayGrant(who: string): boolean {
    if (who === 'admin' || who === OURS.who) return true
    const { monotonicMs } = this.#options.now()
    if (monotonicMs >= this.#grantsUntilMs) {
      this.#grants.clear()
      this.#grantsUntilMs = monotonicMs + HOUR_MS
    }
    const count = (this.#grants.get(who) ?? 0) + 1
    this.#grants.set(who, count)
    return count <= GRANTS_MAX
  }

  #count({ event }: SecurityEvent): void {
    this.#counts.set(event, (this.#counts.get(event) ?? 0) + 1)
  }

  #wallMs(): number {
    return this.#options.now().wallMs
  }

  #enqueueAll(lines: readonly CountedEvent[], ts: number): void {
    for (const line of lines) this.#enqueue({ ...line, ts })
  }

  #enqueue(waiting: Waiting): boolean {
    const { weight, level } = meaningOf(waiting.event.event)
    const { waitingMax } = this.#options
    // What anybody can cause leaves room for what matters.
    const room = weight === 'tells' && level !== 'alarm' ? waitingMax / 2 : waitingMax
    if (this.#isClosed || this.#waiting.length >= room) {
      this.#lost += waiting.count
      return false
    }
    this.#waiting.push(waiting)
    if (!this.#isFailing || waiting.settle !== undefined) this.#writing ??= this.#drain()
    return true
  }

  /** What waits is written, or the disk has failed once more. */
  async #settled(): Promise<void> {
    if (this.#hasWork()) this.#writing ??= this.#drain()
    await this.#writing
  }

  #hasWork(): boolean {
    return this.#waiting.length > 0 || this.#lost > 0 || this.#file.bytes === 0
  }

  async #drain(): Promise<void> {
    // Others of this turn come along.
    await undefined
    try {
      while (this.#hasWork()) {
        await this.#writeSome()
        this.#isFailing = false
      }
    } catch (error) {
      await this.#onFailure(error)
    }
    this.#writing = undefined
  }

  async #writeSome(): Promise<void> {
    const lost = this.#lost
    const broken = { ...OURS, event: 'log-broken', code: 'unwritable' } as const
    const first = lost === 0 ? [] : [{ event: broken, ts: this.#wallMs(), count: lost }]
    const { lines, head } = this.#linesOf([...first, ...this.#waiting])
    if (lines.length === 0) {
      await this.#begin()
      return
    }
    await this.#file.write(Buffer.concat(lines))
    this.#moveTo(head)
    this.#lost -= lost
    for (const { settle } of this.#waiting.splice(0, lines.length - first.length)) settle?.resolve()
  }

  /** As many of these as go into the file with one write: none when it has to be put aside first. */
  #linesOf(wanted: readonly Waiting[]): { lines: Buffer[]; head: SecurityHead } {
    const { fileBytesMax } = this.#options
    const { bytes: fileBytes } = this.#file
    const lines: Buffer[] = []
    let head = this.#head
    let bytes = 0
    if (fileBytes === 0) return { lines, head }
    for (const { event, ts, count } of wanted) {
      // One is enough to see whether the disk takes lines again.
      if (this.#isFailing && lines.length === 1) break
      const next = lineAfter(head, event, { ts, count })
      const isFirst = lines.length === 0 && fileBytes === this.#beginBytes
      if (!isFirst && fileBytes + bytes + next.line.length > fileBytesMax) break
      if (bytes + next.line.length > SECURITY_WRITE_BYTES_MAX) break
      lines.push(next.line)
      bytes += next.line.length
      head = next.head
    }
    return { lines, head }
  }

  /** A file begins with the head of the one before it. */
  async #begin(): Promise<void> {
    const event = this.#head.seq === 0 ? 'log-begun' : 'log-continued'
    const told = { ...OURS, event } as const
    const { line, head } = lineAfter(this.#head, told, { ts: this.#wallMs(), count: 1 })
    // One that is there and empty is no file of which something could be put aside.
    if (this.#file.isOpen && this.#file.bytes === 0) await this.#file.write(line)
    else await this.#file.begin(line)
    this.#beginBytes = line.length
    this.#moveTo(head)
  }

  #moveTo(head: SecurityHead): void {
    this.#head = head
    this.#options.onHead(head)
  }

  async #onFailure(error: unknown): Promise<void> {
    await this.#file.cutBack().catch(() => {})
    if (!this.#isFailing) this.#log.error({ err: error }, 'the security log cannot be written')
    this.#isFailing = true
    const waiting = this.#waiting
    this.#waiting = []
    for (const one of waiting) {
      const { settle, ...kept } = one
      if (meaningOf(one.event.event).weight === 'grants') this.#lost += 1
      else this.#waiting.push(kept)
      this.#giveUp(one, messageOf(error))
    }
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#arm()
  }

  /** Whoever waits for the disk waits no more. */
  #giveUp({ event, settle }: Waiting, why: string): void {
    if (meaningOf(event.event).weight !== 'grants') settle?.resolve()
    else settle?.reject(new AppError('log-broken', `the security log cannot be written: ${why}`))
  }

  /** No timer keeps the process. */
  #arm(): void {
    if (this.#timer !== undefined || this.#isClosed) return
    const { now, retryMs } = this.#options
    const { monotonicMs } = now()
    const sampleMs = (this.#samples.nextMs ?? Number.POSITIVE_INFINITY) - monotonicMs
    const waitMs = this.#isFailing ? Math.min(retryMs, sampleMs) : sampleMs
    if (waitMs === Number.POSITIVE_INFINITY) return
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined
        void this.tick()
      },
      Math.max(0, Math.ceil(waitMs)),
    ).unref()
  }
}

function lineAfter(
  after: SecurityHead,
  event: SecurityEvent,
  { ts, count }: { readonly ts: number; readonly count: number },
): { line: Buffer; head: SecurityHead } {
  const text = formatLine(event, { ts, count, after })
  const head = { seq: after.seq + 1, hash: hashOfLine(Buffer.from(text)) }
  return { line: Buffer.from(`${text}\n`), head }
}
