/** What comes over MQTT, in JSON. Whatever answers there may say anything. */
import type { Fault } from '../../shared/client/obelisk-error.ts'
import { isPlainObject } from '../../shared/protocol/problems.ts'
import { notAGateway } from './result-form.ts'

export interface Refusal {
  readonly id: string
  readonly client: string
  readonly code: string
  readonly message: string
  readonly errors: readonly Fault[]
}

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
export function refusalIn(payload: Uint8Array): Refusal | undefined {
  const value = parsed(payload)
  if (!isPlainObject(value)) return undefined
  const { id, client, code, message, errors = [] } = value
  const isOurs = [id, client, code, message].every((text) => typeof text === 'string')
  return isOurs && Array.isArray(errors) ? ({ ...value, errors } as unknown as Refusal) : undefined
}

function parsed(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(payload))
  } catch {
    return undefined
  }
}
