/**
 * The way out of one connection. What the socket has no room for waits here, as bytes: a queue of a
 * stream would keep an object for each of the smallest pieces, and make an error for each when the peer is
 * gone. It goes to the socket in pieces, so that a peer that reads slowly is told from one that reads
 * nothing. Whoever waits for room is let go after a while: a slow reader loses messages of its own, it
 * does not hold up the others.
 */
import type { Socket } from 'node:net'

export interface OutflowOptions {
  /** Those who wait for room are released after this long, room or not. */
  readonly drainHoldMs: number
  /** A peer that takes not one piece in this long is gone. */
  readonly stallTimeoutMs: number
}

export interface OutflowPort {
  /** All is with the socket, and it has room again. */
  emptied(): void
  /** Whoever waits for room has waited long enough. */
  held(): void
  stalled(): void
}

/** One piece: small enough that a link of a few KB/s takes it before the stall timeout. */
const PIECE_BYTES = 32 * 1024
/** Those that have something to send when what is being done now is done. */
let due: Outflow[] = []

function flowAll(): void {
  const all = due
  due = []
  for (const outflow of all) outflow.flow()
}

/** Another one in each turn of the event loop in which it is asked for. */
let turn = 0
let isTurnWatched = false

function turnNow(): number {
  if (!isTurnWatched) {
    isTurnWatched = true
    setImmediate(() => {
      isTurnWatched = false
      turn += 1
    })
  }
  return turn
}

/** Small buffers that wait are joined when there are this many: one costs some 200 bytes beside its own. */
const LOOSE_MAX = 64

export class Outflow {
  readonly #socket: Socket
  readonly #options: OutflowOptions
  readonly #port: OutflowPort
  /** What waits, in order: whole pieces, then buffers that are to become one. */
  #pieces: Buffer[] | undefined
  /** The first of those that are to become one; mostly there are no more. */
  #next: Buffer | undefined
  #loose: Buffer[] | undefined
  #looseBytes = 0
  #waitingBytes = 0
  #whenEmpty: (() => void)[] | undefined
  #isBlocked = false
  #isDue = false
  #pieceSinceMs = 0
  #behindSinceMs: number | undefined
  #timer: NodeJS.Timeout | undefined
  #isClosed = false
  /** What was not with the kernel when it was first asked for in a turn, and which. */
  #bytesBefore = 0
  #turnBefore = -1

  constructor(socket: Socket, options: OutflowOptions, port: OutflowPort) {
    this.#socket = socket
    this.#options = options
    this.#port = port
  }

  /** The socket has room again. */
  drained(): void {
    if (!this.#isBlocked) return
    this.#isBlocked = false
    this.flow()
  }

  /** What the socket has not been given. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  /** What is not with the kernel. */
  get backlogBytes(): number {
    return this.#waitingBytes + this.#socket.writableLength
  }

  /** The same without what is sent in this turn, if it is asked for before that. */
  get backlogBefore(): number {
    const now = turnNow()
    if (this.#turnBefore !== now) this.#bytesBefore = this.backlogBytes
    this.#turnBefore = now
    return this.#bytesBefore
  }

  /** Buffers that are kept for what waits. */
  get bufferCount(): number {
    const next = this.#next === undefined ? 0 : 1
    return (this.#pieces?.length ?? 0) + next + (this.#loose?.length ?? 0)
  }

  /** How long the peer has not kept up; 0 when it has. */
  get behindMs(): number {
    return this.#behindSinceMs === undefined ? 0 : performance.now() - this.#behindSinceMs
  }

  /** Leaves when what is being done now is done, with all that is sent to the peer until then. */
  send(chunk: Buffer): void {
    if (this.#isClosed) return
    this.#add(chunk)
    if (this.#isBlocked || this.#isDue) return
    if (due.length === 0) process.nextTick(flowAll)
    this.#isDue = true
    due.push(this)
  }

  /** Calls `done` once all that was sent is with the socket, and the socket has room again. */
  afterAll(done: () => void): void {
    if (!this.#isBlocked) this.flow()
    if (!this.#isBlocked) {
      done()
      return
    }
    this.#whenEmpty ??= []
    this.#whenEmpty.push(done)
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#pieces = undefined
    this.#next = undefined
    this.#loose = undefined
    this.#looseBytes = 0
    this.#waitingBytes = 0
    this.#whenEmpty = undefined
  }

  #add(chunk: Buffer): void {
    this.#waitingBytes += chunk.length
    if (chunk.length > PIECE_BYTES) {
      this.#join()
      this.#pieces ??= []
      for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
        this.#pieces.push(chunk.subarray(at, at + PIECE_BYTES))
      }
      this.flow()
      return
    }
    if (this.#looseBytes + chunk.length > PIECE_BYTES) {
      this.#join()
      this.flow()
    }
    this.#looseBytes += chunk.length
    if (this.#next === undefined) {
      this.#next = chunk
      return
    }
    this.#loose ??= []
    this.#loose.push(chunk)
    if (this.#loose.length < LOOSE_MAX) return
    this.#next = Buffer.concat([this.#next, ...this.#loose])
    this.#loose = undefined
  }

  #join(): void {
    const piece = this.#takeLoose()
    if (piece === undefined) return
    this.#pieces ??= []
    this.#pieces.push(piece)
  }

  /** What is loose becomes one piece. */
  #takeLoose(): Buffer | undefined {
    const first = this.#next
    if (first === undefined) return undefined
    const piece = this.#loose === undefined ? first : Buffer.concat([first, ...this.#loose])
    this.#next = undefined
    this.#loose = undefined
    this.#looseBytes = 0
    return piece
  }

  /** To the socket, as long as it has room. */
  flow(): void {
    this.#isDue = false
    while (!this.#isBlocked && !this.#isClosed) {
      const piece = this.#pieces?.shift() ?? this.#takeLoose()
      if (piece === undefined) break
      this.#waitingBytes -= piece.length
      if (this.#socket.writable && !this.#socket.write(piece)) this.#block()
    }
    if (this.#isClosed || this.#isBlocked) return
    this.#behindSinceMs = undefined
    for (const done of this.#whenEmpty?.splice(0) ?? []) done()
    this.#port.emptied()
  }

  #block(): void {
    this.#isBlocked = true
    this.#pieceSinceMs = performance.now()
    this.#behindSinceMs ??= this.#pieceSinceMs
    this.#timer ??= setTimeout(() => this.#look(), this.#options.drainHoldMs)
  }

  #look(): void {
    this.#timer = undefined
    if (!this.#isBlocked) return
    if (performance.now() - this.#pieceSinceMs >= this.#options.stallTimeoutMs) {
      this.#port.stalled()
      return
    }
    this.#timer = setTimeout(() => this.#look(), this.#options.drainHoldMs)
    this.#port.held()
  }
}
