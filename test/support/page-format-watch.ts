/**
 * Which format of pages each node knows, by its last hello, and that none gets another, or is asked for one. Nor may anybody
 * be allowed to write one while a node that is here does not know it.
 */
import { PACKED_FORMAT } from '../../shared/grid/page-layout.ts'
import type { Down, Hello } from '../../shared/protocol/messages.ts'
import { violated } from './violation.ts'

/** Connections of the simulated network are named after their node. */
export const nodeOf = (connection: string): string => connection.replace(/-\d+$/, '')

export class PageFormatWatch {
  /** Who knows the first alone, and on which connection that was said. */
  readonly #plain = new Map<string, string>()
  /** Of those: who was let in on that connection since. What was decided before may leave until then. */
  readonly #welcomed = new Set<string>()
  readonly #count: (what: string) => void

  constructor(count: (what: string) => void) {
    this.#count = count
  }

  said(connection: string, { node, pages = 1 }: Hello): void {
    this.#welcomed.delete(node)
    if (pages < PACKED_FORMAT) this.#plain.set(node, connection)
    else this.#plain.delete(node)
  }

  /** `isAlive`: whether the gateway has this node for alive. */
  sent(connection: string, message: Down, isAlive: (node: string) => boolean): void {
    const node = nodeOf(connection)
    const isNamed = 'pages' in message && message.pages !== undefined
    if (isNamed && this.#plain.has(node)) {
      violated(`a format of pages is named to node ${node}, which does not know it`)
    }
    if (isNamed && (message.t === 'welcome' || message.t === 'beat')) {
      const plain = [...this.#welcomed].find(isAlive)
      if (plain === undefined) this.#count('pages-packed')
      else violated(`node ${node} may write pages that node ${plain} does not know`)
    }
    if (message.t === 'welcome' && this.#plain.get(node) === connection) this.#welcomed.add(node)
    // The format stands in the first byte of a page.
    if (message.t !== 'chunk' || message.index > 0 || message.bytes[0] !== PACKED_FORMAT) return
    if (this.#plain.has(node)) violated(`node ${node} gets a page that it does not know`)
    this.#count('page-packed-on-its-way')
  }
}
