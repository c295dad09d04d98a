/**
 * The gateway doubts itself before it blames others (Lifeguard, Dadgar et al. 2018). While it does, the
 * detector's clock stands still: that time counts as nobody's silence, nobody is suspected for silence
 * and nobody is declared dead. Reasons:
 *
 * - `loop-lag`: the gateway itself stood still, for it was run far later than it asked for. The lag never
 *   counts, and the doubt goes on until those that were alive are heard again: agents that gave the
 *   gateway up meanwhile sleep before they come back.
 * - `probe-late`: a beat of its own client is late on its way through the broker.
 * - `mass-silence`: too many members went quiet together (mass-silence.ts).
 *
 * Each reason is bounded by `doubtMaxMs`. After that, or when an operator says so, it no longer counts
 * until it was away. Invariants: `clockMs` never runs backwards nor faster than time, and stands still
 * while `isDoubting`.
 */
import { MassSilence, type MassSilenceOptions } from './mass-silence.ts'

export interface SelfDoubtOptions extends MassSilenceOptions {
  /** The gateway doubts its view of the fleet for at most this long, for one reason. */
  readonly doubtMaxMs: number
}

export type DoubtReason = 'loop-lag' | 'probe-late' | 'mass-silence'

/** `over`: the reason is gone. `bound`: it lasted too long. `overruled`: an operator knows better. */
export type DoubtEnd = 'over' | 'bound' | 'overruled'

export type DoubtChange =
  | { readonly kind: 'began'; readonly reason: DoubtReason; readonly about: string }
  | {
      readonly kind: 'ended'
      readonly reason: DoubtReason
      readonly end: DoubtEnd
      readonly lastedMs: number
    }

/** A loop that is later than this was away; an ordinary collection of garbage takes less. */
const LAG_MAX_MS = 500
/** A beat through the broker on the same machine takes about a millisecond. */
const PROBE_LATE_MS = 1000
/** An agent sleeps at most three times as long as the time before (shared/core/backoff.ts). */
const BACKOFF_FACTOR = 3

const NO_CHANGES: readonly DoubtChange[] = []

export class SelfDoubt {
  readonly #options: SelfDoubtOptions
  readonly #lagMaxMs: number
  readonly #probeLateMs: number
  readonly #mass: MassSilence
  readonly #doubts = new Map<DoubtReason, { readonly beganMs: number }>()
  readonly #discounted = new Set<DoubtReason>()
  readonly #changes: DoubtChange[] = []
  /** Alive when the gateway stood still, and not heard since. */
  readonly #awaited = new Set<number>()
  #awaitedUntilMs = 0
  #nowMs = 0
  /** Time that does not count. */
  #lostMs = 0
  #pulseDueMs = Number.POSITIVE_INFINITY
  #beat = 0
  /** Of the beat that is on its way, and when it was last asked for. */
  #beatSentMs: number | undefined
  #beatAskedMs = Number.NEGATIVE_INFINITY
  #isProbeKnown = false
  #isProbeSlow = false

  constructor(options: SelfDoubtOptions) {
    this.#options = options
    const { suspectAfterMs } = options
    // Whoever suspects sooner has to doubt sooner.
    this.#lagMaxMs = Math.min(LAG_MAX_MS, suspectAfterMs / 4)
    this.#probeLateMs = Math.min(PROBE_LATE_MS, suspectAfterMs / 2)
    this.#mass = new MassSilence(options)
  }

  /** What silence is measured on, as of the last `advance`. */
  get clockMs(): number {
    return this.#nowMs - this.#lostMs
  }

  get isDoubting(): boolean {
    return this.#doubts.size > 0
  }

  /** Nothing is doubted, and `advance` to this moment would begin nothing. */
  isCalmAt(nowMs: number): boolean {
    return !this.isDoubting && nowMs - this.#pulseDueMs <= this.#lagMaxMs
  }

