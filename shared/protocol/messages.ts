/**
 * The messages between gateway and node, on `node/<node>/up` and `node/<node>/down`: CBOR at QoS 0,
 * acknowledged by messages of our own, since MQTT's acknowledgements prove nothing about us
 * (recovery.md). The bytes are described by `obelisk.cddl` beside this file.
 *
 * `session` is the gateway's number for one connection of one node; a message of another session is
 * dropped. `position` counts the entries of a node's stream from 1 without gaps; `chain` is an
 * 8-byte hash over all entries up to a position; `seq` is the global order of writes.
 */
import * as v from 'valibot'
import { DIGEST_BYTES } from '../core/hash.ts'
import { isId } from '../core/ids.ts'
import { decodeCbor, encodeCbor } from './cbor.ts'
import { MESSAGE_LIMITS } from './limits.ts'
import { isPlainObject, parseWith } from './problems.ts'

/** Of the internal messages; a gateway refuses a node that speaks another. */
export const PROTOCOL_VERSION = 1

const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER))
const id = v.custom<string>(isId, 'an id')
const text = v.pipe(v.string(), v.maxLength(1024))
const bytes = v.custom<Uint8Array>((input) => input instanceof Uint8Array, 'bytes')
const chain = v.custom<Uint8Array>(
  (input) => input instanceof Uint8Array && input.length === DIGEST_BYTES,
  `${DIGEST_BYTES} bytes`,
)
const wire = v.custom<Record<string, unknown>>(isPlainObject, 'a map')

const gridShape = v.strictObject({
  width: count,
  height: count,
  tile: count,
  /** `name:type,…` */
  fields: text,
})

/** The first message of a connection: who speaks, and where its store stands. */
const hello = v.strictObject({
  t: v.literal('hello'),
  version: count,
  node: id,
  storeId: id,
  /** Counts the starts of this store. */
  boot: count,
  /** Random, made at each start of the process: tells a reconnect from a second device. */
  process: id,
  /** The ledger that the store belongs to; null while it is new. */
  ledgerId: v.nullable(id),
  position: count,
  chain,
  /** The sequence of the last applied entry. */
  seq: count,
  weight: v.pipe(v.number(), v.minValue(0.01), v.maxValue(100)),
  operations: v.pipe(v.array(text), v.maxLength(1024)),
  /** The grid that the store was made for; null while it is new. */
  grid: v.nullable(gridShape),
})

const heartbeat = v.strictObject({
  t: v.literal('heartbeat'),
  session: count,
  beat: count,
})

/** Everything up to `position` is on the node's disk; `results` are those not yet confirmed. */
const applied = v.strictObject({
  t: v.literal('applied'),
  session: count,
  position: count,
  chain,
  results: v.array(v.strictObject({ position: count, lsus: count })),
})

/** An entry did not follow the last one: send again from `position + 1`. */
const gap = v.strictObject({ t: v.literal('gap'), session: count, position: count, chain })

/** The node cannot go on at the entry after `position`, for a reason of its own. */
const stopped = v.strictObject({
  t: v.literal('stopped'),
  session: count,
  position: count,
  code: text,
  message: text,
})

/**
 * The answer to a read. It carries no session: it may have waited in the outbox for another
 * connection. `position` and `seq` say where the store stood when the cells were read.
 */
const answer = v.strictObject({
  t: v.literal('answer'),
  task: id,
  part: id,
  attempt: count,
  position: count,
  seq: count,
  ms: v.pipe(v.number(), v.finite(), v.minValue(0)),
  value: v.optional(wire),
  error: v.optional(v.strictObject({ code: text, message: text })),
})

export const upSchema = v.variant('t', [hello, heartbeat, applied, gap, stopped, answer])

/** The answer to a hello: the node is admitted. */
const welcome = v.strictObject({
  t: v.literal('welcome'),
  version: count,
  session: count,
  ledgerId: id,
  grid: gridShape,
  heartbeatMs: count,
  /** Results of entries up to here are in the ledger and may be forgotten. */
  confirmed: count,
})

