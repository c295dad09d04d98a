/**
 * Whether the store has room: looked at all the time, since a full disk is to be said before a write comes
 * that it stops. A stream that stopped for want of room goes on by itself once there is some; each stop
 * after an attempt makes the wait before the next one longer.
 */
import { Backoff } from '../../shared/core/backoff.ts'
import type { Random } from '../../shared/core/random.ts'
import type { AgentEvent } from './events.ts'

const LOOK_INTERVAL_MS = 10_000
const ATTEMPTS = { baseMs: LOOK_INTERVAL_MS, capMs: 300_000 }

/** The code of a trouble that may pass by itself. */
export const STORE_FULL = 'store-full'

export interface RoomChange {
  readonly level: 'warn' | 'info'
  readonly code: string
}

const FULL: RoomChange = { level: 'warn', code: STORE_FULL }
const ROOMY: RoomChange = { level: 'info', code: 'store-roomy' }

export type RoomLooked = Extract<AgentEvent, { type: 'room-looked' }>

export class RoomWatch {
  readonly #backoff: Backoff
  #isFull = false
  #isStopped = false
  #lookDueMs = 0
  /** Not before this may a stopped stream go on. */
  #resumeMs = 0

  constructor(random: Random) {
    this.#backoff = new Backoff(ATTEMPTS, random)
  }

  get deadlineMs(): number {
    return this.#lookDueMs
  }

  takeLook(nowMs: number): boolean {
    if (nowMs < this.#lookDueMs) return false
    this.#lookDueMs = nowMs + LOOK_INTERVAL_MS
    return true
  }

  /** The stream stopped for want of room; that is said with the stop. */
  stopped(nowMs: number): void {
    // Again in each new session, it is the same stop as long as nobody has seen room.
    if (!this.#isFull) this.#resumeMs = nowMs + this.#backoff.nextMs()
    this.#isFull = true
    this.#isStopped = true
  }

  /** Entries were applied: the next stop is another one. */
  applied(): void {
    this.#backoff.reset()
  }

  /** A new session begins with what the store is; nothing is stopped in it. */
  restarted(): void {
    this.#isStopped = false
  }

  /** What a look has changed, and whether the stream may go on. */
  looked(nowMs: number, isRoom: boolean): { change?: RoomChange; mayResume: boolean } {
    const isWaiting = isRoom && this.#isStopped && nowMs < this.#resumeMs
    if (isRoom === !this.#isFull || isWaiting) return { mayResume: false }
    const mayResume = isRoom && this.#isStopped
    this.#isFull = !isRoom
    if (mayResume) this.#isStopped = false
    return { change: isRoom ? ROOMY : FULL, mayResume }
  }
}
