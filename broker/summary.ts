/** `gateway/summary`: the fleet in some numbers, for programs that only watch. */
import type { MemberState } from '../shared/protocol/states.ts'

/** How often it is told. */
export const SUMMARY_MS = 10_000

export interface SummarySources {
  countByState(): Readonly<Record<MemberState, number>>
  counts(): Readonly<Record<string, number | undefined>>
  readonly diskFreeBytes: number | undefined
}

/** Flat; what is not known yet is null. `ts` is Unix ms. */
export function summaryOf(
  { countByState, counts, diskFreeBytes }: SummarySources,
  ts: number,
): Readonly<Record<string, number | null>> {
  const { alive, suspect, dead } = countByState()
  const of = counts()
  const count = (name: string): number | null => of[name] ?? null
  return {
    nodes_alive: alive,
    nodes_suspect: suspect,
    nodes_dead: dead,
    tiles_missing: count('tilesMissing'),
    moves_open: count('movesOpen'),
    moves_planned: count('movesPlanned'),
    writes_waiting: count('writesWaiting'),
    writes_in_log: count('writesInLog'),
    reads_open: count('readsOpen'),
    tasks_known: count('tasksKnown'),
    log_bytes: count('logBytes'),
    doubts: count('doubts'),
    recovering: count('recovering'),
    sequence: count('sequence'),
    epoch: count('epoch'),
    disk_free_bytes: diskFreeBytes ?? null,
    ts,
  }
}
