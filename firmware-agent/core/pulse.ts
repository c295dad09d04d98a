/**
 * When the next heartbeat and the next telemetry are due, with jitter so that a fleet that started
 * together does not speak together; and what the answers to heartbeats tell of the way to the gateway
 * and of its clock.
 */
import type { Random } from '../../shared/core/random.ts'

const JITTER = 0.1

export class Pulse {
  readonly #telemetryMs: number
  readonly #random: Random
  #heartbeatMs = Number.POSITIVE_INFINITY
  #beatDueMs = Number.POSITIVE_INFINITY
  #telemetryDueMs = Number.POSITIVE_INFINITY
  #beat = 0
  #beatSentMs = 0
  #roundTripMs: number | null = null
  #clockOffsetMs: number | null = null

  constructor(options: { telemetryIntervalMs: number }, random: Random) {
    this.#telemetryMs = options.telemetryIntervalMs
    this.#random = random
  }

  /** Of the last answered heartbeat. */
  get roundTripMs(): number | null {
    return this.#roundTripMs
  }

  /** The gateway's wall clock minus the system's here, however wrong that is. */
  get clockOffsetMs(): number | null {
    return this.#clockOffsetMs
  }

  get deadlineMs(): number {
    return Math.min(this.#beatDueMs, this.#telemetryDueMs)
  }

  /** A session began: both are due at once. */
  start(nowMs: number, heartbeatMs: number): void {
    this.#heartbeatMs = heartbeatMs
    this.#beatDueMs = nowMs
    this.#telemetryDueMs = nowMs
  }

  /** The number of the heartbeat to send, if one is due. */
  takeBeat(nowMs: number): number | undefined {
    if (nowMs < this.#beatDueMs) return undefined
    this.#beatDueMs = nowMs + this.#jittered(this.#heartbeatMs)
    this.#beatSentMs = nowMs
    this.#beat += 1
    return this.#beat
  }

  takeTelemetry(nowMs: number): boolean {
    if (nowMs < this.#telemetryDueMs) return false
    this.#telemetryDueMs = nowMs + this.#jittered(this.#telemetryMs)
    return true
  }

  /** The gateway answered a heartbeat; `ts` is its wall clock then. Returns what that is by now. */
  answered(beat: number, ts: number, now: { nowMs: number; wallMs: number }): number | undefined {
    if (beat !== this.#beat) return undefined
    this.#roundTripMs = now.nowMs - this.#beatSentMs
    this.#clockOffsetMs = Math.round(ts - (now.wallMs - this.#roundTripMs / 2))
    return ts + this.#roundTripMs / 2
  }

  #jittered(intervalMs: number): number {
    return this.#random.between(intervalMs * (1 - JITTER), intervalMs * (1 + JITTER))
  }
}
