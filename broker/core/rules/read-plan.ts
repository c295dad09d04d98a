/**
 * The parts of one round of a read: who answers for which tiles, or for which items. A part is known
 * by a hash of what it asks for, so that an answer that waited in a node's outbox still finds its part
 * after the gateway started again and planned anew.
 */
import { digest } from '../../../shared/core/hash.ts'
import type { ReadOperation, Wire } from '../../../shared/operations/operation.ts'
import { encodeCbor } from '../../../shared/protocol/cbor.ts'
import type { Items, TaskBody } from '../../../shared/protocol/task.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Placement } from '../state/placement.ts'
import { NO_HOLDER } from '../state/slots.ts'
import { tilesOf } from '../state/task-extent.ts'
import { operationOf } from '../state/task-ledger.ts'
import {
  cutItems,
  cutPlan,
  partsOf,
  planItems,
  planReads,
  readTilesMax,
  type TilePlan,
} from './planner.ts'

/** Exactly one of `tiles` and `items` is there. */
export interface ReadPart {
  readonly id: string
  readonly tiles?: Uint32Array
  readonly items?: Items
  /** Who is to answer; nobody while no node can. */
  readonly member: number | undefined
  attempt: number
  /** Members that answered with a trouble of their own. */
  failed: ReadonlyMap<number, { code: string; message: string }>
}

/** One for all parts: of ten thousand, hardly any ever fails. */
const NONE_FAILED: ReadPart['failed'] = new Map()

type Extent = Pick<ReadPart, 'tiles' | 'items'>

/** For so few tiles it is asked first whether they all go to one member: parts are lost often, and are a tile or two. */
const FEW_TILES = 64

/** What a part covers, for all or part of a read. */
export interface RoundExtent {
  readonly round: number
  readonly args: Wire
  /** With a name, a part of this round: what covers as much has that name, too. */
  readonly extent: Extent & { readonly id?: string }
  /** So many parts of members are left as they are planned; without it, none. */
  readonly flatMin?: number
}

export interface PlannedRound {
  /** All parts; or those without a member, beside `flat`. */
  readonly parts: ReadPart[]
  readonly flat?: TilePlan
}

/** Nothing was sent of it yet. */
export function newPart(id: string, extent: Extent, member: number | undefined): ReadPart {
  return { id, ...extent, member, attempt: 0, failed: NONE_FAILED }
}

/** What the ids of the parts of a round begin with. Arguments count, too: those of a later round come from earlier results. */
export function prefixOf(round: number, args: Wire): string {
  return `${round}-${hexOfArgs(args)}-`
}

/** The whole extent of a read. */
export function extentOf(context: CoordinatorContext, body: TaskBody): Extent {
  if (body.items !== undefined) return { items: body.items }
  return { tiles: tilesOf(body, context.options.grid) }
}

/** Splits an extent among the members that `accepts`; what nobody can take becomes a part without a member. */
export function planRound(
  context: CoordinatorContext,
  body: TaskBody,
  { round, args, extent, flatMin = Number.POSITIVE_INFINITY }: RoundExtent,
  accepts: (member: number) => boolean,
): PlannedRound {
  const create = (part: Extent, member: number | undefined): ReadPart => {
    const isNamed = part.tiles !== undefined && part.tiles === extent.tiles
    const id = isNamed ? extent.id : undefined
    return newPart(id ?? prefixOf(round, args) + hexOf(coveredBy(part)), part, member)
  }
  if (extent.tiles === undefined) {
    return { parts: planItemParts(context, extent.items!, accepts, create) }
  }
  const operation = operationOf(body) as ReadOperation
  const { placement, options } = context
  const isWhole = operation.leavesHoles?.(args) !== true
  const tiles = isWhole ? extent.tiles : placement.withoutMissing(extent.tiles)
  const tilesMax = readTilesMax(operation, args, tiles, options.grid)
  const parts: ReadPart[] = []
  const isFew = tiles.length <= Math.min(FEW_TILES, tilesMax)
  const sole = isFew ? soleAnswerer(placement, tiles, accepts) : undefined
  if (sole !== undefined) return { parts: [create({ tiles }, sole)] }
  const { slots, replicas } = placement
  const usable = usableOf(context, tiles, accepts)
  const plan = cutPlan(planReads({ tiles, slots, replicas }, usable), tilesMax)
  const isFlat = plan.members.length >= flatMin
  if (!isFlat) for (const { tiles, member } of partsOf(plan)) parts.push(create({ tiles }, member))
  for (let start = 0; start < plan.unplaced.length; start += tilesMax) {
    parts.push(create({ tiles: plan.unplaced.subarray(start, start + tilesMax) }, undefined))
  }
  return isFlat ? { parts, flat: plan } : { parts }
}

