/**
 * How many packets one connection may bring into one turn of the event loop: few enough that all who
 * bring some are served in turn, and fewer where they turn out to be dear. What a packet costs is only known
 * afterwards, so a share begins small, and doubles while turns are short. The length of a turn is what the loop
 * was active for: waiting does not count.
 */
import { performance } from 'node:perf_hooks'

export interface TurnShareOptions {
  readonly packetsMax: number
  /** After a turn in which nobody brought any. */
  readonly packetsFirst: number
  /** A longer turn halves the share, one of less than half of it doubles it. */
  readonly turnMs: number
}

/** A tenth of a second is what others may wait: some turns, since what a packet causes takes a few. */
const TURN_SHARE: TurnShareOptions = { packetsMax: 32, packetsFirst: 4, turnMs: 10 }

export class TurnShare {
  readonly #options: TurnShareOptions
  #packets: number
  #turn = 0
  #isUsed = false
  #isWatching = false
  #activeMs = 0

  constructor(options: TurnShareOptions = TURN_SHARE) {
    this.#options = options
    this.#packets = options.packetsFirst
  }

  get packets(): number {
    return this.#packets
  }

  /** The number of the turn that it is; asked by whoever brings packets. */
  turn(): number {
    this.#isUsed = true
    if (!this.#isWatching) {
      this.#isWatching = true
      this.#packets = this.#options.packetsFirst
      this.#activeMs = performance.eventLoopUtilization().active
      setImmediate(() => this.#next())
    }
    return this.#turn
  }

  #next(): void {
    this.#turn += 1
    const { active } = performance.eventLoopUtilization()
    this.#adapt(active - this.#activeMs)
    this.#activeMs = active
    this.#isWatching = this.#isUsed
    this.#isUsed = false
    if (this.#isWatching) setImmediate(() => this.#next())
  }

  #adapt(turnMs: number): void {
    const { packetsMax, turnMs: turnMsMax } = this.#options
    if (turnMs > turnMsMax) this.#packets = Math.max(1, this.#packets >> 1)
    else if (turnMs < turnMsMax / 2) this.#packets = Math.min(packetsMax, this.#packets * 2)
  }
}

/** What one connection has brought into the turn that it is. */
export class ConnectionShare {
  readonly #turns: TurnShare
  readonly #onNextTurn: () => void
  #turn = 0
  #taken = 0
  #isAsked = false

  /** `onNextTurn` is called in the turn after one in which nothing was left. */
  constructor(turns: TurnShare, onNextTurn: () => void) {
    this.#turns = turns
    this.#onNextTurn = onNextTurn
  }

  take(): void {
    this.#taken += 1
  }

  isLeft(): boolean {
    const turn = this.#turns.turn()
    if (turn !== this.#turn) this.#taken = 0
    this.#turn = turn
    if (this.#taken < this.#turns.packets) return true
    if (!this.#isAsked) {
      this.#isAsked = true
      setImmediate(() => {
        this.#isAsked = false
        this.#onNextTurn()
      })
    }
    return false
  }
}
