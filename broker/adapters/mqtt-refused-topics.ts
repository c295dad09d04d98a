/**
 * Tells the log of publishes that come to nothing for their topic: their sender has them acknowledged, and sees nothing of
 * it. Once for a client and a reason, since what is mistyped comes again with each message.
 */
import { LatestMap } from '../../shared/core/latest-map.ts'
import { mayPublish, type OwnerOf, type Principal } from '../../shared/protocol/access.ts'
import { isBelowBase, nearTopic, parseTopic } from '../../shared/protocol/topics.ts'
import type { Logger } from '../../shared/runtime/logger.ts'
import type { DropReason } from './mqtt-access.ts'

export interface RefusedPublish {
  readonly client: string
  readonly principal: Principal
  readonly topic: string
  readonly reason: DropReason
}

/** Clients and reasons that are known to be told; the logger bounds what is told of others. */
const TOLD_MAX = 1024

export class RefusedTopics {
  readonly #base: string
  readonly #ownerOf: OwnerOf
  readonly #logger: Logger | undefined
  readonly #told = new LatestMap<string, true>(TOLD_MAX)

  constructor(base: string, ownerOf: OwnerOf, logger: Logger | undefined) {
    this.#base = base
    this.#ownerOf = ownerOf
    this.#logger = logger
  }

  tell(publish: RefusedPublish): void {
    const { client, topic, reason } = publish
    const words = this.#wordsOf(publish)
    const name = `${reason} ${client}`
    if (words === undefined || this.#told.has(name)) return
    this.#told.set(name, true)
    this.#logger?.warn(
      { code: 'publish-refused', client, topic, reason },
      `what ${client} publishes to ${topic} is dropped: ${words}`,
    )
  }

  /** Nothing of what is no fault of the topic. */
  #wordsOf({ principal, topic, reason }: RefusedPublish): string | undefined {
    if (reason === 'topic-too-deep') return 'it has too many levels'
    if (reason === 'topic-reserved') return 'what begins with $ is the gateway’s'
    if (reason !== 'topic-not-allowed') return undefined
    const base = this.#base
    const isOurs = isBelowBase(base, topic) && parseTopic(base, topic) === undefined
    if (!isOurs) return 'that is not for it to publish'
    const near = nearTopic(base, topic)
    const isMeant = near !== undefined && mayPublish(base, principal, near, this.#ownerOf)
    return `there is no such topic${isMeant ? `, did you mean ${near}?` : ''}`
  }
}
