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
import { ghostReport } from './ghost-report.ts'
import { MESSAGE_LIMITS } from './limits.ts'
import { type LogLines, type LogOrder, logLines, logOrder } from './log-messages.ts'
import { isPlainObject, parseWith } from './problems.ts'
import { type KeyDown, type KeyUp, nextKey, rekey, rekeyed } from './rekey.ts'
import { changesTaken, ruleChanges } from './rule-changes.ts'
import { readShort, writeBeat } from './short-messages.ts'
import { fetched, program, type UpgradeOrder, upgrade, upgraded } from './upgrade-messages.ts'

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
  /** The most that the file of its slice may grow to. */
  sliceBytesMax: v.optional(count),
  operations: v.pipe(v.array(text), v.maxLength(1024)),
  /** The grid that the store was made for; null while it is new. */
  grid: v.nullable(gridShape),
  /** Tiles whose page is damaged: packed u32. They count as not held. */
  broken: v.optional(bytes),
  /** Of a node that takes versions from its gateway: what it runs, and what became of the last one. */
  upgrade: v.optional(program),
  /** Of a node that gives its log: how many lines it keeps. */
  logs: v.optional(count),
  /** The newest format of pages that the node reads, if it is not the first. */
  pages: v.optional(count),
  /** Of a node that evaluates rules: the version of the rule book that it has, 0 without one. */
  rules: v.optional(count),
})

const heartbeat = v.strictObject({
  t: v.literal('heartbeat'),
  session: count,
  beat: count,
  /** Answers that the node gave up for want of room, since its start; left out while there are none. */
  shed: v.optional(count),
})

/** Everything up to `position` is on the node's disk; `results` are those not yet confirmed. */
const applied = v.strictObject({
  t: v.literal('applied'),
  session: count,
  position: count,
  chain,
  results: v.array(
    v.strictObject({
      position: count,
      lsus: count,
      /** Of a program: how many cells of each tile took a value (written-counts.ts). */
      written: v.optional(bytes),
      /** Of a program with a ghost. */
      ghost: v.optional(ghostReport),
    }),
  ),
  /** As in the hello: without it, what is acknowledged here could be taken for a copy. */
  broken: v.optional(bytes),
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

const ofMove = { session: count, move: count, tile: count }

/** A piece of the page of a tile, from a replica and to the node that the tile moves to. */
const chunk = v.strictObject({
  t: v.literal('chunk'),
  ...ofMove,
  /** Of the page. Pieces of pages at different `at` never mix. */
  at: count,
  digest: chain,
  index: count,
  of: v.pipe(count, v.minValue(1)),
  bytes,
})

/** The page cannot be given, for a reason of the node's own. */
const copyFailed = v.strictObject({
  t: v.literal('copy-failed'),
  ...ofMove,
  code: text,
  message: text,
})

/** The whole page lies on the disk of the node that the tile moves to. */
const staged = v.strictObject({
  t: v.literal('staged'),
  ...ofMove,
  at: count,
  digest: chain,
})

/** What lies on the disk: of each tile its `at` (0 when it is not held) and digest. */
const examined = v.strictObject({
  t: v.literal('examined'),
  session: count,
  tiles: bytes,
  ats: v.array(count),
  digests: bytes,
})

/**
 * What the store holds, from tile `from` on; damaged pages are left out. The ledger is lost, and nobody
 * is admitted yet, so there is no session. `next` is where the next list begins, null at the end.
 */
const held = v.strictObject({
  t: v.literal('held'),
  storeId: id,
  position: count,
  from: count,
  tiles: bytes,
  ats: v.array(count),
  next: v.nullable(count),
})

export const upSchema = v.variant('t', [
  hello,
  heartbeat,
  applied,
  gap,
  stopped,
  answer,
  chunk,
  copyFailed,
  staged,
  examined,
  held,
  nextKey,
  fetched,
  upgraded,
  logLines,
  ruleChanges,
])

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
  /** The format that pages may be written in, if it is not the first; only to a node whose hello has `pages`. */
  pages: v.optional(count),
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
  /** As in the welcome: what is left out is not allowed any more. */
  pages: v.optional(count),
})

