import type { ResultForm } from '../../shared/client/http-door.ts'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import type { TaskResult } from '../../shared/client/task.ts'
import { decodeCbor } from '../../shared/protocol/cbor.ts'
import { isPlainObject } from '../../shared/protocol/problems.ts'

/** Ours, of a gateway that we know: only their shape is checked, not their size. */
const LIMITS = {
  bytesMax: Number.MAX_SAFE_INTEGER,
  depthMax: 16,
  itemsMax: Number.MAX_SAFE_INTEGER,
}

/** Fails with `not-a-gateway`. */
export function resultIn(body: Uint8Array): TaskResult {
  const decoded = decodeCbor(body, LIMITS)
  if (!decoded.ok) throw notAGateway(`a result does not decode: ${decoded.message}`)
  if (isPlainObject(decoded.value)) return decoded.value as unknown as TaskResult
  throw notAGateway('a result is no map')
}

export function notAGateway(detail: string): ObeliskError {
  return new ObeliskError({ code: 'not-a-gateway', detail })
}

export const CBOR_FORM: ResultForm = { type: 'application/cbor', read: resultIn }
