/**
 * What becomes of ghosts (docs/osl.md, Ghosts): nodes tell how they compare in a part of a write, and the values of reads
 * are compared here. A difference ends a ghost in the step in which it is told, so that it cannot be lost with what else
 * is known of the write. A write counts once it is done, and only if each of its tiles was compared.
 */

import { differenceOf } from '../../../shared/operations/ghost-values.ts'
import { STATUS } from '../../../shared/osl/codex.ts'
import type { GhostReport } from '../../../shared/protocol/ghost-report.ts'
import { MAIN_CONTEXT } from '../../../shared/protocol/program-call.ts'
import type { GhostDifference, GhostRecord } from '../ghost-record.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import { GhostTally } from '../state/ghost-tally.ts'
import { type GhostRun, isOpen } from '../state/ghosts.ts'
import type { OpenWrite } from '../state/open-write.ts'
import { tilesOf } from '../state/task-extent.ts'
import type { Task } from '../state/task-ledger.ts'
import { publishCodex } from './codex-notice.ts'

interface Shadowing {
  readonly name: string
  readonly ghost: GhostRecord
}

export class GhostWatch {
  readonly #context: CoordinatorContext

  constructor(context: CoordinatorContext) {
    this.#context = context
  }

  /** A node has acted on these tiles of a write. */
  told(write: OpenWrite, tiles: Uint32Array, report: GhostReport): void {
    const { task } = write
    const shadowing = this.#shadowing(task)
    if (shadowing === undefined) return
    write.ghost ??= new GhostTally(tilesOf(task.body!, this.#context.options.grid))
    write.ghost.add(tiles, report)
    const { difference } = write.ghost
    if (difference === undefined) return
    const { field, ...rest } = difference
    const { fields } = this.#context.options.grid
    const what = field === STATUS ? 'status' : (fields[field]?.name ?? String(field))
    this.#differs(shadowing, { task: task.id, what, ...rest })
  }

  /** A write is done. */
  done({ task, ghost: tally }: OpenWrite): void {
    const shadowing = this.#shadowing(task)
    if (shadowing === undefined) return
    const isComplete = tally?.isComplete === true
    this.#count(shadowing, { isComplete, isLate: tally?.isLate === true })
  }

  /** A read has its value; that of the ghost is not there unless all parts were answered with it. */
  compared(task: Task, current: unknown, ghost: unknown): void {
    const shadowing = this.#shadowing(task)
    if (shadowing === undefined) return
    if (ghost === undefined) {
      this.#count(shadowing, { isComplete: false, isLate: false })
      return
    }
    const { first, ...found } = differenceOf(current, ghost, shadowing.ghost.tolerance)
    if (first !== undefined) this.#differs(shadowing, { task: task.id, ...first, ...found })
    else this.#count(shadowing, { isComplete: true, isLate: false })
  }

  /** Another version may have become current. */
  followSwitch(name: string): void {
    const { codex, ghosts } = this.#context
    const ghost = ghosts.of(name)
    if (ghost === undefined || !isOpen(ghost)) return
    const current = codex.currentOf(name, MAIN_CONTEXT)
    if (current === ghost.version) this.#end({ name, ghost }, 'promoted', 'it is current by now')
    else if (current !== ghost.beside) {
      this.#end({ name, ghost }, 'ended', `version ${current} is current by now`)
    }
  }

  /** An operator wants no more of it. */
  endByHand(name: string, ghost: GhostRecord, by: string | undefined): void {
    this.#end({ name, ghost }, 'ended', 'it was ended by hand', by === undefined ? {} : { by })
  }

  #shadowing({ body }: Task): Shadowing | undefined {
    const { name, ghost: asked } = body?.program ?? {}
    if (name === undefined || asked === undefined) return undefined
    const ghost = this.#context.ghosts.find(name, asked.number)
    return ghost && { name, ghost }
  }

  #differs({ name, ghost }: Shadowing, difference: GhostDifference): void {
    const { ghosts, ts } = this.#context
    this.#context.persist(ghosts.end(name, 'differs', ts, difference))
    const { task, what, lsu, current, ghost: other, differ, max } = difference
    const where = lsu === undefined ? what : `${what} of LSU ${lsu}`
    const message = `${name}@${ghost.version} differs from ${name}@${ghost.beside} in task ${task}: ${where} is ${current}, and ${other} by the ghost`
    this.#context.notice('warn', 'ghost-differs', message, {
      ...{ program: name, version: ghost.version, beside: ghost.beside, task, what },
      ...(lsu === undefined ? {} : { lsu }),
      ...{ current: current ?? 'null', ghost: other ?? 'null', differ, max_difference: max },
    })
    publishCodex(this.#context)
  }

  #count({ name, ghost: before }: Shadowing, run: GhostRun): void {
    const { ghosts, ts } = this.#context
    this.#context.persist(ghosts.count(name, run, ts))
    const ghost = ghosts.of(name)!
    if (ghost.state === before.state) return
    const fields = { program: name, version: ghost.version, beside: ghost.beside }
    if (ghost.state === 'too-slow') {
      const message = `${name}@${ghost.version} took much longer than its cost says, in ${ghost.late} tasks`
      this.#context.notice('warn', 'ghost-too-slow', message, fields)
    } else {
      const message = `${name}@${ghost.version} was equal to ${name}@${ghost.beside} in ${ghost.equal} tasks`
      this.#context.notice('info', 'ghost-equal', message, fields)
      if (ghost.promote === 'auto') this.#promote({ name, ghost })
    }
    publishCodex(this.#context)
  }

  #promote({ name, ghost }: Shadowing): void {
    const { codex } = this.#context
    const { version, beside } = ghost
    const change = codex.use({ name, version, context: MAIN_CONTEXT, ifVersion: beside })
    // Another one would have ended it.
    if (!change.ok) return
    for (const record of change.records) this.#context.persist(record)
    const message = `version ${version} of program ${name} is current in ${MAIN_CONTEXT}`
    // Who began it wanted that.
    const who = ghost.by === null ? {} : { by: ghost.by }
    const fields = { program: name, version, context: MAIN_CONTEXT, ...who }
    this.#context.notice('info', 'program-switched', message, fields)
    this.#end({ name, ghost }, 'promoted', 'it is current by now')
  }

  #end(
    { name, ghost }: Shadowing,
    state: 'promoted' | 'ended',
    why: string,
    who: { by?: string } = {},
  ): void {
    const { ghosts, ts } = this.#context
    this.#context.persist(ghosts.end(name, state, ts))
    const message = `${name}@${ghost.version} shadows ${name}@${ghost.beside} no more: ${why}`
    const fields = { program: name, version: ghost.version, beside: ghost.beside, ...who }
    this.#context.notice('info', 'ghost-ended', message, fields)
  }
}
