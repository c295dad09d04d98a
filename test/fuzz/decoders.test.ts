/**
 * Everything that reads bytes from outside, fed with damaged, cut, spliced and random ones: nothing
 * throws, everything is taken or refused with a named problem, in bounded time, and no prototype is
 * touched. An input that fails is written to `corpus/`, whose files run first every time.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { Random } from '../../shared/core/random.ts'
import { FileProblem, TextReader } from '../../shared/grid/cell-readers.ts'
import { type Field, formatFields, parseFields } from '../../shared/grid/fields.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import { NPY_HEAD_BYTES_MAX, npyHead, readNpyHead } from '../../shared/grid/npy.ts'
import { createLayout } from '../../shared/grid/page-layout.ts'
import { TilePage } from '../../shared/grid/tile-page.ts'
import { decodeCbor, encodeCbor } from '../../shared/protocol/cbor.ts'
import { toJsonText } from '../../shared/protocol/json-text.ts'
import { MESSAGE_LIMITS, SUBMISSION_LIMITS } from '../../shared/protocol/limits.ts'
import { decodeDown, decodeUp, encodeMessage } from '../../shared/protocol/messages.ts'
import { PROBLEMS_MAX } from '../../shared/protocol/problems.ts'
import { parseSubmission } from '../../shared/protocol/task.ts'
import { decodeTelemetry } from '../../shared/protocol/telemetry.ts'
import { buildTopic, parseTopic } from '../../shared/protocol/topics.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
const RUNS = Number(process.env.RUNS ?? 12_000)
t.comment(`SEED=${seed} npx tap run test/fuzz/decoders.test.ts`)

/**
 * CPU time, so that a busy machine fails nothing: far above what any input needs (a map of 100,000
 * keys 0.5 s, others some ms), far below what a quadratic path would take.
 */
const INPUT_MS_MAX = 4_000

const CORPUS = new URL('corpus/', import.meta.url)
const WIRE = new URL('../fixtures/wire/', import.meta.url)

const FIELDS: readonly Field[] = [
  { name: 'elevation', type: 'f64' },
  { name: 'level', type: 'u8' },
]
const context = { geometry: new Geometry({ width: 64, height: 48, tile: 16 }), fields: FIELDS }
const layout = createLayout(FIELDS, 16)
const sealed = TilePage.empty(layout)
sealed.at = 77
sealed.seal()

const isProblem = (text: unknown): boolean =>
  typeof text === 'string' && text.length > 0 && text.length < 1_000

/** Whether a value that was taken can be sent on as it is. */
function canBeSentOn(value: unknown): boolean {
  const limits = { ...SUBMISSION_LIMITS, bytesMax: Number.POSITIVE_INFINITY }
  return decodeCbor(encodeCbor(value), limits).ok
}

/** The numbers of a file that comes in pieces, or why it is none. */
function cellsOf(reader: TextReader, pieces: readonly Uint8Array[]): number[] | string {
  try {
    return [...pieces.map((piece) => reader.read(piece)), reader.end()].flat()
  } catch (error) {
    if (error instanceof FileProblem) return error.message
    throw error
  }
}

