/**
 * The identity that a board shows when it connects, and how another takes its place: the new one is shown first, and
 * the one before is given up when the gateway has let the board in. If the gateway says that the new one is none, it is
 * asked with the one before. Each step is on disk before the next, so that a cut leaves what works.
 */
import { X509Certificate } from 'node:crypto'
import type { NodeId } from '../../shared/core/ids.ts'
import { AppError } from '../../shared/runtime/errors.ts'
import { bringBackFormer, forgetFormer } from '../../shared/runtime/private-folder.ts'
import { type KeyPair, pemOf } from '../../shared/runtime/public-keys.ts'
import {
  faultOf,
  type Identity,
  keepIdentity,
  keyToEnrol,
  loadIdentities,
  type OwnIdentities,
} from './identity-files.ts'

export class OwnIdentity {
  readonly #folder: string
  readonly #node: NodeId
  #current: Identity
  /** That of before, until the current one has shown that it works. */
  #former: Identity | undefined
  #isFormerShown = false

  /** Nothing if the board has none yet. */
  static load(folder: string, node: NodeId): OwnIdentity | undefined {
    const identities = loadIdentities(folder, node)
    return identities && new OwnIdentity(folder, node, identities)
  }

  private constructor(folder: string, node: NodeId, { current, former }: OwnIdentities) {
    this.#folder = folder
    this.#node = node
    this.#current = current
    this.#former = former
  }

  get shown(): Identity {
    return this.#isFormerShown ? this.#former! : this.#current
  }

  /** The key that is to follow the one that is shown. Returns once it is on disk. */
  nextKey(): KeyPair {
    return keyToEnrol(this.#folder, this.#purpose)
  }

  /** The certificate of that key. Returns once both have their place. Throws AppError if it is of no use. */
  renew(certificate: string): void {
    const { ca } = this.shown
    const pair = keyToEnrol(this.#folder, this.#purpose)
    const why = faultOf({ certificate, ca }, pemOf(pair), this.#node)
    if (why !== undefined) throw new AppError('certificate-unsuitable', why)
    const before = this.shown
    this.#current = keepIdentity(this.#folder, pair, { certificate, ca })
    this.#former = before
  }

  get #purpose(): string {
    return `after ${new X509Certificate(this.shown.certificate).serialNumber}`
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
