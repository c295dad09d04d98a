/** Messages between the gateway and its nodes: who was heard when, and which paths were taken. */
import type { NodeId } from '../../shared/core/ids.ts'
import type { Down, Up } from '../../shared/protocol/messages.ts'
import type { HeardTimes } from './heard-times.ts'
import { nodeOf, PageFormatWatch } from './page-format-watch.ts'
import type { SimulatedClock } from './simulated-clock.ts'
import type { SimulatedFaults } from './simulated-faults.ts'
import type { SimulatedGateway } from './simulated-gateway.ts'
import type { TaskStories } from './task-stories.ts'

interface WatchedFleet {
  readonly clock: SimulatedClock
  readonly gateway: SimulatedGateway
  count(what: string): void
}

export class MessageWatch {
  readonly #fleet: WatchedFleet
  readonly #heard: HeardTimes
  readonly #faults: SimulatedFaults
  readonly #stories: TaskStories
  readonly #sentUpTo = new Map<string, number>()
  readonly #askedInLife = new Map<string, number>()
  readonly #pages: PageFormatWatch

  constructor(
    fleet: WatchedFleet,
    heard: HeardTimes,
    faults: SimulatedFaults,
    stories: TaskStories,
  ) {
    this.#fleet = fleet
    this.#heard = heard
    this.#faults = faults
    this.#stories = stories
    this.#pages = new PageFormatWatch((what) => fleet.count(what))
  }

  sent(connection: string, message: Down): void {
    const isAlive = (node: string): boolean =>
      this.#fleet.gateway.view?.stateOf(node as NodeId) === 'alive'
    this.#pages.sent(connection, message, isAlive)
    if (message.t === 'welcome') this.#heard.heard(nodeOf(connection), this.#fleet.gateway.awakeMs)
    if (message.t === 'copy') {
      this.#fleet.count('move-copying')
      this.#faults.copying(message.tile)
    }
    if (message.t === 'entries') {
      const upTo = this.#sentUpTo.get(connection) ?? 0
      for (const { position } of message.entries) {
        if (position <= upTo) this.#fleet.count('resend')
        else this.#sentUpTo.set(connection, position)
      }
    }
    if (message.t === 'read') {
      this.#askedInLife.set(`${message.task}/${message.part}`, this.#fleet.gateway.life)
    }
  }

  received(connection: string, message: Up): void {
    const node = nodeOf(connection)
    // A store that the gateway cannot use is as good as none, however often its node says hello.
    if (message.t !== 'hello') this.#heard.heard(node, this.#fleet.gateway.awakeMs)
    if (message.t === 'hello') this.#pages.said(connection, message)
    if (message.t === 'gap') this.#fleet.count('gap')
    if (message.t === 'staged') this.#faults.staged(node)
    if (message.t !== 'answer') return
    const { life, view } = this.#fleet.gateway
    if (this.#askedInLife.get(`${message.task}/${message.part}`) === life) return
    const story = this.#stories.find(message.task)
    // A look, which is gone with the gateway that began it.
    if (story === undefined) return
    const done = (): number => view!.task(story.id as never)?.shards.done ?? 0
    const before = done()
    this.#fleet.clock.after(0, () => {
      if (this.#fleet.gateway.life === life && done() > before)
        this.#fleet.count('answer-outlived-gateway')
    })
  }
}
