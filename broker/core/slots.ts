/**
 * Slots of tiles: `replicas` each, and in each a member index + 1, or nobody. This is how a chunk of them stands in
 * the ledger.
 */
import type { PlacementRecord } from './ledger-records.ts'

/** The value that stands for "no holder" in a slot. */
export const NO_HOLDER = 0

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
