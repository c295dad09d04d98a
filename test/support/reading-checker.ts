/**
 * What must be true of readings, whatever fails: one that was acknowledged is, or a later one of its cell, in the
 * journal or in a write that has its place, at every moment; each is written once, never after a later one of its cell,
 * and never after one that was read later. Readings are numbered in the order in which gateways took them.
 */
import type { LedgerRecord } from '../../broker/core/ledger-records.ts'
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
  /** In a write with its place. */
  written: Taken | undefined
  /** This one, or a later one, is promised. */
  promised: number
}

/** What an acknowledgement promises: by row of the journal, the number. */
export type Promised = ReadonlyMap<string, number>

export class ReadingChecker {
  readonly #grid: GridContext
  readonly #ledger: LedgerDisk
  readonly #cells = new Map<string, CellStory>()
  readonly #decided = new Map<string, Map<string, Taken>>()
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
      const last = story.written
      if (last !== undefined && next.number <= last.number) {
        violated(`write ${seq} brings reading ${next.number} of ${key} after ${last.number}`)
      }
      story.written = next
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
    return [...promised].every(([key, number]) => {
      const { written } = this.#storyOf(key)
      return written !== undefined && written.number >= number
    })
  }

  atRest(): void {
    for (const [key, { promised, written }] of this.#cells) {
      if (promised > (written?.number ?? 0))
        violated(`reading ${promised} of ${key} is in no write`)
    }
  }

  /** The ledger is lost, and what was in it alone. */
  forget(): void {
    this.#cells.clear()
    this.#decided.clear()
  }

  #check(key: string, story: CellStory): void {
    const row = this.#find(story, this.#ledger.get<number>('cell', key))
    const kept = Math.max(story.written?.number ?? 0, row?.number ?? 0)
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
      story = { taken: [], written: undefined, promised: 0 }
      this.#cells.set(key, story)
    }
    return story
  }

  #keyOf(field: string, x: number, y: number): string {
    return `${field}/${y * this.#grid.geometry.width + x}`
  }
}
