/**
 * What nodes told of tiles under the latest rule book: by rule and tile the last word, which is the one with the highest
 * `at`, and so how many cells the rule is true of. Replicas say the same, and say it again until it is taken: what is not
 * newer is a repeat.
 */
import type { Region } from '../../../shared/grid/geometry.ts'
import type { LedgerContents } from '../ledger-records.ts'
import type { CoordinatorContext } from './coordinator-context.ts'

const CHUNK_TILES = 256
const COMPLETE = 'complete'

interface Word {
  readonly at: number
  readonly count: number
}

/** Of one rule. */
interface RuleTiles {
  readonly words: Map<number, Word>
  readonly raised: Set<number>
}

export class RaisedTiles {
  readonly #context: CoordinatorContext
  /** By the rule's place in the book. */
  readonly #rules = new Map<number, RuleTiles>()
  readonly #changed = new Set<string>()
  #isComplete = false

  constructor(context: CoordinatorContext) {
    this.#context = context
  }

  restore(rows: LedgerContents['ruleTiles']): void {
    for (const { key, value } of rows) {
      if (key === COMPLETE) {
        this.#isComplete = true
        continue
      }
      const rule = this.#of(Number(String(key).split('/')[0]))
      value.tiles.forEach((tile, at) => {
        put(rule, tile, { at: value.ats[at]!, count: value.counts[at]! })
      })
    }
  }

  /** Whether all that is held was evaluated once: only then does no tile mean none. */
  get isComplete(): boolean {
    return this.#isComplete
  }

  complete(): void {
    this.#isComplete = true
    const value = { tiles: [], ats: [], counts: [] }
    this.#context.persist({ table: 'ruleTiles', key: COMPLETE, value })
  }

  /** Another book: nothing is known under it. */
  begin(): void {
    for (const [rule, { words }] of this.#rules) {
      for (const chunk of new Set([...words.keys()].map(chunkOf))) {
        this.#context.persist({ table: 'ruleTiles', key: `${rule}/${chunk}`, value: undefined })
      }
    }
    this.#context.persist({ table: 'ruleTiles', key: COMPLETE, value: undefined })
    this.#rules.clear()
    this.#isComplete = false
  }

  /** False if it is a repeat. */
  take(rule: number, tile: number, word: Word): boolean {
    const of = this.#of(rule)
    const known = of.words.get(tile)
    if (known !== undefined && word.at <= known.at) return false
    // Where nothing is known, to hear that it is not raised is no news.
    if (known === undefined && word.count === 0) return false
    put(of, tile, word)
    this.#changed.add(`${rule}/${chunkOf(tile)}`)
    return true
  }

  /** Nobody has the tile any more. Returns the rules that were raised in it. */
  drop(tile: number): number[] {
    const raised: number[] = []
    for (const [rule, of] of this.#rules) {
      if (of.raised.delete(tile)) raised.push(rule)
      if (of.words.delete(tile)) this.#changed.add(`${rule}/${chunkOf(tile)}`)
    }
    return raised
  }

  /** Tiles in which some rule is raised. */
  all(): Set<number> {
    return new Set([...this.#rules.values()].flatMap(({ raised }) => [...raised]))
  }

  /** Where a rule is raised. */
  tilesOf(rule: number): ReadonlySet<number> {
    return this.#of(rule).raised
  }

  cellsOf(rule: number): number {
    const { raised, words } = this.#of(rule)
    let cells = 0
    for (const tile of raised) cells += words.get(tile)!.count
    return cells
  }

  /** To be called at the end of what changes some. */
  persist(): void {
    for (const key of [...this.#changed].sort()) {
      const [rule, chunk] = key.split('/').map(Number) as [number, number]
      const { words } = this.#of(rule)
      const tiles: number[] = []
      for (let tile = chunk * CHUNK_TILES; tile < (chunk + 1) * CHUNK_TILES; tile++) {
        if (words.has(tile)) tiles.push(tile)
      }
      const ats = tiles.map((tile) => words.get(tile)!.at)
      const counts = tiles.map((tile) => words.get(tile)!.count)
      const value = tiles.length === 0 ? undefined : { tiles, ats, counts }
      this.#context.persist({ table: 'ruleTiles', key, value })
    }
    this.#changed.clear()
  }

  /** Around these tiles; there is one at least. */
  regionAround(tiles: Iterable<number>): Region {
    const { geometry } = this.#context.options.grid
    let [left, top, right, bottom] = [geometry.width, geometry.height, 0, 0]
    for (const tile of tiles) {
      const { x, y, w, h } = geometry.tileRegion(tile)
      left = Math.min(left, x)
      top = Math.min(top, y)
      right = Math.max(right, x + w)
      bottom = Math.max(bottom, y + h)
    }
    return { x: left, y: top, w: right - left, h: bottom - top }
  }

  #of(rule: number): RuleTiles {
    let found = this.#rules.get(rule)
    if (found === undefined) {
      found = { words: new Map(), raised: new Set() }
      this.#rules.set(rule, found)
    }
    return found
  }
}

function put({ words, raised }: RuleTiles, tile: number, word: Word): void {
  words.set(tile, word)
  if (word.count > 0) raised.add(tile)
  else raised.delete(tile)
}

function chunkOf(tile: number): number {
  return Math.floor(tile / CHUNK_TILES)
}
