/**
 * Parts of reads that nobody can answer now, found by what they wait for. A part needs all of its tiles, so it waits for
 * the first of them; but its nodes are perhaps never here together, so it waits for some tiles of others, too. One of
 * items waits for anybody.
 */
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import { NO_HOLDER } from '../state/slots.ts'
import { type Changes, type Place, TileWaits } from '../state/tile-waits.ts'
import type { ReadPart } from './read-plan.ts'

/** Of a part of very many tiles, not each of the nodes that have some is worth a look. */
const PLACES_MAX = 16

interface WaitingPart<Read> {
  readonly read: Read
  readonly part: ReadPart
  readonly places: readonly Place[]
}

export class WaitingParts<Read> {
  readonly #context: CoordinatorContext
  readonly #byPart = new Map<ReadPart, WaitingPart<Read>>()
  readonly #waits: TileWaits<WaitingPart<Read>>

  constructor(context: CoordinatorContext) {
    this.#context = context
    this.#waits = new TileWaits(context.placement)
  }

  add(read: Read, part: ReadPart): void {
    if (this.#byPart.has(part)) return
    const waiting = { read, part, places: this.#placesOf(part) }
    this.#byPart.set(part, waiting)
    for (const place of waiting.places) this.#waits.add(place, waiting)
  }

  delete(part: ReadPart): void {
    const waiting = this.#byPart.get(part)
    if (waiting === undefined) return
    this.#byPart.delete(part)
    for (const place of waiting.places) this.#waits.delete(place, waiting)
  }

  /** Those that may find somebody now; some may go before it is their turn, with their reads. */
  *concernedBy(changes: Changes): Generator<WaitingPart<Read>> {
    for (const place of this.#waits.concernedBy(changes)) {
      if (!changes.isWide && !this.#mayGoOn(place)) continue
      for (const waiting of [...this.#waits.itemsOf(place)]) {
        if (this.#byPart.get(waiting.part) === waiting) yield waiting
      }
    }
  }

  /** Of a tile that was written, its holders alone tell. */
  #mayGoOn(place: Place): boolean {
    const { placement, members } = this.#context
    if (place === undefined || !placement.isBorn(place)) return true
    const holders = placement.holdersOf(place)
    return holders.length === 0 || holders.some((index) => members.at(index).isInSync)
  }

  /** Its first tile, and others that have other holders. */
  #placesOf({ tiles }: ReadPart): Place[] {
    if (tiles === undefined) return [undefined]
    const { placement } = this.#context
    const { slots, replicas } = placement
    const places: Place[] = []
    const known = new Set([NO_HOLDER])
    for (const tile of tiles) {
      const isFirst = places.length === 0
      // On any node it is zeros, once somebody is here.
      if (!isFirst && !placement.isBorn(tile)) continue
      const before = known.size
      for (let at = tile * replicas; at < (tile + 1) * replicas; at++) known.add(slots[at]!)
      if (!isFirst && known.size === before) continue
      places.push(tile)
      if (places.length === PLACES_MAX) break
    }
    return places
  }
}
