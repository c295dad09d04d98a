/**
 * Splits a task into shards: which member does which tiles, or which items. Plans are flat typed
 * arrays (members, offsets, tiles), since one task may touch 262,144 tiles on 10,000 nodes and is to
 * be planned in a few milliseconds.
 */
import { hashText } from '../../../shared/core/hash.ts'
import { createLayout } from '../../../shared/grid/page-layout.ts'
import {
  ENTRY_PAGE_BYTES_MAX,
  type GridContext,
  PART_BYTES_MAX,
  type ReadOperation,
  TILE_ID_BYTES,
  type Wire,
  type WriteOperation,
} from '../../../shared/operations/operation.ts'
import type { Items } from '../../../shared/protocol/task.ts'
import type { HashRing } from '../state/hash-ring.ts'
import { MEMBERS_MAX } from '../state/placement.ts'
import { NO_HOLDER } from '../state/slots.ts'

/** The tiles of `members[i]` are `tiles[offsets[i] … offsets[i + 1])`, ascending. */
export interface TilePlan {
  readonly members: Uint32Array
  readonly offsets: Uint32Array
  readonly tiles: Uint32Array
  /** Tiles that nobody can take now. */
  readonly unplaced: Uint32Array
}

export interface PlanInput {
  readonly tiles: Uint32Array
  /** As of `Placement.slots`. */
  readonly slots: Uint32Array
  readonly replicas: number
}

/** Tiles of each holder, then where its next one goes; of one plan at a time, and zeros between two. */
const counts = new Uint32Array(MEMBERS_MAX + 1)

/** The holder of each slot of one plan at a time: as large as the largest was. */
let scratch = new Uint32Array(0)

function scratchOf(length: number): Uint32Array {
  if (scratch.length < length) scratch = new Uint32Array(length)
  return scratch.subarray(0, length)
}

/** One holder a tile: the first in ring order that is `usable` (one byte a member index). */
export function planReads(input: PlanInput, usable: Uint8Array): TilePlan {
  const { tiles, slots, replicas } = input
  const chosen = scratchOf(tiles.length)
  for (let index = 0; index < tiles.length; index++) {
    // `imul`, here and below: a plain product is computed and checked as a float, at twice the time.
    const start = Math.imul(tiles[index]!, replicas)
    let holder = slots[start]!
    // Nearly always the first; the search stands apart so that this loop stays small and fast.
    if (holder !== NO_HOLDER && usable[holder - 1] !== 1) {
      holder = nextUsable(slots, start + 1, start + replicas, usable)
    }
    chosen[index] = holder
  }
  return groupByMember(tiles, chosen, { each: 1, last: usable.length })
}

function nextUsable(slots: Uint32Array, from: number, end: number, usable: Uint8Array): number {
  for (let slot = from; slot < end; slot++) {
    const holder = slots[slot]!
    if (holder === NO_HOLDER || usable[holder - 1] === 1) return holder
  }
  return NO_HOLDER
}

/** Every holder of every tile. */
export function planWrites(input: PlanInput): TilePlan {
  const { tiles, slots, replicas } = input
  const chosen = scratchOf(tiles.length * replicas)
  let at = 0
  let last = NO_HOLDER
  for (let index = 0; index < tiles.length; index++) {
    const start = Math.imul(tiles[index]!, replicas)
    for (let slot = start; slot < start + replicas; slot++) {
      const holder = slots[slot]!
      chosen[at++] = holder
      if (holder > last) last = holder
    }
  }
  return groupByMember(tiles, chosen, { each: replicas, last })
}

/**
 * A counting sort by member; `chosen` has `each` slots a tile, 0 stands for nobody, and none is
 * above `last`.
 */
function groupByMember(
  tiles: Uint32Array,
  chosen: Uint32Array,
  { each, last }: { each: number; last: number },
): TilePlan {
  for (let slot = 0; slot < chosen.length; slot++) counts[chosen[slot]!]!++
  const holders = holdersAmong(chosen, last)
  const plan = {
    members: new Uint32Array(holders.length),
    offsets: new Uint32Array(holders.length + 1),
    tiles: new Uint32Array(chosen.length - counts[NO_HOLDER]!),
  }
  let offset = 0
  for (let at = 0; at < holders.length; at++) {
    const holder = holders[at]!
    const count = counts[holder]!
    plan.members[at] = holder - 1
    counts[holder] = offset
    offset += count
    plan.offsets[at + 1] = offset
  }
  const grouped = plan.tiles
  const unplaced: number[] = []
  let index = 0
  let rank = 0
  for (let slot = 0; slot < chosen.length; slot++) {
    const holder = chosen[slot]!
    if (holder !== NO_HOLDER) grouped[counts[holder]!++] = tiles[index]!
    else if (rank === 0) unplaced.push(tiles[index]!)
    if (++rank === each) {
      rank = 0
      index++
    }
  }
  counts[NO_HOLDER] = 0
  for (let at = 0; at < holders.length; at++) counts[holders[at]!] = 0
  return { ...plan, unplaced: Uint32Array.from(unplaced) }
}

