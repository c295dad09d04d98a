/**
 * A process of the operating system: it may be killed, and all that it was about to do is void; it may stand
 * still, and what comes to it waits. Gives the clock that code inside of it lives by.
 */
import type { Random } from '../../shared/core/random.ts'
import type { Clock } from '../../shared/runtime/clock.ts'
import type { SimulatedClock } from './simulated-clock.ts'

const TURN_MS_MAX = 1

export class SimulatedProcess {
  readonly #clock: SimulatedClock
  readonly #random: Random
  readonly #wallStartMs: number
  /** Counts its lives. */
  #life = 0
  #isUp = false
  #startedMs = 0
  /** While it stands still: what came to it. A loop looks at its timers before its sockets. */
  #waiting: { readonly timers: (() => void)[]; readonly rest: (() => void)[] } | undefined
  #frozenUntilMs = 0
  #frozenSinceMs = 0
  #frozenMs = 0
  /** By how much its wall clock is set wrong. */
  wallOffsetMs = 0
  /** How much longer it takes for all that it does. */
  slowness = 1

  constructor(clock: SimulatedClock, random: Random, wallStartMs: number) {
    this.#clock = clock
    this.#random = random
    this.#wallStartMs = wallStartMs
  }

  get isUp(): boolean {
    return this.#isUp
  }

  /** It stands still, and has not taken yet what came to it. */
  get isFrozen(): boolean {
    return this.#waiting !== undefined
  }

  get life(): number {
    return this.#life
  }

  /** How long it could work, in all its lives. */
  get awakeMs(): number {
    const frozenMs = this.#waiting === undefined ? 0 : this.#clock.nowMs - this.#frozenSinceMs
    return this.#clock.nowMs - this.#frozenMs - frozenMs
  }

  begin(): Clock {
    this.#life += 1
    this.#isUp = true
    this.#startedMs = this.#clock.nowMs - this.#random.integer(1000)
    return this.#clockOfLife()
  }

  end(): void {
    this.#frozenMs = this.#clock.nowMs - this.awakeMs
    this.#life += 1
    this.#isUp = false
    this.#waiting = undefined
    this.#frozenUntilMs = 0
  }

  /** Nothing comes to it until then. */
  freeze(untilMs: number): void {
    if (!this.#isUp || untilMs <= this.#frozenUntilMs) return
    this.#frozenUntilMs = untilMs
    if (this.#waiting !== undefined) return
    this.#waiting = { timers: [], rest: [] }
    this.#frozenSinceMs = this.#clock.nowMs
    this.#wakeLater(this.#life)
  }

  /** `act`, for as long as the process that it is made in lives, and not while that stands still. */
  own<Given extends unknown[]>(act: (...given: Given) => void): (...given: Given) => void {
    const life = this.#life
    return (...given) => this.#inLife(life, 'rest', () => act(...given))
  }

  #inLife(life: number, kind: 'timers' | 'rest', act: () => void): void {
    if (life !== this.#life) return
    if (this.#waiting === undefined) act()
    else this.#waiting[kind].push(act)
  }

  #wakeLater(life: number): void {
    this.#clock.at(this.#frozenUntilMs, () => {
      if (life !== this.#life) return
      if (this.#clock.nowMs < this.#frozenUntilMs) {
        this.#wakeLater(life)
        return
      }
      this.#frozenMs = this.#clock.nowMs - this.awakeMs
      const { timers, rest } = this.#waiting!
      this.#waiting = undefined
      for (const act of [...timers, ...rest]) {
        // Each of them may kill it, or freeze it again.
        this.#inLife(life, 'rest', act)
      }
    })
  }

  #clockOfLife(): Clock {
    const clock = this.#clock
    const life = this.#life
    const monotonicMs = (): number => clock.nowMs - this.#startedMs
    return {
      get monotonicMs() {
        return monotonicMs()
      },
      now: () => ({
        monotonicMs: monotonicMs(),
        wallMs: Math.floor(this.#wallStartMs + clock.nowMs + this.wallOffsetMs),
      }),
      after: (waitMs, act) => {
        let isWanted = true
        // Whole milliseconds, one at least.
        const appointment = clock.after(Math.max(1, Math.ceil(waitMs)), () => {
          this.#inLife(life, 'timers', () => {
            if (isWanted) act()
          })
        })
        return () => {
          isWanted = false
          appointment.isCancelled = true
        }
      },
      turn: () =>
        new Promise((resolve) => {
          clock.after(this.#random.between(0, TURN_MS_MAX) * this.slowness, () => {
            this.#inLife(life, 'rest', () => {
              clock.stir()
              resolve()
            })
          })
        }),
    }
  }
}