/** Each says whether a decoder kept its promise; a throw says that it did not. */
const DECODERS: Readonly<Record<string, (input: Uint8Array) => boolean>> = {
  decodeCbor(input) {
    const result = decodeCbor(input, MESSAGE_LIMITS)
    return result.ok ? canBeSentOn(result.value) : isProblem(result.message)
  },
  decodeUp(input) {
    const result = decodeUp(input)
    return result.ok ? decodeUp(encodeMessage(result.message)).ok : isProblem(result.problem)
  },
  decodeDown(input) {
    const result = decodeDown(input)
    return result.ok ? decodeDown(encodeMessage(result.message)).ok : isProblem(result.problem)
  },
  parseSubmission(input) {
    const result = parseSubmission(input, context)
    if (result.ok) return canBeSentOn(result.submission.body)
    const { problems } = result
    const isNamed = problems.every(({ code, message }) => isProblem(code) && isProblem(message))
    return isNamed && problems.length > 0 && problems.length <= PROBLEMS_MAX
  },
  decodeTelemetry(input) {
    const fields = decodeTelemetry(input)
    if (fields === undefined) return true
    return decodeTelemetry(encodeCbor(fields)) !== undefined && toJsonText(fields).startsWith('{')
  },
  parseTopic(input) {
    const text = Buffer.from(input).toString()
    const topic = parseTopic('obelisk/v1', text)
    return topic === undefined || buildTopic('obelisk/v1', topic) === text
  },
  parseFields(input) {
    const result = parseFields(Buffer.from(input).toString())
    if ('problems' in result) return result.problems.length > 0 && result.problems.every(isNonEmpty)
    return 'fields' in parseFields(formatFields(result.fields))
  },
  readNpyHead(input) {
    const reading = readNpyHead(input, 'f64')
    if (reading.kind === 'problem') return isProblem(reading.problem)
    if (reading.kind === 'more') return input.length < NPY_HEAD_BYTES_MAX
    const { rows, columns, bytes } = reading.head
    const isTable = [rows, columns, bytes].every((one) => Number.isSafeInteger(one) && one > 0)
    return isTable && bytes <= Math.min(input.length, NPY_HEAD_BYTES_MAX)
  },
  readCells(input) {
    const whole = cellsOf(new TextReader(), [input])
    const half = input.length >> 1
    const parts = cellsOf(new TextReader(), [input.subarray(0, half), input.subarray(half)])
    if (typeof whole === 'string') return isProblem(whole) && whole === parts
    return whole.every(Number.isFinite) && isDeepStrictEqual(whole, parts)
  },
  openTilePage(input) {
    const page = TilePage.open(layout, input)
    if (typeof page === 'string') return page === 'wrong-size' || page === 'damaged'
    // Bytes 4 to 7 say whose page it is, and are not covered by the digest.
    return page.bytes.every((byte, at) => (at >= 4 && at < 8) || byte === sealed.bytes[at])
  },
}

function isNonEmpty(text: string): boolean {
  return text.length > 0
}

const ownKeys = (): string =>
  [Object.prototype, Array.prototype, Function.prototype, Uint8Array.prototype]
    .map((prototype) => Reflect.ownKeys(prototype).map(String).join())
    .join(';')
const untouched = ownKeys()
const good = { t: 'heartbeat' as const, session: 1, beat: 2 }
const goodBytes = encodeMessage(good)

/** Which promise an input breaks, or nothing. */
function broken(input: Uint8Array, decoders = DECODERS): string | undefined {
  for (const [name, keepsPromise] of Object.entries(decoders)) {
    const started = process.cpuUsage()
    try {
      if (!keepsPromise(input)) return `${name} neither takes nor refuses it`
    } catch (error) {
      return `${name} throws ${(error as Error).message}`
    }
    const { user, system } = process.cpuUsage(started)
    const tookMs = Math.round((user + system) / 1000)
    if (tookMs > INPUT_MS_MAX) return `${name} takes ${tookMs} ms`
  }
  if (ownKeys() !== untouched) return 'a prototype has other members'
  const after = decodeUp(goodBytes)
  if (!after.ok || JSON.stringify(after.message) !== JSON.stringify(good)) {
    return 'a good message after it is not decoded'
  }
  return undefined
}

