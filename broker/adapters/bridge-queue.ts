/**
 * What waits to go over a bridge, bounded: of what is retained the last of each topic, of all else everything. Where
 * there is no room the oldest goes.
 */
export interface BridgeMessage {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: 0 | 1
  readonly retain: boolean
}

export interface BridgeQueueBounds {
  readonly messagesMax: number
  readonly bytesMax: number
}

/** What one takes besides its topic and payload, roughly. */
const ENTRY_BYTES = 200

export class BridgeQueue {
  readonly #bounds: BridgeQueueBounds
  readonly #waiting = new Map<string | number, BridgeMessage>()
  #count = 0
  #bytes = 0
  #dropped = 0

  constructor(bounds: BridgeQueueBounds) {
    this.#bounds = bounds
  }

  get size(): number {
    return this.#waiting.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** How many were given up, since ever. */
  get dropped(): number {
    return this.#dropped
  }

  hasRetained(topic: string): boolean {
    return this.#waiting.has(topic)
  }

  add(message: BridgeMessage): void {
    const key = message.retain ? message.topic : this.#count++
    this.#remove(key)
    this.#waiting.set(key, message)
    this.#bytes += bytesOf(message)
    const { messagesMax, bytesMax } = this.#bounds
    while (this.#waiting.size > messagesMax || this.#bytes > bytesMax) {
      this.next()
      this.#dropped++
    }
  }

  /** Takes the oldest out. */
  next(): BridgeMessage | undefined {
    for (const [key, message] of this.#waiting) {
      this.#remove(key)
      return message
    }
    return undefined
  }

  #remove(key: string | number): void {
    const message = this.#waiting.get(key)
    if (message === undefined) return
    this.#waiting.delete(key)
    this.#bytes -= bytesOf(message)
  }
}

function bytesOf({ topic, payload }: BridgeMessage): number {
  return topic.length + payload.length + ENTRY_BYTES
}