  /** Reasons that count now, and since when on the gateway's monotonic clock. */
  get reasons(): { readonly reason: DoubtReason; readonly beganMs: number }[] {
    return [...this.#doubts].map(([reason, { beganMs }]) => ({ reason, beganMs }))
  }

  /** Of those that went quiet together; for whom it may have been no fault of theirs. */
  get quiet(): Iterable<number> {
    return this.#mass.quiet
  }

  /** To be called before anything else of a step looks at silence. */
  advance(nowMs: number): void {
    const lagMs = nowMs - this.#pulseDueMs
    const isLate = lagMs > this.#lagMaxMs
    if (this.isDoubting) this.#lostMs += nowMs - this.#nowMs
    else if (isLate) this.#lostMs += nowMs - Math.max(this.#nowMs, this.#pulseDueMs)
    this.#nowMs = nowMs
    if (!isLate) return
    this.#pulseDueMs = nowMs
    for (const member of this.#mass.present) this.#awaited.add(member)
    const sleepMs = Math.min(BACKOFF_FACTOR * lagMs, this.#options.reconnectMs)
    this.#awaitedUntilMs = Math.max(this.#awaitedUntilMs, nowMs + sleepMs)
    this.#judge('loop-lag', this.#isAwaiting, () => `it stood still for ${Math.round(lagMs)} ms`)
  }

  /** Looks at everything; says when to be called again, and which beat to send. */
  pulse(): { readonly nextMs: number; readonly beat?: number } {
    const nowMs = this.#nowMs
    this.#pulseDueMs = nowMs + this.#lagMaxMs / 2
    this.#judge('loop-lag', this.#isAwaiting, () => 'it stood still')
    this.#judgeProbe()
    this.#judgeMass()
    // A beat that is late is sent again: the connection that had it may be gone.
    if (nowMs - this.#beatAskedMs < this.#probeLateMs) return { nextMs: this.#pulseDueMs }
    this.#beatAskedMs = nowMs
    if (this.#beatSentMs === undefined) {
      this.#beat += 1
      this.#beatSentMs = nowMs
    }
    return { nextMs: this.#pulseDueMs, beat: this.#beat }
  }

  /**
   * A beat came back. The first tells that there is a client at all, and no more: it was asked for while the client
   * still connected, so how long it took says nothing.
   */
  probeReturned(beat: number): void {
    if (beat !== this.#beat || this.#beatSentMs === undefined) return
    const waitedMs = this.#nowMs - this.#beatSentMs
    this.#isProbeSlow = this.#isProbeKnown && waitedMs > this.#probeLateMs
    this.#isProbeKnown = true
    this.#beatSentMs = undefined
    this.#judgeProbe()
  }

  /** The member is alive from now on. */
  cameBack(member: number): void {
    this.#mass.cameBack(member)
    this.#judgeMass()
  }

  /** The member became suspect, by its silence or by a closed connection. */
  wentQuiet(member: number): void {
    this.#mass.wentQuiet(this.#nowMs, member)
    this.#judgeMass()
  }

  /** It is no member any more: nothing is waited for. */
  forget(member: number): void {
    this.#mass.forget(member)
    this.#judgeMass()
    this.heard(member)
  }

  heard(member: number): void {
    if (!this.#awaited.delete(member)) return
    this.#judge('loop-lag', this.#isAwaiting, () => '')
  }

  /** An operator says that the gateway is well; the reasons of now do not count until they were away. */
  trust(): void {
    for (const reason of [...this.#doubts.keys()]) this.#discount(reason, 'overruled')
  }

  /** What changed since it was last asked; it is asked at every message. */
  takeChanges(): readonly DoubtChange[] {
    return this.#changes.length === 0 ? NO_CHANGES : this.#changes.splice(0)
  }

  get #isAwaiting(): boolean {
    if (this.#nowMs >= this.#awaitedUntilMs) this.#awaited.clear()
    return this.#awaited.size > 0
  }

  #judgeProbe(): void {
    const waitedMs = this.#nowMs - (this.#beatSentMs ?? this.#nowMs)
    const isLate = this.#isProbeSlow || waitedMs > this.#probeLateMs
    this.#judge('probe-late', this.#isProbeKnown && isLate, () => 'its own beats come late')
  }

  #judgeMass(): void {
    const holds = this.#mass.holds(this.#nowMs)
    this.#judge('mass-silence', holds, () => `${this.#mass.quietCount} nodes went quiet together`)
  }

  #judge(reason: DoubtReason, holds: boolean, about: () => string): void {
    const doubt = this.#doubts.get(reason)
    if (!holds) {
      this.#discounted.delete(reason)
      if (doubt !== undefined) this.#end(reason, doubt.beganMs, 'over')
    } else if (doubt !== undefined) {
      if (this.#nowMs - doubt.beganMs >= this.#options.doubtMaxMs) this.#discount(reason, 'bound')
    } else if (!this.#discounted.has(reason)) {
      this.#doubts.set(reason, { beganMs: this.#nowMs })
      this.#changes.push({ kind: 'began', reason, about: about() })
    }
  }

  #discount(reason: DoubtReason, end: DoubtEnd): void {
    this.#end(reason, this.#doubts.get(reason)!.beganMs, end)
    this.#discounted.add(reason)
    // Who is quiet stays so; only others can be a mass again.
    if (reason === 'mass-silence') this.#mass.giveUp()
  }

  #end(reason: DoubtReason, beganMs: number, end: DoubtEnd): void {
    this.#doubts.delete(reason)
    const lastedMs = Math.round(this.#nowMs - beganMs)
    this.#changes.push({ kind: 'ended', reason, end, lastedMs })
  }
}
