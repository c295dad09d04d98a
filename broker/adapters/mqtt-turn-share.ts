/**
 * How many packets one connection may bring into one turn of the event loop: few enough that all who
 * bring some are served in turn, and fewer where they turn out to be dear. What a packet costs is only known
 * afterwards, so a share begins small, and doubles while turns are short. The length of a turn is what the loop
 * was active for: waiting does not count.
 */
import { performance } from 'node:perf_hooks'
import { TokenBucket } from '../../shared/core/token-bucket.ts'

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

export interface ConnectionRates {
  readonly packetsPerSecond: number
  readonly bytesPerSecond: number
}

/** What one connection has brought into the turn that it is, and of late. */
export class ConnectionShare {
  readonly #turns: TurnShare
  readonly #bytes: TokenBucket
  readonly #packets: TokenBucket
  readonly #onLeft: () => void
  #turn = 0
  #taken = 0
  #isAsked = false
  #isClosed = false
  /** While it has brought more than it may in a second. */
  #timer: NodeJS.Timeout | undefined

  /** `onLeft` is called once something is left again. */
  constructor(turns: TurnShare, rates: ConnectionRates, onLeft: () => void) {
    const nowMs = performance.now()
    this.#turns = turns
    this.#bytes = new TokenBucket({ perSecond: rates.bytesPerSecond }, nowMs)
    this.#packets = new TokenBucket({ perSecond: rates.packetsPerSecond }, nowMs)
    this.#onLeft = onLeft
  }

  takePacket(): void {
    this.#taken += 1
    this.#take(this.#packets, 1)
  }

  takeBytes(count: number): void {
    this.#take(this.#bytes, count)
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  #take(rate: TokenBucket, count: number): void {
    const waitMs = rate.waitMs(performance.now(), count)
    rate.take(count)
    if (waitMs === 0 || this.#timer !== undefined || this.#isClosed) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#onLeft()
    }, waitMs)
  }

  isLeft(): boolean {
    if (this.#timer !== undefined) return false
    const turn = this.#turns.turn()
    if (turn !== this.#turn) this.#taken = 0
    this.#turn = turn
    if (this.#taken < this.#turns.packets) return true
    if (!this.#isAsked) {
      this.#isAsked = true
      setImmediate(() => {
        this.#isAsked = false
        this.#onLeft()
      })
    }
    return false
  }
}
