/**
 * A connection whose bytes come in slices. Node's HTTP parser takes all that a socket has, 64 KB and some
 * thousand requests, in one go, and does so for each socket that has something; here all of them together
 * have a few milliseconds of a turn of the event loop.
 */
import type { Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { Duplex } from 'node:stream'

const SLICE_BYTES = 2048
const TURN_MS = 2

/** Gives a slice; true if there is another one. */
type Give = () => boolean

/** Who gives slices, in the order in which they asked. */
export class SliceTurns {
  readonly #waiting: Give[] = []
  #usedMs = 0
  #isScheduled = false

  /** At once, if nobody waits and there is time. */
  take(give: Give): void {
    if (this.#waiting.length > 0 || this.#usedMs >= TURN_MS) this.takeLater(give)
    else this.#run(give)
  }

  takeLater(give: Give): void {
    this.#waiting.push(give)
    this.#schedule()
  }

  #run(give: Give): void {
    const startedMs = performance.now()
    const isMore = give()
    this.#usedMs += performance.now() - startedMs
    if (isMore) this.take(give)
    else this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#usedMs = 0
      while (this.#waiting.length > 0 && this.#usedMs < TURN_MS) this.#run(this.#waiting.shift()!)
      if (this.#waiting.length > 0) this.#schedule()
    })
  }
}

/** What `node:http` and its handlers use of a `net.Socket`. */
export class SlicedSocket extends Duplex {
  readonly #socket: Socket
  readonly #turns: SliceTurns
  #chunk: Buffer | undefined
  #isAsked = false
  #hasEnded = false

  constructor(socket: Socket, turns: SliceTurns) {
    super({ allowHalfOpen: socket.allowHalfOpen })
    this.#socket = socket
    this.#turns = turns
    socket.on('data', (chunk: Buffer) => {
      socket.pause()
      this.#chunk = chunk
      this.#isAsked = true
      turns.take(this.#give)
    })
    socket.on('end', () => {
      this.#hasEnded = true
      if (this.#chunk === undefined) this.push(null)
    })
    socket.on('error', (error) => this.destroy(error))
    socket.on('close', () => this.destroy())
    socket.on('timeout', () => this.emit('timeout'))
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress
  }

  get remotePort(): number | undefined {
    return this.#socket.remotePort
  }

  get bytesWritten(): number {
    return this.#socket.bytesWritten
  }

  setTimeout(ms: number): this {
    this.#socket.setTimeout(ms)
    return this
  }

  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', () => this.destroy())
  }

  override _read(): void {
    if (this.#isAsked || this.#chunk === undefined) return
    this.#isAsked = true
    // What is given while it is asked for is taken later, and nobody knew how long that took.
    this.#turns.takeLater(this.#give)
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#socket.cork()
    for (const { chunk } of chunks.slice(0, -1)) this.#socket.write(chunk)
    this.#socket.write(chunks.at(-1)!.chunk, done)
    this.#socket.uncork()
  }

  override _final(done: () => void): void {
    this.#socket.end(done)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#chunk = undefined
    this.#socket.destroy()
    done(error)
  }

  readonly #give: Give = () => {
    const chunk = this.#chunk
    if (chunk === undefined) return false
    this.#chunk = chunk.length > SLICE_BYTES ? chunk.subarray(SLICE_BYTES) : undefined
    this.#isAsked = this.push(chunk.subarray(0, SLICE_BYTES)) && this.#chunk !== undefined
    if (this.#chunk === undefined) {
      if (this.#hasEnded) this.push(null)
      else this.#socket.resume()
    }
    return this.#isAsked
  }
}
