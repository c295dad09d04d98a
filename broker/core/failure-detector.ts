/**
 * Says how a member looks from how long it has been silent. Pure: who was heard when is the
 * membership's memory, what follows from suspicion is decided there and in the coordinator.
 * A closed socket makes a member suspect at once; this is the slow path for sockets that stay open.
 */

export interface DetectorOptions {
  /** Above twice the heartbeat interval, so that one late beat accuses nobody. */
  readonly suspectAfterMs: number
  /** Longer than a reboot of the slowest board. */
  readonly deadAfterMs: number
}

export type Liveness = 'alive' | 'suspect' | 'dead'

export function livenessOf(silentMs: number, options: DetectorOptions): Liveness {
  if (silentMs >= options.deadAfterMs) return 'dead'
  return silentMs >= options.suspectAfterMs ? 'suspect' : 'alive'
}

/** How long until silence would change the verdict; nothing once dead. */
export function untilNextVerdictMs(silentMs: number, options: DetectorOptions): number | undefined {
  if (silentMs < options.suspectAfterMs) return options.suspectAfterMs - silentMs
  if (silentMs < options.deadAfterMs) return options.deadAfterMs - silentMs
  return undefined
}