/** The store holds nothing of use: start an empty one. Obeyed only where storeId and position match. */
const wipe = v.strictObject({
  t: v.literal('wipe'),
  session: count,
  storeId: id,
  position: count,
})

/** Send the page of a tile, once the stream is applied up to `after`. */
const copy = v.strictObject({
  t: v.literal('copy'),
  ...ofMove,
  after: count,
  /** The format that the page may have, if it is not the first; only to a node whose hello has `pages`. */
  pages: v.optional(count),
})

/** What was staged for this move will not be adopted. */
const discard = v.strictObject({
  t: v.literal('discard'),
  ...ofMove,
})

/** Read these tiles, check them, and say what they are. */
const examine = v.strictObject({ t: v.literal('examine'), session: count, tiles: bytes })

/** Say what the store holds, from this tile on. */
const listTiles = v.strictObject({ t: v.literal('list-tiles'), from: count })

/**
 * The store belongs to a new ledger: keep these tiles and no others, and count the stream from nothing.
 * Obeyed only where storeId and position match.
 */
const rebase = v.strictObject({
  t: v.literal('rebase'),
  storeId: id,
  position: count,
  ledgerId: id,
  keep: bytes,
  /** `keep` has one bit a tile: as a list of u32, the tiles of a large slice would pass the limit. */
  keepAs: v.optional(v.literal('bits')),
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
  copy,
  chunk,
  discard,
  examine,
  listTiles,
  rebase,
  rekey,
  rekeyed,
  upgrade,
  logOrder,
  changesTaken,
])

export type Up = v.InferOutput<typeof upSchema>
export type Down = v.InferOutput<typeof downSchema>
/** What the cores say to each other. */
export type CoreUp = Exclude<Up, KeyUp | LogLines>
export type CoreDown = Exclude<Down, KeyDown | UpgradeOrder | LogOrder>
export type Hello = Extract<Up, { t: 'hello' }>
export type Heartbeat = Extract<Up, { t: 'heartbeat' }>
export type Beat = Extract<Down, { t: 'beat' }>
export type Applied = Extract<Up, { t: 'applied' }>
export type Answer = Extract<Up, { t: 'answer' }>
export type Entry = v.InferOutput<typeof entry>
export type Read = Extract<Down, { t: 'read' }>
export type Chunk = Extract<Down, { t: 'chunk' }>
export type Copy = Extract<Down, { t: 'copy' }>
export type GridShape = v.InferOutput<typeof gridShape>

export type Decoded<T> = { ok: true; message: T } | { ok: false; problem: string }

export function encodeMessage(message: Up | Down): Uint8Array {
  return message.t === 'beat' ? writeBeat(message) : encodeCbor(message)
}

type Schema = v.BaseSchema<unknown, unknown, v.BaseIssue<unknown>>

/** Of a union, the schema for each `t`: asked one after the other, they cost more than the message. */
function schemasByType({ options }: typeof upSchema | typeof downSchema): Map<unknown, Schema> {
  return new Map(options.map((option) => [option.entries.t.literal, option]))
}

const upSchemas = schemasByType(upSchema)
const downSchemas = schemasByType(downSchema)

/** Decodes a message of a node. Never throws. */
export function decodeUp(payload: Uint8Array): Decoded<Up> {
  const message = readShort(payload)
  return message === undefined ? decodeAs(upSchema, upSchemas, payload) : { ok: true, message }
}

/** Decodes a message of the gateway. Never throws. */
export function decodeDown(payload: Uint8Array): Decoded<Down> {
  return decodeAs(downSchema, downSchemas, payload)
}

function decodeAs<S extends Schema>(
  union: S,
  byType: ReadonlyMap<unknown, Schema>,
  payload: Uint8Array,
): Decoded<v.InferOutput<S>> {
  const decoded = decodeCbor(payload, MESSAGE_LIMITS)
  if (!decoded.ok) return { ok: false, problem: decoded.message }
  const { value } = decoded
  const schema = (isPlainObject(value) && byType.get(value.t)) || union
  const parsed = parseWith(schema, value, '', { firstOnly: true })
  if (!parsed.ok) return { ok: false, problem: parsed.problems[0]!.message }
  return { ok: true, message: parsed.value }
}
