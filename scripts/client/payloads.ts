/** What a gateway says, in CBOR and JSON. Whatever answers in its place may say anything. */
import * as v from 'valibot'
import type { ResultForm } from '../../shared/client/http-door.ts'
import { type Fault, ObeliskError } from '../../shared/client/obelisk-error.ts'
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

const refusalSchema = v.object({
  id: v.string(),
  client: v.string(),
  code: v.string(),
  message: v.string(),
  errors: v.optional(v.array(v.custom<Fault>(isPlainObject)), []),
})

/** An object, with an object at each of these names. Fails with `not-a-gateway`. */
export function jsonIn<T extends object>(
  payload: Uint8Array,
  topic: string,
  ...names: readonly (keyof T & string)[]
): T {
  const value = parsed(payload)
  if (isPlainObject(value) && names.every((name) => isPlainObject(value[name]))) return value as T
  throw notAGateway(`what came on ${topic} is not what a gateway says; is that address one?`)
}

/** Nothing for what is none: nobody can say whose it would be. */
export function refusalIn(payload: Uint8Array): v.InferOutput<typeof refusalSchema> | undefined {
  const refusal = v.safeParse(refusalSchema, parsed(payload))
  return refusal.success ? refusal.output : undefined
}

function parsed(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(payload))
  } catch {
    return undefined
  }
}
