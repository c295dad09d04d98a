/** The broker's figures, and mosquitto's names for them below `$SYS/broker/`. */
/** Sums over all connections. */
export interface Traffic {
  bytesReceived: number
  bytesSent: number
  /** Of any type. */
  packetsReceived: number
  packetsSent: number
  publishesReceived: number
  publishesSent: number
}

export interface BrokerCounters extends Readonly<Traffic> {
  readonly clientsConnected: number
  /** With persistent sessions whose client is away. */
  readonly clientsTotal: number
  readonly clientsDisconnected: number
  readonly clientsMaximum: number
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
type Told = [string, string][]

/** What is told now and then. */
export class Figures {
  readonly #version: string
  readonly #intervalMs: number
  readonly #startedMs = performance.now()
  #toldMs = Number.NEGATIVE_INFINITY

  constructor(version: string, intervalMs: number) {
    this.#version = version
    this.#intervalMs = intervalMs
  }

  /** None before they are due again. */
  due(nowMs: number, counters: () => BrokerCounters): Told {
    if (nowMs - this.#toldMs < this.#intervalMs) return []
    this.#toldMs = nowMs
    return figuresOf(counters(), nowMs - this.#startedMs, this.#version)
  }
}

function figuresOf(counters: BrokerCounters, uptimeMs: number, version: string): Told {
  return [
    ['version', `obelisk version ${version}`],
    ['uptime', `${Math.floor(uptimeMs / 1000)} seconds`],
    ['clients/connected', `${counters.clientsConnected}`],
    ['clients/disconnected', `${counters.clientsDisconnected}`],
    ['clients/total', `${counters.clientsTotal}`],
    ['clients/maximum', `${counters.clientsMaximum}`],
    ['messages/received', `${counters.packetsReceived}`],
    ['messages/sent', `${counters.packetsSent}`],
    ['publish/messages/received', `${counters.publishesReceived}`],
    ['publish/messages/sent', `${counters.publishesSent}`],
    ['publish/messages/dropped', `${sum(counters.dropped)}`],
    ['bytes/received', `${counters.bytesReceived}`],
    ['bytes/sent', `${counters.bytesSent}`],
    // Clients that would use `$share` can ask before they do.
    ['shared_subscriptions/available', '1'],
    ['subscriptions/count', `${counters.subscriptions}`],
    ['retained messages/count', `${counters.retained}`],
  ]
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}
