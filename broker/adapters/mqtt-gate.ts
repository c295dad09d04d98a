/**
 * The stream between a socket and Aedes. It lets through whole, sound packets only, bounded in size,
 * number and time before anything is kept; it holds SUBSCRIBE and UNSUBSCRIBE apart until they are
 * acknowledged, since Aedes works on all packets of one read at once; and it bounds the way out.
 */
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { FETCH_FIRST_BYTE } from '../../shared/protocol/fetch.ts'
import type { ByteBudget } from './byte-budget.ts'
import { Acknowledgements } from './mqtt-acknowledgements.ts'
import { AssemblyDeadline } from './mqtt-assembly-deadline.ts'
import type { Traffic } from './mqtt-figures.ts'
import { type Frame, type FrameBounds, FrameReader, SentPackets } from './mqtt-frames.ts'
import { Outflow, type OutflowOptions } from './mqtt-outflow.ts'
import {
  CONNACK,
  CONNECT,
  checkPacket,
  clientIdOf,
  denialOf,
  isOfBridge,
  type PacketBounds,
  PUBLISH,
  packetIdOf,
  returnCodeOf,
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
} from './mqtt-packets.ts'
import { SkippedPayloads } from './mqtt-skipped-payloads.ts'
import { type ConnectionRates, ConnectionShare, type TurnShare } from './mqtt-turn-share.ts'

export interface GateOptions extends OutflowOptions, ConnectionRates {
  readonly packetBounds: PacketBounds
  readonly frameBounds: FrameBounds
  readonly connectTimeoutMs: number
  /** From the first byte of a packet to its last. */
  readonly assemblyTimeoutMs: number
  /** Beyond this much unwritten, publishers to this client wait (or are let go, `drainHoldMs`). */
  readonly writableBytes: number
}

/** What all gates have together. */
export interface GateShared {
  readonly budget: ByteBudget
  readonly traffic: Traffic
  readonly turns: TurnShare
}

export interface GatePort {
  /** A sound CONNECT arrived; false when there is no room for one more client. */
  connectArrived(gate: Gate, clientId: string): boolean
  refused(gate: Gate, reason: string): void
  /** Takes over what begins with a byte that no packet begins with; it is the gate's no more. */
  handOver?(socket: Socket, first: Buffer): void
  /** Once, at the first sign that the connection ends. */
  closed(gate: Gate): void
}

type GateState = 'awaiting-connect' | 'awaiting-connack' | 'open' | 'leaving' | 'closed'

const SERVER_UNAVAILABLE = 3
/** How long a peer may take to read what is left for it. */
const LEAVE_TIMEOUT_MS = 2000

export class Gate extends Duplex {
  readonly #socket: Socket
  readonly #options: GateOptions
  readonly #traffic: Traffic
  readonly #port: GatePort
  readonly #frames: FrameReader
  readonly #sent: SentPackets
  readonly #outflow: Outflow
  readonly #deadline: AssemblyDeadline
  readonly #share: ConnectionShare
  readonly #skipped = new SkippedPayloads()
  readonly #acknowledgements = new Acknowledgements()
  #isRoomWanted = false
  #isBridge = false
  #isFirst = true
  #isHandedOver = false
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
  #leaveTimer: NodeJS.Timeout | undefined

