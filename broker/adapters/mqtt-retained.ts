/** Retained messages: those of this process in memory, those of the ledger from where they live. */
import { FilterTrie } from '../../shared/protocol/filter-trie.ts'
import type { Logger } from '../../shared/runtime/logger.ts'
import type { BrokerClient } from './mqtt-delivery.ts'
import type { LeavingMessage } from './mqtt-rights.ts'
import type { Qos } from './mqtt-subscribers.ts'

/** Topics whose retained messages are kept elsewhere, so that they are not kept here too. */
export interface RetainedSource {
  owns(topic: string): boolean
  /**
   * The retained messages that a filter matches. Taken one at a time, with many turns between, and
   * left unfinished when the subscriber goes: nothing may stay open from one item to the next.
   */
  match(filter: string): Iterable<RetainedMessage>
  /** Their topics alone, and perhaps some of which nothing is left: cheap, taken as above. */
  topics(filter: string): Iterable<string>
}

export interface RetainedMessage {
  readonly topic: string
  readonly payload: Uint8Array
}

interface StoredMessage extends RetainedMessage {
  readonly payload: Buffer
  readonly qos: Qos
  readonly isForeign: boolean
  /** Grows with each change. */
  readonly number: number
}

/** Told of each change to what others have left. */
type Changed = (topic: string, message: StoredMessage | undefined) => void

export interface RetainedBounds {
  /** Messages outside the base, which anyone may leave. */
  readonly foreignMessagesMax: number
  readonly foreignBytesMax: number
}

/** What one entry costs besides its topic and payload, roughly. */
const ENTRY_BYTES = 200

export class RetainedStore {
  readonly #bounds: RetainedBounds
  readonly #messages = new Map<string, StoredMessage>()
  #foreignMessages = 0
  #foreignBytes = 0
  #lastNumber = 0
  #onChange: Changed = () => {}

  constructor(bounds: RetainedBounds) {
    this.#bounds = bounds
  }

  set onChange(onChange: Changed) {
    this.#onChange = onChange
  }

  get size(): number {
    return this.#messages.size
  }

  get(topic: string): StoredMessage | undefined {
    return this.#messages.get(topic)
  }

  /** That of the newest change. */
  get lastNumber(): number {
    return this.#lastNumber
  }

  /** By their numbers: what changes goes to the end. */
  messages(): Iterable<StoredMessage> {
    return this.#messages.values()
  }

  /**
   * An empty payload removes [MQTT-3.3.1-10]. False if there is no room for it: then nothing is
   * retained for the topic, since what was there before is not true any more.
   */
  store(message: RetainedMessage & { qos: 0 | 1 | 2; isForeign: boolean }): boolean {
    const { topic, qos, isForeign } = message
    const before = this.#messages.get(topic)
    if (before?.qos === qos && before.payload.equals(message.payload)) return true
    this.#remove(topic, before)
    const { foreignMessagesMax, foreignBytesMax } = this.#bounds
    const bytes = topic.length + message.payload.length + ENTRY_BYTES
    const isFull =
      isForeign &&
      (this.#foreignMessages >= foreignMessagesMax || this.#foreignBytes + bytes > foreignBytesMax)
    if (message.payload.length === 0 || isFull) {
      if (before?.isForeign) this.#onChange(topic, undefined)
      return message.payload.length === 0
    }
    // A copy, so that a few bytes do not keep the whole chunk they came in alive.
    const payload = Buffer.allocUnsafeSlow(message.payload.length)
    payload.set(message.payload)
    const number = ++this.#lastNumber
    const stored: StoredMessage = { topic, payload, qos, isForeign, number }
    this.#messages.set(topic, stored)
    if (!isForeign) return true
    this.#foreignMessages++
    this.#foreignBytes += bytes
    this.#onChange(topic, stored)
    return true
  }

  #remove(topic: string, message: StoredMessage | undefined): void {
    if (message === undefined) return
    this.#messages.delete(topic)
    if (!message.isForeign) return
    this.#foreignMessages--
    this.#foreignBytes -= topic.length + message.payload.length + ENTRY_BYTES
  }
}

interface Granted {
  /** The filter. */
  readonly topic: string
  readonly qos: Qos
}

