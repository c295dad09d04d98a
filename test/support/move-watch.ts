/** No move stands still for ever: it gets its page, and on with its target's stream, or it ends. */
import type { CoordinatorView } from '../../broker/core/views/coordinator-view.ts'
import type { SimulatedGateway } from './simulated-gateway.ts'
import { violated } from './violation.ts'

const SLACK_MS = 1000

export interface MoveDeadlines {
  readonly moveDeadlineMs: number
  readonly copyTimeoutMs: number
}

interface Seen {
  /** What its target had acknowledged; -1 while its page is copied. */
  readonly acked: number
  readonly sinceMs: number
  readonly seconds: number
}

export class MoveWatch {
  readonly #gateway: SimulatedGateway
  readonly #deadlines: MoveDeadlines
  /** By move: how far it was, and since when that is so. */
  #seen = new Map<string, Seen>()
  #life = 0

  constructor(gateway: SimulatedGateway, deadlines: MoveDeadlines) {
    this.#gateway = gateway
    this.#deadlines = deadlines
  }

  look(): void {
    const { view, life, awakeMs } = this.#gateway
    // A gateway that starts gives each move its time anew.
    if (life !== this.#life) this.#seen.clear()
    this.#life = life
    if (view !== undefined) this.#compare(view, awakeMs)
  }

  #compare(view: CoordinatorView, nowMs: number): void {
    const { moveDeadlineMs, copyTimeoutMs } = this.#deadlines
    const seen = new Map<string, Seen>()
    for (const { tile, to, stage, seconds = 0 } of view.moves().open) {
      const isCopying = stage === 'copying'
      const acked = isCopying ? -1 : (view.node(to)?.stream?.acked ?? 0)
      const before = this.#seen.get(`${tile}/${to}`)
      const isSame = before !== undefined && before.acked === acked && before.seconds <= seconds
      const sinceMs = isSame ? before.sinceMs : nowMs
      const longestMs = moveDeadlineMs + (isCopying ? copyTimeoutMs : 0) + SLACK_MS
      if (nowMs - sinceMs > longestMs) {
        violated(`tile ${tile} is ${stage} to ${to} at ${acked} for ${nowMs - sinceMs} ms`)
      }
      seen.set(`${tile}/${to}`, { acked, sinceMs, seconds })
    }
    this.#seen = seen
  }
}
