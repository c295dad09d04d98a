/**
 * The stream between a socket and Aedes. It lets through whole, sound packets only, bounded in size,
 * number and time before anything is kept; it holds SUBSCRIBE and UNSUBSCRIBE apart until they are
 * acknowledged, since Aedes works on all packets of one read at once; and it bounds the way out.
 */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { AssemblyDeadline } from './mqtt-assembly-deadline.ts'
import type { Traffic } from './mqtt-figures.ts'
import { type Frame, type FrameBounds, FrameReader, SentPackets } from './mqtt-frames.ts'
import { type ByteBudget, TokenBucket } from './mqtt-limits.ts'
import { Outflow, type OutflowOptions } from './mqtt-outflow.ts'
import {
  CONNACK,
  CONNECT,
  checkPacket,
  clientIdOf,
  denialOf,
  type PacketBounds,
  PUBLISH,
  returnCodeOf,
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
} from './mqtt-packets.ts'

export interface GateOptions extends OutflowOptions {
  readonly packetBounds: PacketBounds
  readonly frameBounds: FrameBounds
  readonly connectTimeoutMs: number
  /** From the first byte of a packet to its last. */
  readonly assemblyTimeoutMs: number
  readonly packetsPerSecond: number
  readonly bytesPerSecond: number
  /** Beyond this much unwritten, publishers to this client wait (or are let go, `drainHoldMs`). */
  readonly writableBytes: number
}

export interface GatePort {
  /** A sound CONNECT arrived; false when there is no room for one more client. */
  connectArrived(gate: Gate, clientId: string): boolean
  refused(gate: Gate, reason: string): void
  /** Once, at the first sign that the connection ends. */
  closed(gate: Gate): void
}

type GateState = 'awaiting-connect' | 'awaiting-connack' | 'open' | 'leaving' | 'closed'

const SERVER_UNAVAILABLE = 3
/** How long a peer may take to read what is left for it. */
const LEAVE_TIMEOUT_MS = 2000
const TOKEN_BYTES = 16

export class Gate extends Duplex {
  readonly #socket: Socket
  readonly #options: GateOptions
  readonly #traffic: Traffic
  readonly #port: GatePort
  readonly #frames: FrameReader
  readonly #sent: SentPackets
  readonly #outflow: Outflow
  readonly #deadline: AssemblyDeadline
  readonly #byteRate: TokenBucket
  readonly #packetRate: TokenBucket
  readonly #skipped = new Map<string, number>()
  #state: GateState = 'awaiting-connect'
  #isWanted = false
  /** The acknowledgement that the last SUBSCRIBE or UNSUBSCRIBE still waits for. */
  #awaitedType: number | undefined
  #parked: Frame | undefined
  #holds = 0
  /** The end of the peer's bytes: `passed` once Aedes was told. */
  #end: 'none' | 'seen' | 'passed' = 'none'
  #isReported = false
  #connectTimer: NodeJS.Timeout | undefined
  #throttleTimer: NodeJS.Timeout | undefined
  #leaveTimer: NodeJS.Timeout | undefined

