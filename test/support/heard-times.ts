/**
 * When the gateway last heard of each node in a session, on the clock of the time that it was awake: only a node that it
 * could have heard for long enough may be declared dead. Of each time that it stood still, up to a pulse and
 * a bearable lag count all the same.
 */
import { violated } from './violation.ts'

/** The gateway's disk takes no longer, and a notice not longer than the flushes ahead of its own. */
export const FLUSH_MS_MAX = 30
const NOTICE_MS_MAX = 3 * FLUSH_MS_MAX
const SLACK_MS = 1000

interface Heard {
  readonly lastMs: number
  readonly beforeMs: number
}

export class HeardTimes {
  readonly #byNode = new Map<string, Heard>()
  #startedMs = 0

  /** The gateway's process began anew. */
  restart(awakeMs: number): void {
    this.#byNode.clear()
    this.#startedMs = awakeMs
  }

  heard(node: string, awakeMs: number): void {
    const { lastMs, beforeMs } = this.#of(node)
    const isNew = awakeMs - lastMs > NOTICE_MS_MAX
    this.#byNode.set(node, { lastMs: awakeMs, beforeMs: isNew ? lastMs : beforeMs })
  }

  checkDeath(node: string, awakeMs: number, deadAfterMs: number): void {
    const { lastMs, beforeMs } = this.#of(node)
    // It was judged before the flush that the notice waited for; it may have been heard since.
    const silentMs = awakeMs - (awakeMs - lastMs > NOTICE_MS_MAX ? lastMs : beforeMs)
    if (silentMs < deadAfterMs - SLACK_MS) violated(`node ${node} is dead after ${silentMs} ms`)
  }

  #of(node: string): Heard {
    return this.#byNode.get(node) ?? { lastMs: this.#startedMs, beforeMs: this.#startedMs }
  }
}
