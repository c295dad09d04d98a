/**
 * Watches for members that fall silent, and whether it is the gateway itself that does not hear them:
 * failure-detector.ts says how long each may be silent, self-doubt.ts when silence does not count. What
 * follows from a verdict is fleet.ts's.
 */
import type { Heartbeat } from '../../../shared/protocol/messages.ts'
import type { GatewayEffect } from '../effects.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Member } from '../state/membership.ts'
import type { DoubtChange } from '../state/self-doubt.ts'
import { STABLE_MS } from '../state/steadiness.ts'

/** A board that installs a version starts anew, perhaps twice, and has 90 s each time to join. */
const UPGRADE_AWAY_MS = 180_000
/** Judged at a time: a network that fails takes thousands with it, and each may have many parts that go to others. */
const VERDICTS_MAX = 16

export interface Verdicts {
  suspect(member: Member, reason: string): void
  die(member: Member): void
  /** It may be given tiles again. */
  release(member: Member): void
}

export class SilenceWatch {
  readonly #context: CoordinatorContext
  readonly #verdicts: Verdicts
  /** When all are looked at next, on the clock of silence: never later than some silence comes to something. */
  #lookMs = Number.POSITIVE_INFINITY

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
    const { doubt, detector, options } = this.#context
    const { reconnectMs, deadAfterMs } = options
    const awayMs = member.isUpgrading ? UPGRADE_AWAY_MS - deadAfterMs : 0
    detector.expect(member.index, doubt.clockMs + Math.max(reconnectMs, awayMs))
    this.#watch(member)
  }

  /** First in every step: before anything is judged that fell due while the gateway stood still. */
  advance(): void {
    this.#context.doubt.advance(this.#context.nowMs)
    this.#tellChanges()
  }

  /** Its history goes on where the last session ended: what lies between does not count. */
  sessionBegan(member: Member): void {
    const { doubt, detector } = this.#context
    detector.interrupt(member.index)
    doubt.cameBack(member.index)
    this.heard(member)
    this.#watch(member)
    this.#awaitStability(member)
  }

  heard(member: Member): void {
    const { doubt, detector, nowMs } = this.#context
    detector.heard(member.index, nowMs, doubt.clockMs)
    doubt.heard(member.index)
    this.#tellChanges()
  }

  /** It is no member any more. */
  forget(member: Member): void {
    const { doubt, deadlines } = this.#context
    deadlines.clear(`stable/${member.index}`)
    doubt.forget(member.index)
    this.#tellChanges()
  }

  /** A heartbeat: of all that a member says, only this comes at regular times. Returns its answer. */
  beat(member: Member, { beat, shed = 0 }: Heartbeat): GatewayEffect {
    const { doubt, detector, ts, pages } = this.#context
    const { index, stream } = member
    if (doubt.isDoubting) detector.interrupt(index)
    else detector.beat(index, doubt.clockMs)
    member.answersShed = shed
    const { number: session, connection } = member.session!
    const confirmed = stream.acked
    const message = { t: 'beat' as const, session, beat, ts, confirmed, ...pages.allowed(member) }
    return { type: 'send', connection, message }
  }

  /** A suspect member is heard again on the session that it has. */
  revived(member: Member): void {
    this.#context.doubt.cameBack(member.index)
    this.#tellChanges()
    this.#watch(member)
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
    this.#watch(member)
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

  /** It stands otherwise: another silence comes to something. */
  #watch(member: Member): void {
    const verdictMs = this.#verdictMs(member)
    this.#context.detector.judgeAt(member.index, verdictMs)
    if (verdictMs < this.#lookMs) this.#lookAt(verdictMs)
  }

  /** On the clock of silence. In doubt nothing is judged; the look is set again when that ends. */
  #lookAt(clockMs: number): void {
    const { nowMs, deadlines, doubt } = this.#context
    this.#lookMs = clockMs
    if (doubt.isDoubting || clockMs === Number.POSITIVE_INFINITY) return
    // Not less, or rounding could keep a wait of next to nothing going round.
    const waitMs = Math.max(1, clockMs - doubt.clockMs)
    deadlines.set('silence', nowMs + waitMs, () => this.#look())
  }

  /** One deadline for all members, moved only when it falls due: a beat costs no work here. */
  #look(): void {
    const { members, detector, doubt } = this.#context
    if (doubt.isDoubting) return
    for (const index of detector.due(doubt.clockMs, VERDICTS_MAX)) this.#judge(members.at(index))
    this.#lookAt(detector.nextVerdictMs)
  }

  /** One of those before it may have made the gateway doubt itself. */
  #judge(member: Member): void {
    if (this.#isOver(member) && member.state === 'alive') {
      this.#verdicts.suspect(member, 'it fell silent')
    }
    if (this.#isOver(member)) this.#verdicts.die(member)
    this.#watch(member)
  }

  #isOver(member: Member): boolean {
    const { doubt } = this.#context
    return !doubt.isDoubting && this.#verdictMs(member) <= doubt.clockMs
  }

  #verdictMs({ index, state }: Member): number {
    const { detector, options } = this.#context
    const sinceMs = detector.sinceMs(index)
    if (state === 'alive') return sinceMs + detector.suspectAfterMs(index)
    return state === 'suspect' ? sinceMs + options.deadAfterMs : Number.POSITIVE_INFINITY
  }

  #pulse(): void {
    const { doubt, deadlines } = this.#context
    const { nextMs, beat } = doubt.pulse()
    this.#tellChanges()
    if (beat !== undefined) this.#context.emit({ type: 'probe', beat })
    deadlines.set('pulse', nextMs, () => this.#pulse())
  }

  #tellChanges(): void {
    const { doubt } = this.#context
    const changes = doubt.takeChanges()
    for (const change of changes) this.#tell(change)
    if (changes.length > 0) this.#lookAt(this.#lookMs)
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
