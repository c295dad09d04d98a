/**
 * One node's stream: the entries that touch its tiles, in sequence order, at dense positions from 1.
 * The log of recovery.md, seen from one replica: entries stay until the node acknowledged them, with
 * the chain that the node must show at each position (log matching).
 *
 * Invariants: acked ≤ sent ≤ head; `entries` holds exactly the positions acked+1 … head; `inFlight` is the bytes
 * of the positions acked+1 … sent.
 */
import { assert } from '../../../shared/core/assert.ts'
import { equalBytes } from '../../../shared/core/hash.ts'
import type { ControlOrder } from '../../../shared/protocol/control-entries.ts'
import { CHAIN_START, extendChain } from '../../../shared/protocol/stream-chain.ts'
import type { StreamRecord } from '../ledger-records.ts'

/** A write's part for one node, by reference to the task's body; or an order about tiles. */
export interface LogEntry {
  readonly position: number
  readonly seq: number
  readonly chain: Uint8Array
  /** First 8 bytes of the SHA-256 of the task's normal form, or what stands for an order. */
  readonly body: Uint8Array
  readonly order?: ControlOrder
  readonly tiles: Uint32Array
  /** When it was put into the stream, monotonic ms. */
  readonly queuedMs: number
  /** Bytes that it takes in flight, estimated. */
  readonly bytes: number
}

export class NodeStream {
  readonly storeId: string
  #entries: LogEntry[] = []
  #acked: { position: number; chain: Uint8Array; seq: number }
  #sent: number
  /** Bytes of what is sent and not acknowledged. */
  #inFlight = 0
  #headChain: Uint8Array
  /**
   * Set while it lags: it got on with nothing for longer than the lag allows. A head that it had to reach,
   * and when that was the head: the head itself moves on for ever where something is always written.
   */
  #lagging: { head: number; notedMs: number } | undefined
  /** When it last acknowledged something, monotonic ms. */
  #progressMs = Number.NEGATIVE_INFINITY

  constructor(storeId: string, record?: StreamRecord) {
    this.storeId = storeId
    this.#acked = {
      position: record?.acked ?? 0,
      chain: record?.ackedChain ?? CHAIN_START,
      seq: record?.ackedSeq ?? 0,
    }
    this.#sent = this.#acked.position
    this.#headChain = this.#acked.chain
  }

  get acked(): number {
    return this.#acked.position
  }

  get head(): number {
    return this.#acked.position + this.#entries.length
  }

  get isAtHead(): boolean {
    return this.#entries.length === 0
  }

  /** What the node has not acknowledged, in order. */
  get entries(): readonly LogEntry[] {
    return this.#entries
  }

  get progressMs(): number {
    return this.#progressMs
  }

  get isLagging(): boolean {
    return this.#lagging !== undefined
  }

  get ackedSeq(): number {
    return this.#acked.seq
  }

  get record(): StreamRecord {
    const { position, chain, seq } = this.#acked
    return {
      head: this.head,
      acked: position,
      ackedChain: chain,
      ackedSeq: seq,
    }
  }

  append(part: Omit<LogEntry, 'position' | 'chain'>): LogEntry {
    const position = this.head + 1
    const tiles = new Uint8Array(part.tiles.buffer, part.tiles.byteOffset, part.tiles.byteLength)
    const chain = extendChain(this.#headChain, {
      position,
      seq: part.seq,
      body: part.body,
      tiles,
    })
    const entry = { ...part, position, chain }
    this.#entries.push(entry)
    this.#headChain = chain
    return entry
  }

  /** Puts something else in the place of an entry that the node has not applied; all chains follow. */
  replace(position: number, part: Omit<LogEntry, 'position' | 'chain'>): void {
    const later = this.#entries.splice(position - this.acked - 1)
    this.#headChain = this.#entries.at(-1)?.chain ?? this.#acked.chain
    for (const { position: at, bytes } of later) if (at <= this.#sent) this.#inFlight -= bytes
    this.#sent = Math.min(this.#sent, position - 1)
    this.append(part)
    for (const { position: _position, chain: _chain, ...rest } of later.slice(1)) this.append(rest)
  }

  /** What the node's disk shows at `position`: nothing of ours, ours, or something else. */
  compare(position: number, chain: Uint8Array): 'behind' | 'match' | 'ahead' | 'differs' {
    if (position < this.#acked.position) return 'behind'
    if (position > this.head) return 'ahead'
    const own =
      position === this.#acked.position ? this.#acked.chain : this.entryAt(position)!.chain
    return equalBytes(own, chain) ? 'match' : 'differs'
  }

  entryAt(position: number): LogEntry | undefined {
    return this.#entries[position - this.#acked.position - 1]
  }

  /**
   * The node has everything up to `position` on disk; returns the entries that this frees. One that lagged
   * has caught up when it has all that there was less than `lagMs` ago.
   */
  acknowledge(position: number, nowMs: number, lagMs: number): LogEntry[] {
    assert(position >= this.acked && position <= this.head, 'acknowledged position is in the log')
    const freed = this.#entries.splice(0, position - this.acked)
    for (const { position: at, bytes } of freed) if (at <= this.#sent) this.#inFlight -= bytes
    const last = freed.at(-1)
    if (last !== undefined) {
      this.#acked = { position, chain: last.chain, seq: last.seq }
      this.#sent = Math.max(this.#sent, position)
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
    this.#sent = this.acked
    this.#inFlight = 0
  }

  /** The next entries to send within a window of bytes in flight; marks them as sent. */
  takeSendable(windowBytes: number): LogEntry[] {
    const taken: LogEntry[] = []
    for (;;) {
      const entry = this.entryAt(this.#sent + 1)
      if (entry === undefined) break
      if (this.#inFlight > 0 && this.#inFlight + entry.bytes > windowBytes) break
      this.#inFlight += entry.bytes
      this.#sent += 1
      taken.push(entry)
    }
    return taken
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
    const oldest = this.#entries[0]
    return oldest && Math.max(oldest.queuedMs, this.#progressMs)
  }
}
