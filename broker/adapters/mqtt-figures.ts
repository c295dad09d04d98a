/** The broker's figures, and mosquitto's names for them below `$SYS/broker/`. */
/** Sums over all connections. */
export interface Traffic {
  bytesReceived: number
  bytesSent: number
  packetsReceived: number
  packetsSent: number
  publishesReceived: number
  publishesSent: number
}

export interface BrokerCounters {
  readonly clientsConnected: number
  /** With persistent sessions whose client is away. */
  readonly clientsTotal: number
  readonly clientsDisconnected: number
  readonly clientsMaximum: number
  /** MQTT packets of any type. */
  readonly messagesReceived: number
  readonly messagesSent: number
  readonly publishesReceived: number
  readonly publishesSent: number
  readonly bytesReceived: number
  readonly bytesSent: number
  readonly subscriptions: number
  readonly retained: number
  /** Bytes of packets that have begun to arrive, over all connections. */
  readonly bufferedBytes: number
  /** Bytes that wait for clients that are away. */
  readonly queuedBytes: number
  /** Publishes that reached nobody, or not everybody, by reason. */
  readonly dropped: Readonly<Record<string, number>>
  /** Connections, sessions and subscriptions that were refused or ended, by reason. */
  readonly refused: Readonly<Record<string, number>>
}

/** Counts by reason. */
export class Tally {
  readonly #counts = new Map<string, number>()

  add(reason: string): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1)
  }

  total(): number {
    let sum = 0
    for (const count of this.#counts.values()) sum += count
    return sum
  }

  toRecord(): Record<string, number> {
    return Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)))
  }
}

export function newTraffic(): Traffic {
  return {
    bytesReceived: 0,
    bytesSent: 0,
    packetsReceived: 0,
    packetsSent: 0,
    publishesReceived: 0,
    publishesSent: 0,
  }
}

/** Topic below `$SYS/broker/` and text of each figure. */
export function figuresOf(
  counters: BrokerCounters,
  dropped: number,
  uptimeMs: number,
  version: string,
): [string, string][] {
  return [
    ['version', `obelisk version ${version}`],
    ['uptime', `${Math.floor(uptimeMs / 1000)} seconds`],
    ['clients/connected', `${counters.clientsConnected}`],
    ['clients/disconnected', `${counters.clientsDisconnected}`],
    ['clients/total', `${counters.clientsTotal}`],
    ['clients/maximum', `${counters.clientsMaximum}`],
    ['messages/received', `${counters.messagesReceived}`],
    ['messages/sent', `${counters.messagesSent}`],
    ['publish/messages/received', `${counters.publishesReceived}`],
    ['publish/messages/sent', `${counters.publishesSent}`],
    ['publish/messages/dropped', `${dropped}`],
    ['bytes/received', `${counters.bytesReceived}`],
    ['bytes/sent', `${counters.bytesSent}`],
    // Clients that would use `$share` can ask before they do.
    ['shared_subscriptions/available', '1'],
    ['subscriptions/count', `${counters.subscriptions}`],
    ['retained messages/count', `${counters.retained}`],
  ]
}
