/**
 * Parts of reads that nobody can answer now, found by what they wait for. A part needs all of its tiles, so it waits for
 * the first of them; one of items waits for anybody.
 */
import type { CoordinatorContext } from './coordinator-context.ts'
import type { ReadPart } from './read-plan.ts'
import { type Changes, type Place, TileWaits } from './tile-waits.ts'

interface WaitingPart<Read> {
  readonly read: Read
  readonly part: ReadPart
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
    const waiting = { read, part }
    this.#byPart.set(part, waiting)
    this.#waits.add(placeOf(part), waiting)
  }

  delete(part: ReadPart): void {
    const waiting = this.#byPart.get(part)
    if (waiting === undefined) return
    this.#byPart.delete(part)
    this.#waits.delete(placeOf(part), waiting)
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
}

function placeOf({ tiles }: ReadPart): Place {
  return tiles?.[0]
}
