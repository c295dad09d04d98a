/**
 * Stands between a socket and who works on its packets (`GateClient`). It lets through whole, sound packets only, bounded
 * in size, number and time before anything is kept; it holds SUBSCRIBE and UNSUBSCRIBE apart until they are acknowledged,
 * since Aedes works on all packets of one read at once; and it bounds the way out.
 */
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { FETCH_FIRST_BYTE } from '../../shared/protocol/fetch.ts'
import { Acknowledgements } from './mqtt-acknowledgements.ts'
import { AssemblyDeadline } from './mqtt-assembly-deadline.ts'
import type { Traffic } from './mqtt-figures.ts'
import { type Frame, FrameReader, SentPackets } from './mqtt-frames.ts'
import type { GateClient, GateOptions, GatePort, GateShared } from './mqtt-gate-parts.ts'
import { type Incoming, incomingOf } from './mqtt-incoming.ts'
import { Outflow, type OutflowPort } from './mqtt-outflow.ts'
import {
  CONNACK,
  CONNECT,
  checkPacket,
  connectOf,
  denialOf,
  PUBLISH,
  packetIdOf,
  returnCodeOf,
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
} from './mqtt-packets.ts'
import { ConnectionShare } from './mqtt-turn-share.ts'
import { leaveTo, listenTo, type SocketListener } from './socket-listener.ts'

type GateState = 'awaiting-connect' | 'awaiting-connack' | 'open' | 'leaving' | 'closed'

const SERVER_UNAVAILABLE = 3
/** How long a peer may take to read what is left for it. */
const LEAVE_TIMEOUT_MS = 2000

