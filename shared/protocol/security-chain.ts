/**
 * Walks a security log line by line, the oldest first, and says where it is not what was written. Pure: it is
 * given lines and where they stand. After a fault it goes on with what it finds, so that one change is one
 * fault, and what comes after it is judged, too.
 *
 * What it cannot see by itself is the end: lines that were taken from there, or a last line that was changed, or all
 * lines from somewhere on written anew. For that it is given a head that was kept elsewhere.
 */
import {
  hashOfLine,
  NO_HEAD,
  parseLine,
  type SecurityHead,
  type SecurityLine,
} from './security-log.ts'

export type SecurityFaultKind =
  | 'malformed'
  | 'changed'
  | 'missing'
  | 'reordered'
  | 'cut'
  | 'told'
  | 'file'

export interface SecurityFault {
  readonly kind: SecurityFaultKind
  readonly file: string
  /** From 1 on. */
  readonly line?: number
  readonly seq?: number
  readonly message: string
}

export interface LineAt {
  readonly file: string
  readonly line: number
  /** Lines before that file were there, and had to go to make room. */
  readonly isCutFile?: boolean
}

interface Before {
  readonly seq: number
  readonly hash: string
  readonly at: LineAt
}

export class SecurityChain {
  readonly #expected: SecurityHead
  readonly #onFault: (fault: SecurityFault) => void
  #before: Before | undefined
  /** Lines since then that say nothing of themselves. */
  #unread = 0
  #firstSeq: number | undefined

  constructor(expected: SecurityHead | undefined, onFault: (fault: SecurityFault) => void) {
    this.#expected = expected ?? NO_HEAD
    this.#onFault = onFault
  }

  get head(): SecurityHead {
    const { seq, hash } = this.#before ?? NO_HEAD
    return { seq, hash }
  }

  /** Nothing where no line was found. */
  get firstSeq(): number | undefined {
    return this.#firstSeq
  }

  /** A line without its line end. What it says is handed back, whatever its place. */
  take(bytes: Uint8Array, at: LineAt): SecurityLine | undefined {
    const line = parseLine(bytes)
    const hash = hashOfLine(bytes)
    if (line === undefined) this.#takeUnread(hash, at)
    else this.#takeLine(line, hash, at)
    return line
  }

  /** A line that is too long to be one: nothing of it is known. */
  takeTooLong(at: LineAt): void {
    this.#takeUnread('', at)
  }

  /** To be called once there are no more lines. */
  end(file: string): void {
    const { seq } = this.head
    if (seq >= this.#expected.seq) return
    const message = `the log ends with ${seq}, and once had lines up to ${this.#expected.seq}`
    this.#onFault({ kind: 'cut', file, seq: seq + 1, message })
  }

  #takeUnread(hash: string, at: LineAt): void {
    const { file, line } = at
    this.#onFault({ kind: 'malformed', file, line, message: 'is no line of a security log' })
    this.#unread += 1
    this.#before = { seq: this.#before?.seq ?? 0, hash, at }
  }

  #takeLine(line: SecurityLine, hash: string, at: LineAt): void {
    const { seq, event, code } = line
    if (at.line === 1 && this.#unread === 0) this.#takeMark(line, at)
    if (this.#before !== undefined) this.#compare(line, this.#before, at)
    this.#before = { seq, hash, at }
    this.#firstSeq ??= seq
    this.#unread = 0
    if (seq === this.#expected.seq && hash !== this.#expected.hash) {
      this.#fault('changed', line, at, 'is not the line of which the hash was kept')
    }
    if (event === 'log-broken' && (code === 'changed' || code === 'cut')) {
      this.#fault('told', line, at, `here the gateway found that the log had been ${code}`)
    }
  }

  /** The first line of a file. */
  #takeMark(line: SecurityLine, at: LineAt): void {
    const { seq, event, prev } = line
    if (this.#before === undefined) {
      const isStart = event === 'log-begun' && seq === 1 && prev === NO_HEAD.hash
      if (isStart || (event === 'log-continued' && at.isCutFile === true)) return
      this.#fault('missing', line, at, `all lines before ${seq} are missing`)
    } else if (event !== 'log-continued' && seq === this.#before.seq + 1) {
      this.#fault('changed', line, at, 'the file does not begin as one that goes on')
    }
  }

  #compare(line: SecurityLine, before: Before, at: LineAt): void {
    const { seq, prev } = line
    const last = before.seq
    const isNext = seq > last && seq <= last + 1 + this.#unread
    if (isNext) {
      // Of a line that cannot be read, it is said already.
      if (prev === before.hash || this.#unread > 0) return
      const message = 'this line was changed, or the one after it'
      this.#fault('changed', { seq: last }, before.at, message)
      return
    }
    if (seq <= last) {
      this.#fault('reordered', line, at, `stands behind ${last}`)
      return
    }
    const from = last + 1 + this.#unread
    const lost = from === seq - 1 ? `${from} is` : `${from} to ${seq - 1} are`
    this.#fault('missing', line, at, `before it, ${lost} missing`)
  }

  #fault(
    kind: SecurityFaultKind,
    { seq }: { readonly seq: number },
    { file, line }: LineAt,
    message: string,
  ): void {
    this.#onFault({ kind, file, line, seq, message })
  }
}
