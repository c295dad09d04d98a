/**
 * What must be true of the whole system, whatever fails (recovery.md, Proof). Each promise is checked at the
 * first moment at which it could be seen broken: when the ledger's disk takes something, when the
 * outside sees something, when a node's disk changes, and at the end, when all must have come to rest.
 */
import { isDeepStrictEqual } from 'node:util'
import type { GatewayEffect } from '../../broker/core/effects.ts'
import type { LedgerRecord, TaskRecord, WriteRecord } from '../../broker/core/ledger-records.ts'
import { isNamed, unpackParts } from '../../broker/core/state/part-records.ts'
import type { TilePage } from '../../shared/grid/tile-page.ts'
import { decodeCbor } from '../../shared/protocol/cbor.ts'
import type { Down } from '../../shared/protocol/messages.ts'
import { type GridModel, type PlainTask, tilesOfPlain } from './grid-model.ts'
import { isOwn, OwnWrites } from './own-writes.ts'
import { rowsOf } from './part-rows.ts'
import { checkRead } from './read-checker.ts'
import type { TaskStories, TaskStory } from './task-stories.ts'
import { violated } from './violation.ts'

/** Where pages lie, as the checkers look at them. */
export interface Replicas {
  /** How many nodes have, or had on a card that was lost, this tile on disk up to `seq`. */
  countCopies(tile: number, seq: number): number
}

export interface CheckOptions {
  readonly minInSync: number
  readonly retentionMs: number
  /** Whether every copy of a tile of this task was lost at some time. */
  readonly isLost: (story: Pick<TaskStory, 'plain'>) => boolean
  /** A write of readings has its place in the order. */
  readonly readingsWritten?: (seq: number, write: string) => void
  /** One is about to be written to the ledger. */
  readonly readingsDecided?: (write: string, plain: PlainTask) => void
  /** Whether nodes of a lost ledger may come late, and with them higher sequences. */
  readonly isRaised: () => boolean
  /** A page came to a disk without what its node says of it: the entry is applied again, and changes nothing. */
  readonly isTorn?: () => boolean
  /** Is told of what a promise was checked on. */
  readonly count: (what: string) => void
}

const RESULT_LIMITS = { bytesMax: 2 ** 26, depthMax: 16, itemsMax: 10_000_000 }
const EFFECTS = ['none', 'pending', 'done']

function isEnd(state: string | undefined): boolean {
  return ['completed', 'failed', 'expired', 'cancelled'].includes(state!)
}

export class Checkers {
  readonly #options: CheckOptions
  readonly #model: GridModel
  readonly #stories: TaskStories
  readonly #replicas: Replicas
  readonly #own: OwnWrites
  /** By tile: the last write that was shown as done. */
  readonly #lastDone: number[]

  constructor(options: CheckOptions, model: GridModel, stories: TaskStories, replicas: Replicas) {
    this.#options = options
    this.#model = model
    this.#stories = stories
    this.#replicas = replicas
    this.#own = new OwnWrites(model.grid)
    this.#lastDone = new Array<number>(model.grid.geometry.tiles).fill(0)
  }

  /** By tile: the last write that a read from now on must not miss. */
  get lastDone(): readonly number[] {
    return [...this.#lastDone]
  }

  /** A ledger is rebuilt, or a tile made anew: what nobody brought is not to be seen any more. */
  forget(tile: number, seq: number): void {
    this.#lastDone[tile] = Math.min(this.#lastDone[tile]!, seq)
    this.#stories.forgetWrites(tile, seq)
  }

  /** The ledger is about to take these. */
  decided(records: readonly LedgerRecord[], nowMs: number): void {
    for (const { table, key, value } of records) {
      if (table === 'task' && isEnd(value?.state)) {
        const story = this.#stories.byHash(value!.askedHash ?? value!.hash)
        if (story !== undefined) story.endedMs ??= nowMs
      }
      if (table === 'body' && value !== undefined && isOwn(String(key))) {
        this.#options.readingsDecided?.(String(key), this.#own.plainOf(value))
      }
      if (table === 'result' && value === undefined) this.#resultCleared(String(key), nowMs)
    }
  }

  #resultCleared(id: string, nowMs: number): void {
    const { retentionMs, count } = this.#options
    const keptMs = nowMs - this.#stories.find(id)!.endedMs!
    if (keptMs < retentionMs - 1) violated(`the result of task ${id} goes after ${keptMs} ms`)
    count('result-cleared')
  }

