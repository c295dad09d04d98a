/**
 * Slots of tiles: `replicas` each, and in each a member index + 1, or nobody. This is how a chunk of them stands in
 * the ledger.
 */
import type { PlacementRecord } from '../ledger-records.ts'

/** The value that stands for "no holder" in a slot. */
export const NO_HOLDER = 0

/** What is known of a tile of a ledger that was rebuilt: whether it was ever written, or only what it was then. */
export const KNOWN = 0
export const SUPPOSED = 1
export const WRITTEN_SINCE = 2

/**
 * By tile of a record: 1 where nobody knows whether it was written before a recovery; nothing where all is known. An
 * earlier version did not tell of a ledger that was rebuilt: there it is not known of any tile that nobody has.
 */
export function supposedIn(
  record: PlacementRecord,
  { replicas, wasRebuilt }: { readonly replicas: number; readonly wasRebuilt: boolean },
): Uint8Array | undefined {
  const { born, supposed } = record
  if (supposed !== undefined || !wasRebuilt) return supposed
  const slots = slotsIn(record, replicas)
  return born.map((isBorn, tile) => (slots[tile * replicas] === NO_HOLDER ? isBorn : 0))
}

export function slotsIn(
  { born, holders }: PlacementRecord,
  replicas: number,
): Uint16Array | Uint32Array {
  // Not by `slice`: of a Buffer, as decoders give, that is a view into a larger one.
  const { buffer, byteLength } = new Uint8Array(holders)
  // Once, slots had 16 bits: such ledgers load as well.
  const isNarrow = byteLength === born.length * replicas * Uint16Array.BYTES_PER_ELEMENT
  return isNarrow ? new Uint16Array(buffer) : new Uint32Array(buffer)
}

/** How many each member has, by its index; who has none is left out. */
export function copiesIn(slots: Uint32Array): Map<number, number> {
  let last = NO_HOLDER
  for (let at = 0; at < slots.length; at++) if (slots[at]! > last) last = slots[at]!
  const counts = new Uint32Array(last + 1)
  for (let at = 0; at < slots.length; at++) counts[slots[at]!]! += 1
  const byMember = new Map<number, number>()
  for (let slot = NO_HOLDER + 1; slot < counts.length; slot++) {
    if (counts[slot]! > 0) byMember.set(slot - 1, counts[slot]!)
  }
  return byMember
}
