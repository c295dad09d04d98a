/** What a gate is made with, and who is behind it. */
import type { Socket } from 'node:net'
import type { ByteBudget } from './byte-budget.ts'
import type { Traffic } from './mqtt-figures.ts'
import type { FrameBounds } from './mqtt-frames.ts'
import type { Gate } from './mqtt-gate.ts'
import type { OutflowOptions } from './mqtt-outflow.ts'
import type { Connect, PacketBounds } from './mqtt-packets.ts'
import type { ConnectionRates, TurnShare } from './mqtt-turn-share.ts'

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
  /** A sound CONNECT arrived: who works on it; nobody when there is no room for one more client. */
  connectArrived(gate: Gate, connect: Connect): GateClient | undefined
  refused(gate: Gate, reason: string): void
  /** Takes over what begins with a byte that no packet begins with; it is the gate's no more. */
  handOver?(socket: Socket, first: Buffer): void
  /** Once, at the first sign that the connection ends. */
  closed(gate: Gate): void
  /** Once, when it has ended. */
  ended(gate: Gate): void
}

/** Who works on the packets of one connection. */
export interface GateClient {
  /** There are packets to `read`. */
  readable(): void
  /** Whoever waits for room may go on. */
  drained(): void
  /** All that the peer has sent was read. */
  ended(): void
  /** Nothing goes to the peer any more. */
  gone(): void
}
