/**
 * Whether a unit that was started anew is ready: active without a break for a while, and, if it had
 * joined before, joined again. Pure: observations and times come from outside.
 */
import { hasJoined } from './plan.ts'

export interface Observation {
  readonly activeState: string
  /** Starts by systemd since ours. */
  readonly restarts: number
  /** Exit code of the main process, the last time. */
  readonly exitStatus: number
  readonly statusText: string
}

export interface ReadinessLimits {
  /** To become active at all. */
  readonly startMs: number
  /** To stay so. */
  readonly steadyMs: number
  /** To join again. */
  readonly joinMs: number
}

export const READINESS_LIMITS: ReadinessLimits = {
  startMs: 60_000,
  steadyMs: 10_000,
  joinMs: 90_000,
}

export type Verdict =
  | { readonly kind: 'wait' }
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly reason: string }

/** One wait for one unit; times are since the start that is judged. */
export class Readiness {
  readonly #limits: ReadinessLimits
  readonly #mustJoin: boolean
  #activeSinceMs: number | undefined
  #restarts = 0

  constructor(limits: ReadinessLimits, mustJoin: boolean) {
    this.#limits = limits
    this.#mustJoin = mustJoin
  }

  judge(nowMs: number, seen: Observation): Verdict {
    const { startMs, steadyMs, joinMs } = this.#limits
    const failed = (reason: string): Verdict => ({ kind: 'failed', reason })
    if (seen.activeState === 'failed') return failed(endOf(seen))
    if (seen.restarts > this.#restarts || seen.activeState !== 'active') {
      this.#restarts = seen.restarts
      this.#activeSinceMs = undefined
    }
    if (seen.activeState === 'active') this.#activeSinceMs ??= nowMs
    const isSteady = this.#activeSinceMs !== undefined && nowMs - this.#activeSinceMs >= steadyMs
    const isJoined = !this.#mustJoin || hasJoined(seen.statusText)
    if (isSteady && isJoined) return { kind: 'ready' }
    if (!isSteady && nowMs >= startMs + steadyMs) {
      const often = seen.restarts > 0 ? `, started ${seen.restarts} times more` : ''
      return failed(
        `it was not steady within ${(startMs + steadyMs) / 1000} s (${seen.activeState}${often})`,
      )
    }
    if (!isJoined && nowMs >= joinMs) {
      return failed(`it did not join within ${joinMs / 1000} s (${seen.statusText})`)
    }
    return { kind: 'wait' }
  }
}

/** How a unit ended; of an agent that the gateway refused, why. */
export function endOf({
  exitStatus,
  statusText,
}: Pick<Observation, 'exitStatus' | 'statusText'>): string {
  const why = statusText.startsWith('refused: ') ? ` (${statusText})` : ''
  return `it ended with ${exitStatus}${why}`
}
