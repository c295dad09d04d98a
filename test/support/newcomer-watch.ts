/**
 * Nodes that joined after a copy of the ledger was made. The copy does not name them, so the gateway waits for them as
 * recovery.md allows: as long as an agent sleeps, and then for those that are just showing what they hold. Who has not come by
 * then is late. This is counted from what passes between them, not from what the gateway thinks of it.
 */
import type { Hello, Up } from '../../shared/protocol/messages.ts'
import { nodeOf } from './page-format-watch.ts'
import type { SimulatedNetwork } from './simulated-network.ts'
import type { SimulatedNode } from './simulated-node.ts'

/** Timers are in whole milliseconds. */
const SLACK_MS = 1

interface Shown {
  readonly hello: Hello
  connection: string
  isAll: boolean
}

export class NewcomerWatch {
  readonly #network: Pick<SimulatedNetwork, 'isOpenAtGateway'>
  /** By node: what the present process of the gateway was shown. */
  readonly #shown = new Map<string, Shown>()
  #startedMs = 0

  constructor(network: Pick<SimulatedNetwork, 'isOpenAtGateway'>) {
    this.#network = network
  }

  gatewayStarted(nowMs: number): void {
    this.#startedMs = nowMs
    this.#shown.clear()
  }

  received(connection: string, message: Up): void {
    const node = nodeOf(connection)
    const shown = this.#shown.get(node)
    if (message.t === 'hello') {
      if (shown?.isAll && isOfSameState(shown.hello, message)) shown.connection = connection
      else this.#shown.set(node, { hello: message, connection, isAll: false })
    } else if (message.t === 'held' && shown?.connection === connection) {
      if (message.next === null && isOfSameState(shown.hello, message)) shown.isAll = true
    }
  }

  /** Of these, whom a gateway that goes on now need not have waited for; `waitMs`: as long as an agent sleeps. */
  late(
    newcomers: readonly SimulatedNode[],
    { nowMs, waitMs }: { readonly nowMs: number; readonly waitMs: number },
  ): SimulatedNode[] {
    if (nowMs < this.#startedMs + waitMs - SLACK_MS) return []
    return newcomers.filter(({ id }) => {
      const shown = this.#shown.get(id)
      return (
        shown === undefined || !(shown.isAll || this.#network.isOpenAtGateway(shown.connection))
      )
    })
  }
}

type State = Pick<Hello, 'storeId' | 'position'>

function isOfSameState(one: State, other: State): boolean {
  return one.storeId === other.storeId && one.position === other.position
}
