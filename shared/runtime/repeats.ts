/**
 * Things that are told one by one, until they repeat: of those with one key the first few are told at once,
 * and what follows becomes one, the last of them with their count, as often as an interval ends. So
 * whoever can cause a line cannot fill a disk, or take the loop, with them.
 */
import type { Logger, LogLevel } from './logger.ts'

export interface RepeatBounds {
  /** Told at once, of each key. */
  readonly firstMax: number
  readonly intervalMs: number
  /** Beyond this many keys in an interval, those of a kind are taken together. */
  readonly keysMax: number
}

const REPEAT_BOUNDS: RepeatBounds = { firstMax: 10, intervalMs: 5000, keysMax: 256 }

interface Repeated<T> {
  told: number
  held: number
  last: T
}

export class Repeats<T> {
  readonly #bounds: RepeatBounds
  readonly #tell: (item: T, count: number) => void
  readonly #repeated = new Map<string, Repeated<T>>()
  #timer: NodeJS.Timeout | undefined

  constructor(tell: (item: T, count: number) => void, bounds: RepeatBounds = REPEAT_BOUNDS) {
    this.#tell = tell
    this.#bounds = bounds
  }

  /** `kind` is the part of the key of which there are few. */
  take(item: T, kind: string, key: string): void {
    const { firstMax, intervalMs, keysMax } = this.#bounds
    const isKnown = this.#repeated.has(key) || this.#repeated.size < keysMax
    const name = isKnown ? key : kind
    const repeated = this.#repeated.get(name) ?? { told: 0, held: 0, last: item }
    this.#repeated.set(name, repeated)
    this.#timer ??= setTimeout(() => this.#endInterval(), intervalMs).unref()
    if (repeated.told < firstMax) {
      repeated.told += 1
      this.#tell(item, 1)
      return
    }
    repeated.held += 1
    repeated.last = item
  }

  /** Tells what is held. */
  flush(): void {
    for (const repeated of this.#repeated.values()) this.#tellHeld(repeated)
  }

  #endInterval(): void {
    this.#timer = undefined
    for (const [name, repeated] of [...this.#repeated]) {
      // What still repeats has had its first ones.
      if (repeated.held > 0) this.#tellHeld(repeated)
      else this.#repeated.delete(name)
    }
    if (this.#repeated.size === 0) return
    this.#timer = setTimeout(() => this.#endInterval(), this.#bounds.intervalMs).unref()
  }

  #tellHeld(repeated: Repeated<T>): void {
    const { held, last } = repeated
    repeated.held = 0
    if (held > 0) this.#tell(last, held)
  }
}

/**
 * What makes two events or lines the same. A task is part of that where things go as they should: there each
 * is work that somebody asked for, while whatever is refused can be asked for without end.
 */
export function repeatKey(
  level: LogLevel,
  code: string,
  fields: object = {},
): { kind: string; key: string } {
  const { node, tile, reason, state, task } = fields as Record<string, unknown>
  const kind = `${level} ${code}`
  const parts = [kind, node, tile, reason, state, level === 'info' ? task : undefined]
  return { kind, key: parts.map((part) => String(part ?? '')).join(' ') }
}

interface Line {
  readonly level: Exclude<LogLevel, 'debug'>
  readonly fields: object
  readonly message: string
}

/** The same logger, for which repeated lines become one with their `count`; who debugs wants them all. */
export function withoutRepeats(log: Logger, bounds?: RepeatBounds): Logger & { flush(): void } {
  const repeats = new Repeats<Line>(({ level, fields, message }, count) => {
    log[level](count === 1 ? fields : { ...fields, count }, message)
  }, bounds)
  const at =
    (level: Line['level']) =>
    (fields: object, message: string): void => {
      const { code = message } = fields as { code?: unknown }
      const { kind, key } = repeatKey(level, String(code), fields)
      repeats.take({ level, fields, message }, kind, key)
    }
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    flush: () => repeats.flush(),
  }
}
