/**
 * What a payload says to a person, told by its topic where that is one of ours, else by its first bytes: JSON, text,
 * CBOR, or bytes of which nothing is known.
 */
import { isUtf8 } from 'node:buffer'
import { decodeCbor } from './cbor.ts'
import { parseTopic, type Topic } from './topics.ts'

/** Topics whose payload is CBOR; the others of ours are JSON or plain text. */
const CBOR_KINDS: ReadonlySet<Topic['kind']> = new Set([
  'task-result',
  'node-telemetry',
  'node-up',
  'node-down',
])

const LIMITS = { bytesMax: 64 * 1024 * 1024, depthMax: 32, itemsMax: 10_000_000 }

/** A topic base has at most four levels; which one this gateway has, we are not told. */
const BASE_LEVELS_MAX = 4

export interface DecodedPayload {
  readonly kind: 'empty' | 'json' | 'text' | 'cbor' | 'bytes'
  readonly value: unknown
}

/** The payload as plain data; bytes that are nothing we know stay bytes. */
export function decodePayload(topic: string, payload: Buffer): unknown {
  return readPayload(topic, payload).value
}

/** The same, and what it was told to be. */
export function readPayload(topic: string, payload: Buffer): DecodedPayload {
  if (payload.length === 0) return { kind: 'empty', value: null }
  const order = isCborTopic(topic)
    ? (['cbor', 'text'] as const)
    : (['json', 'text', 'cbor'] as const)
  for (const kind of order) {
    const value = READERS[kind](payload)
    if (value !== undefined) return { kind, value }
  }
  return { kind: 'bytes', value: payload }
}

function isCborTopic(topic: string): boolean {
  const levels = topic.split('/')
  for (let count = 1; count <= Math.min(BASE_LEVELS_MAX, levels.length - 1); count++) {
    const parsed = parseTopic(levels.slice(0, count).join('/'), topic)
    if (parsed !== undefined) return CBOR_KINDS.has(parsed.kind)
  }
  return false
}

function cborOf(payload: Buffer): unknown {
  const decoded = decodeCbor(payload, LIMITS)
  return decoded.ok ? decoded.value : undefined
}

function jsonOf(payload: Buffer): unknown {
  if (payload[0] !== 0x7b && payload[0] !== 0x5b) return undefined
  try {
    const value: unknown = JSON.parse(payload.toString('utf8'))
    return isDeep(value, LIMITS.depthMax) ? undefined : value
  } catch {
    // Something else that begins with a brace; it is shown as what it is.
    return undefined
  }
}

/** It would be too much for who walks through it, as `JSON.stringify` does: anybody may publish it. */
function isDeep(value: unknown, depthMax: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return depthMax === 0 || Object.values(value).some((member) => isDeep(member, depthMax - 1))
}

/** UTF-8 without control characters but white space: a CBOR map or list is hardly ever that. */
function textOf(payload: Buffer): string | undefined {
  if (!isUtf8(payload)) return undefined
  const text = payload.toString('utf8')
  return /[^\P{Cc}\t\n\r]/u.test(text) ? undefined : text
}

const READERS = { json: jsonOf, text: textOf, cbor: cborOf }
