/**
 * Submissions that were too large to keep: each goes to Aedes with a token for its payload that only the
 * gate can know, and the token stands for how large it was.
 */
import { randomBytes } from 'node:crypto'
import type { Frame } from './mqtt-frames.ts'

const TOKEN_BYTES = 16

export class SkippedPayloads {
  readonly #bytes = new Map<string, number>()

  /** The same PUBLISH with a token for its payload. */
  substitute(frame: Frame, skippedBytes: number): Buffer {
    const token = randomBytes(TOKEN_BYTES)
    this.#bytes.set(token.toString('hex'), skippedBytes)
    const head = frame.buffer.subarray(frame.bodyStart, frame.end)
    const bodyBytes = head.length + TOKEN_BYTES
    const length = bodyBytes < 128 ? [bodyBytes] : [(bodyBytes & 0x7f) | 0x80, bodyBytes >> 7]
    return Buffer.concat([Buffer.from([frame.buffer[frame.start]!, ...length]), head, token])
  }

  /** How large what a token stands for was; each stands once. */
  take(payload: Uint8Array): number | undefined {
    if (this.#bytes.size === 0 || payload.length !== TOKEN_BYTES) return undefined
    const token = Buffer.from(payload).toString('hex')
    const bytes = this.#bytes.get(token)
    this.#bytes.delete(token)
    return bytes
  }

  clear(): void {
    this.#bytes.clear()
  }
}
