/**
 * The last lines of the agent's own log, since it may not read the journal: for an operator who asks the gateway. They lie in
 * one stretch of bytes, the oldest give way to the newest, and no line is an object.
 */

import { LOG_LINES_MAX } from '../../shared/protocol/log-line.ts'
import type { LogLines, LogOrder } from '../../shared/protocol/log-messages.ts'
import { LOG_PIECE_BYTES_MAX } from '../../shared/protocol/log-messages.ts'
import { LOG_LEVELS, type LogLevel } from '../../shared/runtime/logger.ts'

const BYTES = 64 * 1024
/** Before each line: its level, and its length as u16. */
const HEAD_BYTES = 3
/** A longer one keeps its message alone. */
const LINE_BYTES_MAX = 4096
/** Escaped in JSON, six bytes a character at the most. */
const MESSAGE_LENGTH_MAX = 512
const CODE_LENGTH_MAX = 64

export class LogMemory {
  readonly #bytes = Buffer.alloc(BYTES)
  #start = 0
  #end = 0
  /** The number of the oldest line, and of the next; they count from the start of the process. */
  #first = 0
  #next = 0

  /** `line` is JSON with its line end. */
  add(level: LogLevel, line: string): void {
    const text = Buffer.byteLength(line) <= LINE_BYTES_MAX ? line : shortened(line)
    const length = Buffer.byteLength(text)
    const bytes = HEAD_BYTES + length
    while (this.#next - this.#first >= LOG_LINES_MAX || this.#end - this.#start + bytes > BYTES) {
      this.#start += HEAD_BYTES + this.#lengthAt(this.#start)
      this.#first += 1
    }
    if (this.#end + bytes > BYTES) {
      this.#bytes.copyWithin(0, this.#start, this.#end)
      this.#end -= this.#start
      this.#start = 0
    }
    this.#bytes.writeUInt8(LOG_LEVELS.indexOf(level), this.#end)
    this.#bytes.writeUInt16LE(length, this.#end + 1)
    this.#bytes.write(text, this.#end + HEAD_BYTES)
    this.#end += bytes
    this.#next += 1
  }

  /** `process` is that of this process: a reader who stood in another one begins with the oldest line. */
  answer(process: string, { ask, lines, level, after }: LogOrder): LogLines {
    const least = LOG_LEVELS.indexOf(level)
    const from = after === undefined ? this.#first : numberIn(process, after)
    let skipped = after === undefined ? this.#countFrom(least) - lines : 0
    const pieces: Buffer[] = []
    let bytes = 0
    let number = this.#first
    for (let at = this.#start; at < this.#end; number += 1) {
      const length = this.#lengthAt(at)
      const begin = at + HEAD_BYTES
      at = begin + length
      if (number < from || this.#bytes[begin - HEAD_BYTES]! < least || skipped-- > 0) continue
      if (pieces.length === lines || bytes + length > LOG_PIECE_BYTES_MAX) break
      pieces.push(this.#bytes.subarray(begin, at))
      bytes += length
    }
    return {
      ...{ t: 'log-lines', ask, lines: Buffer.concat(pieces) },
      next: `${process}-${number}`,
      left: Math.max(0, this.#first - from),
      unread: this.#next - number,
    }
  }

  #countFrom(least: number): number {
    let count = 0
    for (let at = this.#start; at < this.#end; at += HEAD_BYTES + this.#lengthAt(at)) {
      if (this.#bytes[at]! >= least) count += 1
    }
    return count
  }

  #lengthAt(at: number): number {
    return this.#bytes.readUInt16LE(at + 1)
  }
}

function numberIn(process: string, mark: string): number {
  const number = mark.startsWith(`${process}-`) ? Number(mark.slice(process.length + 1)) : 0
  return Number.isSafeInteger(number) ? number : 0
}

function shortened(line: string): string {
  const { level, time, name, code, msg } = JSON.parse(line)
  const [shortCode] = [code].map((text) => text && String(text).slice(0, CODE_LENGTH_MAX))
  const shortMsg = String(msg).slice(0, MESSAGE_LENGTH_MAX)
  return `${JSON.stringify({ level, time, name, code: shortCode, msg: shortMsg, cut: line.length })}\n`
}
