/**
 * Where nodes fetch packages: few at a time, each at a pace, so that the fleet's own messages have the wire. A line asks, a
 * line answers, then the file goes from where the node stands. Nothing of a file is in memory but one piece for each. Who
 * reads too slowly, or for too long, makes room and may come again; a node has one place, that of its latest connection.
 */
import { type FileHandle, open } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { NodeId } from '../../shared/core/ids.ts'
import {
  decodeFetchRequest,
  encodeFetchLine,
  FETCH_LINE_BYTES_MAX,
  type FetchAnswer,
} from '../../shared/protocol/fetch.ts'

export interface FetchDoorOptions {
  readonly places?: number
  readonly bytesPerSecond?: number
  /** Connections that have not said their line. */
  readonly waitingMax?: number
  /** For a line, and for each piece: the slowest pace. */
  readonly timeoutMs?: number
  /** For all of it. */
  readonly placeMs?: number
  /** Waits so many ms before the next piece. */
  readonly pace?: (ms: number) => Promise<unknown>
}

export interface FetchDoorPort {
  /** The file of a package; nothing if there is none of this name. */
  pathOf(sha256: string): string | undefined
  failed(error: unknown): void
}

const PLACES = 4
const BYTES_PER_SECOND = 2 * 1024 * 1024
const WAITING_MAX = 64
const TIMEOUT_MS = 30_000
/** So long the core waits for a node that was told to fetch. */
const PLACE_MS = 600_000
const PIECE_BYTES = 64 * 1024
const LINE_END = 0x0a

export class FetchDoor {
  readonly #options: Required<FetchDoorOptions>
  readonly #port: FetchDoorPort
  /** The oldest first. */
  readonly #waiting = new Set<Socket>()
  readonly #taken = new Set<Socket>()
  /** The latest connection of each node that is known by its certificate. */
  readonly #latest = new Map<NodeId, Socket>()

  constructor(options: FetchDoorOptions, port: FetchDoorPort) {
    const { places = PLACES, bytesPerSecond = BYTES_PER_SECOND } = options
    const { waitingMax = WAITING_MAX, timeoutMs = TIMEOUT_MS, pace = pause } = options
    const { placeMs = PLACE_MS } = options
    this.#options = { places, bytesPerSecond, waitingMax, timeoutMs, placeMs, pace }
    this.#port = port
  }

  /** Connections that have not said a line. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Those that are being served. */
  get taken(): number {
    return this.#taken.size
  }

  /** Owns the socket from now on; `first` is what it has said already, `node` who it is where that is known. */
  take(socket: Socket, first: Buffer = Buffer.alloc(0), node?: NodeId): void {
    if (node !== undefined) this.#takePlaceOf(node, socket)
    if (this.#waiting.size >= this.#options.waitingMax) {
      const [oldest] = this.#waiting
      oldest!.destroy()
    }
    this.#waiting.add(socket)
    // Absolute: not since the last byte.
    const timer = setTimeout(() => socket.destroy(), this.#options.timeoutMs)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => {
      clearTimeout(timer)
      this.#waiting.delete(socket)
    })
    let said = first
    const look = (): void => {
      const end = said.indexOf(LINE_END)
      if (end < 0 && said.length <= FETCH_LINE_BYTES_MAX) return
      socket.off('data', onData)
      clearTimeout(timer)
      this.#waiting.delete(socket)
      const line = end < 0 || end > FETCH_LINE_BYTES_MAX ? '' : said.toString('utf8', 0, end)
      this.#answer(socket, line).catch((error: unknown) => {
        socket.destroy()
        this.#port.failed(error)
      })
    }
    const onData = (chunk: Buffer): void => {
      said = Buffer.concat([said, chunk])
      look()
    }
    socket.on('data', onData)
    look()
  }

  /** A connection that a node has left behind does not keep it waiting, and nobody has two. */
  #takePlaceOf(node: NodeId, socket: Socket): void {
    const before = this.#latest.get(node)
    if (before !== undefined) this.#evict(before)
    this.#latest.set(node, socket)
    socket.once('close', () => {
      if (this.#latest.get(node) === socket) this.#latest.delete(node)
    })
  }

  #evict(socket: Socket): void {
    this.#taken.delete(socket)
    socket.destroy()
  }

  async #answer(socket: Socket, line: string): Promise<void> {
    const request = decodeFetchRequest(line)
    const path = request && this.#port.pathOf(request.sha256)
    const end = (answer: FetchAnswer): void => {
      socket.resume()
      this.#end(socket, encodeFetchLine(answer))
    }
    if (request === undefined) return end({ error: 'malformed' })
    if (path === undefined) return end({ error: 'unknown-package' })
    if (this.#taken.size >= this.#options.places) return end({ error: 'busy' })
    this.#taken.add(socket)
    const timer = setTimeout(() => this.#evict(socket), this.#options.placeMs)
    try {
      const file = await open(path)
      try {
        await this.#send(socket, file, request.from)
      } finally {
        await file.close()
      }
    } finally {
      clearTimeout(timer)
      this.#taken.delete(socket)
    }
  }

  async #send(socket: Socket, file: FileHandle, from: number): Promise<void> {
    const { timeoutMs, bytesPerSecond, pace } = this.#options
    const { size } = await file.stat()
    // What still comes is thrown away, so that the end is seen.
    socket.resume()
    socket.write(encodeFetchLine({ bytes: size }))
    const piece = Buffer.alloc(PIECE_BYTES)
    for (let at = Math.min(from, size); at < size && !socket.destroyed; ) {
      const { bytesRead } = await file.read(piece, 0, piece.length, at)
      if (bytesRead === 0) break
      at += bytesRead
      const paced = pace((bytesRead * 1000) / bytesPerSecond)
      // Not since the last byte: a reader of one byte now and then would be here for ever.
      const timer = setTimeout(() => socket.destroy(), timeoutMs)
      const isTaken = await written(socket, piece.subarray(0, bytesRead))
      clearTimeout(timer)
      if (!isTaken) break
      await paced
    }
    this.#end(socket, '')
  }

  /** Whatever is still said: a connection that nobody counts any more goes. */
  #end(socket: Socket, last: string): void {
    if (socket.destroyed) return
    socket.end(last)
    const timer = setTimeout(() => socket.destroy(), this.#options.timeoutMs)
    socket.once('close', () => clearTimeout(timer))
  }
}

/** Resolves when the system has it, false when the connection ended before. */
function written(socket: Socket, bytes: Uint8Array): Promise<boolean> {
  return new Promise((resolve) => {
    const ended = (): void => resolve(false)
    socket.once('close', ended)
    socket.write(bytes, (error) => {
      socket.off('close', ended)
      resolve(error === null || error === undefined)
    })
  })
}
