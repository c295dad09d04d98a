/**
 * Ghosts: versions of programs that shadow the current ones, without effect (docs/osl.md, Ghosts). A program has one at
 * a time at most; the last one is kept with what became of it. What asks for a change gets the record that makes it.
 */

import type { Random } from '../../../shared/core/random.ts'
import { haveRoomTogether } from '../../../shared/operations/program.ts'
import type { Program } from '../../../shared/osl/program.ts'
import { MAIN_CONTEXT } from '../../../shared/protocol/program-call.ts'
import type { GhostDifference, GhostRecord, GhostState } from '../ghost-record.ts'
import type { LedgerContents, LedgerRecord, ProgramRecord } from '../ledger-records.ts'
import type { Change, Codex, CodexFault, Pinned } from './codex.ts'

/** Tasks in which a ghost may take too long: in the last of these it ends. */
const LATE_MAX = 2

export interface GhostWish
  extends Pick<GhostRecord, 'version' | 'sample' | 'runs' | 'tolerance' | 'promote'> {
  readonly name: string
}

/** What one task says of a ghost. */
export interface GhostRun {
  /** All that the task goes over was compared. */
  readonly isComplete: boolean
  readonly isLate: boolean
}

export class Ghosts implements Pinned {
  readonly #records = new Map<string, GhostRecord>()

  restore({ ghost }: Pick<LedgerContents, 'ghost'>): void {
    for (const { key, value } of ghost) this.#records.set(String(key), value)
  }

  /** The last one of a program, whatever became of it. */
  of(name: string): GhostRecord | undefined {
    return this.#records.get(name)
  }

  pins(name: string, version: number): boolean {
    const ghost = this.#records.get(name)
    return ghost !== undefined && isOpen(ghost) && version === ghost.version
  }

  /** The one that shadows a task which gets this version. */
  draw({ name, version }: ProgramRecord, random: Random): GhostRecord | undefined {
    const ghost = this.#records.get(name)
    if (ghost?.state !== 'running' || ghost.beside !== version) return undefined
    return ghost.sample === 1 || random.unit() < ghost.sample ? ghost : undefined
  }

  begin(
    wish: GhostWish,
    codex: Codex,
    { by, ts }: Pick<GhostRecord, 'by' | 'ts'>,
  ): Change<GhostRecord> {
    const { name, ...asked } = wish
    const beside = codex.currentOf(name, MAIN_CONTEXT)
    const fault = codex.lackOf(name, wish.version) ?? faultOf(wish, beside!, codex)
    if (fault !== undefined) return { ok: false, fault }
    const last = this.#records.get(name)
    if (last !== undefined && isOpen(last)) {
      const message = `version ${last.version} shadows ${name} already: end that first`
      return { ok: false, fault: { code: 'version-conflict', message } }
    }
    const counts = { equal: 0, missed: 0, late: 0 }
    const made: GhostRecord = {
      ...{ number: (last?.number ?? 0) + 1, ...asked, beside: beside!, by, ts },
      ...{ state: 'running', stateTs: ts, ...counts },
    }
    return { ok: true, made, records: [this.#put(name, made)] }
  }

  /** One of a task that was accepted with it, if it still runs. */
  find(name: string, number: number): GhostRecord | undefined {
    const ghost = this.#records.get(name)
    return ghost?.state === 'running' && ghost.number === number ? ghost : undefined
  }

  /** One more task has ended that it shadowed without a difference. */
  count(name: string, { isComplete, isLate }: GhostRun, ts: number): LedgerRecord {
    const ghost = this.#records.get(name)!
    const equal = ghost.equal + (isComplete ? 1 : 0)
    const missed = ghost.missed + (isComplete ? 0 : 1)
    const late = ghost.late + (isLate ? 1 : 0)
    const counted = { ...ghost, equal, missed, late }
    if (late >= LATE_MAX) return this.#put(name, { ...counted, state: 'too-slow', stateTs: ts })
    if (equal < ghost.runs) return this.#put(name, counted)
    return this.#put(name, { ...counted, state: 'equal', stateTs: ts })
  }

  end(
    name: string,
    state: Exclude<GhostState, 'running'>,
    ts: number,
    difference?: GhostDifference,
  ): LedgerRecord {
    const ghost = this.#records.get(name)!
    const found = difference === undefined ? {} : { difference }
    return this.#put(name, { ...ghost, state, stateTs: ts, ...found })
  }

  #put(name: string, value: GhostRecord): LedgerRecord {
    this.#records.set(name, value)
    return { table: 'ghost', key: name, value }
  }
}

/** It may still become something else. */
export function isOpen({ state }: GhostRecord): boolean {
  return state === 'running' || state === 'equal'
}

/** Why a version cannot shadow the current one. */
function faultOf(
  { name, version }: GhostWish,
  beside: number,
  codex: Codex,
): CodexFault | undefined {
  const no = (message: string): CodexFault => ({
    problems: [{ path: 'version', code: 'not-allowed', message }],
  })
  if (version === beside) return no(`version ${version} of ${name} is the current one`)
  const [ghost, current] = [version, beside].map((one) => codex.find(name, one)!)
  if (ghost!.kind !== current!.kind) {
    return no(`version ${version} is a ${ghost!.kind}, and the current one is a ${current!.kind}`)
  }
  const [own, its] = [ghost!, current!].map(({ parameters }) => [...parameters].sort().join(' $'))
  if (own !== its) {
    return no(`version ${version} takes other parameters than the current one`)
  }
  const programs: Program[] = []
  for (const record of [ghost!, current!]) {
    if (record.columns !== undefined) {
      return no(`version ${record.version} runs over items, and nothing can shadow that`)
    }
    if (codex.isDamaged(record)) return no(`version ${record.version} is not as it was defined`)
    const compiled = codex.compiled(record)
    if (!compiled.ok) return { problems: compiled.problems }
    programs.push(compiled.value.program)
    if (compiled.value.sound.reach > 0) {
      return no(`version ${record.version} reads neighbours, which nothing can shadow`)
    }
  }
  if (haveRoomTogether(programs)) return undefined
  return no(`what versions ${version} and ${beside} return is too much for one answer`)
}
