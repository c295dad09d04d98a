/**
 * JSON pointers [RFC 6901], to read with: a path into a document of JSON. Own members alone are found, so that no
 * name reaches what every object inherits; nothing is ever set. `-`, the place behind the last of a list, is
 * nothing [RFC 6901 §4].
 */
import { own } from './own.ts'

/** Names of members and places in lists, from the top; none is the whole document. */
export type JsonPointer = readonly string[]

const INDEX = /^(0|[1-9]\d*)$/

/** Undefined if the text is no pointer. */
export function parsePointer(text: string): JsonPointer | undefined {
  if (text === '') return []
  if (!text.startsWith('/') || /~(?![01])/.test(text)) return undefined
  const tokens = text.slice(1).split('/')
  return tokens.map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
}

export function formatPointer(pointer: JsonPointer): string {
  return pointer.map((token) => `/${token.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}

/** What stands there, or undefined: no JSON is that. */
export function valueAt(document: unknown, pointer: JsonPointer): unknown {
  let value = document
  for (const token of pointer) {
    if (typeof value !== 'object' || value === null) return undefined
    if (Array.isArray(value) && !INDEX.test(token)) return undefined
    value = own(value as Readonly<Record<string, unknown>>, token)
  }
  return value
}