  constructor(
    socket: Socket,
    options: GateOptions,
    { budget, traffic, turns }: GateShared,
    port: GatePort,
  ) {
    // What Aedes has not taken it takes all at once: so no more than one share waits for it. The way out
    // has bounds of its own, and never waits in the stream.
    super({ readableHighWaterMark: 1, writableHighWaterMark: 2 ** 31 - 1 })
    this.#socket = socket
    this.#options = options
    this.#traffic = traffic
    this.#share = new ConnectionShare(turns, options, () => this.#pump())
    this.#port = port
    this.#frames = new FrameReader(options.frameBounds, budget)
    this.#sent = new SentPackets((type, qos, id) => this.#onSent(type, qos, id))
    this.#outflow = new Outflow(socket, options, {
      emptied: () => this.#drain(),
      held: () => this.#drain(),
      stalled: () => this.#refuse('stalled'),
    })
    this.#deadline = new AssemblyDeadline(
      this.#frames,
      options.assemblyTimeoutMs,
      () => !socket.isPaused(),
      () => this.#refuse('packet-timeout'),
    )
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

  /**
   * Its client is a broker. As one of mosquitto's would have it from another, it gets messages with the retain flag
   * that they were published with, and none of its own.
   */
  get isBridge(): boolean {
    return this.#isBridge
  }

  /** What was written and is not with the kernel yet. */
  get backlogBytes(): number {
    return this.writableLength + this.#outflow.waitingBytes + this.#socket.writableLength
  }

  /** Keying material of this connection alone; nothing where it has none. */
  exported(label: string, bytes: number): Uint8Array | undefined {
    const socket = this.#socket
    if (!(socket instanceof TLSSocket) || socket.destroyed) return undefined
    return socket.exportKeyingMaterial(bytes, label, Buffer.alloc(0))
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
    return this.#skipped.take(payload)
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
    this.write(Buffer.alloc(0), () => this.#outflow.afterAll(() => this.#socket.end()))
    // Read on, so that the end of the peer is seen.
    this.#socket.resume()
  }

  override _read(): void {
    this.#isWanted = true
    this.#pump()
  }

  /** Says by its answer, and by `drain`, whether there is room: what is written never waits in the stream. */
  override write(chunk: Uint8Array, ...rest: unknown[]): boolean {
    super.write(chunk, ...(rest as []))
    this.#isRoomWanted ||= this.#isFull
    return !this.#isFull
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.#send([chunk])
    callback()
  }

  override _writev(items: { chunk: Buffer }[], callback: () => void): void {
    this.#send(items.map((item) => item.chunk))
    callback()
  }

  override _final(callback: () => void): void {
    this.#outflow.afterAll(() => {
      this.#socket.end()
      callback()
    })
  }

  override _destroy(_error: Error | null, callback: (error: null) => void): void {
    this.#state = 'closed'
    clearTimeout(this.#connectTimer)
    this.#deadline.close()
    this.#share.close()
    clearTimeout(this.#leaveTimer)
    this.#frames.release()
    this.#skipped.clear()
    this.#parked = undefined
    this.#outflow.close()
    if (!this.#isHandedOver) this.#socket.destroy()
    this.#reportClosed()
    callback(null)
  }

  get #isFull(): boolean {
    return this.writableLength + this.#outflow.waitingBytes >= this.#options.writableBytes
  }

  #drain(): void {
    if (!this.#isRoomWanted) return
    this.#isRoomWanted = false
    this.emit('drain')
  }

  #send(chunks: readonly Buffer[]): void {
    for (const chunk of chunks) {
      this.#traffic.bytesSent += chunk.length
      this.#sent.watch(chunk)
    }
    this.#outflow.send(chunks)
  }

  #onSent(type: number, qos: number, id: number): void {
    this.#traffic.packetsSent++
    if (id > 0) this.#acknowledgements.sent(type, qos, id)
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
    if (this.#isFirst && chunk[0] === FETCH_FIRST_BYTE && this.#port.handOver !== undefined) {
      this.#isHandedOver = true
      for (const event of ['data', 'end', 'close', 'error']) this.#socket.removeAllListeners(event)
      this.#port.handOver(this.#socket, chunk)
      this.destroy()
      return
    }
    this.#isFirst = false
    if (!this.#frames.add(chunk)) {
      this.#refuse('buffer-budget')
      return
    }
    this.#share.takeBytes(chunk.length)
    this.#pump()
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
        this.push(this.#skipped.substitute(frame, frame.skippedBytes))
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
    if (this.#awaitedType !== undefined || !this.#isWanted) return false
    return this.#share.isLeft()
  }

  /** Judges a packet and moves the state on; false when it may not pass. */
  #admit(frame: Frame): boolean {
    this.#traffic.packetsReceived++
    this.#share.takePacket()
    if (frame.type === PUBLISH) this.#traffic.publishesReceived++
    const { type, flags, buffer, bodyStart, end } = frame
    if (this.#state === 'awaiting-connect' && type !== CONNECT) return this.#refuse('first-packet')
    if (this.#state === 'open' && type === CONNECT) return this.#refuse('second-connect')
    const body = buffer.subarray(bodyStart, end)
    const problem = checkPacket(type, flags, body, this.#options.packetBounds)
    if (problem !== undefined) return this.#refuse(problem)
    // It would count as the one that was due [MQTT-4.8.0-1].
    if (!this.#acknowledgements.take(type, packetIdOf(body))) {
      return this.#refuse('acknowledgement-kind')
    }
    if (type === CONNECT) {
      clearTimeout(this.#connectTimer)
      this.#isBridge = isOfBridge(body)
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

  #updateFlow(): void {
    if (this.#state === 'leaving' || this.#state === 'closed') return
    if (this.#mayPass()) {
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
