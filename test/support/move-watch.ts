/** No move stands still for ever: one that catches up gets on with its target's stream, or ends. */
import type { CoordinatorView } from '../../broker/core/coordinator-view.ts'
import type { SimulatedGateway } from './simulated-gateway.ts'
import { violated } from './violation.ts'

const SLACK_MS = 1000

export class MoveWatch {
  readonly #gateway: SimulatedGateway
  readonly #deadlineMs: number
  /** By move: what its target had acknowledged, and since when that is so. */
  #seen = new Map<string, { readonly acked: number; readonly sinceMs: number }>()
  #life = 0

  constructor(gateway: SimulatedGateway, deadlineMs: number) {
    this.#gateway = gateway
    this.#deadlineMs = deadlineMs
  }

  look(): void {
    const { view, life, awakeMs } = this.#gateway
    // A gateway that starts gives each move its time anew.
    if (life !== this.#life) this.#seen.clear()
    this.#life = life
    if (view !== undefined) this.#compare(view, awakeMs)
  }

  #compare(view: CoordinatorView, nowMs: number): void {
    const moves = view.moves().open.filter(({ stage }) => stage === 'catching-up')
    const seen = new Map<string, { readonly acked: number; readonly sinceMs: number }>()
    for (const { tile, to } of moves) {
      const acked = view.node(to)?.stream?.acked ?? 0
      const before = this.#seen.get(`${tile}/${to}`)
      const isSame = before !== undefined && before.acked === acked
      const sinceMs = isSame ? before.sinceMs : nowMs
      if (nowMs - sinceMs > this.#deadlineMs + SLACK_MS) {
        violated(`tile ${tile} moves to ${to}, which stands at ${acked} for ${nowMs - sinceMs} ms`)
      }
      seen.set(`${tile}/${to}`, { acked, sinceMs })
    }
    this.#seen = seen
  }
}