  /** The ledger's disk took these. */
  flushed(records: readonly LedgerRecord[]): void {
    for (const record of records) {
      if (record.table === 'task' && record.value !== undefined) {
        this.#taskFlushed(String(record.key), record.value)
      }
      if (record.table === 'body' && record.value !== undefined && isOwn(String(record.key))) {
        this.#own.body(String(record.key), record.value)
      }
    }
    const sequenced = records
      .filter(
        ({ table, value }) => (table === 'write' || table === 'control') && value !== undefined,
      )
      .sort((a, b) => Number(a.key) - Number(b.key))
    for (const record of sequenced) {
      const seq = Number(record.key)
      if (record.table !== 'write') this.#orderFlushed(seq)
      else if (isOwn(record.value!.task)) this.#ownFlushed(seq, record.value!)
      else this.#writeFlushed(seq, record.value!)
    }
    for (const { table, key, value } of records) {
      if (table === 'write') this.#ownEnded(Number(key), value)
    }
    for (const record of records) {
      if (record.table === 'result' && record.value !== undefined) {
        this.#resultFlushed(String(record.key), record.value)
      }
    }
  }

  #taskFlushed(id: string, record: TaskRecord): void {
    const story = this.#stories.byHash(record.askedHash ?? record.hash)
    if (story === undefined) violated(`task ${id} was never submitted`)
    if (story.id === undefined) this.#stories.name(story, id)
    else if (story.id !== id) violated(`one submission became the tasks ${story.id} and ${id}`)
    if (isEnd(story.state) && story.state !== record.state) {
      violated(`task ${id} ended as ${story.state} and then as ${record.state}`)
    }
    if (isEnd(record.state) && !isEnd(story.state)) story.ends += 1
    if (record.state === 'cancelled' && record.effect !== 'none') {
      violated(`task ${id} was cancelled, and its effect is ${record.effect}`)
    }
    if (EFFECTS.indexOf(record.effect) < EFFECTS.indexOf(story.effect ?? 'none')) {
      violated(`the effect of task ${id} went from ${story.effect} back to ${record.effect}`)
    }
    story.state = record.state
    story.effect = record.effect
  }

  #writeFlushed(seq: number, record: WriteRecord): void {
    const id = record.task
    const story = this.#stories.find(id)
    if (story === undefined) violated(`write ${seq} belongs to no task`)
    if (story.seq === seq) return
    if (story.seq !== undefined) violated(`task ${id} was sequenced as ${story.seq} and ${seq}`)
    if (story.isRestored) violated(`task ${id} had not ended in a copy, and runs again`)
    this.#checkOrder('write', seq)
    if (isEnd(story.state) && story.effect === 'none') {
      violated(`task ${id} ended without effect and was then sequenced`)
    }
    story.seq = seq
    this.#apply(seq, story.plain, record)
  }

  #apply(seq: number, plain: PlainTask, { parts }: WriteRecord): void {
    if (isNamed(parts)) violated(`write ${seq} is written as an earlier version did`)
    const going = new Set(rowsOf(unpackParts(parts)).flatMap(({ tiles }) => [...tiles]))
    for (const tile of tilesOfPlain(plain, this.#model.grid)) {
      if (!going.has(tile)) violated(`write ${seq} has nobody for tile ${tile}`)
      const at = this.#model.tileAt(tile, Number.POSITIVE_INFINITY).seq
      if (at >= seq) violated(`write ${seq} comes to tile ${tile}, which is at ${at}`)
    }
    this.#model.apply(seq, plain)
  }

  /** A write of readings gets its place, or more is known of it. */
  #ownFlushed(seq: number, record: WriteRecord): void {
    const plain = this.#own.sequenced(seq, record)
    if (plain === undefined) return
    this.#checkOrder('write', seq)
    this.#apply(seq, plain, record)
    this.#options.readingsWritten?.(seq, record.task)
  }

  #ownEnded(seq: number, row: WriteRecord | undefined): void {
    const ended = this.#own.ended(seq, row)
    if (ended === undefined) return
    const { plain, outcome } = ended
    if (outcome === 'done') {
      this.#checkCopiesOf(seq, plain, Math.max(1, this.#options.minInSync))
      this.#options.count('readings-done')
    } else if (!this.#options.isLost(ended)) {
      violated(`the readings of write ${seq} are lost, and a copy of their tile is not`)
    }
  }

  /** The ledger is lost, and with it what became of the gateway's own writes. */
  forgetOwn(): void {
    this.#own.forget()
  }

  #checkOrder(what: string, seq: number): void {
    const last = this.#model.lastSeq
    if (seq === last + 1) return
    if (seq <= last || !this.#options.isRaised()) violated(`${what} ${seq} follows ${last}`)
    this.#model.sequences.push(seq - 1)
  }

  /** An order about tiles takes a place in the order of writes, and changes no cell. */
  #orderFlushed(seq: number): void {
    this.#checkOrder('order', seq)
    this.#model.sequences.push(seq)
  }

  #resultFlushed(id: string, bytes: Uint8Array): void {
    const story = this.#stories.find(id)
    if (story === undefined) violated(`there is a result of the unknown task ${id}`)
    const result = decodeResult(bytes)
    this.#checkSeal(story, result)
    if (story.result !== undefined) violated(`task ${id} has two results`)
    story.result = result
    if (result.state !== story.state) violated(`the result of task ${id} says ${result.state}`)
    if (story.state === 'completed' && !story.isWrite && !story.isExcused) {
      this.#options.count(checkRead(this.#model, story))
    }
    if (story.state === 'completed' && story.plain.op === 'program' && story.isWrite) {
      this.#checkWritten(story)
    }
  }

  /** Each tile is counted once, by whoever has acted on it. */
  #checkWritten({ id, seq, result }: TaskStory): void {
    const { written } = result!.value as { written?: Readonly<Record<string, number>> }
    const expected = this.#model.written.get(seq!)
    if (written === undefined) {
      if (this.#options.isTorn?.() !== true) violated(`task ${id} does not say what was written`)
      return
    }
    if (!isDeepStrictEqual(written, expected)) {
      const [said, right] = [written, expected].map((one) => JSON.stringify(one))
      violated(`task ${id} says that it wrote ${said}, not ${right}`)
    }
    this.#options.count('written')
  }

  /** What somebody alone may read is written nowhere in clear. */
  #checkSeal({ plain, id }: TaskStory, { isSealed, value }: Record<string, unknown>): void {
    if (plain.seal === undefined && isSealed === true) violated(`task ${id} was sealed`)
    if (plain.seal === undefined || value === undefined) return
    if (isSealed !== true) violated(`the result of task ${id} is written in clear`)
    this.#options.count('sealed')
  }

  /** Somebody who waits is told that the task is taken. */
  acknowledged(story: TaskStory, task: string): void {
    if (story.id !== task) violated(`task ${task} was acknowledged before it was on disk`)
  }

  published(effect: Extract<GatewayEffect, { type: 'publish' }>): void {
    const { topic, payload } = effect
    if (!('task' in topic) || payload.length === 0) return
    const story = this.#stories.find(topic.task)
    if (story === undefined) violated(`task ${topic.task} was shown before it was on disk`)
    if (topic.kind === 'task-state') this.#stateShown(story, JSON.parse(payload as string))
    if (topic.kind === 'task-result') {
      if (story.result === undefined) violated(`a result was shown before it was on disk`)
      if (!isDeepStrictEqual(decodeResult(payload as Uint8Array), story.result)) {
        violated(`another result of task ${story.id} was shown than the ledger has`)
      }
    }
  }

  #stateShown(story: TaskStory, shown: Record<string, unknown>): void {
    const { id } = story
    if (isEnd(String(shown.state)) && shown.state !== story.state) {
      violated(`task ${id} was shown as ${shown.state}, the ledger has ${story.state}`)
    }
    if (EFFECTS.indexOf(String(shown.effect)) > EFFECTS.indexOf(story.effect!)) {
      violated(`the effect of task ${id} was shown as ${shown.effect}: not on disk yet`)
    }
    if (isEnd(String(story.shown?.state)) && !isEnd(String(shown.state))) {
      violated(`task ${id} was shown as ${story.shown?.state} and then as ${shown.state}`)
    }
    // What is restored was done before: nodes may have left, and lost copies, since.
    const isNew = shown.effect === 'done' && story.shown?.effect !== 'done' && !story.isRestored
    story.shown = shown
    if (isNew) this.#checkCopies(story)
  }

  /** A write that is said to be done is on as many disks as it says. */
  #checkCopies(story: TaskStory): void {
    const seq = story.seq!
    const least = Math.max(1, this.#options.minInSync)
    const claimed = story.state === 'completed' ? Number(story.result?.copies) : least
    if (!(claimed >= least)) violated(`write ${seq} is done on ${claimed} copies`)
    this.#checkCopiesOf(seq, story.plain, claimed)
    this.#options.count(`copies-${claimed}`)
    if (['scatter', 'program'].includes(story.plain.op)) {
      this.#options.count(`${story.plain.op}-done`)
    }
    if (story.plain.args?.steps !== undefined) this.#options.count('near-done')
  }

  #checkCopiesOf(seq: number, plain: PlainTask, claimed: number): void {
    const tiles = tilesOfPlain(plain, this.#model.grid)
    const fewest = Math.min(...tiles.map((tile) => this.#replicas.countCopies(tile, seq)))
    if (fewest < claimed) {
      violated(`write ${seq} is done on ${claimed} copies, but only on ${fewest} disks`)
    }
    for (const tile of tiles) this.#lastDone[tile] = Math.max(this.#lastDone[tile]!, seq)
  }

  announced(task: string, state: string): void {
    const story = this.#stories.find(task)
    if (story === undefined) violated(`the end of the unknown task ${task} was announced`)
    story.announcements += 1
    if (story.announcements > 1) violated(`the end of task ${task} was announced twice`)
    if (story.state !== state) violated(`task ${task} was announced as ${state} before the flush`)
    if (state === 'failed' && !this.#options.isLost(story)) {
      violated(`task ${task} failed, and nothing here makes one fail`)
    }
  }

  /** Nothing of a write may reach a node before the ledger has it. */
  sent(message: Down): void {
    if (message.t !== 'entries') return
    for (const { seq } of message.entries) {
      if (seq > this.#model.lastSeq) violated(`entry ${seq} was sent before it was on disk`)
    }
  }

  /** A page on a node's disk is the state that the model had at its `at`. */
  pageChanged(node: string, tile: number, page: TilePage): void {
    let state = this.#model.tileAt(tile, page.at)
    if (state.seq !== page.at) state = this.#model.formerAt(tile, page.at) ?? state
    if (state.seq !== page.at) {
      violated(`tile ${tile} of node ${node} is at ${page.at}, no write of that tile`)
    }
    const isEqual =
      equalNumbers(page.status, state.status) &&
      state.columns.every((column, index) => equalNumbers(page.column(index), column))
    if (!isEqual) violated(`tile ${tile} of node ${node} differs from the model at ${page.at}`)
  }

  /** At the end, when everything came to rest. */
  finished(): void {
    for (const story of this.#stories.accepted) {
      const { id, state, effect, seq, ends, shown, isWrite, isRestored } = story
      if (ends !== 1) violated(`task ${id} ended ${ends} times; it is ${state}`)
      if (story.result === undefined) violated(`task ${id} has no result`)
      if (shown !== undefined && isEnd(String(shown.state)) && shown.state !== state) {
        violated(`task ${id} is ${state}, but was last shown as ${shown.state}`)
      }
      // What became of it after the copy, the ledger does not know.
      if (!isWrite || isRestored) continue
      if (seq === undefined && (state === 'completed' || effect !== 'none')) {
        violated(`task ${id} is ${state} with effect ${effect}, but was never sequenced`)
      }
      if (seq !== undefined && effect !== 'done' && !this.#options.isLost(story)) {
        violated(`task ${id} was sequenced as ${seq}, and its effect is ${effect}`)
      }
    }
  }
}

function equalNumbers(left: ArrayLike<number>, right: ArrayLike<number>): boolean {
  if (left.length !== right.length) return false
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) return false
  return true
}

/** With its value, also where that is sealed, as the simulated gateway does it. */
export function decodeResult(bytes: Uint8Array): Record<string, unknown> {
  const decoded = decodeCbor(bytes, RESULT_LIMITS)
  if (!decoded.ok) violated(`a result does not decode: ${decoded.message}`)
  const { sealed, ...result } = decoded.value as Record<string, unknown>
  if (sealed === undefined) return result
  const { body } = sealed as { body: Uint8Array }
  const value = decodeCbor(body, RESULT_LIMITS)
  if (!value.ok) violated(`a sealed value does not decode: ${value.message}`)
  return { ...result, isSealed: true, value: value.value }
}
