/**
 * What the ledger has of a ghost (docs/osl.md, Ghosts): of each program the last one, whatever became of it. It changes
 * with each task that it shadowed, and grows no larger by that.
 */

/** What may become of a ghost; in the first two, it may still become another. */
export type GhostState = 'running' | 'equal' | 'differs' | 'promoted' | 'too-slow' | 'ended'

/** Where a ghost differs from the version that it shadows. */
export interface GhostDifference {
  readonly task: string
  /** A field, or an output. */
  readonly what: string
  /** Of a write. */
  readonly lsu?: number
  readonly current: string | number | null
  readonly ghost: string | number | null
  /** Cells, or numbers of a value, that differ by more than is tolerated: as far as was told by then. */
  readonly differ: number
  readonly max: number
}

export interface GhostRecord {
  /** Counts the ghosts of the program. */
  readonly number: number
  readonly version: number
  /** The version that it shadows. */
  readonly beside: number
  readonly sample: number
  readonly runs: number
  readonly tolerance: number
  readonly promote: 'manual' | 'auto'
  readonly by: string | null
  /** When it began, and when it came to its state; Unix ms. */
  readonly ts: number
  readonly stateTs: number
  readonly state: GhostState
  /** Tasks that it was equal in, that were not compared in whole, and that it took too long in. */
  readonly equal: number
  readonly missed: number
  readonly late: number
  readonly difference?: GhostDifference
}
