/** `gateway/summary`: the fleet in some numbers, for programs that only watch. */
import type { MemberState } from '../shared/protocol/states.ts'

const SUMMARY_MS = 10_000

export interface FleetCounts {
  countByState(): Readonly<Record<MemberState, number>>
  counts(): Readonly<Record<string, number | undefined>>
}

/** Tells it now and every 10 s, as JSON; returns what ends that. */
export function tellSummaries(
  fleet: FleetCounts,
  disk: { readonly freeBytes: number | undefined },
  tell: (payload: string) => void,
): () => void {
  const look = (): void => tell(JSON.stringify(summaryOf(fleet, disk.freeBytes, Date.now())))
  look()
  const timer = setInterval(look, SUMMARY_MS)
  return () => clearInterval(timer)
}

/** Flat; what is not known yet is null. `ts` is Unix ms. */
export function summaryOf(
  fleet: FleetCounts,
  diskFreeBytes: number | undefined,
  ts: number,
): Readonly<Record<string, number | null>> {
  const { alive, suspect, dead } = fleet.countByState()
  const of = fleet.counts()
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
