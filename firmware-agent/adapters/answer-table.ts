/**
 * The outbox on disk: answers to reads that the gateway has not received yet. Bounded in bytes and
 * records; beyond that the oldest is shed and counted. Answers that were received leave the disk
 * with the next write of anything, which saves a flush; until then a restart only sends them again.
 */
import type { Answer } from '../../shared/protocol/messages.ts'
import type { Table } from '../../shared/runtime/tables.ts'
import type { AnswerName } from '../core/effects.ts'
import { openRecord, sealRecord } from './sealed-record.ts'

export interface AnswerTableOptions {
  readonly bytesMax: number
  readonly recordsMax: number
}

/** What a record costs beside its bytes: its key and its node in the tree. */
const RECORD_OVERHEAD_BYTES = 64

export class AnswerTable {
  readonly #options: AnswerTableOptions
  readonly #table: Table<number>
  /** By name, oldest first. */
  readonly #records = new Map<string, { readonly key: number; readonly bytes: number }>()
  /** Keys that are still on disk, but stand for nothing any more. */
  #leftovers: number[] = []
  #lastKey = 0
  #bytes = 0
  #shed = 0

  constructor(options: AnswerTableOptions, table: Table<number>) {
    this.#options = options
    this.#table = table
    for (const { key, value } of table.getRange()) {
      this.#lastKey = key
      const answer = openRecord<Answer>(value)
      if (answer === undefined) {
        this.#leftovers.push(key)
        this.#shed += 1
      } else {
        this.#add(nameOf(answer), key, value.length + RECORD_OVERHEAD_BYTES)
      }
    }
  }

  get records(): number {
    return this.#records.size
  }

  get bytes(): number {
    return this.#bytes
  }

  get shed(): number {
    return this.#shed
  }

  /**
   * Takes an answer in; the returned change puts it on disk. Nothing, if it can never fit or if there is
   * no room for so many bytes now.
   */
  add(answer: Answer, claimRoom: (bytes: number) => boolean): (() => void) | undefined {
    const record = sealRecord(answer)
    const bytes = record.length + RECORD_OVERHEAD_BYTES
    if (bytes > this.#options.bytesMax || !claimRoom(bytes)) {
      this.#shed += 1
      return undefined
    }
    const key = ++this.#lastKey
    this.#forget(nameOf(answer))
    this.#add(nameOf(answer), key, bytes)
    this.#shedOldest()
    return () => {
      void this.#table.put(key, record)
    }
  }

  /** The changes of those that are taken in. */
  addAll(answers: readonly Answer[], claimRoom: (bytes: number) => boolean): (() => void)[] {
    return answers.flatMap((answer) => this.add(answer, claimRoom) ?? [])
  }

  forget(names: readonly AnswerName[]): void {
    for (const name of names) this.#forget(nameOf(name))
  }

  /** All answers, oldest first. */
  list(): Answer[] {
    const answers: Answer[] = []
    for (const { key } of this.#records.values()) {
      const record = this.#table.getBinary(key)
      const answer = record && openRecord<Answer>(record)
      if (answer !== undefined) answers.push(answer)
    }
    return answers
  }

  /** Removes from disk what stands for nothing; called last inside a transaction. */
  sweep(): void {
    for (const key of this.#leftovers) void this.#table.remove(key)
    this.#leftovers = []
  }

  /** Forgets all; the returned change empties the table on disk. */
  clear(): () => void {
    this.#records.clear()
    this.#leftovers = []
    this.#bytes = 0
    return () => this.#table.clearSync()
  }

  #add(name: string, key: number, bytes: number): void {
    this.#forget(name)
    this.#records.set(name, { key, bytes })
    this.#bytes += bytes
  }

  #forget(name: string): void {
    const record = this.#records.get(name)
    if (record === undefined) return
    this.#records.delete(name)
    this.#leftovers.push(record.key)
    this.#bytes -= record.bytes
  }

  #shedOldest(): void {
    const { bytesMax, recordsMax } = this.#options
    for (const name of this.#records.keys()) {
      if (this.#bytes <= bytesMax && this.#records.size <= recordsMax) return
      this.#forget(name)
      this.#shed += 1
    }
  }
}

function nameOf({ task, part }: AnswerName): string {
  return `${task}/${part}`
}
