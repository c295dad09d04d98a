/**
 * The lineage of a program: each version has, as its chain, the SHA-256 of the chain of the version before and of all
 * that is kept of it. Whoever changes a version, or puts another one in, would have to change all later ones too. A
 * version also keeps the chain that it follows, so that what is left is verified when old versions are dropped.
 */
import { createHash } from 'node:crypto'
import { encodeCbor } from '../../../shared/protocol/cbor.ts'
import type { ProgramRecord } from '../ledger-records.ts'

/** What the first version follows. */
export const LINEAGE_START: Uint8Array = new Uint8Array(32)

type Unchained = Omit<ProgramRecord, 'chain'>

export function chainOf(record: Unchained): Uint8Array {
  const { name, version, number, glyph, source, kind, parameters, parent, hash, by, ts } = record
  const kept = { name, version, number, glyph, source, kind, parameters, parent, hash, by, ts }
  const { columns } = record
  const more = columns === undefined ? {} : { columns }
  return createHash('sha256')
    .update(record.before)
    .update(encodeCbor({ ...kept, ...more }))
    .digest()
}

/** Whether it is as it was made; `before` is the version before it, where that is kept. */
export function isVerified(record: ProgramRecord, before: ProgramRecord | undefined): boolean {
  const follows = record.version === 1 ? LINEAGE_START : before?.chain
  if (follows !== undefined && Buffer.compare(record.before, follows) !== 0) return false
  return Buffer.compare(chainOf(record), record.chain) === 0
}
