/**
 * The identity that a board shows when it connects, and how another takes its place: the new one is shown first, and
 * the one before is given up when the gateway has let the board in. If the gateway says that the new one is none, it is
 * asked with the one before. Each step is on disk before the next, so that a cut leaves what works.
 */
import type { NodeId } from '../../shared/core/ids.ts'
import { bringBackFormer, forgetFormer } from '../../shared/runtime/private-folder.ts'
import { type Identity, loadIdentities, type OwnIdentities } from './identity-files.ts'

export class OwnIdentity {
  readonly #folder: string
  #current: Identity
  /** That of before, until the current one has shown that it works. */
  #former: Identity | undefined
  #isFormerShown = false

  /** Nothing if the board has none yet. */
  static load(folder: string, node: NodeId): OwnIdentity | undefined {
    const identities = loadIdentities(folder, node)
    return identities && new OwnIdentity(folder, identities)
  }

  private constructor(folder: string, { current, former }: OwnIdentities) {
    this.#folder = folder
    this.#current = current
    this.#former = former
  }

  get shown(): Identity {
    return this.#isFormerShown ? this.#former! : this.#current
  }

  /** The gateway has let the board in. */
  admitted(): void {
    if (this.#isFormerShown) {
      bringBackFormer(this.#folder)
      this.#current = this.#former!
      this.#isFormerShown = false
    } else forgetFormer(this.#folder)
    this.#former = undefined
  }

  /** The gateway says that what was shown was taken out. True if there is another to be shown. */
  refused(): boolean {
    if (this.#former === undefined) return false
    this.#isFormerShown = !this.#isFormerShown
    return this.#isFormerShown
  }
}
