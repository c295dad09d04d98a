/**
 * Whoever looks at the grid again and again, some of it often, so that looks are joined and values are shown again.
 * A value is checked as that of a read is, against all that was done when it was asked for, shown again or not; two
 * values with one tag are equal; with a process of the gateway, its looks are gone, and are asked again.
 */
import { isDeepStrictEqual } from 'node:util'
import type { LookOutcome } from '../../broker/core/effects.ts'
import type { Random } from '../../shared/core/random.ts'
import type { GridContext } from '../../shared/operations/operation.ts'
import { encodeCbor } from '../../shared/protocol/cbor.ts'
import { type Checkers, decodeResult } from './checkers.ts'
import type { GridModel, PlainTask } from './grid-model.ts'
import { checkRead } from './read-checker.ts'
import type { SimulatedClock } from './simulated-clock.ts'
import type { SimulatedGateway } from './simulated-gateway.ts'
import { violated } from './violation.ts'

export interface LookerSurroundings {
  readonly grid: GridContext
  readonly clock: SimulatedClock
  readonly random: Random
  readonly gateway: SimulatedGateway
  readonly model: GridModel
  readonly checkers: Checkers
  readonly count: (what: string) => void
}

const CLIENTS = 3
/** Of so many regions. */
const PLACES = 3
const LEAVE_SHARE = 0.1
const LEAVE_MS_MAX = 100
const PASSING = ['no-node', 'recovering', 'tile-missing', 'too-many-looks']

export class SimulatedLookers {
  readonly #around: LookerSurroundings
  readonly #wishes: readonly PlainTask[]
  /** By what was asked, and its tag. */
  readonly #tagged = new Map<string, unknown>()
  #looks = 0
  /** Of the process that runs. */
  #open = 0
  #life = 0

  constructor(around: LookerSurroundings) {
    this.#around = around
    this.#wishes = this.#drawWishes()
  }

  /** Nobody waits for an answer that could still come. */
  get isIdle(): boolean {
    return this.#open === 0 || this.#life !== this.#around.gateway.life
  }

  keepLooking(everyMs: number, untilMs: number): void {
    const { clock, random } = this.#around
    const look = (): void => this.#look(this.#wishes[random.integer(this.#wishes.length)]!)
    clock.keepDoing(look, random, everyMs, untilMs)
  }

  #look(plain: PlainTask): void {
    const { clock, random, gateway, checkers, count } = this.#around
    if (this.#life !== gateway.life) {
      if (this.#open > 0) count('look-forgotten')
      this.#open = 0
      this.#life = gateway.life
    }
    this.#looks += 1
    const id = `look-${this.#looks}`
    const mustSee = checkers.lastDone
    const { life } = gateway
    let isOver = false
    const end = (): void => {
      isOver = true
      if (life === this.#life) this.#open -= 1
    }
    const asker = { client: `looker-${random.integer(CLIENTS)}`, isOnce: random.unit() < 0.2 }
    this.#open += 1
    let hasLeft = false
    const leave = gateway.look(plain, asker, (outcome) => {
      // A gateway that stands still has not heard yet that he left.
      if (hasLeft) return
      if (isOver) violated(`look ${id} is answered again`)
      end()
      this.#answered(id, plain, mustSee, outcome)
    })
    if (leave === undefined) end()
    else if (random.unit() < LEAVE_SHARE) {
      clock.after(random.between(0, LEAVE_MS_MAX), () => {
        if (isOver || gateway.life !== life) return
        end()
        hasLeft = true
        leave()
        count('look-left')
      })
    }
  }

  #answered(id: string, plain: PlainTask, mustSee: readonly number[], outcome: LookOutcome): void {
    const { model, count } = this.#around
    if ('refusal' in outcome) {
      const { code, message } = outcome.refusal
      if (!PASSING.includes(code)) violated(`look ${id} was refused: ${message}`)
      count(`look-${code}`)
      return
    }
    if (!outcome.ok) {
      if (outcome.error.code !== 'deadline') violated(`look ${id}: ${outcome.error.message}`)
      count('look-deadline')
      return
    }
    const { value, consistent, tag } = outcome
    const result = decodeResult(encodeCbor({ value, consistent }))
    count(`look-${checkRead(model, { id, plain, mustSee, result })}`)
    if (tag === undefined) return
    const key = `${JSON.stringify(plain)} ${tag}`
    const before = this.#tagged.get(key)
    if (before === undefined) this.#tagged.set(key, result.value)
    else if (isDeepStrictEqual(before, result.value)) count('look-same-tag')
    else violated(`look ${id} has the tag ${tag} of another value`)
  }

  #drawWishes(): PlainTask[] {
    const { random, grid } = this.#around
    const { width, height, tile, whole } = grid.geometry
    const regions = Array.from({ length: PLACES }, () => {
      const [x, y] = [random.integer(width), random.integer(height)]
      return { x, y, w: 1 + random.integer(width - x), h: 1 + random.integer(height - y) }
    })
    const head = { deadline_ms: 1 }
    return [whole, ...regions].flatMap((region): PlainTask[] => {
      const { x, y, w, h } = region
      const cells = [...new Set([0, w * h - 1])].map(
        (at) => [x + (at % w), y + Math.floor(at / w)] as const,
      )
      const squares = { field: 'value', step: tile, of: ['mean', 'max'], holes: false }
      return [
        { ...head, op: 'get', region },
        { ...head, op: 'stat', region, args: { field: 'value', bins: 4 } },
        { ...head, op: 'overview', region, args: squares },
        { ...head, op: 'gather', args: { field: 'value', cells } },
      ]
    })
  }
}
