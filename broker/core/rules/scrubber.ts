/**
 * Looks through all copies of all tiles, a few at a time, for what LMDB and cards do not tell: pages that are
 * damaged or gone, and copies that should be equal and are not (drift). Copies are compared only at equal
 * `at`. A node finds a damaged page by itself when it reads it; here it is made to read it.
 *
 * Of two sound copies that differ, the first in ring order wins (recovery.md, One sequencer): the other node
 * counts as holding none, and gets a new copy as every tile does that has too few.
 */
import { DIGEST_BYTES, equalBytes } from '../../../shared/core/hash.ts'
import { packTiles, unpackTiles } from '../../../shared/operations/columns.ts'
import type { Up } from '../../../shared/protocol/messages.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Member } from '../state/membership.ts'
import type { LostCopies } from './lost-copies.ts'

/** Tiles of one look. */
const TILES_PER_LOOK = 64

interface Copy {
  readonly member: number
  readonly at: number
  readonly digest: Uint8Array
}

export class Scrubber {
  readonly #context: CoordinatorContext
  readonly #lost: LostCopies
  #next = 0
  /** Of the placement, when nodes were asked. */
  #epoch = 0
  /** What holders say of the tiles of the present look. */
  readonly #copies = new Map<number, Copy[]>()
  readonly counters = { examined: 0, drifted: 0 }

  constructor(context: CoordinatorContext, lost: LostCopies) {
    this.#context = context
    this.#lost = lost
  }

  start(): void {
    const { deadlines, nowMs, options } = this.#context
    deadlines.set('scrub', nowMs + options.scrubMs, () => {
      this.#look()
      this.start()
    })
  }

  #look(): void {
    const { placement, members, options, moves } = this.#context
    const { tiles } = options.grid.geometry
    this.#epoch = placement.epoch
    this.#copies.clear()
    const asked = new Map<number, number[]>()
    for (let seen = 0; seen < tiles && this.#copies.size < TILES_PER_LOOK; seen++) {
      const tile = this.#next
      this.#next = (this.#next + 1) % tiles
      if (!placement.isBorn(tile) || moves.of(tile) !== undefined) continue
      this.#copies.set(tile, [])
      for (const index of placement.holdersOf(tile)) {
        const own = asked.get(index)
        if (own === undefined) asked.set(index, [tile])
        else own.push(tile)
      }
    }
    for (const [index, own] of [...asked].sort((a, b) => a[0] - b[0])) {
      const member = members.at(index)
      // One that has all that was sent to it must have every page that it holds.
      if (!member.isInSync || !member.stream.isAtHead) continue
      const { number } = member.session!
      this.#context.send(member, { t: 'examine', session: number, tiles: packTiles(own) })
    }
  }

  receive(member: Member, message: Extract<Up, { t: 'examined' }>): void {
    const { placement, moves } = this.#context
    const tiles = unpackTiles(message.tiles)
    if (message.ats.length !== tiles.length) return
    if (message.digests.length !== tiles.length * DIGEST_BYTES) return
    const damaged: number[] = []
    tiles.forEach((tile, index) => {
      const copies = this.#copies.get(tile)
      const isHolder = placement.isHolder(tile, member.index) && moves.of(tile) === undefined
      if (copies === undefined || !isHolder) return
      this.counters.examined += 1
      const at = message.ats[index]!
      const start = index * DIGEST_BYTES
      const digest = message.digests.slice(start, start + DIGEST_BYTES)
      // None where it is a holder since: it was asked before it had the page.
      if (at === 0 && placement.epoch === this.#epoch) damaged.push(tile)
      else if (at > 0) this.#compare(tile, copies, { member: member.index, at, digest })
    })
    this.#lost.lose(member, damaged, 'page-damaged')
  }

  #compare(tile: number, copies: Copy[], copy: Copy): void {
    const { placement, members } = this.#context
    const other = copies.find(({ at, member }) => at === copy.at && member !== copy.member)
    copies.push(copy)
    if (other === undefined || equalBytes(other.digest, copy.digest)) return
    const order = placement.holdersOf(tile)
    const isFirst = order.indexOf(copy.member) < order.indexOf(other.member)
    const loser = isFirst ? other : copy
    if (!order.includes(loser.member)) return
    copies.splice(copies.indexOf(loser), 1)
    this.counters.drifted += 1
    this.#lost.lose(members.at(loser.member), [tile], 'drift')
  }
}
