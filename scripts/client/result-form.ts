import type { ResultForm } from '../../shared/client/http-door.ts'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import type { TaskResult } from '../../shared/client/task.ts'
import { decodeCbor } from '../../shared/protocol/cbor.ts'

/** Ours, of a gateway that we know: only their shape is checked, not their size. */
const LIMITS = {
  bytesMax: Number.MAX_SAFE_INTEGER,
  depthMax: 16,
  itemsMax: Number.MAX_SAFE_INTEGER,
}

/** Fails with `not-a-gateway`. */
export function resultIn(body: Uint8Array): TaskResult {
  const decoded = decodeCbor(body, LIMITS)
  if (decoded.ok) return decoded.value as TaskResult
  const detail = `a result does not decode: ${decoded.message}`
  throw new ObeliskError({ code: 'not-a-gateway', detail })
}

export const CBOR_FORM: ResultForm = { type: 'application/cbor', read: resultIn }