  constructor(
    socket: Socket,
    options: GateOptions,
    budget: ByteBudget,
    traffic: Traffic,
    port: GatePort,
  ) {
    super({ readableHighWaterMark: 65_536, writableHighWaterMark: options.writableBytes })
    this.#socket = socket
    this.#options = options
    this.#traffic = traffic
    this.#port = port
    this.#frames = new FrameReader(options.frameBounds, budget)
    this.#sent = new SentPackets((type) => this.#onSent(type))
    this.#outflow = new Outflow(
      socket,
      options,
      () => {
        if (this.writableNeedDrain) this.emit('drain')
      },
      () => this.#refuse('stalled'),
    )
    this.#deadline = new AssemblyDeadline(
      this.#frames,
      options.assemblyTimeoutMs,
      () => !socket.isPaused(),
      () => this.#refuse('packet-timeout'),
    )
    const nowMs = performance.now()
    this.#byteRate = new TokenBucket(options.bytesPerSecond, nowMs)
    this.#packetRate = new TokenBucket(options.packetsPerSecond, nowMs)
    this.#connectTimer = setTimeout(() => this.#refuse('connect-timeout'), options.connectTimeoutMs)

    this.on('error', () => {})
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => this.#onChunk(chunk))
    socket.on('end', () => this.#onEnd())
    socket.on('close', () => this.destroy())
  }

  /** The client is connected, and not being let go. */
  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** What was written and is not with the kernel yet. */
  get backlogBytes(): number {
    return this.writableLength + this.#socket.writableLength
  }

  /** How long the peer has not kept up with what is written to it. */
  get behindMs(): number {
    return this.#outflow.behindMs
  }

  /** Bytes of packets that have not been let through. */
  get bufferedBytes(): number {
    return this.#frames.pendingBytes
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? ''
  }

  /** The bytes of the submission that a payload of ours stands for; each stands once. */
  takeSkipped(payload: Uint8Array): number | undefined {
    if (this.#skipped.size === 0 || payload.length !== TOKEN_BYTES) return undefined
    const token = Buffer.from(payload).toString('hex')
    const bytes = this.#skipped.get(token)
    this.#skipped.delete(token)
    return bytes
  }

  /** Lets nothing more through until `release`; may be nested. */
  hold(): void {
    this.#holds++
  }

  release(): void {
    this.#holds--
    this.#pump()
  }

  /** Ends the connection in the next turn, whatever is still to be written. */
  abandon(reason: string): void {
    setImmediate(() => this.#refuse(reason))
  }

  /** Ends the connection once what was written has left. */
  leave(): void {
    if (this.#state === 'leaving' || this.#state === 'closed') return
    this.#state = 'leaving'
    this.#frames.release()
    this.#leaveTimer = setTimeout(() => this.destroy(), LEAVE_TIMEOUT_MS)
    this.write(Buffer.alloc(0), () => {
      if (!this.#socket.destroyed) this.#socket.end()
    })
    // Read on, so that the end of the peer is seen.
    this.#socket.resume()
  }

  override _read(): void {
    this.#isWanted = true
    this.#pump()
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.#send([chunk], chunk.length, callback)
  }

  override _writev(items: { chunk: Buffer }[], callback: () => void): void {
    const chunks = items.map((item) => item.chunk)
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    this.#send(chunks, bytes, callback)
  }

  override _final(callback: () => void): void {
    this.#socket.end()
    callback()
  }

  override _destroy(_error: Error | null, callback: (error: null) => void): void {
    this.#state = 'closed'
    clearTimeout(this.#connectTimer)
    this.#deadline.close()
    clearTimeout(this.#throttleTimer)
    clearTimeout(this.#leaveTimer)
    this.#frames.release()
    this.#skipped.clear()
    this.#parked = undefined
    this.#outflow.close()
    this.#socket.destroy()
    this.#reportClosed()
    callback(null)
  }

  #send(chunks: readonly Buffer[], bytes: number, callback: () => void): void {
    this.#traffic.bytesSent += bytes
    for (const chunk of chunks) this.#sent.watch(chunk)
    this.#outflow.send(chunks, bytes, () => {
      callback()
      if (this.writableLength === 0) this.#outflow.setCaughtUp()
    })
  }

  #onSent(type: number): void {
    this.#traffic.packetsSent++
    if (type === PUBLISH) this.#traffic.publishesSent++
    if (type === CONNACK && this.#state === 'awaiting-connack') {
      this.#state = 'open'
      process.nextTick(() => this.#pump())
    } else if (type === this.#awaitedType) {
      this.#awaitedType = undefined
      process.nextTick(() => this.#pump())
    }
  }

  #onChunk(chunk: Buffer): void {
    this.#traffic.bytesReceived += chunk.length
    if (this.#state === 'leaving' || this.#state === 'closed') return
    if (!this.#frames.add(chunk)) {
      this.#refuse('buffer-budget')
      return
    }
    const packetsBefore = this.#traffic.packetsReceived
    this.#pump()
    const packets = this.#traffic.packetsReceived - packetsBefore
    this.#throttle(chunk.length, packets)
    if (this.#state !== 'awaiting-connect') this.#deadline.look()
  }

  /** Lets packets through: neighbours in one buffer go as one. */
  #pump(): void {
    let run: { buffer: Buffer; start: number; end: number } | undefined
    const flush = (): void => {
      const bytes = run?.buffer.subarray(run.start, run.end)
      run = undefined
      if (bytes && !this.destroyed && !this.push(bytes)) this.#isWanted = false
    }
    while (this.#mayPass()) {
      const frame = this.#frames.next()
      if (typeof frame === 'string') {
        flush()
        if (frame !== 'incomplete') this.#refuse(frame)
        break
      }
      if (!this.#admit(frame)) {
        flush()
        break
      }
      if (frame.type === SUBSCRIBE || frame.type === UNSUBSCRIBE) {
        this.#park(frame)
      } else if (frame.skippedBytes !== undefined) {
        flush()
        this.push(this.#substitute(frame, frame.skippedBytes))
      } else if (run !== undefined && run.buffer === frame.buffer && run.end === frame.start) {
        run.end = frame.end
      } else {
        flush()
        run = { buffer: frame.buffer, start: frame.start, end: frame.end }
      }
    }
    flush()
    this.#updateFlow()
  }

  #mayPass(): boolean {
    if (this.#state !== 'awaiting-connect' && this.#state !== 'open') return false
    if (this.#holds > 0 || this.#parked !== undefined) return false
    return this.#awaitedType === undefined && this.#isWanted
  }

  /** Judges a packet and moves the state on; false when it may not pass. */
  #admit(frame: Frame): boolean {
    this.#traffic.packetsReceived++
    if (frame.type === PUBLISH) this.#traffic.publishesReceived++
    const { type, flags, buffer, bodyStart, end } = frame
    if (this.#state === 'awaiting-connect' && type !== CONNECT) return this.#refuse('first-packet')
    if (this.#state === 'open' && type === CONNECT) return this.#refuse('second-connect')
    const body = buffer.subarray(bodyStart, end)
    const problem = checkPacket(type, flags, body, this.#options.packetBounds)
    if (problem !== undefined) return this.#refuse(problem)
    if (type === CONNECT) {
      clearTimeout(this.#connectTimer)
      if (!this.#port.connectArrived(this, clientIdOf(body))) {
        return this.#refuse('connections-full', SERVER_UNAVAILABLE)
      }
      this.#frames.setConnected()
      this.#state = 'awaiting-connack'
    }
    return true
  }

  /** SUBSCRIBE and UNSUBSCRIBE go alone, after all before them was worked on. */
  #park(frame: Frame): void {
    const { type, buffer, bodyStart, end } = frame
    const { filtersPerPacketMax } = this.#options.packetBounds
    const denial = denialOf(type, buffer.subarray(bodyStart, end), filtersPerPacketMax)
    if (denial !== undefined) {
      this.#port.refused(this, 'filter-count')
      this.write(denial)
      return
    }
    this.#parked = frame
    setImmediate(() => {
      if (this.#parked !== frame || this.#state !== 'open') return
      this.#parked = undefined
      this.#awaitedType = type === SUBSCRIBE ? SUBACK : UNSUBACK
      this.push(buffer.subarray(frame.start, end))
    })
  }

  /** The same PUBLISH with a token for its payload that only this gate can know. */
  #substitute(frame: Frame, skippedBytes: number): Buffer {
    const token = randomBytes(TOKEN_BYTES)
    this.#skipped.set(token.toString('hex'), skippedBytes)
    const head = frame.buffer.subarray(frame.bodyStart, frame.end)
    const bodyBytes = head.length + TOKEN_BYTES
    const length = bodyBytes < 128 ? [bodyBytes] : [(bodyBytes & 0x7f) | 0x80, bodyBytes >> 7]
    return Buffer.concat([Buffer.from([frame.buffer[frame.start]!, ...length]), head, token])
  }

  #throttle(bytes: number, packets: number): void {
    const nowMs = performance.now()
    const waitMs = Math.max(
      this.#byteRate.take(bytes, nowMs),
      this.#packetRate.take(packets, nowMs),
    )
    if (waitMs === 0 || this.#throttleTimer !== undefined || this.#state === 'closed') return
    this.#throttleTimer = setTimeout(() => {
      this.#throttleTimer = undefined
      this.#updateFlow()
    }, waitMs)
    this.#updateFlow()
  }

  #updateFlow(): void {
    if (this.#state === 'leaving' || this.#state === 'closed') return
    if (this.#throttleTimer === undefined && this.#mayPass()) {
      if (this.#end === 'seen') {
        this.#end = 'passed'
        this.push(null)
      } else if (this.#socket.isPaused()) {
        this.#socket.resume()
      }
    } else if (!this.#socket.isPaused()) {
      this.#socket.pause()
    }
  }

  #onEnd(): void {
    this.#end = 'seen'
    this.#reportClosed()
    if (this.#state === 'leaving' || this.#state === 'closed') {
      this.destroy()
      return
    }
    // Whatever Aedes still does for it, the connection is gone soon.
    this.#leaveTimer ??= setTimeout(() => this.destroy(), LEAVE_TIMEOUT_MS)
    this.#pump()
  }

  #refuse(reason: string, returnCode = returnCodeOf(reason)): false {
    if (this.#state === 'closed') return false
    const wasConnecting = this.#state === 'awaiting-connect'
    this.#state = 'closed'
    this.#port.refused(this, reason)
    if (wasConnecting && returnCode !== undefined && this.#socket.writable) {
      this.#socket.write(Uint8Array.of(CONNACK << 4, 2, 0, returnCode))
    }
    this.destroy()
    return false
  }

  #reportClosed(): void {
    if (this.#isReported) return
    this.#isReported = true
    this.#port.closed(this)
  }
}
