/**
 * How often somebody may guess (security.md, 10). A source has some wrong tries free, and then waits twice as long after
 * each; a user whose name is tried from one source is locked there; and where very many tries of one user are wrong,
 * wherever they come from, each takes longer, but he is never locked out as a whole: else anybody could do that to him.
 *
 * Of a user at a source a try counts as wrong from its beginning, until it is known to be right, so that nobody gains by
 * many at a time; of the source alone it counts once it was wrong, since many users may come from one at once. Who was
 * right there lately is not kept out by what others there do. Times are monotonic ms. Memory is bounded: of each kind so
 * many are remembered, the latest.
 */
import { LatestMap } from '../../../shared/core/latest-map.ts'

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
    const [atSource, atPair] = [this.#sources.use(source, nowMs), this.#pairs.use(pair, nowMs)]
    const untilMs = Math.max(isKnown ? OVER : atSource.untilMs, atPair.untilMs)
    if (untilMs > nowMs) return { ok: false, untilMs }
    const ofPair = atPair.add(nowMs) - USER_FREE
    const pairUntilMs = ofPair >= 0 ? nowMs + doubled(USER_LOCK_MS, ofPair, USER_LOCK_MAX_MS) : OVER
    atPair.untilMs = pairUntilMs
    const user = this.#users.use(name, nowMs)
    user.beginWindow(nowMs, HOUR)
    const isSlow = user.add(nowMs) > USER_PER_HOUR
    const delayMs = isSlow && !isKnown ? SLOW_MS : 0
    return { ok: true, name, source, isKnown, delayMs, pairUntilMs }
  }

  wrong(nowMs: number, { source }: Try): void {
    const atSource = this.#sources.use(source, nowMs)
    const count = atSource.add(nowMs) - SOURCE_FREE
    if (count > 0) atSource.untilMs = nowMs + doubled(SECOND, count, SOURCE_LOCK_MAX_MS)
  }

  /** What the try counted is taken back, and what came before it from there is forgotten. */
  right(nowMs: number, { name, source }: Try): void {
    const pair = pairOf(name, source)
    this.#users.get(name)?.takeBack()
    this.#pairs.delete(pair)
    this.#known.use(pair, nowMs).untilMs = nowMs + KNOWN_MS
  }

  /** Those that are locked now. */
  locks(nowMs: number): readonly Lock[] {
    const pairs = this.#pairs.locked(nowMs).map(({ source: pair, untilMs }) => {
      const [name = '', source = ''] = pair.split(' ')
      return { name, source, untilMs }
    })
    return [...pairs, ...this.#sources.locked(nowMs)]
  }

  /** Nobody has looked at it: it was no try. */
  unjudged({ name, source, pairUntilMs }: Try): void {
    this.#users.get(name)?.takeBack()
    const atPair = this.#pairs.get(pairOf(name, source))
    atPair?.takeBack()
    // A lock that came after that of this try stays.
    if (atPair?.untilMs === pairUntilMs) atPair.untilMs = OVER
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
    const atSource = this.#sources.use(source, nowMs)
    atSource.beginWindow(nowMs, MINUTE)
    if (atSource.count >= ENROLMENTS_WRONG_PER_MINUTE) return false
    const refilled = this.#room + ((nowMs - this.#atMs) / SECOND) * ENROLMENTS_PER_SECOND
    this.#room = Math.min(ENROLMENTS_PER_SECOND, refilled)
    this.#atMs = nowMs
    if (this.#room < 1) return false
    this.#room -= 1
    atSource.add(nowMs)
    return true
  }

  right(source: string): void {
    this.#sources.get(source)?.takeBack()
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
    const atSource = this.#sources.use(source, nowMs)
    atSource.untilMs = nowMs + doubled(SHUT_MS, atSource.add(nowMs) - 1, SHUT_MAX_MS)
  }

  /** Those that are shut out now. */
  locks(nowMs: number): readonly Lock[] {
    return this.#sources.locked(nowMs)
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

/** Of one name. */
class Count {
  count = 0
  untilMs = OVER
  lastMs = OVER

  add(nowMs: number): number {
    this.lastMs = nowMs
    this.count += 1
    return this.count
  }

  takeBack(): void {
    if (this.count > 0) this.count -= 1
  }

  /** Where the one before is over, another begins now, and counts from nothing. */
  beginWindow(nowMs: number, windowMs: number): void {
    if (this.untilMs > nowMs) return
    this.count = 0
    this.untilMs = nowMs + windowMs
  }
}

/** By name, of the names that were used last. */
class Recent extends LatestMap<string, Count> {
  /** From nothing, if nothing came of the name for long. */
  use(name: string, nowMs: number): Count {
    const known = this.get(name)
    const isOld = known === undefined || nowMs - known.lastMs > FORGOTTEN_MS
    const count = isOld ? new Count() : known
    this.set(name, count)
    return count
  }

  untilOf(name: string): number {
    return this.get(name)?.untilMs ?? OVER
  }

  /** Names are those of sources, but for pairs. */
  locked(nowMs: number): Lock[] {
    return [...this]
      .map(([source, { untilMs }]) => ({ source, untilMs }))
      .filter(({ untilMs }) => untilMs > nowMs)
  }
}
