/**
 * One node's stream: the entries that touch its tiles, in sequence order, at dense positions from 1.
 * The log of recovery.md, seen from one replica: entries stay until the node acknowledged them, with
 * the chain that the node must show at each position (log matching). A chain is computed when it is first needed,
 * which is when its entry leaves or is acknowledged.
 *
 * Invariants: acked ≤ sent ≤ head; acked ≤ chained ≤ head; `items` are what stands at the positions acked+1 … head;
 * `inFlight` is the bytes of the positions acked+1 … sent.
 */
import { assert } from '../../../shared/core/assert.ts'
import { DIGEST_BYTES } from '../../../shared/core/hash.ts'
import { CHAIN_START } from '../../../shared/protocol/stream-chain.ts'
import type { StreamRecord } from '../ledger-records.ts'
import type { StreamItem } from './stream-items.ts'

const WORDS = 2
const NOTHING: StreamItem[] = []
/** Of one stream at a time. */
const chain = new Int32Array(WORDS)
const chainBytes = new Uint8Array(chain.buffer)

export class NodeStream {
  readonly storeId: string
  readonly #member: number
  #items = NOTHING
  #acked: number
  #ackedSeq: number
  /** The chain there, as two words: integers of 32 bits lie in the stream itself. */
  #ackedLeft: number
  #ackedRight: number
  #sent: number
  /** Up to here the chains are known. */
  #chained: number
  /** Bytes of what is sent and not acknowledged. */
  #inFlight = 0
  /**
   * Set while it lags: it got on with nothing for longer than the lag allows. A head that it had to reach,
   * and when that was the head: the head itself moves on for ever where something is always written.
   */
  #lagging: { head: number; notedMs: number } | undefined
  /** When it last acknowledged something, monotonic ms. */
  #progressMs = Number.NEGATIVE_INFINITY
  /** Since when the first of what it has not acknowledged is that, or longer, monotonic ms. */
  #queuedMs = Number.NEGATIVE_INFINITY
  /** When stream-sender.ts looks whether it got on since `ackedThen`, and whether it lags, monotonic ms. */
  resendAtMs: number | undefined
  ackedThen = 0
  lagAtMs: number | undefined

  /** Of the member with this index. */
  constructor(member: number, storeId: string, record?: StreamRecord) {
    this.#member = member
    this.storeId = storeId
    this.#acked = record?.acked ?? 0
    this.#ackedSeq = record?.ackedSeq ?? 0
    chainBytes.set(record?.ackedChain ?? CHAIN_START)
    this.#ackedLeft = chain[0]!
    this.#ackedRight = chain[1]!
    this.#sent = this.#acked
    this.#chained = this.#acked
  }

  get acked(): number {
    return this.#acked
  }

  get ackedSeq(): number {
    return this.#ackedSeq
  }

  get ackedLeft(): number {
    return this.#ackedLeft
  }

  get ackedRight(): number {
    return this.#ackedRight
  }

  get sent(): number {
    return this.#sent
  }

  get head(): number {
    return this.#acked + this.#items.length
  }

  get isAtHead(): boolean {
    return this.#items.length === 0
  }

  /** What the node has not acknowledged, in order, the first at `acked + 1`. */
  get items(): readonly StreamItem[] {
    return this.#items
  }

  get progressMs(): number {
    return this.#progressMs
  }

  get isLagging(): boolean {
    return this.#lagging !== undefined
  }

  /** Returns the position. */
  append(item: StreamItem, nowMs: number): number {
    if (this.#items.length === 0) {
      // Mostly it stays alone, and a push into an empty list makes room for many.
      this.#items = [item]
      this.#queuedMs = nowMs
    } else this.#items.push(item)
    return this.head
  }

