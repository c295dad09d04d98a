/**
 * The order of effects.ts: effects leave in the order in which they were asked for, and none leaves before the
 * records persisted ahead of it are on disk. While one flush runs, later steps queue up; their records share
 * the next flush (group commit). A round for thousands of nodes leaves slice by slice: between two of them the loop
 * takes what has come, and whatever that asks for queues up, too.
 */
import type { GatewayEffect } from './core/effects.ts'
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
  readonly effects: Visible[]
  /** Somebody waits until all this has left. */
  readonly left: (() => void) | undefined
}

export class GroupCommit {
  readonly #ports: CommitPorts
  readonly #takers: CommitTakers
  /** Steps whose effects have not left; the first ones' records may be on their way to the disk. */
  #queue: Batch[] = []
  #underWay: Promise<void> | undefined
  /** As if something were on its way, until `begin`: what comes before waits for the start's records. */
  #isLeaving = true

  constructor(ports: CommitPorts, takers: CommitTakers) {
    this.#ports = ports
    this.#takers = takers
  }

  /** What the start asks for leaves, and then what was added meanwhile. */
  begin(effects: readonly GatewayEffect[]): void {
    this.#queue.unshift(this.#batchOf(effects))
    this.#isLeaving = false
    this.#leave()
  }

  add(effects: readonly GatewayEffect[], left?: () => void): void {
    this.#queue.push(this.#batchOf(effects, left))
    this.#leave()
  }

  /** Resolves when all has left. */
  async idle(): Promise<void> {
    while (this.#underWay !== undefined) await this.#underWay
  }

  #batchOf(effects: readonly GatewayEffect[], left?: () => void): Batch {
    const batch: Batch = { records: [], effects: [], left }
    for (const effect of effects) {
      if (effect.type !== 'persist') {
        batch.effects.push(effect)
        if (effect.type === 'publish') {
          batch.records.push(...(this.#ports.recordsOf?.(effect) ?? []))
        }
        continue
      }
      this.#ports.performing?.(effect)
      // Not spread into one call: arguments lie on the stack.
      for (const record of effect.records) batch.records.push(record)
    }
    return batch
  }

  /**
   * Lets queued effects leave, in order. What an effect causes on the way comes back as an event, and
   * its effects queue up behind the rest.
   */
  #leave(): void {
    if (this.#isLeaving) return
    this.#isLeaving = true
    while (this.#queue.length > 0) {
      const isToDisk = this.#queue.some(({ records }) => records.length > 0)
      const leaving = isToDisk ? this.#flushQueue() : this.#release(this.#queue.shift()!)
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

  async #flushQueue(): Promise<void> {
    const batches = [...this.#queue]
    await this.#ports.write(batches.flatMap(({ records }) => records))
    this.#queue.splice(0, batches.length)
    for (const batch of batches) {
      const leaving = this.#release(batch)
      if (leaving !== undefined) await leaving
    }
  }

  /** Resolves when all of it has left; undefined where that is so at once. */
  #release(batch: Batch, first = 0): Promise<void> | undefined {
    const { effects, left } = batch
    for (let at = first; at < effects.length; at++) {
      this.#takers.perform(effects[at]!)
      if (isOfRound(effects[at]) && isOfRound(effects[at + 1])) {
        return this.#ports.clock.turn().then(() => this.#release(batch, at + 1))
      }
    }
    left?.()
    return undefined
  }
}

function isOfRound(effect: Visible | undefined): boolean {
  return effect?.type === 'send-round'
}
