/**
 * The card of a node as somebody sees it who takes it out: what was flushed to it. Also what wears it out and
 * exchanges it.
 */
import { openRecord } from '../../firmware-agent/adapters/sealed-record.ts'
import type { StreamMark } from '../../firmware-agent/core/events.ts'
import type { StoreFacts } from '../../firmware-agent/core/stored-state.ts'
import type { Random } from '../../shared/core/random.ts'
import { createLayout, type PageLayout } from '../../shared/grid/page-layout.ts'
import { TilePage } from '../../shared/grid/tile-page.ts'
import type { GridContext } from '../../shared/operations/operation.ts'
import { SimulatedDisk } from './simulated-disk.ts'

export class SliceCard {
  readonly disk = new SimulatedDisk()
  readonly #grid: GridContext
  /** By LSU count. */
  readonly #layouts = new Map<number, PageLayout>()
  /** What rows were found to be: nobody changes the bytes of one. */
  readonly #pages = new WeakMap<Uint8Array, TilePage | 'damaged'>()

  constructor(grid: GridContext) {
    this.#grid = grid
  }

  /** Nothing before its first start. */
  get storeId(): string | undefined {
    return this.#record<StoreFacts>('identity')?.storeId
  }

  /** Whether its node was ever admitted with it. */
  get isOfLedger(): boolean {
    return (this.#record<StoreFacts>('identity')?.ledgerId ?? null) !== null
  }

  get position(): number {
    return this.#record<StreamMark>('mark')?.position ?? 0
  }

  tiles(): number[] {
    return this.disk.keys('tiles') as number[]
  }

  /** Nothing if the tile is not held, or its page is damaged. */
  page(tile: number): TilePage | undefined {
    const page = this.#look(tile)
    return page === 'damaged' ? undefined : page
  }

  at(tile: number): number {
    return this.page(tile)?.at ?? 0
  }

  /** Whether a page is damaged, found out or not. */
  get isRotten(): boolean {
    const known = this.#record<number[]>('broken') ?? []
    return known.length > 0 || this.tiles().some((tile) => this.#look(tile) === 'damaged')
  }

  /** The card rots: a byte of this page is another one. */
  rot(tile: number, random: Random): void {
    const page = Buffer.from(this.disk.get('tiles', tile)!)
    page[random.integer(page.length)]! ^= 1 + random.integer(255)
    this.disk.overwrite('tiles', tile, page)
  }

  /** The process that uses it dies; `tears`: with rows of a commit on the disk, and not its mark. */
  crash(tears: () => boolean): void {
    let isTorn: boolean | undefined
    this.disk.crash(({ table, key, value }, all) => {
      // Of writes only: what a node holds changes with the mark or not at all.
      if (table !== 'tiles' || value === undefined) return false
      const isAdopted = all.some((other) => other.table === 'staged' && other.key === key)
      if (isAdopted || this.disk.get('tiles', key) === undefined) return false
      isTorn ??= tears()
      return isTorn
    })
  }

  #record<T>(key: string): T | undefined {
    const stored = this.disk.get('meta', key)
    return stored && openRecord<T>(stored)
  }

  #look(tile: number): TilePage | 'damaged' | undefined {
    const stored = this.disk.get('tiles', tile)
    if (stored === undefined) return undefined
    let found = this.#pages.get(stored)
    if (found === undefined) {
      const page = TilePage.open(this.#layoutOf(tile), stored, undefined, tile)
      found = typeof page === 'string' ? 'damaged' : page
      this.#pages.set(stored, found)
    }
    return found
  }

  #layoutOf(tile: number): PageLayout {
    const lsus = this.#grid.geometry.tileLsus(tile)
    let layout = this.#layouts.get(lsus)
    if (layout === undefined) {
      layout = createLayout(this.#grid.fields, lsus)
      this.#layouts.set(lsus, layout)
    }
    return layout
  }
}
