/** A small record in the store: plain CBOR behind its own digest, as LMDB has no checksums. */
import { DIGEST_BYTES, digest, equalBytes } from '../../shared/core/hash.ts'
import { decodeCbor, encodeCbor } from '../../shared/protocol/cbor.ts'
import { MESSAGE_LIMITS } from '../../shared/protocol/limits.ts'

export function sealRecord(value: unknown): Uint8Array {
  const body = encodeCbor(value)
  const record = new Uint8Array(DIGEST_BYTES + body.length)
  record.set(digest(body), 0)
  record.set(body, DIGEST_BYTES)
  return record
}

/** What was sealed, or nothing if the bytes are damaged. */
export function openRecord<T>(record: Uint8Array): T | undefined {
  const body = new Uint8Array(record.subarray(DIGEST_BYTES))
  if (!equalBytes(record.subarray(0, DIGEST_BYTES), digest(body))) return undefined
  const decoded = decodeCbor(body, MESSAGE_LIMITS)
  return decoded.ok ? (decoded.value as T) : undefined
}
