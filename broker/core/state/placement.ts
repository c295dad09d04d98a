/**
 * Which members hold which tile. A tile that was never written floats: it follows the ring
 * (bounded-loads.ts) as members come and go. With its first write it is born and pinned to its holders,
 * since from then on they hold state. `epoch` grows with every change and is persisted before the
 * change is used.
 *
 * Invariants: the holders of a tile are distinct; a born tile changes holders only by a move that has
 * ended (`replaceHolder`) or by losing a copy (`dropHolder`, `removeHolder`).
 */
import { assert } from '../../../shared/core/assert.ts'
import type { PlacementRecord } from '../ledger-records.ts'
import { BoundedLoads, type LoadBound } from './bounded-loads.ts'
import type { HashRing, RingMember } from './hash-ring.ts'
import {
  copiesIn,
  KNOWN,
  NO_HOLDER,
  SUPPOSED,
  slotsIn,
  supposedIn,
  WRITTEN_SINCE,
} from './slots.ts'
import { type Tally, TileTally } from './tile-tally.ts'

export interface PlacementOptions extends LoadBound {
  /** The ledger that it goes on from was rebuilt from the nodes. */
  readonly wasRebuilt?: boolean
}

/** Tiles in one ledger record. */
export const PLACEMENT_CHUNK_TILES = 4096

/** Members that a placement tells apart: tables by member index are of this length. */
export const MEMBERS_MAX = 131_071

/** The index that a slot without a holder has. */
const NOBODY = -1

/** So many tiles are named that were touched. */
const TOUCHED_MAX = 1024

export interface TouchedTiles {
  /** They were born, given up, or changed hands. */
  readonly tiles: readonly number[]
  /** Those are not all. */
  readonly areMany: boolean
  /** The holders of those that were never written may be others, and who may have items. */
  readonly isRingChanged: boolean
}

const NO_TILES = new Uint32Array(0)
const NO_MARKS = new Uint8Array(0)
const NO_CHANGES: readonly never[] = []

export class Placement {
  readonly #options: PlacementOptions
  readonly #born: Uint8Array
  /** Of a ledger that was rebuilt: what is known of each tile since (ledger-records.ts). */
  #marks: Uint8Array | undefined
  /** `replicas` slots a tile; member index + 1, or NO_HOLDER. */
  readonly #slots: Uint32Array
  readonly #dirtyChunks = new Set<number>()
  #members: readonly RingMember[] = []
  /** Gives `#members` when somebody needs them. */
  #source: (() => readonly RingMember[]) | undefined
  readonly #loads: BoundedLoads
  /** Tiles that were never written. */
  #floating: number
  /** The members changed since the floating tiles were placed. */
  #isStale = false
  /** Since that was asked for; of many tiles, only that they are. */
  #touched = nothingTouched()
  readonly #tally: TileTally
  #counted: { readonly epoch: number; readonly counts: ReadonlyMap<number, number> } | undefined
  epoch = 0

  constructor(options: PlacementOptions) {
    this.#options = options
    this.#born = new Uint8Array(options.tiles)
    this.#slots = new Uint32Array(options.tiles * options.replicas)
    this.#floating = options.tiles
    this.#loads = new BoundedLoads(options)
    this.#tally = new TileTally(options.replicas)
    if (options.wasRebuilt) this.#marks = new Uint8Array(options.tiles)
  }

  get replicas(): number {
    return this.#options.replicas
  }