type Create = (part: Extent, member: number | undefined) => ReadPart

/** Who would answer for all of these, if it is one member; each tile has its first holder that `accepts`. */
function soleAnswerer(
  { slots, replicas }: Placement,
  tiles: Uint32Array,
  accepts: (member: number) => boolean,
): number | undefined {
  let sole = NO_HOLDER
  for (const tile of tiles) {
    let slot = tile * replicas
    const end = slot + replicas
    while (slot < end && slots[slot] !== NO_HOLDER && !accepts(slots[slot]! - 1)) slot++
    const holder = slot === end ? NO_HOLDER : slots[slot]!
    if (holder === NO_HOLDER || (sole !== NO_HOLDER && holder !== sole)) return undefined
    sole = holder
  }
  return sole === NO_HOLDER ? undefined : sole - 1
}

/** One byte a member. A part of a few tiles asks only their holders: it may be planned often. */
function usableOf(
  { placement, members }: CoordinatorContext,
  tiles: Uint32Array,
  accepts: (member: number) => boolean,
): Uint8Array {
  const usable = new Uint8Array(members.indexesEnd)
  const { slots, replicas } = placement
  if (tiles.length * replicas >= members.size) {
    for (const { index } of members.all) usable[index] = accepts(index) ? 1 : 0
    return usable
  }
  for (const tile of tiles) {
    for (let slot = tile * replicas; slot < (tile + 1) * replicas; slot++) {
      const holder = slots[slot]!
      if (holder !== NO_HOLDER && usable[holder - 1] === 0 && accepts(holder - 1)) {
        usable[holder - 1] = 1
      }
    }
  }
  return usable
}

function planItemParts(
  context: CoordinatorContext,
  items: Items,
  accepts: (member: number) => boolean,
  create: Create,
): ReadPart[] {
  const pick = (indexes: readonly number[]): Items => ({
    keys: indexes.map((index) => items.keys[index]!),
    values: indexes.map((index) => items.values[index]!),
  })
  const plan = planItems(items.keys, context.placement.ring, accepts)
  if (plan.members.length === 0) return [create({ items }, undefined)]
  const parts: ReadPart[] = []
  for (const { member, tiles: indexes } of partsOf(plan)) {
    for (const run of cutItems(indexes, items)) parts.push(create({ items: pick(run) }, member))
  }
  return parts
}

/** One round's arguments are one object, planned anew for each part that is lost. */
const hexes = new WeakMap<Wire, string>()

function hexOfArgs(args: Wire): string {
  let hex = hexes.get(args)
  if (hex === undefined) {
    hex = hexOf(encodeCbor(args))
    hexes.set(args, hex)
  }
  return hex
}

function coveredBy({ tiles, items }: Extent): Uint8Array {
  if (tiles === undefined) return encodeCbor(items!.keys)
  return new Uint8Array(tiles.buffer, tiles.byteOffset, tiles.byteLength)
}

function hexOf(covered: Uint8Array): string {
  return Buffer.from(digest(covered).buffer).toString('hex')
}