/** Ascending. Most plans are of a few tiles, on a fleet that is far larger: then nobody else is looked at. */
function holdersAmong(chosen: Uint32Array, last: number): Uint32Array {
  if (chosen.length * 4 < last) {
    const few = Uint32Array.from(new Set(chosen)).sort()
    return few[0] === NO_HOLDER ? few.subarray(1) : few
  }
  const holders = new Uint32Array(last)
  let length = 0
  for (let holder = 1; holder <= last; holder++) {
    if (counts[holder]! > 0) holders[length++] = holder
  }
  return holders.subarray(0, length)
}

/** The plan with at most `tilesMax` a part: a member may stand in it several times, one after the other. */
export function cutPlan(plan: TilePlan, tilesMax: number): TilePlan {
  const { members, offsets } = plan
  let parts = 0
  for (let at = 0; at < members.length; at++) {
    parts += Math.ceil((offsets[at + 1]! - offsets[at]!) / tilesMax)
  }
  if (parts === members.length) return plan
  const cut = { members: new Uint32Array(parts), offsets: new Uint32Array(parts + 1) }
  let part = 0
  for (let at = 0; at < members.length; at++) {
    const end = offsets[at + 1]!
    for (let start = offsets[at]!; start < end; start += tilesMax) {
      cut.members[part] = members[at]!
      part += 1
      cut.offsets[part] = Math.min(start + tilesMax, end)
    }
  }
  return { ...plan, ...cut }
}

/** The tiles of each part of a plan. */
export function* partsOf({
  members,
  offsets,
  tiles: all,
}: TilePlan): Generator<{ member: number; tiles: Uint32Array }> {
  for (let index = 0; index < members.length; index++) {
    const length = offsets[index + 1]! - offsets[index]!
    // A view by its constructor costs a third of one by `subarray`.
    const at = all.byteOffset + offsets[index]! * TILE_ID_BYTES
    yield { member: members[index]!, tiles: new Uint32Array(all.buffer, at, length) }
  }
}

export function writeTilesMax(
  op: WriteOperation,
  args: Wire,
  tiles: Uint32Array,
  context: GridContext,
): number {
  const perTile = TILE_ID_BYTES + op.argumentBytesPerTile(args, context, tiles)
  const page = createLayout(context.fields, context.geometry.tile ** 2).bytes
  return Math.max(
    1,
    Math.min(Math.floor(PART_BYTES_MAX / perTile), Math.floor(ENTRY_PAGE_BYTES_MAX / page)),
  )
}

export function readTilesMax(
  op: ReadOperation,
  args: Wire,
  tiles: Uint32Array,
  context: GridContext,
): number {
  const perTile = Math.max(TILE_ID_BYTES, op.resultBytesPerTile(args, context, tiles))
  return Math.max(1, Math.floor(PART_BYTES_MAX / perTile))
}

/** In the place of tiles, the indexes of the items that go to each member; each item is routed by its key. */
export function planItems(
  keys: readonly string[],
  ring: HashRing,
  accepts: (member: number) => boolean,
): TilePlan {
  const indexes = new Uint32Array(keys.length)
  const chosen = new Uint32Array(keys.length)
  let last = NO_HOLDER
  for (let index = 0; index < keys.length; index++) {
    indexes[index] = index
    const member = ring.find(hashText(keys[index]!), accepts)
    const holder = member === undefined ? NO_HOLDER : member + 1
    chosen[index] = holder
    if (holder > last) last = holder
  }
  return groupByMember(indexes, chosen, { each: 1, last })
}

/** Cuts items into runs of at most PART_BYTES_MAX, one item at least. */
export function* cutItems(indexes: Iterable<number>, items: Items): Generator<number[]> {
  let run: number[] = []
  let bytes = 0
  for (const index of indexes) {
    const size = items.values[index]!.length + items.keys[index]!.length + 8
    if (run.length > 0 && bytes + size > PART_BYTES_MAX) {
      yield run
      run = []
      bytes = 0
    }
    run.push(index)
    bytes += size
  }
  if (run.length > 0) yield run
}
