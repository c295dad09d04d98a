/**
 * In which format nodes may write the pages of tiles, and in which one goes to another node (shared/grid/packed-page.ts).
 * Format 2 is allowed while every member that is not dead has said that it knows it, and no upgrade is open: a node that
 * goes back by itself then finds pages that it can read (decision 0028). It is said with each welcome and beat, to those
 * that know what is meant. A member that is dead is asked anew by its next hello, and gets its pages whole until then.
 */
import { PACKED_FORMAT } from '../../../shared/grid/page-layout.ts'
import type { Member, Membership } from './membership.ts'
import type { UpgradeTable } from './upgrade-table.ts'

interface Said {
  readonly pages?: number
}

const PACKED: Said = { pages: PACKED_FORMAT }
const NOTHING: Said = {}

export class PageFormats {
  readonly #members: Membership
  readonly #upgrades: UpgradeTable

  constructor(members: Membership, upgrades: UpgradeTable) {
    this.#members = members
    this.#upgrades = upgrades
  }

  /** What a node is told of the pages that it writes. */
  allowed({ knowsPacked }: Member): Said {
    const isForAll = this.#members.plainCount === 0 && !this.#upgrades.isOpen
    return knowsPacked && isForAll ? PACKED : NOTHING
  }

  /** What is asked for of a page on its way; a source that is asked for nothing gives it whole. */
  ofCopy(source: Member, target: Member): Said {
    return source.knowsPacked && target.knowsPacked ? this.allowed(target) : NOTHING
  }
}
