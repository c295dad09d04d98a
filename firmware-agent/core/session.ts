/**
 * The life of the connection to the gateway: when to connect, when to give up waiting, how long to
 * stay away. One named state; mqtt.js never reconnects by itself.
 *
 *   waiting ─▶ connecting ─▶ greeting ─▶ admitted
 *      ▲            │            │           │
 *      └────────────┴────────────┴───────────┘   disconnected, refused, or silent for too long
 *
 * A node whose key was revoked goes on asking, but rarely: only an operator can change the answer.
 */
import { Backoff, type BackoffOptions } from '../../shared/core/backoff.ts'
import type { Random } from '../../shared/core/random.ts'

/**
 * Refusals after which this process has nothing to do, with their exit codes (shared/runtime/errors.ts): the
 * id may be free later, so that a unit tries again; a node that was let go stays away.
 */
export const FINAL_REFUSALS: Readonly<Record<string, number>> = { 'id-taken': 77, 'node-left': 79 }

/** The gateway counts as gone after this many heartbeats without a word from it. */
export const SILENT_BEATS = 5

export interface SessionOptions {
  readonly backoff: BackoffOptions
  /** A connection attempt, or the wait for an answer to the hello, lasts at most this long. */
  readonly answerTimeoutMs: number
}

/** What a person is told of the link. */
export type Standing = 'joined' | 'waiting' | 'revoked'

export type SessionState = 'waiting' | 'connecting' | 'greeting' | 'admitted' | 'stopped'

/** The waits of who was revoked. */
const REVOKED_BACKOFF: BackoffOptions = { baseMs: 60_000, capMs: 3_600_000 }

export const REVOKED =
  'the gateway has revoked the key of this node: what it holds stays, and it asks again, once an hour at most; a new token and obelisk agent enroll --again let it in'

/** It took the connection, and nobody behind it took the hello. */
const NO_GATEWAY =
  'an MQTT broker is there, and no gateway answers through it: is it another broker, another topic base, or a gateway whose ledger is being rebuilt?'

export class Session {
  readonly #options: SessionOptions
  readonly #backoff: Backoff
  #state: SessionState = 'waiting'
  #number = 0
  #deadlineMs: number | undefined = 0
  #silenceMs = Number.POSITIVE_INFINITY
  #givenUpMs: number | undefined
  /** Why the last attempt failed. */
  #reason: string | undefined
  readonly #revokedBackoff: Backoff
  #isRevoked = false

  constructor(options: SessionOptions, random: Random) {
    this.#options = options
    this.#backoff = new Backoff(options.backoff, random)
    this.#revokedBackoff = new Backoff(REVOKED_BACKOFF, random)
  }

  get standing(): Standing {
    if (this.#state === 'admitted') return 'joined'
    return this.#isRevoked ? 'revoked' : 'waiting'
  }

  get state(): SessionState {
    return this.#state
  }

  /** The gateway's number for this connection; valid while admitted. */
  get number(): number {
    return this.#number
  }

  /** When this session next wants something; the gateway's silence counts while admitted. */
  get deadlineMs(): number | undefined {
    return this.#deadlineMs
  }

  /** Since when a connection that was given up has not ended, monotonic ms. */
  get givenUpSinceMs(): number | undefined {
    return this.#givenUpMs
  }

  /** What is due: to connect, or to give this connection up; `disconnected` follows that. */
  due(nowMs: number): 'connect' | 'give-up' | undefined {
    if (this.#deadlineMs === undefined || nowMs < this.#deadlineMs) return undefined
    if (this.#state !== 'waiting') {
      this.#deadlineMs = undefined
      this.#givenUpMs = nowMs
      return 'give-up'
    }
    this.#state = 'connecting'
    this.#deadlineMs = nowMs + this.#options.answerTimeoutMs
    return 'connect'
  }

  connected(nowMs: number): void {
    this.#state = 'greeting'
    this.#deadlineMs = nowMs + this.#options.answerTimeoutMs
  }

  admitted(nowMs: number, session: { number: number; silenceMs: number }): void {
    this.#state = 'admitted'
    this.#number = session.number
    this.#silenceMs = session.silenceMs
    this.#deadlineMs = nowMs + session.silenceMs
    this.#backoff.reset()
    this.#revokedBackoff.reset()
    this.#isRevoked = false
    this.#reason = undefined
  }

  /** What is given up, in words. */
  get silence(): string {
    return this.#state === 'greeting' ? NO_GATEWAY : 'the gateway does not answer'
  }

  /** The gateway was heard. */
  heard(nowMs: number): void {
    if (this.#state === 'admitted') this.#deadlineMs = nowMs + this.#silenceMs
  }

  /**
   * The connection is gone; the next attempt comes after a wait with jitter. Says whether the reason is
   * another than that of the attempt before.
   */
  disconnected(nowMs: number, reason: string, isRevoked: boolean): boolean {
    this.#givenUpMs = undefined
    if (this.#state === 'stopped') return false
    this.#state = 'waiting'
    // A gateway that cannot be reached has not changed its mind.
    this.#isRevoked ||= isRevoked
    const backoff = this.#isRevoked ? this.#revokedBackoff : this.#backoff
    this.#deadlineMs = nowMs + backoff.nextMs()
    const isNews = reason !== this.#reason
    this.#reason = reason
    return isNews
  }

  stop(): void {
    this.#state = 'stopped'
    this.#deadlineMs = undefined
    this.#givenUpMs = undefined
  }
}
