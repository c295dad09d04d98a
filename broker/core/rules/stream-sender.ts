/**
 * Sends the streams: what the window allows, the unacknowledged head again when nothing is heard of it,
 * and it watches for replicas that fall behind. What an entry says is its owner's: writes.ts or
 * control-log.ts.
 */
import type { Entry } from '../../../shared/protocol/messages.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Member } from '../state/membership.ts'
import type { LogEntry } from '../state/node-stream.ts'

/** Entries of one message, bytes; small enough that other traffic gets between two of them. */
const MESSAGE_ENTRY_BYTES_MAX = 64 * 1024

export interface StreamOwner {
  encode(entry: LogEntry): Entry
}

export class StreamSender {
  readonly #context: CoordinatorContext
  readonly #owner: StreamOwner

  constructor(context: CoordinatorContext, owner: StreamOwner) {
    this.#context = context
    this.#owner = owner
  }

  /** Sends what the window allows, and watches for lag and for silence. */
  pump(member: Member): void {
    const { options, nowMs, deadlines } = this.#context
    const { stream, session } = member
    if (session === undefined || member.stopReason !== undefined || stream.isAtHead) return
    let batch: Entry[] = []
    let bytes = 0
    const flush = (): void => {
      if (batch.length === 0) return
      const confirmed = stream.acked
      this.#context.send(member, {
        t: 'entries',
        session: session.number,
        confirmed,
        entries: batch,
      })
      batch = []
      bytes = 0
    }
    for (const entry of stream.takeSendable(options.streamWindowBytes)) {
      if (bytes + entry.bytes > MESSAGE_ENTRY_BYTES_MAX) flush()
      batch.push(this.#owner.encode(entry))
      bytes += entry.bytes
    }
    flush()
    this.#watchLag(member)
    const resend = `resend/${member.index}`
    if (!deadlines.has(resend)) {
      const ackedThen = stream.acked
      deadlines.set(resend, nowMs + options.resendMs, () => {
        if (member.stream === stream && stream.acked === ackedThen) stream.rewind()
        this.pump(member)
      })
    }
  }

  #watchLag(member: Member): void {
    const { deadlines, options } = this.#context
    const name = `lag/${member.index}`
    const idleMs = member.stream.idleSinceMs
    if (idleMs === undefined || member.stream.isLagging || deadlines.has(name)) return
    deadlines.set(name, idleMs + options.lagMs, () => {
      member.mayChange()
      if (member.stream.checkLag(this.#context.nowMs, options.lagMs)) {
        this.#context.notice('warn', 'replica-lagging', `node ${member.id} leaves in-sync`, {
          node: member.id,
        })
      } else {
        this.#watchLag(member)
      }
    })
  }
}
