/**
 * Who holds each tile of a part of the grid, for those who draw it: packed, since a grid may have 262,144 tiles
 * and more. All of it is of one moment. It is put in order in slices, between which others may be served.
 */
import type { Problem } from '../../../shared/protocol/problems.ts'
import { TILE_BORN, TILE_MISSING, TILES_SHOWN_MAX } from '../../../shared/protocol/ring-tiles.ts'
import type { RingTilesView, RingView } from '../../../shared/protocol/views.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Member } from '../state/membership.ts'
import { NO_HOLDER } from '../state/slots.ts'

/** A rectangle of tiles; what is left out goes to the edge of the grid. */
export interface TileArea {
  readonly x?: number | undefined
  readonly y?: number | undefined
  readonly w?: number | undefined
  readonly h?: number | undefined
}

/** Slots that are renumbered without a break. */
const SLICE_SLOTS = 65_536
/** Of lists, which are to be gone before the next ones are made. */
const SLICE_TILES = 2048

type Bounds = Required<{ [K in keyof TileArea]: number }>

/** Who takes the slices may serve others between them. */
export type RingTiles =
  | { readonly ok: true; readonly slices: Generator<void, RingTilesView> }
  | { readonly ok: false; readonly problem: Problem }

export function readRingTiles(context: CoordinatorContext, area: TileArea): RingTiles {
  const { geometry } = context.options.grid
  const { tilesAcross, tilesDown } = geometry
  const { x = 0, y = 0 } = area
  const { w = tilesAcross - x, h = tilesDown - y } = area
  if (w < 1 || h < 1 || x + w > tilesAcross || y + h > tilesDown) {
    const message = `the grid has ${tilesAcross} × ${tilesDown} tiles, and these are not all in it`
    return { ok: false, problem: { path: '', code: 'outside-grid', message } }
  }
  if (w * h > TILES_SHOWN_MAX) {
    const message = `that is ${w * h} tiles, at most ${TILES_SHOWN_MAX} are shown at a time`
    return { ok: false, problem: { path: '', code: 'out-of-range', message } }
  }
  return { ok: true, slices: slicesOf(context, { x, y, w, h }) }
}

/** Of each tile, some at a time, in ring order: where its holders stand among the `listed`. All is of this moment. */
export function readRingHolders(
  { placement }: CoordinatorContext,
  listed: readonly Member[],
): Generator<number[][]> {
  const places = new Map(listed.map(({ index }, place) => [index + 1, place]))
  return placesOf(placement.slots.slice(), placement.replicas, places)
}

function* placesOf(
  slots: Uint32Array,
  replicas: number,
  places: ReadonlyMap<number, number>,
): Generator<number[][]> {
  let rows: number[][] = []
  for (let from = 0; from < slots.length; from += replicas) {
    const row: number[] = []
    for (let at = from; at < from + replicas; at++) {
      if (slots[at] !== NO_HOLDER) row.push(places.get(slots[at]!)!)
    }
    rows.push(row)
    if (rows.length < SLICE_TILES) continue
    yield rows
    rows = []
  }
  yield rows
}

function* slicesOf(context: CoordinatorContext, bounds: Bounds): Generator<void, RingTilesView> {
  const { members, placement } = context
  const { epoch, replicas } = placement
  const { holders, state } = copyOf(context, bounds)
  const ids = members.byIndex(({ id }) => id)
  yield
  // First who is there at all, then which number each of them has here.
  const numbers = new Uint32Array(ids.length + 1)
  for (let at = 0; at < holders.length; at++) {
    numbers[holders[at]!] = 1
    if (at % SLICE_SLOTS === 0) yield
  }
  numbers[NO_HOLDER] = 0
  const shown: string[] = []
  for (let slot = NO_HOLDER + 1; slot < numbers.length; slot++) {
    if (numbers[slot] === 1) numbers[slot] = shown.push(ids[slot - 1]!)
  }
  for (let at = 0; at < holders.length; at++) {
    holders[at] = numbers[holders[at]!]!
    if (at % SLICE_SLOTS === 0) yield
  }
  const packed = new Uint8Array(holders.buffer)
  return { epoch, ...bounds, replicas, members: shown, holders: packed, state }
}

/** As of now; holders are member indexes + 1. */
function copyOf({ options, placement }: CoordinatorContext, { x, y, w, h }: Bounds) {
  const { replicas, slots } = placement
  const holders = new Uint32Array(w * h * replicas)
  const state = new Uint8Array(w * h)
  for (let row = 0; row < h; row++) {
    const first = (y + row) * options.grid.geometry.tilesAcross + x
    holders.set(slots.subarray(first * replicas, (first + w) * replicas), row * w * replicas)
    for (let column = 0; column < w; column++) {
      const tile = first + column
      if (!placement.isBorn(tile)) continue
      state[row * w + column] = placement.isMissing(tile) ? TILE_MISSING : TILE_BORN
    }
  }
  return { holders, state }
}

/** The members that the ring shows: who has left holds nothing. */
export function listed({ members }: CoordinatorContext): Member[] {
  return members.all.filter(({ state }) => state !== 'left')
}

/** The JSON of `gateway/ring`. */
export function ringOf(context: CoordinatorContext): RingView {
  const { placement, options } = context
  const { width, height, tile } = options.grid.geometry
  const counts = placement.tileCounts
  return {
    epoch: placement.epoch,
    replicas: options.replicas,
    tile,
    grid: { width, height },
    fields: options.grid.fields,
    version: options.version,
    members: listed(context).map(({ id, index, state, weight }) => ({
      id,
      state,
      weight,
      tiles: counts.get(index) ?? 0,
    })),
  }
}