const readHex = (url: URL): Uint8Array =>
  Uint8Array.from(Buffer.from(readFileSync(url, 'utf8').replace(/#.*|\s/g, ''), 'hex'))

const utf8 = new TextEncoder()
const corpus = readdirSync(CORPUS)
  .sort()
  .map((name) => ({ name, bytes: readHex(new URL(name, CORPUS)) }))

const SEEDS: readonly Uint8Array[] = [
  ...corpus.map(({ bytes }) => bytes),
  ...readdirSync(WIRE).map((name) => Uint8Array.from(readFileSync(new URL(name, WIRE)))),
  ...[
    '{"id":"task_001","op":"stat","region":{"x":0,"y":0,"w":64,"h":48},"args":{"field":"level"}}',
    '{"op":"put","region":{"x":0,"y":0,"w":2,"h":2},"args":{"field":"level","values":[1,2,3,4]}}',
    '{"op":"digest","items":[{"key":"a","data":"x"},{"key":"\\u00fc","data":""}],"deadline_ms":5}',
    '{"Id":"a","Data":"scale","args":{"fields":{"elevation":1e308}}}',
    'obelisk/v1/task/task_001/result/json',
    'obelisk/v1/node/pi-7/telemetry',
    'elevation:f64,level:u8,heat:f32,tally:i32',
    '1,2.5,-3e2\r\n4,5,6\r\n',
    '\uFEFF0.1\n-0\n1e308\n',
  ].map((text) => utf8.encode(text)),
  npyHead('f32', 3, 5),
  // The same of version 2, whose length has four bytes.
  splice(npyHead('u8', 1, 1), 6, 4, Uint8Array.of(2, 0, 118, 0, 0, 0)),
  sealed.bytes,
  sealed.stored(true),
]

/** Bytes that mean something to one of the decoders. */
const TOKENS: readonly Uint8Array[] = [
  ...['ff', '9f', 'bf', '5f', '7f', 'f7', 'fb', 'c2', 'd9dfff', '9bffffffffffffffff', 'ba7fffffff'],
  ...['1b0020000000000000', '3bffffffffffffffff', 'f97e00', 'f97c00', 'a0', '80', '60', '40'],
  ...['695f5f70726f746f5f5f', '6b636f6e7374727563746f72', '63efbbbf', '00000000', '0a'],
]
  .map((one) => Uint8Array.from(Buffer.from(one, 'hex')))
  .concat(
    ['"', '{', '[', '\\ud800', '1e999', '-0', '__proto__', '/', ':', ','].map((one) =>
      utf8.encode(one),
    ),
  )

function splice(bytes: Uint8Array, at: number, gone: number, put: Uint8Array): Uint8Array {
  return Uint8Array.from([...bytes.subarray(0, at), ...put, ...bytes.subarray(at + gone)])
}

function mutate(bytes: Uint8Array, random: Random): Uint8Array {
  const at = random.integer(bytes.length + 1)
  const pick = (list: readonly Uint8Array[]): Uint8Array => list[random.integer(list.length)]!
  switch (random.integer(8)) {
    case 0: {
      const changed = Uint8Array.from(bytes)
      if (at < bytes.length) changed[at]! ^= 1 << random.integer(8)
      return changed
    }
    case 1: {
      const changed = Uint8Array.from(bytes)
      if (at < bytes.length) changed[at] = random.integer(256)
      return changed
    }
    case 2:
      return bytes.slice(0, at)
    case 3:
      return splice(bytes, at, random.integer(5), new Uint8Array(0))
    case 4:
      return splice(bytes, at, random.integer(3), pick(TOKENS))
    case 5:
      return splice(bytes, at, 0, bytes.subarray(random.integer(at + 1), at))
    case 6: {
      const other = pick(SEEDS)
      return splice(bytes, at, bytes.length, other.subarray(random.integer(other.length + 1)))
    }
    default:
      return splice(
        bytes,
        at,
        1,
        Uint8Array.from({ length: 4 }, () => random.integer(256)),
      )
  }
}

t.test('what once failed, and shapes that are known to hurt decoders', (t) => {
  t.ok(corpus.length > 0, 'there is a corpus')
  for (const { name, bytes } of corpus) t.equal(broken(bytes), undefined, name)
  t.end()
})

t.test('large hostile shapes', (t) => {
  const repeat = (head: string, count: number, tail = ''): Uint8Array =>
    Buffer.from(head.repeat(count) + tail, 'hex')
  const text = (one: string): Uint8Array => utf8.encode(one)
  const shapes: [string, Uint8Array][] = [
    ['lists in lists', repeat('81', 500_000, '00')],
    ['maps in maps', repeat('a16161', 300_000, '00')],
    ['tags in tags', repeat('c1', 500_000, '00')],
    [
      'a big number of 64 KiB',
      Buffer.concat([Buffer.from('c25a00010000', 'hex'), Buffer.alloc(65536, 0xff)]),
    ],
    [
      'a count of all the bytes that are left',
      Buffer.concat([Buffer.from('9a000ffff0', 'hex'), Buffer.alloc(0xffff0)]),
    ],
    ['lists that each claim the rest', repeat('9a000f0000', 150_000)],
    ['empty lists', Buffer.concat([Buffer.from('9a00030000', 'hex'), Buffer.alloc(0x30000, 0x80)])],
    ['empty maps', Buffer.concat([Buffer.from('9a00030000', 'hex'), Buffer.alloc(0x30000, 0xa0)])],
    [
      'arguments that are a megabyte of bytes',
      encodeCbor({ op: 'scale', args: new Uint8Array(1_000_000) }),
    ],
    [
      'an answer that is a megabyte of bytes',
      encodeCbor({ t: 'answer', value: new Uint8Array(1_000_000) }),
    ],
    ['100,000 wrong results', encodeCbor({ t: 'applied', results: new Array(100_000).fill(0) })],
    [
      '100,000 keys',
      encodeCbor(Object.fromEntries(Array.from({ length: 100_000 }, (_, at) => [`k${at}`, 0]))),
    ],
    ['a long key', encodeCbor({ ['k'.repeat(1_000_000)]: 0 })],
    ['more than a mebibyte', new Uint8Array(2 ** 21).fill(0x80)],
    ['JSON lists in lists', text('{"op":'.concat('['.repeat(1_000_000)))],
    ['JSON objects in objects', text('{"a":'.repeat(200_000))],
    ['JSON keys', text(`{${Array.from({ length: 90_000 }, (_, at) => `"k${at}":1`).join()}}`)],
    ['columns of a table', text('1,'.repeat(200_000))],
    ['rows of a table', text('1\n'.repeat(500_000))],
    ['names of fields', text(Array.from({ length: 100_000 }, (_, at) => `f${at}:u8`).join())],
    ['levels of a topic', text(`obelisk/v1/task/${'a/'.repeat(400_000)}`)],
    [
      'an escaped surrogate, often',
      text(`{"op":"digest","items":[{"key":"a","data":"${'\\ud800'.repeat(100_000)}"}]}`),
    ],
  ]
  for (const [name, bytes] of shapes) t.equal(broken(bytes), undefined, name)
  t.end()
})

t.test(`${RUNS} mutated and random inputs`, (t) => {
  const random = new Random(seed)
  for (let run = 0; run < RUNS; run++) {
    let input = SEEDS[random.integer(SEEDS.length)]!
    if (random.integer(10) === 0) {
      input = Uint8Array.from({ length: random.integer(64) }, () => random.integer(256))
    }
    for (let step = random.integer(6); step >= 0; step--) input = mutate(input, random)
    const fault = broken(input)
    if (fault === undefined) continue
    const name = `seed-${seed}-run-${run}.hex`
    writeFileSync(new URL(name, CORPUS), `# ${fault}\n${Buffer.from(input).toString('hex')}\n`)
    t.fail(`${fault}: now corpus/${name}`)
  }
  t.pass(`seed ${seed}`)
  t.end()
})

t.test('a decoder that breaks its promise is found', (t) => {
  const random = new Random(seed)
  const faults = (decoder: (input: Uint8Array) => boolean): (string | undefined)[] =>
    Array.from({ length: 300 }, () =>
      broken(mutate(SEEDS[random.integer(SEEDS.length)]!, random), { decoder }),
    )
  const throwing = faults((input) => Boolean(JSON.parse(Buffer.from(input).toString())))
  t.ok(throwing.some((fault) => fault?.startsWith('decoder throws')))
  const deaf = faults((input) => decodeCbor(input, MESSAGE_LIMITS).ok)
  t.ok(deaf.includes('decoder neither takes nor refuses it'))
  const prototype = Object.prototype as { polluted?: boolean }
  const polluting = faults(() => (prototype.polluted = true))
  delete prototype.polluted
  t.ok(polluting.every((fault) => fault === 'a prototype has other members'))
  t.end()
})