export class Gate implements OutflowPort, SocketListener {
  readonly #socket: Socket
  readonly #options: GateOptions
  readonly #traffic: Traffic
  readonly #port: GatePort
  readonly #frames: FrameReader
  readonly #outflow: Outflow
  readonly #share: ConnectionShare
  /** Made when bytes are written of which nobody says what they are. */
  #sent: SentPackets | undefined
  /** Made when a packet comes in pieces. */
  #deadline: AssemblyDeadline | undefined
  /** Made when something is sent above QoS 0. */
  #acknowledgements: Acknowledgements | undefined
  #isDestroyed = false
  #isRoomWanted = false
  #isBridge = false
  #isFirst = true
  #isHandedOver = false
  #client: GateClient | undefined
  #state: GateState = 'awaiting-connect'
  #isPumping = false
  /** What Aedes has not taken yet. */
  #next: Incoming[] | undefined
  /** The acknowledgement that the last SUBSCRIBE or UNSUBSCRIBE still waits for. */
  #awaitedType: number | undefined
  #parked: Frame | undefined
  /** What was before it has been worked on. */
  #isParkedDue = false
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
    this.#socket = socket
    this.#options = options
    this.#traffic = traffic
    this.#share = new ConnectionShare(turns, options, () => this.#pump())
    this.#port = port
    this.#frames = new FrameReader(options.frameBounds, budget)
    this.#outflow = new Outflow(socket, options, this)
    this.#connectTimer = setTimeout(() => this.#refuse('connect-timeout'), options.connectTimeoutMs)
    listenTo(socket, this)
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
    return this.#outflow.backlogBytes
  }

  /** The same before what is sent in this turn: who is sent much at once had no time to read it. */
  get backlogBefore(): number {
    return this.#outflow.backlogBefore
  }

  get destroyed(): boolean {
    return this.#isDestroyed
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

  /** While it is not, nobody knows whether the peer says something. */
  get isReading(): boolean {
    return !this.#socket.isPaused()
  }

  /** Bytes of packets that have not been let through. */
  get bufferedBytes(): number {
    return this.#frames.pendingBytes
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? ''
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
    this.#outflow.afterAll(() => this.#socket.end())
    // Read on, so that the end of the peer is seen.
    this.#socket.resume()
  }

  /** The next packets, where there are some; else the client is told of them. */
  read(): Incoming[] | null {
    const packets = this.#next ?? this.#take()
    this.#next = undefined
    if (!this.#isPumping) this.#updateFlow()
    return packets ?? null
  }

  /** Says whether there is room; if not, the client is told when there is. */
  write(written: Uint8Array | string): boolean {
    if (this.#isDestroyed) return true
    const chunk = typeof written === 'string' ? Buffer.from(written) : (written as Buffer)
    this.#sent ??= new SentPackets((type, qos, id) => this.#onSent(type, qos, id))
    this.#sent.watch(chunk)
    return this.sendMore(chunk)
  }

  /** As `write`, for a whole packet of a type that is no PUBLISH; `id` where it is a PUBREL. */
  sendPacket(type: number, packet: Buffer, id = 0): void {
    if (this.#isDestroyed) return
    this.#onSent(type, 0, id)
    this.sendMore(packet)
  }

  /** As `write`, for a PUBLISH, or for all of one but a payload that follows. */
  send(publish: Buffer, qos: number, id: number): boolean {
    if (this.#isDestroyed) return true
    this.#onSent(PUBLISH, qos, qos > 0 ? id : 0)
    return this.sendMore(publish)
  }

  sendMore(bytes: Buffer): boolean {
    this.#traffic.bytesSent += bytes.length
    this.#outflow.send(bytes)
    this.#isRoomWanted ||= this.#isFull
    return !this.#isFull
  }

  destroy(): void {
    if (this.#isDestroyed) return
    this.#isDestroyed = true
    this.#state = 'closed'
    clearTimeout(this.#connectTimer)
    this.#deadline?.close()
    this.#share.close()
    clearTimeout(this.#leaveTimer)
    this.#frames.release()
    this.#parked = undefined
    this.#next = undefined
    this.#outflow.close()
    if (!this.#isHandedOver) this.#socket.destroy()
    this.#reportClosed()
    process.nextTick(() => {
      this.#client?.gone()
      this.#port.ended(this)
    })
  }

  get #isFull(): boolean {
    return this.#outflow.waitingBytes >= this.#options.writableBytes
  }

  drained(): void {
    this.#outflow.drained()
  }

  /** Of the way out, as `held` and `stalled`. */
  emptied(): void {
    if (!this.#isRoomWanted) return
    this.#isRoomWanted = false
    this.#client?.drained()
  }

  held(): void {
    this.emptied()
  }

  stalled(): void {
    this.#refuse('stalled')
  }

  #onSent(type: number, qos: number, id: number): void {
    this.#traffic.packetsSent++
    if (id > 0) {
      this.#acknowledgements ??= new Acknowledgements()
      this.#acknowledgements.sent(type, qos, id)
    }
    if (type === PUBLISH) this.#traffic.publishesSent++
    if (type === CONNACK && this.#state === 'awaiting-connack') {
      this.#state = 'open'
      process.nextTick(() => this.#pump())
    } else if (type === this.#awaitedType) {
      this.#awaitedType = undefined
      process.nextTick(() => this.#pump())
    }
  }

  received(chunk: Buffer): void {
    this.#traffic.bytesReceived += chunk.length
    if (this.#state === 'leaving' || this.#state === 'closed') return
    if (this.#isFirst && chunk[0] === FETCH_FIRST_BYTE && this.#port.handOver !== undefined) {
      this.#isHandedOver = true
      leaveTo(this.#socket)
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
    if (this.#state !== 'awaiting-connect' && this.#frames.isPartial) this.#watchAssembly()
  }

  #watchAssembly(): void {
    const { assemblyTimeoutMs } = this.#options
    this.#deadline ??= new AssemblyDeadline(this.#frames, assemblyTimeoutMs, {
      isReading: () => this.isReading,
      late: () => this.#refuse('packet-timeout'),
    })
    this.#deadline.look()
  }

  /** Lets packets through; where Aedes has left some, no more than those wait for it. */
  #pump(): void {
    if (this.#next === undefined && !this.#isPumping) {
      this.#isPumping = true
      this.#next = this.#take()
      if (this.#next !== undefined) this.#client?.readable()
      this.#isPumping = false
    }
    this.#updateFlow()
  }

  /** All that may pass now. */
  #take(): Incoming[] | undefined {
    if (this.#isParkedDue) return this.#takeParked()
    let packets: Incoming[] | undefined
    while (this.#mayPass()) {
      const frame = this.#frames.next()
      if (typeof frame === 'string') {
        if (frame !== 'incomplete') this.#refuse(frame)
        break
      }
      if (!this.#admit(frame)) break
      if (frame.type === SUBSCRIBE || frame.type === UNSUBSCRIBE) {
        this.#park(frame)
        continue
      }
      const packet = this.#unwrap(frame)
      if (packet === undefined) break
      packets ??= []
      packets.push(packet)
    }
    return this.#isDestroyed ? undefined : packets
  }

  #takeParked(): Incoming[] | undefined {
    const frame = this.#parked
    this.#isParkedDue = false
    if (frame === undefined || this.#state !== 'open') return undefined
    const packet = this.#unwrap(frame)
    if (packet === undefined) return undefined
    this.#parked = undefined
    this.#awaitedType = frame.type === SUBSCRIBE ? SUBACK : UNSUBACK
    return [packet]
  }

  #unwrap(frame: Frame): Incoming | undefined {
    const packet = incomingOf(frame)
    if (packet === undefined) this.#refuse('packet-type')
    return packet
  }

  #mayPass(): boolean {
    if (this.#state !== 'awaiting-connect' && this.#state !== 'open') return false
    if (this.#holds > 0 || this.#parked !== undefined) return false
    if (this.#awaitedType !== undefined) return false
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
    if (this.#acknowledgements?.take(type, packetIdOf(body)) === false) {
      return this.#refuse('acknowledgement-kind')
    }
    if (type === CONNECT) {
      clearTimeout(this.#connectTimer)
      const connect = connectOf(body)
      this.#isBridge = connect.isBridge
      this.#client = this.#port.connectArrived(this, connect)
      if (this.#client === undefined) return this.#refuse('connections-full', SERVER_UNAVAILABLE)
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
      this.#isParkedDue = true
      this.#pump()
    })
  }

  #updateFlow(): void {
    if (this.#state === 'leaving' || this.#state === 'closed') return
    if (this.#next === undefined && this.#mayPass()) {
      if (this.#end === 'seen') {
        this.#end = 'passed'
        process.nextTick(() => this.#client?.ended())
      } else if (this.#socket.isPaused()) {
        this.#socket.resume()
      }
    } else if (!this.#socket.isPaused()) {
      this.#socket.pause()
    }
  }

  peerEnded(): void {
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
