/**
 * Which nodes may be away at the same time. A node may go only if each written tile that it holds has another holder
 * that is in sync and stays; and no two go that hold the same tile, so that what one lacks the other need not give.
 * A decision without memory, over all tiles in two passes: what it costs grows with the slots alone.
 */

import type { WaveSize } from '../ledger-records.ts'
import { NO_HOLDER } from '../state/slots.ts'

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
  /** `replicas` a tile: member index + 1, or none (placement.ts). */
  readonly slots: Uint32Array
  readonly replicas: number
  isBorn(tile: number): boolean
  /** By member index: in sync, and not about to go. */
  readonly stays: readonly boolean[]
  /** Member indexes, the first to be taken first. */
  readonly candidates: readonly number[]
  readonly size: number
  /** Tiles may be away with their only copy. */
  readonly mayBeAway: boolean
}

export function chooseWave(question: WaveQuestion): number[] {
  const { candidates, size, mayBeAway } = question
  const { sole, tilesOf } = tilesOfCandidates(question)
  const taken = new Uint8Array(question.slots.length / question.replicas)
  const chosen: number[] = []
  for (const candidate of candidates) {
    if (chosen.length >= size) break
    if (sole.has(candidate) && !mayBeAway) continue
    const tiles = tilesOf(candidate)
    if (tiles.some((tile) => taken[tile] === 1)) continue
    for (const tile of tiles) taken[tile] = 1
    chosen.push(candidate)
  }
  return chosen
}

/** The written tiles of each candidate, and those of whom a tile has no other copy that stays. */
function tilesOfCandidates({ slots, replicas, isBorn, stays, candidates }: WaveQuestion): {
  readonly sole: Set<number>
  tilesOf(candidate: number): Uint32Array
} {
  const sole = new Set<number>()
  const rows = new Map(candidates.map((candidate, row) => [candidate, row]))
  const ends = new Uint32Array(candidates.length + 1)
  const bornTiles: number[] = []
  for (let tile = 0; tile * replicas < slots.length; tile++) {
    if (!isBorn(tile)) continue
    bornTiles.push(tile)
    const first = tile * replicas
    let staying = 0
    for (let slot = first; slot < first + replicas; slot++) {
      if (slots[slot] !== NO_HOLDER && stays[slots[slot]! - 1]) staying += 1
    }
    for (let slot = first; slot < first + replicas; slot++) {
      const holder = slots[slot]! - 1
      const row = rows.get(holder)
      if (slots[slot] === NO_HOLDER || row === undefined) continue
      ends[row + 1]! += 1
      if (staying - (stays[holder] ? 1 : 0) === 0) sole.add(holder)
    }
  }
  for (let row = 1; row < ends.length; row++) ends[row]! += ends[row - 1]!
  const all = new Uint32Array(ends.at(-1)!)
  const next = ends.slice()
  for (const tile of bornTiles) {
    for (let slot = tile * replicas; slot < (tile + 1) * replicas; slot++) {
      const row = slots[slot] === NO_HOLDER ? undefined : rows.get(slots[slot]! - 1)
      if (row !== undefined) all[next[row]!++] = tile
    }
  }
  return {
    sole,
    tilesOf(candidate) {
      const row = rows.get(candidate)!
      return all.subarray(ends[row], ends[row + 1])
    },
  }
}

/** Nodes of a wave; never none. */
export function sizeOf(wave: WaveSize, targets: number): number {
  if ('nodes' in wave) return wave.nodes
  return Math.max(1, Math.floor((targets * wave.percent) / 100))
}
