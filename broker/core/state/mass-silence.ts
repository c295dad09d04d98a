/**
 * Whether so many members went quiet together that the cause is rather here, or on the way that they
 * share, than on each of them: two at least, and more than a set share of those that were alive, within
 * one window. It is over once all of them are back, or once enough are for as long as an agent may
 * sleep between two attempts to connect.
 */

export interface MassSilenceOptions {
  /** More than this share of the alive members going quiet together is the gateway's own trouble. */
  readonly massSilenceShare: number
  /** All that goes quiet for one reason is noticed within this time. */
  readonly suspectAfterMs: number
  /** How long an agent may sleep before it connects again. */
  readonly reconnectMs: number
}

export class MassSilence {
  readonly #options: MassSilenceOptions
  readonly #present = new Set<number>()
  /** Who went quiet and when, the earliest first; only of the window unless the silence holds. */
  readonly #quiet = new Map<number, number>()
  #enoughSinceMs: number | undefined
  #holds = false

  constructor(options: MassSilenceOptions) {
    this.#options = options
  }

  /** The members that are alive. */
  get present(): Iterable<number> {
    return this.#present
  }

  get quiet(): Iterable<number> {
    return this.#quiet.keys()
  }

  get quietCount(): number {
    return this.#quiet.size
  }

  cameBack(member: number): void {
    this.#present.add(member)
    this.#quiet.delete(member)
  }

  wentQuiet(nowMs: number, member: number): void {
    if (!this.#present.delete(member)) return
    this.#quiet.delete(member)
    this.#quiet.set(member, nowMs)
  }

  /** It is no member any more. */
  forget(member: number): void {
    this.#present.delete(member)
    this.#quiet.delete(member)
  }

  /** To be asked after each change, and now and then. */
  holds(nowMs: number): boolean {
    const { suspectAfterMs, reconnectMs } = this.#options
    if (!this.#holds) {
      for (const [member, sinceMs] of this.#quiet) {
        if (nowMs - sinceMs <= suspectAfterMs) break
        this.#quiet.delete(member)
      }
      this.#holds = this.#isMass
      this.#enoughSinceMs = undefined
      return this.#holds
    }
    if (this.#isMass) this.#enoughSinceMs = undefined
    else this.#enoughSinceMs ??= nowMs
    const isEnough = this.#enoughSinceMs !== undefined && nowMs - this.#enoughSinceMs >= reconnectMs
    if (this.#quiet.size === 0 || isEnough) this.giveUp()
    return this.#holds
  }

  /** Those that are quiet now are no reason any more. */
  giveUp(): void {
    this.#holds = false
    this.#quiet.clear()
  }

  get #isMass(): boolean {
    const count = this.#quiet.size
    return count >= 2 && count > this.#options.massSilenceShare * (count + this.#present.size)
  }
}