  /**
   * The members that floating tiles and items are spread over, from now on. They are asked for once they are
   * needed: thousands may come before that.
   */
  setMembers(source: () => readonly RingMember[]): void {
    this.#source = source
    this.#isStale = true
    this.#touched.isRingChanged = true
    // Born tiles stay where they are: what follows a failure need not wait for the disk.
    if (this.#floating > 0) this.epoch += 1
  }

  /** The ring over the current members. */
  get ring(): HashRing {
    this.#takeMembers()
    return this.#loads.ringOver(this.#members)
  }

  /** Slots of all tiles, `replicas` each, in ring order; floating tiles included. Read only. */
  get slots(): Uint32Array {
    this.#settle()
    return this.#slots
  }

  isBorn(tile: number): boolean {
    return this.#born[tile] === 1
  }

  /** It is born, and somebody has a copy. */
  isHeld(tile: number): boolean {
    return this.#born[tile] === 1 && this.#slots[tile * this.#options.replicas] !== NO_HOLDER
  }

  /** How many tiles are. */
  get bornCount(): number {
    return this.#options.tiles - this.#floating
  }

  /** Born, and every copy of it is gone: not to be read as zeros (recovery.md, Placement). */
  findMissing(tiles: Uint32Array): number | undefined {
    return this.#tally.missing === 0 ? undefined : tiles.find((tile) => this.isMissing(tile))
  }

  isMissing(tile: number): boolean {
    return this.#born[tile] === 1 && this.#slots[tile * this.#options.replicas] === NO_HOLDER
  }

  /** Those that are not missing. */
  withoutMissing(tiles: Uint32Array): Uint32Array {
    return this.findMissing(tiles) === undefined
      ? tiles
      : tiles.filter((tile) => !this.isMissing(tile))
  }

  /** Tells the born from the unborn; when all are one or the other, without a copy. */
  divide(tiles: Uint32Array): { born: Uint32Array; unborn: Uint32Array } {
    if (this.#floating === 0) return { born: tiles, unborn: NO_TILES }
    let count = 0
    for (let at = 0; at < tiles.length; at++) count += this.#born[tiles[at]!]!
    if (count === tiles.length) return { born: tiles, unborn: NO_TILES }
    if (count === 0) return { born: NO_TILES, unborn: tiles }
    return {
      born: tiles.filter((tile) => this.#born[tile] === 1),
      unborn: tiles.filter((tile) => this.#born[tile] === 0),
    }
  }

  /** The holders' member indexes of one tile, in ring order. */
  holdersOf(tile: number): number[] {
    const holders: number[] = []
    const { slots } = this
    const { replicas } = this.#options
    for (let slot = tile * replicas; slot < (tile + 1) * replicas; slot++) {
      if (slots[slot] !== NO_HOLDER) holders.push(slots[slot]! - 1)
    }
    return holders
  }

  /** A write goes over these tiles: those among them that float are pinned where they are now. */
  bear(tiles: Uint32Array): void {
    if (this.#floating === 0 && this.#marks === undefined) return
    this.#settle()
    let changed = false
    for (const tile of tiles) {
      if (this.#marks !== undefined) this.#noteWritten(this.#marks, tile)
      if (this.#born[tile] === 1) continue
      this.#born[tile] = 1
      this.#floating -= 1
      this.#count(tile, 1)
      this.#touch(tile)
      changed = true
    }
    if (changed) this.epoch += 1
  }

  /** Whether a member has a copy of a born tile. */
  isHolder(tile: number, member: number): boolean {
    return this.#born[tile] === 1 && this.#slotOf(tile, member) !== undefined
  }

  /** The born tiles of which a member has a copy, ascending. */
  bornTilesOf(member: number): number[] {
    const held: number[] = []
    // Thousands may go together, and most of those who go hold nothing any more.
    const count = this.#tally.writtenOf(member)
    for (let tile = 0; held.length < count && tile < this.#options.tiles; tile++) {
      if (this.isHolder(tile, member)) held.push(tile)
    }
    return held
  }

  /** The member's copies are gone: it holds no born tile any more. Returns the tiles it held. */
  removeHolder(member: number): number[] {
    const lost = this.bornTilesOf(member)
    for (const tile of lost) this.#clearSlot(tile, member)
    if (lost.length > 0) this.epoch += 1
    return lost
  }

  /** The member's copy of one tile is gone. */
  dropHolder(tile: number, member: number): void {
    assert(this.isHolder(tile, member), 'only a holder is dropped')
    this.#clearSlot(tile, member)
    this.epoch += 1
  }

  /** `to` has a copy from now on, in the place of `from` or in a free one. */
  replaceHolder(tile: number, { from, to }: { from: number | undefined; to: number }): void {
    assert(this.isBorn(tile) && !this.isHolder(tile, to), 'a holder is new')
    const slot = this.#slotOf(tile, from ?? NOBODY)
    assert(slot !== undefined, 'there is a place for the holder')
    this.#count(tile, -1)
    this.#slots[slot] = to + 1
    this.#count(tile, 1)
    this.#touch(tile)
    this.epoch += 1
  }

  /** Whatever was held of the tile before the recovery is older than what it was. */
  wasWrittenSince(tile: number): boolean {
    return this.#marks?.[tile] === WRITTEN_SINCE
  }

  #noteWritten(marks: Uint8Array, tile: number): void {
    if (marks[tile] === WRITTEN_SINCE) return
    this.#count(tile, -1)
    marks[tile] = WRITTEN_SINCE
    this.#count(tile, 1)
    this.#dirtyChunks.add(Math.floor(tile / PLACEMENT_CHUNK_TILES))
  }

  #mark(tile: number, mark: number): void {
    if (mark !== KNOWN) this.#marks ??= new Uint8Array(this.#options.tiles)
    if (this.#marks !== undefined) this.#marks[tile] = mark
  }

  /** A recovered tile is born, and the member has a copy, as long as there is a place for one. */
  adoptHolder(tile: number, member: number): void {
    this.#count(tile, -1)
    if (this.#born[tile] === 0) {
      this.#born[tile] = 1
      this.#floating -= 1
      this.#clearTile(tile)
    }
    if (!this.wasWrittenSince(tile)) this.#mark(tile, KNOWN)
    const slot = this.#slotOf(tile, NOBODY)
    if (slot !== undefined && !this.isHolder(tile, member)) this.#slots[slot] = member + 1
    this.#count(tile, 1)
    this.#touch(tile)
    this.epoch += 1
  }

  /** Every tile counts as born from now on, `written` as what was; returns how many of them nobody holds. */
  bearAll(written: Iterable<number> = []): number {
    this.#marks ??= new Uint8Array(this.#options.tiles)
    let missing = 0
    for (let tile = 0; tile < this.#options.tiles; tile++) {
      if (this.#born[tile] === 1) continue
      this.#born[tile] = 1
      this.#mark(tile, SUPPOSED)
      this.#clearTile(tile)
      this.#count(tile, 1)
      this.#touch(tile)
      missing += 1
    }
    for (const tile of written) {
      this.#count(tile, -1)
      this.#mark(tile, KNOWN)
      this.#count(tile, 1)
    }
    this.#floating = 0
    this.epoch += 1
    return missing
  }

  #clearTile(tile: number): void {
    const { replicas } = this.#options
    this.#slots.fill(NO_HOLDER, tile * replicas, (tile + 1) * replicas)
  }

  /** Born tiles without a copy, ascending; it takes a look at every tile. */
  missingTiles(): number[] {
    const missing: number[] = []
    for (let tile = 0; tile < this.#options.tiles; tile++) {
      if (this.isMissing(tile)) missing.push(tile)
    }
    return missing
  }

  /** An operator has given these up: they read as zeros again, and are born with their next write. */
  unbear(tiles: readonly number[]): void {
    for (const tile of tiles) {
      if (this.#born[tile] === 0) continue
      this.#count(tile, -1)
      this.#born[tile] = 0
      this.#mark(tile, KNOWN)
      this.#floating += 1
      this.#touch(tile)
    }
    this.#isStale = true
    this.epoch += 1
  }

  /** How the ring over these members would place all tiles, as `slots`. */
  idealSlots(members: readonly RingMember[]): Uint32Array {
    return this.#loads.place(members)
  }

  #slotOf(tile: number, member: number): number | undefined {
    const { replicas } = this.#options
    for (let slot = tile * replicas; slot < (tile + 1) * replicas; slot++) {
      if (this.#slots[slot] === member + 1) return slot
    }
    return undefined
  }

  #clearSlot(tile: number, member: number): void {
    const end = (tile + 1) * this.#options.replicas
    const slot = this.#slotOf(tile, member)!
    this.#count(tile, -1)
    this.#slots.copyWithin(slot, slot + 1, end)
    this.#slots[end - 1] = NO_HOLDER
    this.#count(tile, 1)
    this.#touch(tile)
  }

  /** How many of these each member has, by its index; who has none is left out. */
  countsOf(tiles: Uint32Array): Map<number, number> {
    const { slots } = this
    const { replicas } = this.#options
    const own = new Uint32Array(tiles.length * replicas)
    for (let at = 0; at < own.length; at++) {
      own[at] = slots[tiles[Math.floor(at / replicas)]! * replicas + (at % replicas)]!
    }
    return copiesIn(own)
  }

  /** Tiles that each member has, floating ones too. They are counted once for each epoch: there may be very many. */
  get tileCounts(): ReadonlyMap<number, number> {
    const { epoch } = this
    if (this.#counted?.epoch !== epoch) this.#counted = { epoch, counts: copiesIn(this.slots) }
    return this.#counted.counts
  }

  /** Of born tiles. */
  get tally(): Tally {
    return this.#tally
  }

  /** A tile as it is now counts, or does not any more: around whatever changes of one. */
  #count(tile: number, by: 1 | -1): void {
    if (this.#born[tile] !== 1) return
    this.#tally.count(this.#slots, tile, this.#marks?.[tile] === SUPPOSED, by)
  }

  #touch(tile: number): void {
    this.#dirtyChunks.add(Math.floor(tile / PLACEMENT_CHUNK_TILES))
    if (this.#touched.tiles.length < TOUCHED_MAX) this.#touched.tiles.push(tile)
    else this.#touched.areMany = true
  }

  /** Since the last call. */
  takeTouched(): TouchedTiles {
    const touched = this.#touched
    this.#touched = nothingTouched()
    return touched
  }

  /** The chunks that changed since the last call, as ledger records. */
  takeChanges(): readonly { chunk: number; record: PlacementRecord }[] {
    if (this.#dirtyChunks.size === 0) return NO_CHANGES
    const chunks = [...this.#dirtyChunks].sort((a, b) => a - b)
    this.#dirtyChunks.clear()
    return chunks.map((chunk) => {
      const first = chunk * PLACEMENT_CHUNK_TILES
      const end = Math.min(first + PLACEMENT_CHUNK_TILES, this.#options.tiles)
      const { replicas } = this.#options
      const born = this.#born.slice(first, end)
      const slots = this.#slots.slice(first * replicas, end * replicas)
      born.forEach((isBorn, tile) => {
        if (isBorn === 0) slots.fill(NO_HOLDER, tile * replicas, (tile + 1) * replicas)
      })
      const marks = this.#marks?.slice(first, end)
      const doubt = marks && { supposed: marks.some((mark) => mark !== KNOWN) ? marks : NO_MARKS }
      return { chunk, record: { born, holders: new Uint8Array(slots.buffer), ...doubt } }
    })
  }

  restoreChunk(chunk: number, record: PlacementRecord): void {
    const first = chunk * PLACEMENT_CHUNK_TILES
    const { replicas, wasRebuilt = false } = this.#options
    const supposed = supposedIn(record, { replicas, wasRebuilt })
    for (let at = 0; at < record.born.length; at++) {
      this.#floating += this.#born[first + at]! - record.born[at]!
      this.#count(first + at, -1)
      this.#mark(first + at, supposed?.[at] ?? KNOWN)
    }
    this.#born.set(record.born, first)
    this.#slots.set(slotsIn(record, replicas), first * replicas)
    for (let at = 0; at < record.born.length; at++) this.#count(first + at, 1)
  }

  /** Places the floating tiles anew if the members changed since the last time. */
  #settle(): void {
    if (!this.#isStale) return
    this.#isStale = false
    if (this.#floating === 0) return
    this.#takeMembers()
    const { tiles, replicas } = this.#options
    const ideal = this.#loads.place(this.#members)
    if (this.#floating === tiles) {
      this.#slots.set(ideal)
      return
    }
    for (let slot = 0, tile = 0; tile < tiles; tile++) {
      for (const end = slot + replicas; slot < end; slot++) {
        if (this.#born[tile] === 0) this.#slots[slot] = ideal[slot]!
      }
    }
  }

  #takeMembers(): void {
    if (this.#source === undefined) return
    this.#members = this.#source()
    this.#source = undefined
  }
}

function nothingTouched() {
  return { tiles: [] as number[], areMany: false, isRingChanged: false }
}
