/**
 * Which nodes may be away at the same time. A node may go only if each written tile that it holds has another holder
 * that is in sync and stays; and no two go that hold the same tile, so that what one lacks the other need not give.
 * A decision without memory: what it costs grows with the slots alone.
 */
import type { WaveSize } from '../ledger-records.ts'
import type { Placement } from '../state/placement.ts'
import { NO_HOLDER } from '../state/slots.ts'
import { partsOf, planWrites } from './planner.ts'

/** Why nothing begins at this moment. */
export type UpgradeHindrance =
  | 'fetching'
  | 'wave'
  | 'pause'
  | 'doubting'
  | 'repairing'
  | 'sole-copies'
  | 'nodes-away'

export interface WaveQuestion {
  readonly placement: Pick<Placement, 'slots' | 'replicas' | 'isBorn'>
  /** By member index: in sync, and not about to go. */
  readonly stays: readonly boolean[]
  /** Member indexes, the first to be taken first. */
  readonly candidates: readonly number[]
  readonly size: number
  /** Tiles may be away with their only copy. */
  readonly mayBeAway: boolean
}

export function chooseWave(question: WaveQuestion): number[] {
  const { placement, stays, candidates, size, mayBeAway } = question
  const { slots, replicas } = placement
  const born: number[] = []
  for (let tile = 0; tile * replicas < slots.length; tile++) {
    if (placement.isBorn(tile)) born.push(tile)
  }
  const plan = planWrites({ tiles: Uint32Array.from(born), slots, replicas })
  const tilesOf = new Map(Array.from(partsOf(plan), ({ member, tiles }) => [member, tiles]))
  const isElsewhere = (tile: number, member: number): boolean => {
    for (let slot = tile * replicas; slot < (tile + 1) * replicas; slot++) {
      const holder = slots[slot]!
      if (holder !== NO_HOLDER && holder - 1 !== member && stays[holder - 1]) return true
    }
    return false
  }
  const taken = new Uint8Array(slots.length / replicas)
  const chosen: number[] = []
  for (const candidate of candidates) {
    if (chosen.length >= size) break
    const tiles = tilesOf.get(candidate) ?? NO_TILES
    if (!mayBeAway && !tiles.every((tile) => isElsewhere(tile, candidate))) continue
    if (tiles.some((tile) => taken[tile] === 1)) continue
    for (const tile of tiles) taken[tile] = 1
    chosen.push(candidate)
  }
  return chosen
}

const NO_TILES = new Uint32Array(0)

/** Nodes of a wave; never none. */
export function sizeOf(wave: WaveSize, targets: number): number {
  if ('nodes' in wave) return wave.nodes
  return Math.max(1, Math.floor((targets * wave.percent) / 100))
}
