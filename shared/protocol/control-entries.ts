/**
 * Entries of a stream that are no writes: what moves tiles, and what stands where a write was given up.
 * They take a sequence and a position as writes do, so that both sides agree at which point of the order
 * a node begins or ends to hold a tile (recovery.md, Placement and hand-off).
 *
 *   $adopt   the page of one tile that was staged, at exactly this `at` and digest, is the tile from here on
 *   $drop    these tiles are not held from here on
 *   $rules   the rule book from here on (docs/osl.md, Rules); evaluated on all that is held
 *   $void    nothing: the write that stood here could not be applied by any replica
 *
 * No operation of a task begins with `$`. The chain covers operation and arguments by `body`.
 */
import { DIGEST_BYTES, digest } from '../core/hash.ts'
import { packTiles, unpackTiles } from '../operations/columns.ts'
import { encodeCbor } from './cbor.ts'
import type { Entry } from './messages.ts'

export type ControlOrder =
  | {
      readonly op: '$adopt'
      readonly tile: number
      /** The `at` of the page, and its digest. */
      readonly at: number
      readonly digest: Uint8Array
    }
  | { readonly op: '$drop'; readonly tiles: Uint32Array }
  | RulesOrder
  | { readonly op: '$void' }

export interface RulesOrder {
  readonly op: '$rules'
  readonly version: number
  /** Their programs. */
  readonly rules: readonly unknown[]
}

/** Whether an operation of an entry is one of these. */
export function isControl(op: string): boolean {
  return op.startsWith('$')
}

export function argsOf(order: ControlOrder): Record<string, unknown> {
  switch (order.op) {
    case '$adopt':
      return { at: order.at, digest: order.digest }
    case '$rules':
      return { version: order.version, rules: order.rules }
    case '$drop':
    case '$void':
      return {}
  }
}

export function tilesOf(order: ControlOrder): Uint32Array {
  switch (order.op) {
    case '$adopt':
      return Uint32Array.of(order.tile)
    case '$drop':
      return order.tiles
    case '$rules':
    case '$void':
      return new Uint32Array(0)
  }
}

/** A rule book goes to thousands of nodes. */
const bodies = new WeakMap<ControlOrder, Uint8Array>()

/** What the chain knows the order by, beside its tiles. */
export function bodyOf(order: ControlOrder): Uint8Array {
  let body = bodies.get(order)
  if (body === undefined) {
    body = digest(encodeCbor({ op: order.op, args: argsOf(order) }))
    bodies.set(order, body)
  }
  return body
}

/** The order that an entry carries, or nothing if it is none that is known. */
export function orderOf(entry: Pick<Entry, 'op' | 'args' | 'tiles'>): ControlOrder | undefined {
  const tiles = unpackTiles(entry.tiles)
  switch (entry.op) {
    case '$adopt': {
      const { at, digest: page } = entry.args
      const isSound =
        tiles.length === 1 &&
        Number.isSafeInteger(at) &&
        page instanceof Uint8Array &&
        page.length === DIGEST_BYTES
      return isSound ? { op: '$adopt', tile: tiles[0]!, at: at as number, digest: page } : undefined
    }
    case '$drop':
      return { op: '$drop', tiles }
    case '$rules': {
      const { version, rules } = entry.args
      const isSound = Number.isSafeInteger(version) && Array.isArray(rules)
      return isSound ? { op: '$rules', version: version as number, rules } : undefined
    }
    case '$void':
      return { op: '$void' }
    default:
      return undefined
  }
}

/** As it stands in a stream: it has no region of its own. */
export function entryOf(
  order: ControlOrder,
  { position, seq, chain }: Pick<Entry, 'position' | 'seq' | 'chain'>,
): Entry {
  return {
    position,
    seq,
    chain,
    op: order.op,
    region: [0, 0, 0, 0],
    args: argsOf(order),
    tiles: packTiles(tilesOf(order)),
    body: bodyOf(order),
  }
}
