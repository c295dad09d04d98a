/**
 * The rules of a book, evaluated on pages before and after an entry acts on them. In a tile a rule is raised while it is
 * true of some cell; what changes that is a row. Only rules that read what an entry stores are looked at, each tile that
 * never was anything is looked at by all. Pages that tiles share are looked at once, and of a page that was looked at
 * after a write nothing is computed before the next.
 */

import { TilePage } from '../../shared/grid/tile-page.ts'
import { UniformPage } from '../../shared/grid/uniform-page.ts'
import type { TileCells, Wire } from '../../shared/operations/operation.ts'
import { type WriteOperation, windowOf } from '../../shared/operations/operation.ts'
import type { BoardBook, BoardRule } from '../../shared/operations/rule-book.ts'
import { storedBy } from '../../shared/operations/stored-fields.ts'
import { Interpreter } from '../../shared/osl/interpreter.ts'
import type { Count } from '../../shared/osl/reductions.ts'
import type { SliceGrid } from './slice-grid.ts'

/** A bit a rule. */
export type RuleSet = number

export interface RuleRows {
  readonly rules: number[]
  readonly tiles: number[]
  readonly ats: number[]
  readonly counts: number[]
}

/** Of tiles that were looked at. */
const KNOWN_MAX = 4096
const UNKNOWN = -1

/** In which rules a tile is raised, and of which write that is. */
interface Standing {
  readonly at: number
  readonly raised: RuleSet
}

interface Counter {
  readonly bit: RuleSet
  readonly rule: BoardRule
  readonly interpreter: Interpreter
  /** It says the same of all tiles that hold the same. */
  readonly isPlain: boolean
}

export class RuleEvaluator {
  readonly version: number
  readonly #grid: SliceGrid
  readonly #counters: readonly Counter[]
  readonly #all: RuleSet
  readonly #plain: RuleSet
  /** Those that are not plain. */
  readonly #special: readonly Counter[]
  readonly #byField = new Map<number, RuleSet>()
  /** By tile. */
  readonly #known = new Map<number, Standing>()
  /** By rule, of a page that is shared. */
  readonly #ofShared = new WeakMap<UniformPage, Float64Array>()
  readonly #raisedInShared = new WeakMap<UniformPage, { readonly raised: RuleSet }>()

