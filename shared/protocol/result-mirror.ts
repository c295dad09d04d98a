/**
 * The payload of `task/<task>/result/json`: the CBOR result as JSON, bytes as base64, or only where the
 * whole is when it would pass 64 KiB (wire.md, Task). What is sealed it does not have.
 */
import { decodeCbor } from './cbor.ts'
import { toJsonText } from './json-text.ts'
import { JSON_MIRROR_BYTES_MAX } from './limits.ts'
import type { TaskState } from './states.ts'

/** JSON is never shorter than a quarter of the CBOR of the same numbers: more need not be tried. */
const CBOR_BYTES_TRIED_MAX = 4 * JSON_MIRROR_BYTES_MAX
const RESULT_LIMITS = { bytesMax: CBOR_BYTES_TRIED_MAX, depthMax: 16, itemsMax: 250_000 }

export function mirrorOf(
  task: { readonly id: string; readonly op: string; readonly state: TaskState },
  result: Uint8Array,
): string {
  const { id, op, state } = task
  const link = JSON.stringify({ id, op, state, href: `/api/tasks/${id}/result` })
  const decoded = decodeCbor(result, RESULT_LIMITS)
  if (!decoded.ok) return link
  const { sealed: _sealed, ...shown } = decoded.value as Record<string, unknown>
  const json = toJsonText(shown)
  return Buffer.byteLength(json) > JSON_MIRROR_BYTES_MAX ? link : json
}
