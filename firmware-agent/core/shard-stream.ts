/**
 * This node's end of its stream: which entries may be applied, in which order (recovery.md, One
 * sequencer). An entry is taken only if it follows the last one in position and chain; what is on disk
 * already is acknowledged again; a gap is reported with where the stream stands. One that is stopped takes
 * nothing and gives nothing out. What entries have done stays here until the gateway has confirmed it.
 *
 * Invariants: the queue follows the mark without a gap, in position and in chain; one batch is with
 * the runner at a time.
 */
import { equalBytes } from '../../shared/core/hash.ts'
import type { GhostReport } from '../../shared/protocol/ghost-report.ts'
import { MESSAGE_BYTES_MAX } from '../../shared/protocol/limits.ts'
import type { Entry } from '../../shared/protocol/messages.ts'
import { extendChain } from '../../shared/protocol/stream-chain.ts'
import type { PartResult, StreamMark } from './events.ts'

/** Entries handed to the runner at once; it shares one transaction among them. */
const BATCH_ENTRIES_MAX = 64

/** Of an acknowledgement, half of what a message may have; without the rest the gateway does. */
const WRITTEN_BYTES_MAX = MESSAGE_BYTES_MAX / 2
/** Of what is told of a ghost, beside its counts. */
const GHOST_BYTES = 96

export type Received = 'queued' | 'repeated' | 'gap' | 'chain-differs' | 'stopped'

export class ShardStream {
  isStopped = false
  #mark: StreamMark
  #results: PartResult[]
  #queue: Entry[] = []
  #applying = 0

  constructor(mark: StreamMark, results: readonly PartResult[]) {
    this.#mark = mark
    this.#results = [...results]
  }

  /** What is on disk. */
  get mark(): StreamMark {
    return this.#mark
  }

  /** Those of entries up to the mark that are not confirmed, by position; of what was written, as much as has room. */
  get results(): PartResult[] {
    let left = WRITTEN_BYTES_MAX
    return this.#results.map(({ position, lsus, written, ghost }) => {
      left -= (written?.length ?? 0) + (ghost === undefined ? 0 : sizeOf(ghost))
      if (left < 0) return { position, lsus }
      return { position, lsus, ...tellingOf({ written, ghost }) }
    })
  }

  get isApplying(): boolean {
    return this.#applying > 0
  }

  /** Takes entries in order; stops at the first that does not fit. */
  receive(entries: readonly Entry[]): Received {
    if (this.isStopped) return 'stopped'
    let verdict: Received = 'repeated'
    for (const entry of entries) {
      const last = this.#queue.at(-1) ?? this.#mark
      if (entry.position <= last.position) continue
      if (entry.position > last.position + 1) return 'gap'
      if (!equalBytes(extendChain(last.chain, entry), entry.chain)) return 'chain-differs'
      this.#queue.push(entry)
      verdict = 'queued'
    }
    return verdict
  }

  /** The next entries for the runner; nothing while it works, or there are none that may go on. */
  takeBatch(): Entry[] {
    if (this.isApplying || this.isStopped) return []
    const batch = this.#queue.slice(0, BATCH_ENTRIES_MAX)
    this.#applying = batch.length
    return batch
  }

  /** The runner has everything up to `mark` on disk; the rest of its batch, if any, is still there. */
  applied(mark: StreamMark, results: readonly PartResult[]): void {
    const rest = this.#queue.filter((entry) => entry.position > mark.position)
    this.#applying = Math.max(0, this.#applying - (this.#queue.length - rest.length))
    this.#queue = rest
    this.#mark = mark
    for (const { position, lsus, ...more } of results) {
      this.#results.push({ position, lsus, ...tellingOf(more) })
    }
  }

  /** Results up to here are in the ledger; says whether there were any. */
  confirmed(upTo: number): boolean {
    const before = this.#results.length
    this.#results = this.#results.filter(({ position }) => position > upTo)
    return this.#results.length < before
  }

  /** The runner gave its batch back. */
  failed(): void {
    this.#queue = []
    this.#applying = 0
  }

  /** A new connection: what is not with the runner will be sent again. */
  forgetQueue(): void {
    this.#queue = this.#queue.slice(0, this.#applying)
  }

  /** The store was emptied. */
  reset(mark: StreamMark): void {
    this.#queue = []
    this.#applying = 0
    this.#mark = mark
    this.#results = []
  }
}

/** Beside how many LSUs it went over. */
function tellingOf({
  written,
  ghost,
}: {
  readonly written?: Uint8Array | undefined
  readonly ghost?: GhostReport | undefined
}): Pick<PartResult, 'written' | 'ghost'> {
  return {
    ...(written === undefined ? {} : { written }),
    ...(ghost === undefined ? {} : { ghost }),
  }
}

function sizeOf({ differ }: GhostReport): number {
  return differ.length + GHOST_BYTES
}