const refused = v.strictObject({ t: v.literal('refused'), code: text, message: text })

/** One part of a write for one node. */
const entry = v.strictObject({
  position: count,
  seq: count,
  chain,
  op: text,
  region: v.strictTuple([count, count, count, count]),
  args: wire,
  /** The ids of the tiles it acts on, ascending: packed u32, little-endian. */
  tiles: bytes,
  /** The first 8 bytes of the SHA-256 of the task's normal form: what the chain covers. */
  body: chain,
})

const entries = v.strictObject({
  t: v.literal('entries'),
  session: count,
  confirmed: count,
  entries: v.array(entry),
})

/** A part of a read, or of a pure operation on items, under a lease. */
const read = v.strictObject({
  t: v.literal('read'),
  session: count,
  task: id,
  part: id,
  attempt: count,
  leaseMs: count,
  /** Answered only once the stream is applied up to here. */
  after: count,
  op: text,
  args: wire,
  grid: v.optional(
    v.strictObject({
      region: v.strictTuple([count, count, count, count]),
      tiles: bytes,
      /** Tiles that no write has touched yet, on any node: they read as idle zeros. */
      unborn: bytes,
    }),
  ),
  items: v.optional(v.strictObject({ keys: v.array(v.string()), values: v.array(bytes) })),
})

/** Reads of a task that nobody waits for any more. */
const cancel = v.strictObject({ t: v.literal('cancel'), session: count, task: id })

/** These answers arrived and may leave the outbox. */
const received = v.strictObject({
  t: v.literal('received'),
  session: count,
  answers: v.array(v.strictObject({ task: id, part: id })),
})

const beat = v.strictObject({
  t: v.literal('beat'),
  session: count,
  beat: count,
  /** The gateway's wall clock, Unix ms. */
  ts: count,
  confirmed: count,
})

/** The store holds nothing of use: start an empty one. Obeyed only where storeId and position match. */
const wipe = v.strictObject({
  t: v.literal('wipe'),
  session: count,
  storeId: id,
  position: count,
})

export const downSchema = v.variant('t', [
  welcome,
  refused,
  entries,
  read,
  cancel,
  received,
  beat,
  wipe,
])

export type Up = v.InferOutput<typeof upSchema>
export type Down = v.InferOutput<typeof downSchema>
export type Hello = Extract<Up, { t: 'hello' }>
export type Applied = Extract<Up, { t: 'applied' }>
export type Answer = Extract<Up, { t: 'answer' }>
export type Entry = v.InferOutput<typeof entry>
export type Read = Extract<Down, { t: 'read' }>
export type GridShape = v.InferOutput<typeof gridShape>

export type Decoded<T> = { ok: true; message: T } | { ok: false; problem: string }

export function encodeMessage(message: Up | Down): Uint8Array {
  return encodeCbor(message)
}

/** Decodes a message of a node. Never throws. */
export function decodeUp(payload: Uint8Array): Decoded<Up> {
  return decodeAs(upSchema, payload)
}

/** Decodes a message of the gateway. Never throws. */
export function decodeDown(payload: Uint8Array): Decoded<Down> {
  return decodeAs(downSchema, payload)
}

function decodeAs<S extends v.BaseSchema<unknown, unknown, v.BaseIssue<unknown>>>(
  schema: S,
  payload: Uint8Array,
): Decoded<v.InferOutput<S>> {
  const decoded = decodeCbor(payload, MESSAGE_LIMITS)
  if (!decoded.ok) return { ok: false, problem: decoded.message }
  const parsed = parseWith(schema, decoded.value, '', { firstOnly: true })
  if (!parsed.ok) return { ok: false, problem: parsed.problems[0]!.message }
  return { ok: true, message: parsed.value }
}
