/**
 * The way out of one connection: what is written goes to the socket in pieces, so that a peer that
 * reads slowly is told from one that reads nothing. Whoever waits for room is let go after a while:
 * a slow reader loses messages of its own, it does not hold up the others.
 */
import type { Socket } from 'node:net'

export interface OutflowOptions {
  /** Those who wait for room are released after this long, room or not. */
  readonly drainHoldMs: number
  /** A peer that takes not one piece in this long is gone. */
  readonly stallTimeoutMs: number
}

/** One piece: small enough that a link of a few KB/s takes it before the stall timeout. */
const PIECE_BYTES = 32 * 1024

export class Outflow {
  readonly #socket: Socket
  readonly #options: OutflowOptions
  readonly #onHeld: () => void
  readonly #onStalled: () => void
  #afterDrain: (() => void) | undefined
  #pieceSinceMs = 0
  #behindSinceMs: number | undefined
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(socket: Socket, options: OutflowOptions, onHeld: () => void, onStalled: () => void) {
    this.#socket = socket
    this.#options = options
    this.#onHeld = onHeld
    this.#onStalled = onStalled
    socket.on('drain', () => {
      const next = this.#afterDrain
      this.#afterDrain = undefined
      next?.()
    })
  }

  /** How long the peer has not kept up; 0 when it has. */
  get behindMs(): number {
    return this.#behindSinceMs === undefined ? 0 : performance.now() - this.#behindSinceMs
  }

  setCaughtUp(): void {
    this.#behindSinceMs = undefined
  }

  /** Calls `done` when all is with the socket and the socket has room again. */
  send(chunks: readonly Buffer[], bytes: number, done: () => void): void {
    if (bytes <= PIECE_BYTES) {
      this.#write(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes), done)
      return
    }
    const pieces = piecesOf(chunks)
    const step = (): void => {
      const piece = pieces.next()
      if (piece.done) done()
      else this.#write(piece.value, step)
    }
    step()
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    const next = this.#afterDrain
    this.#afterDrain = undefined
    next?.()
  }

  #write(piece: Buffer, done: () => void): void {
    if (this.#isClosed || !this.#socket.writable || this.#socket.write(piece)) {
      done()
      return
    }
    this.#afterDrain = done
    this.#pieceSinceMs = performance.now()
    this.#behindSinceMs ??= this.#pieceSinceMs
    this.#timer ??= setTimeout(() => this.#look(), this.#options.drainHoldMs)
  }

  #look(): void {
    this.#timer = undefined
    if (this.#afterDrain === undefined) return
    if (performance.now() - this.#pieceSinceMs >= this.#options.stallTimeoutMs) {
      this.#onStalled()
      return
    }
    this.#timer = setTimeout(() => this.#look(), this.#options.drainHoldMs)
    this.#onHeld()
  }
}

/** Small chunks joined, large ones cut. */
function* piecesOf(chunks: readonly Buffer[]): Generator<Buffer, void> {
  let small: Buffer[] = []
  let smallBytes = 0
  for (const chunk of chunks) {
    if (smallBytes + chunk.length > PIECE_BYTES && smallBytes > 0) {
      yield Buffer.concat(small, smallBytes)
      small = []
      smallBytes = 0
    }
    if (chunk.length <= PIECE_BYTES) {
      small.push(chunk)
      smallBytes += chunk.length
      continue
    }
    for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
      yield chunk.subarray(at, at + PIECE_BYTES)
    }
  }
  if (smallBytes > 0) yield Buffer.concat(small, smallBytes)
}
