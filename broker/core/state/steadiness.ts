/**
 * Whether a member may be given more to hold. One that has just come has to stay for a while first
 * (probation); one that is suspected again and again is quarantined until it has been alive for long
 * without a break. Neither keeps it from its work, and neither outlives the gateway's process.
 */

/** More suspicions than this within the window are flapping. */
const SUSPICIONS_MAX = 5
const FLAP_WINDOW_MS = 3_600_000
/** How long a flapping member has to be alive without a break. */
export const STABLE_MS = 600_000

export class Steadiness {
  /** The last suspicions, at most one more than are allowed. */
  #suspectedMs: number[] = []
  #isQuarantined = false
  #probationUntilMs = Number.NEGATIVE_INFINITY

  get isQuarantined(): boolean {
    return this.#isQuarantined
  }

  isOnProbation(nowMs: number): boolean {
    return nowMs < this.#probationUntilMs
  }

  /** Of its probation; 0 when it is over. */
  probationLeftMs(nowMs: number): number {
    return Math.max(0, this.#probationUntilMs - nowMs)
  }

  beginProbation(untilMs: number): void {
    this.#probationUntilMs = untilMs
  }

  /** True if this suspicion is the one that makes it flapping. */
  suspected(nowMs: number): boolean {
    this.#suspectedMs.push(nowMs)
    if (this.#suspectedMs.length > SUSPICIONS_MAX + 1) this.#suspectedMs.shift()
    const isFlapping =
      this.#suspectedMs.length > SUSPICIONS_MAX && nowMs - this.#suspectedMs[0]! <= FLAP_WINDOW_MS
    if (!isFlapping || this.#isQuarantined) return false
    this.#isQuarantined = true
    return true
  }

  /** Suspicions from then on were no fault of the member. */
  forgive(sinceMs: number): void {
    this.#suspectedMs = this.#suspectedMs.filter((suspectedMs) => suspectedMs < sinceMs)
  }

  /** It has been alive for `STABLE_MS`. */
  release(): void {
    this.#isQuarantined = false
    this.#suspectedMs = []
  }
}
