/**
 * How often somebody may guess (security.md, 10). A source has some wrong tries free, and then waits twice as long after
 * each; a user whose name is tried from one source is locked there; and where very many tries of one user are wrong,
 * wherever they come from, each takes longer, but he is never locked out as a whole: else anybody could do that to him.
 *
 * Of a user at a source a try counts as wrong from its beginning, until it is known to be right, so that nobody gains by
 * many at a time; of the source alone it counts once it was wrong, since many users may come from one at once. Who was
 * right there lately is not kept out by what others there do. Times are monotonic ms. Memory is fixed: of each kind so
 * many are remembered, the latest.
 */

export interface GuessBounds {
  /** Sources, users at sources, and users that are remembered, of each so many. */
  readonly remembered: number
}

/** One that is looked at. */
export interface Try {
  readonly ok: true
  readonly name: string
  readonly source: string
  /** It is to wait this long first. */
  readonly delayMs: number
  /** He was right from there lately. */
  readonly isKnown: boolean
  /** Until when others wait that say this name from there, for this one. */
  readonly pairUntilMs: number
}

export type Admission =
  | Try
  /** Nobody looks at it before then. */
  | { readonly ok: false; readonly untilMs: number }

/** Somebody who is not looked at for a while. */
export interface Lock {
  /** Only with this name; nothing for any. */
  readonly name?: string
  readonly source: string
  readonly untilMs: number
}

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

const SOURCE_FREE = 10
const SOURCE_LOCK_MAX_MS = 15 * MINUTE
const USER_FREE = 5
const USER_LOCK_MS = MINUTE
const USER_LOCK_MAX_MS = HOUR
const USER_PER_HOUR = 100
const SLOW_MS = SECOND
const KNOWN_MS = 24 * HOUR
/** Longer than any lock. */
const FORGOTTEN_MS = 2 * HOUR
const OVER = Number.NEGATIVE_INFINITY

export class GuessLimits {
  readonly #sources: Recent
  /** By name and source. */
  readonly #pairs: Recent
  readonly #users: Recent
  /** Pairs that were right, and until when that counts. */
  readonly #known: Recent

  constructor({ remembered }: GuessBounds = { remembered: 4096 }) {
    this.#known = new Recent(remembered)
    this.#sources = new Recent(remembered)
    this.#pairs = new Recent(remembered)
    this.#users = new Recent(remembered)
  }

  /** Whether a try is looked at. `name` is an id, or one name for all that are none. */
  begin(nowMs: number, name: string, source: string): Admission {
    const pair = pairOf(name, source)
    const isKnown = this.#known.untilOf(pair) > nowMs
    const [atSource, atPair] = [this.#sources.slotOf(source), this.#pairs.slotOf(pair)]
    this.#sources.forget(atSource, nowMs, FORGOTTEN_MS)
    this.#pairs.forget(atPair, nowMs, FORGOTTEN_MS)
    const sourceUntilMs = isKnown ? OVER : this.#sources.untilMs[atSource]!
    const untilMs = Math.max(sourceUntilMs, this.#pairs.untilMs[atPair]!)
    if (untilMs > nowMs) return { ok: false, untilMs }
    const ofPair = this.#pairs.add(atPair, nowMs) - USER_FREE
    const pairUntilMs = ofPair >= 0 ? nowMs + doubled(USER_LOCK_MS, ofPair, USER_LOCK_MAX_MS) : OVER
    this.#pairs.untilMs[atPair] = pairUntilMs
    const isSlow = this.#countUser(nowMs, name) > USER_PER_HOUR
    return {
      ok: true,
      name,
      source,
      isKnown,
      delayMs: isSlow && !isKnown ? SLOW_MS : 0,
      pairUntilMs,
    }
  }

  wrong(nowMs: number, { source }: Try): void {
    const slot = this.#sources.slotOf(source)
    this.#sources.forget(slot, nowMs, FORGOTTEN_MS)
    const count = this.#sources.add(slot, nowMs) - SOURCE_FREE
    if (count > 0) {
      this.#sources.untilMs[slot] = nowMs + doubled(SECOND, count, SOURCE_LOCK_MAX_MS)
    }
  }

  /** What the try counted is taken back, and what came before it from there is forgotten. */
  right(nowMs: number, { name, source }: Try): void {
    const pair = pairOf(name, source)
    this.#users.takeBack(name, undefined)
    this.#pairs.clear(pair)
    this.#known.untilMs[this.#known.slotOf(pair)] = nowMs + KNOWN_MS
  }

  /** Those that are locked now. */
  locks(nowMs: number): readonly Lock[] {
    const pairs = this.#pairs.locked(nowMs).map(([pair, untilMs]) => {
      const [name = '', source = ''] = pair.split(' ')
      return { name, source, untilMs }
    })
    const sources = this.#sources.locked(nowMs)
    return [...pairs, ...sources.map(([source, untilMs]) => ({ source, untilMs }))]
  }

  /** Nobody has looked at it: it was no try. */
  unjudged({ name, source, pairUntilMs }: Try): void {
    this.#users.takeBack(name, undefined)
    this.#pairs.takeBack(pairOf(name, source), pairUntilMs)
  }

  /** Within the hour that began with the first. */
  #countUser(nowMs: number, name: string): number {
    const at = this.#users.slotOf(name)
    this.#users.beginWindow(at, nowMs, HOUR)
    return this.#users.add(at, nowMs)
  }
}

