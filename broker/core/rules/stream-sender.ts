/**
 * Sends the streams: what the window allows, the unacknowledged head again when nothing is heard of it,
 * and it watches for replicas that fall behind.
 */
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import { SharedDeadlines } from '../state/deadlines.ts'
import type { Member } from '../state/membership.ts'
import { EntriesRound } from './entries-round.ts'

/** Entries of one message, bytes; small enough that other traffic gets between two of them. */
const MESSAGE_ENTRY_BYTES_MAX = 64 * 1024

export class StreamSender {
  readonly #context: CoordinatorContext
  readonly #resends: SharedDeadlines<Member>
  readonly #lagChecks: SharedDeadlines<Member>

  constructor(context: CoordinatorContext) {
    this.#context = context
    const { deadlines } = context
    this.#resends = new SharedDeadlines(deadlines, 'resend', (member, atMs) => {
      this.#resend(member, atMs)
    })
    this.#lagChecks = new SharedDeadlines(deadlines, 'lag', (member, atMs) => {
      this.#checkLag(member, atMs)
    })
  }

  /** Sends what the windows of these members allow, and watches for lag and for silence. */
  pump(indexes: readonly number[]): void {
    const { members } = this.#context
    const round = new EntriesRound()
    for (const index of indexes) this.#take(members.at(index), round)
    this.#context.sendRound(round)
  }

  #take(member: Member, round: EntriesRound): void {
    const { options, nowMs } = this.#context
    const { stream, session } = member
    if (session === undefined || member.stopReason !== undefined || stream.isAtHead) return
    let bytes = MESSAGE_ENTRY_BYTES_MAX
    for (;;) {
      const part = stream.takeSendable(options.streamWindowBytes)
      if (part === undefined) break
      const item = stream.itemAt(stream.sent)!
      const more = item.bytesOf(part)
      bytes += more
      if (bytes > MESSAGE_ENTRY_BYTES_MAX) {
        round.begin(session, stream)
        bytes = more
      }
      round.add(item, part)
    }
    this.#watchLag(member)
    if (stream.resendAtMs !== undefined) return
    stream.resendAtMs = nowMs + options.resendMs
    stream.ackedThen = stream.acked
    this.#resends.add(stream.resendAtMs, member)
  }

  #resend(member: Member, atMs: number): void {
    const { stream } = member
    // Else it was of a stream that has ended.
    if (stream.resendAtMs !== atMs) return
    stream.resendAtMs = undefined
    if (stream.acked === stream.ackedThen) stream.rewind()
    this.pump([member.index])
  }

  #watchLag(member: Member): void {
    const { stream } = member
    const { idleSinceMs } = stream
    if (idleSinceMs === undefined || stream.isLagging || stream.lagAtMs !== undefined) return
    stream.lagAtMs = idleSinceMs + this.#context.options.lagMs
    this.#lagChecks.add(stream.lagAtMs, member)
  }

  #checkLag(member: Member, atMs: number): void {
    const { options, nowMs } = this.#context
    const { id: node, stream } = member
    if (stream.lagAtMs !== atMs) return
    stream.lagAtMs = undefined
    member.mayChange()
    if (!stream.checkLag(nowMs, options.lagMs)) this.#watchLag(member)
    else this.#context.notice('warn', 'replica-lagging', `node ${node} leaves in-sync`, { node })
  }
}
