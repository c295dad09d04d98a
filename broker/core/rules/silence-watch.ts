/**
 * Watches for members that fall silent, and whether it is the gateway itself that does not hear them:
 * failure-detector.ts says how long each may be silent, self-doubt.ts when silence does not count. What
 * follows from a verdict is fleet.ts's.
 */
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import { livenessOf, suspectAfter, untilNextVerdictMs } from '../state/failure-detector.ts'
import type { Member } from '../state/membership.ts'
import type { DoubtChange } from '../state/self-doubt.ts'
import { STABLE_MS } from '../state/steadiness.ts'

/** A board that installs a version starts anew, perhaps twice, and has 90 s each time to join. */
const UPGRADE_AWAY_MS = 180_000

export interface Verdicts {
  suspect(member: Member, reason: string): void
  die(member: Member): void
  /** It may be given tiles again. */
  release(member: Member): void
}

export class SilenceWatch {
  readonly #context: CoordinatorContext
  readonly #verdicts: Verdicts

  constructor(context: CoordinatorContext, verdicts: Verdicts) {
    this.#context = context
    this.#verdicts = verdicts
  }

  start(): void {
    const { members, doubt, nowMs } = this.#context
    doubt.advance(nowMs)
    for (const member of members.all) this.expect(member)
    this.#pulse()
  }

  /** It is to come back: its silence counts only once it had the time for that. */
  expect(member: Member): void {
    const { doubt, options } = this.#context
    const { reconnectMs, deadAfterMs } = options
    const awayMs = member.isUpgrading ? UPGRADE_AWAY_MS - deadAfterMs : 0
    member.silentSinceMs = doubt.clockMs + Math.max(reconnectMs, awayMs)
    this.watch(member)
  }

  /** First in every step: before anything is judged that fell due while the gateway stood still. */
  advance(): void {
    this.#context.doubt.advance(this.#context.nowMs)
    this.#tellChanges()
  }

  /** Its history goes on where the last session ended: what lies between does not count. */
  sessionBegan(member: Member): void {
    member.arrivals.interrupt()
    this.#context.doubt.cameBack(member.index)
    this.heard(member)
    this.watch(member)
    this.#awaitStability(member)
  }

  heard(member: Member): void {
    const { doubt, nowMs } = this.#context
    member.heardMs = nowMs
    member.silentSinceMs = doubt.clockMs
    doubt.heard(member.index)
    this.#tellChanges()
  }

  /** It is no member any more. */
  forget(member: Member): void {
    const { doubt, deadlines } = this.#context
    for (const kind of ['silence', 'stable']) deadlines.clear(`${kind}/${member.index}`)
    doubt.forget(member.index)
    this.#tellChanges()
  }

  /** A heartbeat: of all that a member says, only this comes at regular times. */
  beat(member: Member): void {
    const { doubt } = this.#context
    if (doubt.isDoubting) member.arrivals.interrupt()
    else member.arrivals.beat(doubt.clockMs)
  }

  /** A suspect member is heard again on the session that it has. */
  revived(member: Member): void {
    this.#context.doubt.cameBack(member.index)
    this.#tellChanges()
    this.#awaitStability(member)
  }

  suspected(member: Member): void {
    const { doubt, deadlines, nowMs } = this.#context
    deadlines.clear(`stable/${member.index}`)
    // Who is suspected while the gateway doubts itself does not flap for that.
    if (!doubt.isDoubting && member.steadiness.suspected(nowMs)) {
      const message = `node ${member.id} comes and goes: it gets no more tiles until it is stable`
      this.#context.notice('warn', 'node-quarantined', message, { node: member.id })
    }
    doubt.wentQuiet(member.index)
    this.#tellChanges()
  }

  probeReturned(beat: number): void {
    this.#context.doubt.probeReturned(beat)
    this.#tellChanges()
  }

  /** An operator says that the gateway is well. */
  trust(): void {
    this.#context.doubt.trust()
    this.#tellChanges()
  }

  /**
   * One deadline a member, moved only when it falls due: a beat costs no work here. In doubt nothing is
   * judged; all are watched again when that ends.
   */
  watch(member: Member): void {
    const { nowMs, options, deadlines, doubt } = this.#context
    const { silentMs, suspectMs } = this.#silenceOf(member)
    const waitMs = untilNextVerdictMs(silentMs, suspectMs, options.deadAfterMs)
    if (waitMs === undefined || doubt.isDoubting) return
    // Not less, or rounding could keep a wait of next to nothing going round.
    deadlines.set(`silence/${member.index}`, nowMs + Math.max(1, waitMs), () => this.#judge(member))
  }

  #judge(member: Member): void {
    const { doubt, options } = this.#context
    if (doubt.isDoubting) return
    const { silentMs, suspectMs } = this.#silenceOf(member)
    const liveness = livenessOf(silentMs, suspectMs, options.deadAfterMs)
    if (liveness === 'suspect' && member.state === 'alive') {
      this.#verdicts.suspect(member, 'it fell silent')
    }
    if (liveness === 'dead' && member.state !== 'dead' && member.state !== 'left') {
      this.#verdicts.die(member)
    }
    this.watch(member)
  }

  #silenceOf(member: Member): { silentMs: number; suspectMs: number } {
    const { doubt, options } = this.#context
    return {
      silentMs: doubt.clockMs - member.silentSinceMs,
      suspectMs: suspectAfter(member.arrivals, options),
    }
  }

  #pulse(): void {
    const { doubt, deadlines } = this.#context
    const { nextMs, beat } = doubt.pulse()
    this.#tellChanges()
    if (beat !== undefined) this.#context.emit({ type: 'probe', beat })
    deadlines.set('pulse', nextMs, () => this.#pulse())
  }

  #tellChanges(): void {
    const { doubt, members } = this.#context
    const changes = doubt.takeChanges()
    for (const change of changes) this.#tell(change)
    if (changes.length === 0 || doubt.isDoubting) return
    for (const member of members.all) this.watch(member)
  }

  #tell(change: DoubtChange): void {
    const { members, doubt, nowMs, options } = this.#context
    const { reason } = change
    if (change.kind === 'ended') {
      const { end, lastedMs } = change
      const level = end === 'bound' ? 'error' : 'info'
      const message = `the gateway trusts its view of the fleet again: ${end}`
      this.#context.notice(level, 'doubt-ended', message, { reason, end, ms: lastedMs })
      return
    }
    const message = `the gateway doubts its view of the fleet: ${change.about}`
    this.#context.notice('warn', 'doubt-began', message, { reason })
    if (reason !== 'mass-silence') return
    // They were suspected before there were enough of them to tell.
    const sinceMs = nowMs - options.suspectAfterMs
    for (const index of doubt.quiet) members.at(index).steadiness.forgive(sinceMs)
  }

  #awaitStability(member: Member): void {
    if (!member.steadiness.isQuarantined) return
    const { deadlines, nowMs } = this.#context
    deadlines.set(`stable/${member.index}`, nowMs + STABLE_MS, () => {
      member.steadiness.release()
      this.#verdicts.release(member)
      const message = `node ${member.id} has been stable for ${STABLE_MS / 60_000} min`
      this.#context.notice('info', 'node-released', message, { node: member.id })
    })
  }
}
