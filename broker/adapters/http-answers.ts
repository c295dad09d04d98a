/**
 * Answers on their way to those who asked. A large one is given to its connection piece by piece, so that
 * it is seen whether its reader takes it, and one that many readers share is in memory once.
 */
import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import type { HttpConnections } from './http-connections.ts'

/** Small enough that a link of a few KB/s takes it before the stall timeout. */
const PIECE_BYTES = 32 * 1024

export function sendInPieces(app: FastifyInstance, connections: HttpConnections): void {
  app.addHook('onSend', (request, reply, payload, done) => {
    const isWhole = typeof payload === 'string' || Buffer.isBuffer(payload)
    if (!isWhole || request.method === 'HEAD' || Buffer.byteLength(payload) <= PIECE_BYTES) {
      done(null, payload)
      return
    }
    const answer = typeof payload === 'string' ? Buffer.from(payload) : payload
    if (!connections.holdAnswer(request.raw.socket, answer)) {
      done(null, payload)
      return
    }
    reply.header('content-length', answer.length)
    done(null, Readable.from(piecesOf(answer), { highWaterMark: 1 }))
  })
}

/** What is given to a connection at a time. */
export function* piecesOf(answer: Buffer): Generator<Buffer> {
  for (let at = 0; at < answer.length; at += PIECE_BYTES) {
    yield answer.subarray(at, at + PIECE_BYTES)
  }
}

/** What large answers take until the last of their readers is done. */
export class AnswersHeld {
  readonly #readers = new Map<Buffer, number>()
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  add(answer: Buffer): void {
    const readers = this.#readers.get(answer) ?? 0
    if (readers === 0) this.#bytes += answer.length
    this.#readers.set(answer, readers + 1)
  }

  remove(answer: Buffer): void {
    const readers = this.#readers.get(answer)! - 1
    if (readers > 0) {
      this.#readers.set(answer, readers)
      return
    }
    this.#readers.delete(answer)
    this.#bytes -= answer.length
  }
}
