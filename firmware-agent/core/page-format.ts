/**
 * Which format of pages the gateway allows to be written here (shared/grid/packed-page.ts): what its last welcome or
 * beat said, the first one if they say nothing. The first is also that of a process that has not been welcomed.
 */
import type { AgentEffect } from './effects.ts'

const PLAIN = 1

export class PageFormat {
  #allowed = PLAIN

  /** A message that says so, or by its silence that it is the first. */
  take({ pages = PLAIN }: { readonly pages?: number | undefined }): AgentEffect[] {
    if (pages === this.#allowed) return []
    this.#allowed = pages
    return [{ type: 'allow-pages', format: pages }]
  }
}
