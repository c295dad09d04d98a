/**
 * Ids that travel on the wire: `[A-Za-z0-9_-]{1,64}`. They become topic levels, ledger keys and
 * file names, so nothing else is let in. Branded, so that a task id cannot be passed as a node id.
 */
import type { Random } from './random.ts'

export type TaskId = string & { readonly brand: 'task' }
export type NodeId = string & { readonly brand: 'node' }

const ID = /^[A-Za-z0-9_-]{1,64}$/
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'

export function isId(text: unknown): text is string {
  return typeof text === 'string' && ID.test(text)
}

export function isTaskId(text: unknown): text is TaskId {
  return isId(text)
}

export function isNodeId(text: unknown): text is NodeId {
  return isId(text)
}

/** An id of `length` random characters (5 bits each) of Crockford's base 32, lower case. */
export function randomId(random: Random, length = 16): string {
  let id = ''
  for (let index = 0; index < length; index++) id += ALPHABET[random.integer(32)]
  return id
}