/** With the newest change before it: what comes later is delivered as it comes. */
interface Pending extends Granted {
  readonly upTo: number
}

/** How many stored topics are looked up before others have their turn. */
const TURN = 64

/**
 * Sends one client what is retained for the filters it has just subscribed to. Aedes' own way reads
 * ahead, so that a message could follow a newer one of the same topic; this one reads a message in
 * the moment it is handed on.
 */
export class RetainedDelivery {
  readonly #client: BrokerClient
  readonly #store: RetainedStore
  readonly #source: RetainedSource | undefined
  readonly #logger: Logger | undefined
  readonly #mayReceive: (message: LeavingMessage) => boolean
  readonly #pending = new Map<string, Pending>()
  #isRunning = false

  constructor(
    client: BrokerClient,
    store: RetainedStore,
    source: RetainedSource | undefined,
    logger: Logger | undefined,
    mayReceive: (message: LeavingMessage) => boolean,
  ) {
    this.#client = client
    this.#store = store
    this.#source = source
    this.#logger = logger
    this.#mayReceive = mayReceive
  }

  add(granted: readonly Granted[]): void {
    const upTo = this.#store.lastNumber
    for (const one of granted) this.#pending.set(one.topic, { ...one, upTo })
    if (this.#isRunning || this.#pending.size === 0) return
    this.#isRunning = true
    this.#run()
      .catch((error) => this.#logger?.error({ error }, 'retained messages could not be read'))
      .finally(() => {
        this.#isRunning = false
      })
  }

  async #run(): Promise<void> {
    while (this.#pending.size > 0) {
      const granted = new Map(this.#pending)
      this.#pending.clear()
      const filters = new FilterTrie<Pending>()
      for (const one of granted.values()) filters.set(one.topic, one)
      await this.#sendStored(granted, filters)
      await this.#sendFromSource(granted, filters)
    }
  }

  async #sendStored(
    granted: ReadonlyMap<string, Pending>,
    filters: FilterTrie<Pending>,
  ): Promise<void> {
    const send = async (message: StoredMessage): Promise<void> => {
      const matching = filters.matching(message.topic).filter(({ upTo }) => message.number <= upTo)
      if (matching.length > 0) await this.#send(message, matching)
    }
    let hasWildcard = false
    let newest = 0
    for (const [filter, { upTo }] of granted) {
      hasWildcard ||= /[+#]/.test(filter)
      newest = Math.max(newest, upTo)
      const message = this.#store.get(filter)
      if (message !== undefined) await send(message)
    }
    if (!hasWildcard) return
    let lookedUp = 0
    for (const message of this.#store.messages()) {
      if (this.#client.closed || message.number > newest) return
      if (++lookedUp % TURN === 0) await new Promise(setImmediate)
      if (!granted.has(message.topic)) await send(message)
    }
  }

  async #sendFromSource(
    granted: ReadonlyMap<string, Granted>,
    filters: FilterTrie<Granted>,
  ): Promise<void> {
    if (this.#source === undefined) return
    let lookedUp = 0
    for (const filter of granted.keys()) {
      for (const { topic, payload } of this.#source.match(filter)) {
        if (this.#client.closed) return
        if (++lookedUp % TURN === 0) await new Promise(setImmediate)
        const matching = filters.matching(topic)
        if (matching[0]?.topic !== filter) continue
        await this.#send({ topic, payload: Buffer.from(payload), qos: 1 }, matching)
      }
      // Also one that matched nothing may have taken its time.
      await new Promise(setImmediate)
    }
  }

  /** Once, at the highest QoS of the filters that match. */
  #send(
    message: { readonly topic: string; readonly payload: Buffer; readonly qos: Qos },
    matching: readonly Granted[],
  ): Promise<void> {
    const { topic, payload } = message
    if (!this.#mayReceive(message)) return Promise.resolve()
    const qos = Math.min(message.qos, Math.max(...matching.map((one) => one.qos)))
    return new Promise((resolve) => {
      // Without a `brokerId` it is not taken for a repetition of the live message.
      this.#client.deliverQoS(
        { cmd: 'publish', topic, payload, qos, retain: true, dup: false, brokerId: null },
        () => resolve(),
      )
    })
  }
}