const ENROLMENTS_PER_SECOND = 50
const ENROLMENTS_WRONG_PER_MINUTE = 10

/** Of boards that ask for an identity: so many a second in all, and so many a minute of a source that are refused. */
export class EnrolmentLimits {
  readonly #sources: Recent
  #room = ENROLMENTS_PER_SECOND
  #atMs = OVER

  constructor({ remembered }: GuessBounds = { remembered: 4096 }) {
    this.#sources = new Recent(remembered)
  }

  /** Whether one is looked at. It counts as refused until it is known not to be. */
  begin(nowMs: number, source: string): boolean {
    const slot = this.#sources.slotOf(source)
    this.#sources.beginWindow(slot, nowMs, MINUTE)
    if (this.#sources.counts[slot]! >= ENROLMENTS_WRONG_PER_MINUTE) return false
    const refilled = this.#room + ((nowMs - this.#atMs) / SECOND) * ENROLMENTS_PER_SECOND
    this.#room = Math.min(ENROLMENTS_PER_SECOND, refilled)
    this.#atMs = nowMs
    if (this.#room < 1) return false
    this.#room -= 1
    this.#sources.add(slot, nowMs)
    return true
  }

  right(source: string): void {
    this.#sources.takeBack(source, undefined)
  }
}

const SHUT_MS = MINUTE
const SHUT_MAX_MS = HOUR

/** Sources that had the gateway compute what nobody who means well asks for: shut out at once, and twice as long each time. */
export class ShutSources {
  readonly #sources: Recent

  constructor({ remembered }: GuessBounds = { remembered: 4096 }) {
    this.#sources = new Recent(remembered)
  }

  shut(nowMs: number, source: string): void {
    const slot = this.#sources.slotOf(source)
    this.#sources.forget(slot, nowMs, FORGOTTEN_MS)
    const times = this.#sources.add(slot, nowMs) - 1
    this.#sources.untilMs[slot] = nowMs + doubled(SHUT_MS, times, SHUT_MAX_MS)
  }

  /** Those that are shut out now. */
  locks(nowMs: number): readonly Lock[] {
    return this.#sources.locked(nowMs).map(([source, untilMs]) => ({ source, untilMs }))
  }

  /** To ask makes nobody known. */
  isShut(nowMs: number, source: string): boolean {
    return this.#sources.untilOf(source) > nowMs
  }
}

/** No id, and no source, has a space. */
function pairOf(name: string, source: string): string {
  return `${name} ${source}`
}

function doubled(firstMs: number, times: number, maxMs: number): number {
  return Math.min(firstMs * 2 ** Math.min(times, 30), maxMs)
}

/** Counts by name, of the names that were used last. */
class Recent {
  readonly #max: number
  /** Slots; the name that was used longest ago first. */
  readonly #slots = new Map<string, number>()
  readonly counts: Uint32Array
  readonly untilMs: Float64Array
  readonly #lastMs: Float64Array

  constructor(max: number) {
    this.#max = max
    this.counts = new Uint32Array(max)
    this.untilMs = new Float64Array(max)
    this.#lastMs = new Float64Array(max)
  }

  slotOf(name: string): number {
    const known = this.#slots.get(name)
    if (known !== undefined) {
      this.#slots.delete(name)
      this.#slots.set(name, known)
      return known
    }
    const slot = this.#slots.size < this.#max ? this.#slots.size : this.#giveUpOldest()
    this.#slots.set(name, slot)
    this.#reset(slot)
    return slot
  }

  untilOf(name: string): number {
    const slot = this.#slots.get(name)
    return slot === undefined ? OVER : this.untilMs[slot]!
  }

  locked(nowMs: number): readonly (readonly [name: string, untilMs: number])[] {
    return [...this.#slots]
      .map(([name, slot]) => [name, this.untilMs[slot]!] as const)
      .filter(([, untilMs]) => untilMs > nowMs)
  }

  /** Where the one before is over, another begins now, and counts from nothing. */
  beginWindow(slot: number, nowMs: number, windowMs: number): void {
    if (this.untilMs[slot]! > nowMs) return
    this.counts[slot] = 0
    this.untilMs[slot] = nowMs + windowMs
  }

  add(slot: number, nowMs: number): number {
    this.counts[slot]! += 1
    this.#lastMs[slot] = nowMs
    return this.counts[slot]!
  }

  /** A lock that came after that of this try stays. */
  takeBack(name: string, untilMs: number | undefined): void {
    const slot = this.#slots.get(name)
    if (slot === undefined) return
    if (this.counts[slot]! > 0) this.counts[slot]! -= 1
    if (this.untilMs[slot] === untilMs) this.untilMs[slot] = OVER
  }

  clear(name: string): void {
    const slot = this.#slots.get(name)
    if (slot !== undefined) this.#reset(slot)
  }

  /** Nothing came of it for so long. */
  forget(slot: number, nowMs: number, afterMs: number): void {
    if (nowMs - this.#lastMs[slot]! > afterMs) this.#reset(slot)
  }

  #reset(slot: number): void {
    this.counts[slot] = 0
    this.untilMs[slot] = OVER
    this.#lastMs[slot] = OVER
  }

  #giveUpOldest(): number {
    const [oldest] = this.#slots
    const [name, slot] = oldest!
    this.#slots.delete(name)
    return slot
  }
}
