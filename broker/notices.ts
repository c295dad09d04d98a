/**
 * Where a notice of the gateway goes: the log at once, with the counters; the event log on disk, who follows events
 * and `gateway/event` too, where those that repeat become one.
 */
import type { Logger } from '../shared/runtime/logger.ts'
import { Repeats, repeatKey } from '../shared/runtime/repeats.ts'
import type { GatewayNotice } from './core/effects.ts'

export interface NoticePlaces {
  /** It happened, repeated or not. */
  happened(notice: GatewayNotice): void
  /** To be kept; its fields have the `count` of those that it stands for. */
  keep(ts: number, notice: GatewayNotice): void
  /** The payload of an event: JSON. */
  tell(event: string): void
}

export class Notices {
  readonly #log: Logger
  readonly #places: NoticePlaces
  readonly #told: Repeats<GatewayNotice>

  constructor(log: Logger, places: NoticePlaces) {
    this.#log = log
    this.#places = places
    this.#told = new Repeats((notice, count) => this.#tell(notice, count))
  }

  readonly take = (notice: GatewayNotice): void => {
    const { level, code, message, fields } = notice
    this.#log[level]({ code, ...fields }, message)
    this.#places.happened(notice)
    const { kind, key } = repeatKey(level, code, fields)
    this.#told.take(notice, kind, key)
  }

  /** Tells what is held back. */
  flush(): void {
    this.#told.flush()
  }

  #tell(notice: GatewayNotice, count: number): void {
    const ts = Date.now()
    const fields = count === 1 ? notice.fields : { ...notice.fields, count }
    this.#places.keep(ts, { ...notice, ...(fields === undefined ? {} : { fields }) })
    const { level, code, message } = notice
    this.#places.tell(JSON.stringify({ level, code, message, ...fields, ts }))
  }
}
