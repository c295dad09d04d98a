/**
 * What must be true of readings, whatever fails: one that was acknowledged is, or a later one of its cell, in the
 * journal or in a write that has its place, at every moment; each is written once, never after a later one of its cell,
 * and never after one that was read later. Readings are numbered in the order in which gateways took them.
 *
 * A ledger that comes back by a copy has of each cell what the copy promised, as far as no write of after the copy has come
 * to its tile, and else what the nodes have (decision 0024).
 */
import type { CopiedCell, LedgerRecord } from '../../broker/core/ledger-records.ts'
import { tileOf } from '../../shared/operations/named-lsus.ts'
import type { GridContext } from '../../shared/operations/operation.ts'
import { namedCells, type PlainTask } from './grid-model.ts'
import type { LedgerDisk } from './ledger-disk.ts'
import { violated } from './violation.ts'

export interface PlainReading {
  readonly field: string
  readonly entries: readonly (readonly [x: number, y: number, value: number])[]
  /** Of one cell. */
  readonly ts?: number
}

interface Taken {
  readonly number: number
  readonly value: number
  readonly ts: number | undefined
  /** Of the gateway that took it. */
  readonly life: number
}

interface CellStory {
  readonly taken: Taken[]
  /** In writes with their places. */
  readonly writes: { readonly seq: number; readonly reading: Taken }[]
  /** This one, or a later one, is promised. */
  promised: number
}

/** What an acknowledgement promises: by row of the journal, the number. */
export type Promised = ReadonlyMap<string, number>

/** What a copy of the ledger has to keep. */
export interface PromisedInCopy {
  readonly promised: Promised
  /** The last sequence that it knows. */
  readonly seq: number
}

export class ReadingChecker {
  readonly #grid: GridContext
  readonly #ledger: LedgerDisk
  readonly #cells = new Map<string, CellStory>()
  readonly #decided = new Map<string, Map<string, Taken>>()
  /** A ledger that is restored, until it is known how far the nodes have come. */
  #copy: PromisedInCopy | undefined
  #numbers = 0

  constructor(grid: GridContext, ledger: LedgerDisk) {
    this.#grid = grid
    this.#ledger = ledger
  }

