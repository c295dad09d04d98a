/**
 * Answers that the gateway has not confirmed. They go to disk only when the connection is gone, so
 * that a healthy fleet writes nothing to its cards for reads; after a reconnect all are sent again.
 * Bounded in bytes: the oldest is shed first, and counted.
 */
import type { Answer } from '../../shared/protocol/messages.ts'
import type { AgentEffect, AnswerName } from './effects.ts'

export interface OutboxCounts {
  readonly records: number
  readonly bytes: number
  readonly shedTotal: number
}

interface Waiting {
  readonly answer: Answer
  readonly bytes: number
  isStored: boolean
}

export class Outbox {
  readonly #bytesMax: number
  readonly #waiting = new Map<string, Waiting>()
  #bytes = 0
  #shed = 0

  /** `stored` is what the disk holds from before. */
  constructor(bytesMax: number, stored: readonly Answer[]) {
    this.#bytesMax = bytesMax
    for (const answer of stored) this.#put(answer, true)
  }

  get counts(): OutboxCounts {
    return { records: this.#waiting.size, bytes: this.#bytes, shedTotal: this.#shed }
  }

  get answers(): Answer[] {
    return [...this.#waiting.values()].map(({ answer }) => answer)
  }

  /** Stored answers may have to go to make room. */
  add(answer: Answer): AgentEffect[] {
    this.#put(answer, false)
    const shed: AnswerName[] = []
    for (const [name, { answer: oldest, isStored }] of this.#waiting) {
      if (this.#bytes <= this.#bytesMax || this.#waiting.size === 1) break
      this.#remove(name)
      this.#shed += 1
      if (isStored) shed.push(oldest)
    }
    return forget(shed)
  }

  /** Those that are in memory only go to the disk. */
  store(): AgentEffect[] {
    const unstored = [...this.#waiting.values()].filter(({ isStored }) => !isStored)
    for (const waiting of unstored) waiting.isStored = true
    const answers = unstored.map(({ answer }) => answer)
    return answers.length === 0 ? [] : [{ type: 'store-answers', answers }]
  }

  /** The gateway has them. */
  confirm(names: readonly AnswerName[]): AgentEffect[] {
    const stored = names.filter((name) => {
      const isStored = this.#waiting.get(nameOf(name))?.isStored
      this.#remove(nameOf(name))
      return isStored
    })
    return forget(stored)
  }

  clear(): void {
    this.#waiting.clear()
    this.#bytes = 0
  }

  #put(answer: Answer, isStored: boolean): void {
    this.#remove(nameOf(answer))
    const bytes = sizeOf(answer)
    this.#waiting.set(nameOf(answer), { answer, bytes, isStored })
    this.#bytes += bytes
  }

  #remove(name: string): void {
    this.#bytes -= this.#waiting.get(name)?.bytes ?? 0
    this.#waiting.delete(name)
  }
}

function forget(answers: AnswerName[]): AgentEffect[] {
  return answers.length === 0 ? [] : [{ type: 'forget-answers', answers }]
}

function nameOf({ task, part }: AnswerName): string {
  return `${task}/${part}`
}

const ANSWER_OVERHEAD_BYTES = 200

/** What an answer takes, roughly: its byte strings and lists make up nearly all of it. */
function sizeOf(answer: Answer): number {
  let bytes = ANSWER_OVERHEAD_BYTES
  for (const value of Object.values(answer.value ?? {})) {
    if (value instanceof Uint8Array) bytes += value.length
    else if (Array.isArray(value)) {
      for (const item of value)
        bytes += item instanceof Uint8Array ? item.length : String(item).length + 2
    }
  }
  return bytes
}