  /** Puts something else in the place of an entry that the node has not applied; all chains follow. */
  replace(position: number, item: StreamItem, nowMs: number): void {
    for (; this.#sent >= position; this.#sent--) this.#inFlight -= this.#bytesAt(this.#sent)
    this.#chained = Math.min(this.#chained, position - 1)
    this.#items[position - this.#acked - 1] = item
    if (position === this.#acked + 1) this.#queuedMs = nowMs
  }

  /** What the node's disk shows at `position`: nothing of ours, ours, or something else. */
  compare(position: number, shown: Uint8Array): 'behind' | 'match' | 'ahead' | 'differs' {
    if (position < this.#acked) return 'behind'
    if (position > this.head) return 'ahead'
    this.chainTo(position)
    this.#loadChain(position)
    for (let at = 0; at < DIGEST_BYTES; at++) if (chainBytes[at] !== shown[at]) return 'differs'
    return 'match'
  }

  /** All chains up to here are known then. */
  chainTo(position: number): void {
    const end = Math.min(position, this.head)
    if (this.#chained >= end) return
    this.#loadChain(this.#chained)
    while (this.#chained < end) {
      this.#chained += 1
      this.itemAt(this.#chained)!.extend(chain, this.#partAt(this.#chained))
    }
  }

  /**
   * The member gets another, and the parts of this one are found no more. What was sent is perhaps still to be
   * encoded, and its node goes on with it until it is told: so all chains are made now.
   */
  end(): void {
    this.chainTo(this.head)
    this.#chained = Number.POSITIVE_INFINITY
  }

  /** It is known. */
  #loadChain(position: number): void {
    if (position === this.#acked) {
      chain[0] = this.#ackedLeft
      chain[1] = this.#ackedRight
      return
    }
    const { chains } = this.itemAt(position)!.parts
    const at = this.#partAt(position) * WORDS
    chain[0] = chains[at]!
    chain[1] = chains[at + 1]!
  }

  itemAt(position: number): StreamItem | undefined {
    return this.#items[position - this.#acked - 1]
  }

  #partAt(position: number): number {
    const part = this.itemAt(position)?.parts.find(this.#member, position)
    if (part === undefined) assert(false, `an item is at position ${position}`)
    return part
  }

  #bytesAt(position: number): number {
    return this.itemAt(position)!.bytesOf(this.#partAt(position))
  }

  /**
   * The node has everything up to `position` on disk; returns what stood there. One that lagged
   * has caught up when it has all that there was less than `lagMs` ago.
   */
  acknowledge(position: number, nowMs: number, lagMs: number): readonly StreamItem[] {
    assert(position >= this.#acked && position <= this.head, 'acknowledged position is in the log')
    const count = position - this.#acked
    let freed = NOTHING
    if (count > 0) {
      this.chainTo(position)
      this.#loadChain(position)
      this.#ackedLeft = chain[0]!
      this.#ackedRight = chain[1]!
      if (position >= this.#sent) {
        this.#sent = position
        this.#inFlight = 0
      } else
        for (let at = this.#acked + 1; at <= position; at++) this.#inFlight -= this.#bytesAt(at)
      if (count === this.#items.length) [freed, this.#items] = [this.#items, NOTHING]
      else freed = this.#items.splice(0, count)
      this.#acked = position
      this.#ackedSeq = freed.at(-1)!.seq
      this.#progressMs = nowMs
    }
    this.#endLag(nowMs, lagMs)
    return freed
  }

  #endLag(nowMs: number, lagMs: number): void {
    if (this.#lagging === undefined) return
    const isRecent = nowMs - this.#lagging.notedMs < lagMs
    if (this.isAtHead || (isRecent && this.acked >= this.#lagging.head)) this.#lagging = undefined
    else if (!isRecent) this.#lagging = { head: this.head, notedMs: nowMs }
  }

  /** Forgets what was sent: a new connection, a gap, or nothing heard of it for too long. */
  rewind(): void {
    this.#sent = this.#acked
    this.#inFlight = 0
  }

  /** The part at `sent + 1`, if a window of bytes in flight has room for it; it is sent then. */
  takeSendable(windowBytes: number): number | undefined {
    const item = this.itemAt(this.#sent + 1)
    if (item === undefined) return undefined
    const part = this.#partAt(this.#sent + 1)
    const bytes = item.bytesOf(part)
    if (this.#inFlight > 0 && this.#inFlight + bytes > windowBytes) return undefined
    this.#inFlight += bytes
    this.#sent += 1
    return part
  }

  /**
   * Leaves in-sync when it has had something to do for `lagMs` and acknowledged nothing; true on a change.
   * A write may take longer than that on nodes that work all the time.
   */
  checkLag(nowMs: number, lagMs: number): boolean {
    const { idleSinceMs } = this
    if (this.isLagging || idleSinceMs === undefined || nowMs - idleSinceMs < lagMs) return false
    this.#lagging = { head: this.head, notedMs: nowMs }
    return true
  }

  /** Since when it has something to do and got on with nothing, monotonic ms. */
  get idleSinceMs(): number | undefined {
    return this.isAtHead ? undefined : Math.max(this.#queuedMs, this.#progressMs)
  }
}