  /** A gateway took it. */
  taken({ field, entries, ts }: PlainReading, life: number): Promised {
    const promised = new Map<string, number>()
    for (const [x, y, value] of entries) {
      this.#numbers += 1
      const key = this.#keyOf(field, x, y)
      if (ts !== undefined && this.#readLater(key, ts, life) !== undefined) {
        violated(`a reading of cell ${key} is taken after one that was read later`)
      }
      this.#storyOf(key).taken.push({ number: this.#numbers, value, ts, life })
      promised.set(key, this.#numbers)
    }
    return promised
  }

  /** A gateway says that it is older than one that it took. */
  older({ field, entries, ts }: PlainReading, life: number): Promised {
    const [[x, y]] = entries as [PlainReading['entries'][number]]
    const key = this.#keyOf(field, x, y)
    const later = this.#readLater(key, ts!, life)
    if (later === undefined) violated(`a reading of cell ${key} is older than none`)
    return new Map([[key, later.number]])
  }

  acknowledged(promised: Promised): void {
    for (const [key, number] of promised) {
      const story = this.#storyOf(key)
      story.promised = Math.max(story.promised, number)
      this.#check(key, story)
    }
  }

  /** A gateway is about to write these: of equal ones, the last that it has taken by now. */
  decided(write: string, plain: PlainTask): void {
    const { field, values } = plain.args!
    const readings = new Map<string, Taken>()
    for (const [index, [x, y]] of namedCells(plain).entries()) {
      const key = this.#keyOf(field!, x, y)
      const next = this.#find(this.#storyOf(key), values![index])
      if (next === undefined) violated(`${write} has a reading of cell ${key} that nobody told`)
      readings.set(key, next)
    }
    this.#decided.set(write, readings)
  }

  /** A write of readings has its place in the order. */
  written(seq: number, write: string): void {
    for (const [key, next] of this.#decided.get(write)!) {
      const story = this.#storyOf(key)
      const last = numberOf(story.writes.at(-1)?.reading)
      if (next.number <= last) {
        violated(`write ${seq} brings reading ${next.number} of ${key} after ${last}`)
      }
      story.writes.push({ seq, reading: next })
    }
    this.#decided.delete(write)
  }

  /** The ledger's disk took these. */
  flushed(records: readonly LedgerRecord[]): void {
    for (const { table, key } of records) {
      const story = table === 'cell' ? this.#cells.get(String(key)) : undefined
      if (story !== undefined) this.#check(String(key), story)
    }
  }

  isWritten(promised: Promised): boolean {
    return [...promised].every(([key, number]) => writtenIn(this.#storyOf(key)) >= number)
  }

  atRest(): void {
    for (const [key, story] of this.#cells) {
      if (story.promised > writtenIn(story))
        violated(`reading ${story.promised} of ${key} is in no write`)
    }
  }

  /** The ledger is lost, and what was in it alone. */
  forget(): void {
    this.#cells.clear()
    this.#decided.clear()
    this.#copy = undefined
  }

  /** The ledger is copied: what it promises by now. */
  promises(seq: number): PromisedInCopy {
    const promised = new Map([...this.#cells].map(([key, story]) => [key, story.promised]))
    return { promised, seq }
  }

  /** That copy is in the place of the ledger; what was acknowledged after it may be gone. */
  restored(copy: PromisedInCopy): void {
    this.#decided.clear()
    this.#copy = copy
    for (const story of this.#cells.values()) story.promised = 0
  }

  /** Nodes have shown their tiles, of which the newest copies are at these. */
  recovered(atOf: (tile: number) => number): void {
    if (this.#copy === undefined) return
    const { promised, seq } = this.#copy
    this.#copy = undefined
    for (const [key, story] of this.#cells) {
      const at = atOf(tileOf(Number(key.split('/')[1]), this.#grid.geometry))
      const gone = story.writes.findIndex((write) => write.seq > at)
      if (gone >= 0) story.writes.splice(gone)
      const ofCopy = promised.get(key) ?? 0
      const kept = at > seq ? Math.min(ofCopy, writtenIn(story)) : ofCopy
      story.promised = Math.max(story.promised, kept)
    }
  }

  #check(key: string, story: CellStory): void {
    const value = this.#ledger.get<number | CopiedCell>('cell', key)
    const row = this.#find(story, typeof value === 'object' ? value.value : value)
    const kept = Math.max(writtenIn(story), numberOf(row))
    if (kept < story.promised) {
      violated(`reading ${story.promised} of ${key} was acknowledged, the ledger has ${kept}`)
    }
  }

  /** The last one of this value: what is sent again is taken again. */
  #find({ taken }: CellStory, value: number | undefined): Taken | undefined {
    return taken.findLast((one) => one.value === value)
  }

  /** A gateway knows the times of what it took itself. */
  #readLater(key: string, than: number, life: number): Taken | undefined {
    return this.#cells
      .get(key)
      ?.taken.find(({ ts, life: of }) => of === life && ts !== undefined && ts > than)
  }

  #storyOf(key: string): CellStory {
    let story = this.#cells.get(key)
    if (story === undefined) {
      story = { taken: [], writes: [], promised: 0 }
      this.#cells.set(key, story)
    }
    return story
  }

  #keyOf(field: string, x: number, y: number): string {
    return `${field}/${y * this.#grid.geometry.width + x}`
  }
}

function numberOf(taken: Taken | undefined): number {
  return taken?.number ?? 0
}

function writtenIn({ writes }: CellStory): number {
  return numberOf(writes.at(-1)?.reading)
}