  constructor({ version, rules }: BoardBook, grid: SliceGrid) {
    this.version = version
    this.#grid = grid
    this.#counters = rules.map((rule, index) => {
      const { program, sound } = rule.program
      const bit = 1 << index
      for (const field of sound.loads) {
        this.#byField.set(field, (this.#byField.get(field) ?? 0) | bit)
      }
      const interpreter = new Interpreter(program, sound, grid.fields)
      return { bit, rule, interpreter, isPlain: sound.isAlike && rule.over === undefined }
    })
    this.#all = setOf(this.#counters)
    this.#plain = setOf(this.#counters.filter(({ isPlain }) => isPlain))
    this.#special = this.#counters.filter(({ isPlain }) => !isPlain)
  }

  /** Those that read something that a write of these arguments stores. */
  reading(operation: WriteOperation, args: Wire): RuleSet {
    const stored = storedBy(operation, args)
    if (stored === 'all') return this.#all
    return stored.reduce((set, field) => set | (this.#byField.get(field) ?? 0), 0)
  }

  /** In which rules a tile is raised. */
  raisedIn(tile: number, page: TilePage | UniformPage): RuleSet {
    if (page.at === 0) return 0
    if (page instanceof UniformPage) {
      return this.#raised(tile, page, this.#all)
    }
    const known = this.#known.get(tile)
    if (known?.at === page.at) return known.raised
    return this.#raised(tile, page, this.#all)
  }

  /** How a tile stands before a write; undefined where that is not known, and no rule reads what is stored. */
  standing(tile: number, page: TilePage | UniformPage, reading: RuleSet): Standing | undefined {
    const isKnown = page.at === 0 || this.#known.get(tile)?.at === page.at
    if (reading === 0 && !isKnown) return undefined
    return { at: page.at, raised: this.raisedIn(tile, page) }
  }

  /**
   * Adds what a write has changed of a tile that stood so before; `reading` are the rules that read what it stored. A
   * page that was nothing before is looked at by all.
   */
  compare(
    tile: number,
    page: TilePage | UniformPage,
    before: Standing | undefined,
    reading: RuleSet,
    rows: RuleRows,
  ): void {
    if (before === undefined) return
    const among = before.at === 0 ? this.#all : reading
    const raised = (before.raised & ~among) | this.#raised(tile, page, among)
    this.#keep(tile, page, raised)
    if (raised !== before.raised) this.#tell(tile, page, raised ^ before.raised, rows)
  }

  /** Adds how a tile stands, where it is raised and, if `isFull`, where it is not. */
  state(tile: number, page: TilePage | UniformPage, isFull: boolean, rows: RuleRows): void {
    this.#tell(tile, page, isFull ? this.#all : this.raisedIn(tile, page), rows)
  }

  #tell(tile: number, page: TilePage | UniformPage, among: RuleSet, rows: RuleRows): void {
    for (const [index, counter] of this.#counters.entries()) {
      if ((among & counter.bit) === 0) continue
      rows.rules.push(index)
      rows.tiles.push(tile)
      rows.ats.push(page.at)
      rows.counts.push(this.#count(counter, tile, page))
    }
  }

  #raised(tile: number, page: TilePage | UniformPage, among: RuleSet): RuleSet {
    const isShared = page instanceof UniformPage
    let raised = isShared && (among & this.#plain) !== 0 ? this.#plainIn(tile, page) & among : 0
    for (const counter of isShared ? this.#special : this.#counters) {
      if ((among & counter.bit) === 0) continue
      if (this.#count(counter, tile, page) > 0) raised |= counter.bit
    }
    return raised
  }

  /** Of the rules that need not know which tile it is. */
  #plainIn(tile: number, page: UniformPage): RuleSet {
    const known = this.#raisedInShared.get(page)
    if (known !== undefined) return known.raised
    let raised = 0
    for (const counter of this.#counters) {
      if (counter.isPlain && this.#count(counter, tile, page) > 0) raised |= counter.bit
    }
    this.#raisedInShared.set(page, { raised })
    return raised
  }

  #keep(tile: number, page: TilePage | UniformPage, raised: RuleSet): void {
    if (page instanceof UniformPage) return
    if (this.#known.size >= KNOWN_MAX && !this.#known.has(tile)) this.#known.clear()
    this.#known.set(tile, { at: page.at, raised })
  }

  #count(counter: Counter, tile: number, page: TilePage | UniformPage): number {
    const { over } = counter.rule
    const { geometry } = this.#grid
    if (over !== undefined && !geometry.touches(tile, over)) return 0
    if (!(page instanceof UniformPage)) return this.#run(counter, tile, page)
    const isWhole = over === undefined || geometry.isWithin(tile, over)
    const { isAlike } = counter.rule.program.sound
    if (!isAlike || !isWhole) return this.#run(counter, tile, TilePage.like(page, tile))
    let counts = this.#ofShared.get(page)
    if (counts === undefined) {
      counts = new Float64Array(this.#counters.length).fill(UNKNOWN)
      this.#ofShared.set(page, counts)
    }
    const index = 31 - Math.clz32(counter.bit)
    if (counts[index] === UNKNOWN) {
      counts[index] = this.#run(counter, tile, TilePage.like(page, tile))
    }
    return counts[index]!
  }

  #run({ rule, interpreter }: Counter, tile: number, cells: TileCells): number {
    const { geometry } = this.#grid
    const own = geometry.tileRegion(tile)
    const counted = interpreter.reductions[0] as Count
    counted.yes = 0
    const window = windowOf(geometry, tile, rule.over ?? own)
    interpreter.run(cells, window, { x: own.x, y: own.y, gridWidth: geometry.width })
    return counted.yes
  }
}

function setOf(counters: readonly Counter[]): RuleSet {
  return counters.reduce((set, { bit }) => set | bit, 0)
}
