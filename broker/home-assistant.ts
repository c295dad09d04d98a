/**
 * Tells Home Assistant of the nodes and the gateway, and takes back what is no more. A node is told of once it has said
 * what it is and how it is; again when that has changed, and when Home Assistant has started.
 */
import type { NodeId } from '../shared/core/ids.ts'
import type { Random } from '../shared/core/random.ts'
import type { Clock } from '../shared/runtime/clock.ts'
import {
  type DiscoveredCell,
  type DiscoveredNode,
  type DiscoverySite,
  discoveryTopic,
  gatewayDiscovery,
  nodeDiscovery,
  parseDiscoveryTopic,
} from './core/views/discovery.ts'

/** Without a prefix nothing is told, and what was once is taken back. */
export interface HomeAssistantOptions extends Omit<DiscoverySite, 'fleet' | 'prefix'> {
  readonly prefix: string | undefined
  readonly cells: readonly DiscoveredCell[]
}

export interface HomeAssistantPorts {
  readonly clock: Pick<Clock, 'after'>
  readonly random: Pick<Random, 'unit'>
  /** Nothing while the ledger is being rebuilt: it may turn out to be an older one's. */
  fleet(): string | undefined
  isMember(node: NodeId): boolean
  /** Retained; an empty payload takes back. */
  publish(topic: string, payload: string): void
  /** Topics that are retained now and match the filter. */
  retained(filter: string): readonly string[]
  /** Calls `listener` with what is published there; returns what ends that. */
  follow(topic: string, listener: (payload: string) => void): () => void
}

/** Many gateways may hear at once that Home Assistant is there. */
const AGAIN_MS_MAX = 5000
/** In one turn of the event loop: about 3 KB each. */
const PIECE = 50

interface Known {
  board: string | undefined
  version: string
  readonly told: Set<string>
  /** What it was told with, as text; nothing before that. */
  shown: string | undefined
}

export class HomeAssistant {
  readonly #options: HomeAssistantOptions
  readonly #ports: HomeAssistantPorts
  readonly #nodes = new Map<NodeId, Known>()
  #isGatewayShown = false
  #stopTimer: () => void = () => {}
  #unfollow: () => void = () => {}

  constructor(options: HomeAssistantOptions, ports: HomeAssistantPorts) {
    this.#options = options
    this.#ports = ports
  }

  /** Takes back what is not to be there any more, and begins. */
  begin(): void {
    const { prefix } = this.#options
    if (prefix !== undefined) {
      this.#unfollow = this.#ports.follow(`${prefix}/status`, (payload) => {
        if (payload === 'online') this.#tellAgain(this.#ports.random.unit() * AGAIN_MS_MAX)
      })
      this.#showGateway()
    }
    const fleet = this.#ports.fleet()
    if (fleet === undefined) return
    for (const topic of this.#ports.retained('+/device/+/config')) {
      const device = parseDiscoveryTopic(fleet, topic)
      if (device === undefined) continue
      const { node } = device
      const isOurs = node === undefined || this.#ports.isMember(node as NodeId)
      if (device.prefix !== prefix || !isOurs) this.#ports.publish(topic, '')
    }
  }

  close(): void {
    this.#stopTimer()
    this.#unfollow()
  }

  /** What a node says of itself: its `info`, or its telemetry. */
  heard(
    node: NodeId,
    kind: 'node-info' | 'node-telemetry',
    fields: Readonly<Record<string, unknown>>,
  ): void {
    if (this.#options.prefix === undefined) return
    const known = this.#nodes.get(node) ?? {
      ...{ board: undefined, version: '', told: new Set<string>(), shown: undefined },
    }
    this.#nodes.set(node, known)
    if (kind === 'node-info') {
      known.board = textOf(fields.board)
      known.version = textOf(fields.version)
    } else {
      for (const [name, value] of Object.entries(fields)) {
        if (typeof value === 'number') known.told.add(name)
      }
    }
    this.#showGateway()
    this.#show(node, known)
  }

  /** It is no member any more. */
  forget(node: NodeId): void {
    this.#nodes.delete(node)
    const site = this.#site()
    if (site !== undefined) this.#ports.publish(discoveryTopic(site, node), '')
  }

  #site(): DiscoverySite | undefined {
    const { prefix, cells: _cells, ...options } = this.#options
    const fleet = this.#ports.fleet()
    return prefix === undefined || fleet === undefined ? undefined : { ...options, prefix, fleet }
  }

  #showGateway(): void {
    const site = this.#site()
    if (this.#isGatewayShown || site === undefined) return
    this.#isGatewayShown = true
    this.#ports.publish(
      discoveryTopic(site),
      JSON.stringify(gatewayDiscovery(site, this.#options.cells)),
    )
  }

  #show(node: NodeId, known: Known): void {
    const { board, version, told } = known
    // Before its first telemetry it would be shown without what it can tell.
    if (board === undefined || told.size === 0) return
    const site = this.#site()
    const shown = JSON.stringify([board, version, [...told].sort()])
    if (site === undefined || shown === known.shown || !this.#ports.isMember(node)) return
    known.shown = shown
    const device: DiscoveredNode = { id: node, board, version, told }
    const payload = JSON.stringify(nodeDiscovery(site, device))
    this.#ports.publish(discoveryTopic(site, node), payload)
  }

  #tellAgain(waitMs: number): void {
    this.#stopTimer()
    this.#stopTimer = this.#ports.clock.after(waitMs, () => {
      this.#isGatewayShown = false
      this.#showGateway()
      for (const known of this.#nodes.values()) known.shown = undefined
      this.#tellPiece([...this.#nodes.keys()])
    })
  }

  #tellPiece(nodes: NodeId[]): void {
    for (const node of nodes.splice(0, PIECE)) {
      const known = this.#nodes.get(node)
      if (known !== undefined) this.#show(node, known)
    }
    if (nodes.length > 0) this.#stopTimer = this.#ports.clock.after(0, () => this.#tellPiece(nodes))
  }
}

/** A board may send anything, even what has no text. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
