/**
 * The codex, as the HTTP door shows it (docs/protocol.md, `/api/codex`): programs that tasks can name, their versions,
 * and the contexts that say which is meant.
 */

export interface CodexView {
  /** In the order in which they came. */
  readonly programs: readonly ProgramRowView[]
  readonly contexts: readonly ContextView[]
  /** Verified versions ÷ versions. */
  readonly integrity: number
}

export interface ProgramRowView {
  readonly name: string
  readonly number: number
  readonly glyph?: string
  /** Current in `main`. */
  readonly version: number
  /** Of the newest one. */
  readonly latest: number
  /** Those of the current one. */
  readonly kind: 'write' | 'read'
  readonly columns?: string
  readonly parameters: readonly string[]
  readonly hash: string
  /** Units a cell; null where this gateway cannot compile it any more. */
  readonly cost: number | null
  /** Who defined it, where everybody is asked who he is, and when, Unix ms. */
  readonly by: string | null
  readonly ts: number
  /** The last one. */
  readonly ghost?: GhostView
}

/** A version that shadows the current one, or did. */
export interface GhostView {
  readonly version: number
  /** The version that it is compared with. */
  readonly beside: number
  readonly state: 'running' | 'equal' | 'differs' | 'promoted' | 'too-slow' | 'ended'
  readonly sample: number
  readonly runs: number
  readonly tolerance: number
  readonly promote: 'manual' | 'auto'
  readonly by: string | null
  /** When it began, and when it came to its state; Unix ms. */
  readonly ts: number
  readonly state_ts: number
  /** Tasks in which it was equal, and those that were not compared in whole. */
  readonly equal: number
  readonly missed: number
  readonly difference?: {
    readonly task: string
    /** A field, or an output. */
    readonly what: string
    readonly lsu?: number
    readonly current: string | number | null
    readonly ghost: string | number | null
    readonly differ: number
    readonly max_difference: number
  }
}

export interface ContextView {
  readonly name: string
  /** Counts its changes; 0 of one that is not there. */
  readonly version: number
  readonly programs: Readonly<Record<string, number>>
}

export interface VersionView {
  readonly name: string
  readonly version: number
  readonly number: number
  readonly glyph?: string
  readonly kind: 'write' | 'read'
  /** Of one over items: what a record has. */
  readonly columns?: string
  readonly parameters: readonly string[]
  readonly hash: string
  readonly parent: number | null
  readonly by: string | null
  /** Unix ms. */
  readonly ts: number
  /** Hexadecimal. */
  readonly chain: string
  readonly verified: boolean
  /** Contexts that name it. */
  readonly current_in: readonly string[]
}

export interface ProgramView {
  readonly name: string
  readonly number: number
  readonly glyph?: string
  /** The last one. */
  readonly ghost?: GhostView
  /** The newest first. */
  readonly versions: readonly VersionView[]
}

/** What is known of a program without running it. */
export interface CheckedView {
  readonly kind: 'write' | 'read'
  readonly hash: string
  readonly parameters: readonly string[]
  readonly microglyphs: readonly { readonly text: string; readonly cost: number }[]
  /** Units a cell. */
  readonly cost: number
  readonly reach: number
  /** Of code and constants, as they travel. */
  readonly bytes: number
}

export interface SourceView extends VersionView {
  readonly source: string
  /** Null where this gateway cannot compile it any more. */
  readonly explained: CheckedView | null
}
