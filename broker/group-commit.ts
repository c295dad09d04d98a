/**
 * The order of effects.ts: effects leave in the order in which they were asked for, and none leaves before the
 * records persisted ahead of it are on disk. While one flush runs, later steps queue up; their records share
 * the next flush (group commit). A round for thousands of nodes leaves slice by slice: between two of them the loop
 * takes what has come, and whatever that asks for queues up, too.
 */
import type { GatewayEffect, MessageRound } from './core/effects.ts'
import type { LedgerRecord } from './core/ledger-records.ts'
import type { GatewayPorts } from './driver.ts'

export type Visible = Exclude<GatewayEffect, { type: 'persist' }>

type CommitPorts = Pick<GatewayPorts, 'clock' | 'write' | 'recordsOf' | 'performing'>

interface CommitTakers {
  perform(effect: Visible): void
  /** Nothing leaves any more. */
  failed(error: unknown): void
}

interface Batch {
  readonly records: LedgerRecord[]
  /** In order; of what a step asked for, its end is told to whoever waits for that. */
  readonly leaving: (Visible | (() => void))[]
}

export class GroupCommit {
  readonly #ports: CommitPorts
  readonly #takers: CommitTakers
  /** Of the steps that nothing has been done about. */
  #waiting = newBatch()
  #underWay: Promise<void> | undefined
  /** As if something were on its way, until `begin`: what comes before waits for the start's records. */
  #isLeaving = true

  constructor(ports: CommitPorts, takers: CommitTakers) {
    this.#ports = ports
    this.#takers = takers
  }

  /** What the start asks for leaves, and then what was added meanwhile. */
  begin(effects: readonly GatewayEffect[]): void {
    const { records, leaving } = this.#waiting
    this.#waiting = newBatch()
    this.#take(effects)
    this.#waiting.records.push(...records)
    this.#waiting.leaving.push(...leaving)
    this.#isLeaving = false
    this.#leave()
  }

  add(effects: readonly GatewayEffect[], left?: () => void): void {
    this.#take(effects)
    if (left !== undefined) this.#waiting.leaving.push(left)
    this.#leave()
  }

  /** Resolves when all has left. */
  async idle(): Promise<void> {
    while (this.#underWay !== undefined) await this.#underWay
  }

  #take(effects: readonly GatewayEffect[]): void {
    const { records, leaving } = this.#waiting
    for (const effect of effects) {
      if (effect.type !== 'persist') {
        leaving.push(effect)
        if (effect.type === 'publish') records.push(...(this.#ports.recordsOf?.(effect) ?? []))
        continue
      }
      this.#ports.performing?.(effect)
      // Not spread into one call: arguments lie on the stack.
      for (const record of effect.records) records.push(record)
    }
  }

  /**
   * Lets what waits leave, in order. What an effect causes on the way comes back as an event, and
   * its effects wait behind the rest.
   */
  #leave(): void {
    if (this.#isLeaving) return
    this.#isLeaving = true
    while (this.#waiting.records.length + this.#waiting.leaving.length > 0) {
      const batch = this.#waiting
      this.#waiting = newBatch()
      const leaving = batch.records.length > 0 ? this.#flush(batch) : this.#release(batch)
      if (leaving === undefined) continue
      this.#underWay = this.#leaveAfter(leaving)
      return
    }
    this.#isLeaving = false
  }

  async #leaveAfter(leaving: Promise<void>): Promise<void> {
    try {
      await leaving
      this.#underWay = undefined
      this.#isLeaving = false
      this.#leave()
    } catch (error) {
      this.#underWay = undefined
      this.#takers.failed(error)
    }
  }

  async #flush(batch: Batch): Promise<void> {
    await this.#ports.write(batch.records)
    await this.#release(batch)
  }

  /** Resolves when all of it has left; undefined where that is so at once. */
  #release(batch: Batch, first = 0): Promise<void> | undefined {
    const { leaving } = batch
    for (let at = first; at < leaving.length; at++) {
      const effect = leaving[at]!
      if (typeof effect === 'function') effect()
      else this.#takers.perform(effect)
      if (isOfOneRound(effect, leaving[at + 1])) {
        return this.#ports.clock.turn().then(() => this.#release(batch, at + 1))
      }
    }
    return undefined
  }
}

function newBatch(): Batch {
  return { records: [], leaving: [] }
}

type Leaving = Batch['leaving'][number] | undefined

function isOfOneRound(slice: Leaving, next: Leaving): boolean {
  return roundOf(slice) !== undefined && roundOf(slice) === roundOf(next)
}

function roundOf(leaving: Leaving): MessageRound | undefined {
  return typeof leaving === 'object' && leaving.type === 'send-round' ? leaving.round : undefined
}
