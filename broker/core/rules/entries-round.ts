/**
 * Entries of streams on their way to nodes: flat arrays, in which a message is an index, since one write goes to ten
 * thousand. What is noted is which part of what each entry is; chains and bytes are made when a message leaves.
 *
 * What becomes of the stream meanwhile is no matter: the node takes an entry only behind the one that it has, and on the
 * session that it was sent in.
 */
import { beginEntries } from '../../../shared/protocol/entry-template.ts'
import { MessageBytes } from '../../../shared/protocol/message-bytes.ts'
import type { MessageRound } from '../effects.ts'
import type { ConnectionId } from '../events.ts'
import type { Session } from '../state/membership.ts'
import type { NodeStream } from '../state/node-stream.ts'
import type { StreamItem } from '../state/stream-items.ts'

/** Of one message at a time. */
const bytes = new MessageBytes()

export class EntriesRound implements MessageRound {
  /** By message. */
  readonly #sessions: Session[] = []
  readonly #streams: NodeStream[] = []
  readonly #confirmed: number[] = []
  /** Where its entries begin. */
  readonly #starts: number[] = []
  /** By entry. */
  readonly #items: StreamItem[] = []
  readonly #parts: number[] = []

  get size(): number {
    return this.#sessions.length
  }

  /** Begins a message. */
  begin(session: Session, stream: NodeStream): void {
    this.#sessions.push(session)
    this.#streams.push(stream)
    this.#confirmed.push(stream.acked)
    this.#starts.push(this.#items.length)
  }

  /** Adds an entry to the message that was begun last. */
  add(item: StreamItem, part: number): void {
    this.#items.push(item)
    this.#parts.push(part)
  }

  connectionOf(at: number): ConnectionId {
    return this.#sessions[at]!.connection
  }

  payloadOf(at: number): Uint8Array {
    const from = this.#starts[at]!
    const to = this.#starts[at + 1] ?? this.#items.length
    const last = this.#items[to - 1]!.parts.positionOf(this.#parts[to - 1]!)
    this.#streams[at]!.chainTo(last)
    const session = this.#sessions[at]!.number
    beginEntries(bytes, { session, confirmed: this.#confirmed[at]!, entries: to - from })
    for (let entry = from; entry < to; entry++) {
      this.#items[entry]!.encode(bytes, this.#parts[entry]!)
    }
    return bytes.take()
  }
}
