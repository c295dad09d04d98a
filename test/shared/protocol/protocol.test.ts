import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import independent from 'cbor'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { NodeId, TaskId } from '../../../shared/core/ids.ts'
import { Geometry } from '../../../shared/grid/geometry.ts'
import type { GridContext } from '../../../shared/operations/operation.ts'
import { decodeCbor, encodeCbor } from '../../../shared/protocol/cbor.ts'
import { toJsonText } from '../../../shared/protocol/json-text.ts'
import { ITEMS_MAX, MESSAGE_LIMITS, SUBMISSION_BYTES_MAX } from '../../../shared/protocol/limits.ts'
import {
  type Down,
  decodeDown,
  decodeUp,
  downSchema,
  encodeMessage,
  type Up,
  upSchema,
} from '../../../shared/protocol/messages.ts'
import { PROBLEMS_MAX } from '../../../shared/protocol/problems.ts'
import { regionSchema } from '../../../shared/protocol/region.ts'
import {
  itemSchema,
  parseSubmission,
  type SubmissionResult,
  submissionSchema,
  type TaskBody,
} from '../../../shared/protocol/task.ts'
import {
  decodeTelemetry,
  encodeTelemetry,
  type Telemetry,
  telemetrySchema,
} from '../../../shared/protocol/telemetry.ts'
import {
  buildTopic,
  isBelowBase,
  isTopicBase,
  nodeClientId,
  parseNodeClientId,
  parseTopic,
  type Topic,
} from '../../../shared/protocol/topics.ts'
import { isPackageName } from '../../../shared/protocol/upgrade-messages.ts'
import { faultOf, readCddl, resolve, type Type } from '../../support/cddl.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/shared/protocol/protocol.test.ts`)
const check = (t: Test, property: fc.IRawProperty<unknown>, numRuns = 300): void => {
  fc.assert(property as fc.IProperty<unknown>, { seed, numRuns })
  t.pass(`${numRuns} runs`)
}

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
const decoded = (bytes: Uint8Array): unknown => {
  const result = decodeCbor(bytes, MESSAGE_LIMITS)
  return result.ok ? result.value : `refused: ${result.message}`
}

// ------------------------------------------------------------------ topics

const task = 'task_001' as TaskId
const node = 'pi-7' as NodeId
const TOPICS: readonly [topic: Topic, text: string][] = [
  [{ kind: 'task-submit' }, 'task/submit'],
  [{ kind: 'task-rejected' }, 'task/rejected'],
  [{ kind: 'task-cancel', task }, 'task/task_001/cancel'],
  [{ kind: 'task-state', task }, 'task/task_001/state'],
  [{ kind: 'task-result', task }, 'task/task_001/result'],
  [{ kind: 'task-result-json', task }, 'task/task_001/result/json'],
  [{ kind: 'node-state', node }, 'node/pi-7/state'],
  [{ kind: 'node-info', node }, 'node/pi-7/info'],
  [{ kind: 'node-telemetry', node }, 'node/pi-7/telemetry'],
  [{ kind: 'node-telemetry-json', node }, 'node/pi-7/telemetry/json'],
  [{ kind: 'node-event', node }, 'node/pi-7/event'],
  [{ kind: 'node-up', node }, 'node/pi-7/up'],
  [{ kind: 'node-down', node }, 'node/pi-7/down'],
  [{ kind: 'gateway-state' }, 'gateway/state'],
  [{ kind: 'gateway-ring' }, 'gateway/ring'],
  [{ kind: 'gateway-codex' }, 'gateway/codex'],
  [{ kind: 'gateway-event' }, 'gateway/event'],
  [{ kind: 'rule-event', rule: 'hot' }, 'rule/hot/event'],
  [{ kind: 'rule-state', rule: 'hot' }, 'rule/hot/state'],
]

t.test('topics are the texts of wire.md, both ways, for every base', (t) => {
  for (const base of ['obelisk/v1', 'x', 'a/b/c/d']) {
    t.ok(isTopicBase(base))
    for (const [topic, text] of TOPICS) {
      t.equal(buildTopic(base, topic), `${base}/${text}`)
      t.strictSame(parseTopic(base, `${base}/${text}`), topic)
      t.ok(`${base}/${text}`.split('/').length <= 8, 'at most 7 slashes')
    }
  }
  t.end()
})

t.test('an id that is a word of the topics stays an id', (t) => {
  for (const id of ['submit', 'rejected', 'state', '__proto__', 'constructor'] as TaskId[]) {
    const topic: Topic = { kind: 'task-state', task: id }
    t.strictSame(parseTopic('obelisk/v1', buildTopic('obelisk/v1', topic)), topic, id)
  }
  t.end()
})

t.test('what is none of our topics names nothing', (t) => {
  const others = [
    '',
    'task/submit',
    'obelisk/v1',
    'obelisk/v1/',
    'obelisk/v2/task/submit',
    'obelisk/v1x/task/submit',
    'obelisk/v1/task',
    'obelisk/v1/task/submit/',
    'obelisk/v1/task/submit/x',
    'obelisk/v1/task//state',
    'obelisk/v1/task/a b/state',
    'obelisk/v1/task/+/state',
    'obelisk/v1/task/x',
    'obelisk/v1/task/x/result/json/x',
    'obelisk/v1/task/x/toString',
    'obelisk/v1/task/x/__proto__',
    'obelisk/v1/node/x/telemetry/',
    'obelisk/v1/node/x',
    `obelisk/v1/node/${'x'.repeat(65)}/state`,
    'obelisk/v1/gateway/x',
    'obelisk/v1/gateway/state/x',
    'obelisk/v1/gateway/constructor',
    'obelisk/v1//task/submit',
    'Obelisk/v1/task/submit',
  ]
  for (const text of others) t.equal(parseTopic('obelisk/v1', text), undefined, text)
  for (const base of ['', '/', 'a/', 'a/b/c/d/e', 'a b', '+', '$SYS', 'x'.repeat(33)]) {
    t.notOk(isTopicBase(base), `base "${base}"`)
  }
  t.ok(isBelowBase('obelisk/v1', 'obelisk/v1'))
  t.ok(isBelowBase('obelisk/v1', 'obelisk/v1/#'))
  t.notOk(isBelowBase('obelisk/v1', 'obelisk/v10/task'))
  t.end()
})

t.test('a parsed topic builds the text it was parsed from', (t) => {
  const level = fc.oneof(
    fc.constantFrom('task', 'node', 'gateway', 'submit', 'state', 'result', 'json', 'telemetry'),
    fc.string({ maxLength: 4 }),
  )
  check(
    t,
    fc.property(fc.array(level, { maxLength: 5 }), (levels) => {
      const text = ['obelisk/v1', ...levels].join('/')
      const topic = parseTopic('obelisk/v1', text)
      return topic === undefined || buildTopic('obelisk/v1', topic) === text
    }),
    2000,
  )
  t.end()
})

t.test('a client id tells the node, and nothing else does', (t) => {
  t.equal(parseNodeClientId(nodeClientId(node, 'k3v9')), node)
  for (const other of [
    '',
    'pi-7',
    'obelisk-node:pi-7',
    'obelisk-node:pi-7:',
    'obelisk-node::x',
    'obelisk-node:pi 7:x',
    'obelisk-node:pi-7:x:y',
    'Obelisk-node:pi-7:x',
  ]) {
    t.equal(parseNodeClientId(other), undefined, other)
  }
  t.end()
})

// -------------------------------------------------------------------- CBOR

/** Text that travels: whole code points, no byte order mark in front. */
const text = fc
  .string({ unit: 'binary', maxLength: 80, size: 'max' })
  .filter((one) => !one.startsWith('\ufeff'))
/** The independent codec stumbles over `valueOf` and the like. */
const key = text.filter((one) => !(one in {}))
const number = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true }).map((one) => (one === 0 ? 0 : one)),
  fc.constantFrom(23, 24, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, -(2 ** 32), 2 ** 53),
)
const { plain } = fc.letrec<{ plain: unknown; leaf: unknown }>((tie) => ({
  leaf: fc.oneof(
    number,
    text,
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 40, size: 'max' }),
  ),
  plain: fc.oneof(
    { maxDepth: 5 },
    tie('leaf'),
    fc.array(tie('plain'), { maxLength: 8 }),
    fc.dictionary(key, tie('plain'), { maxKeys: 8, noNullPrototype: true }),
  ),
}))

/** Byte strings of every class as one, so that two decodings can be compared. */
function normal(value: unknown): unknown {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('hex') }
  if (Array.isArray(value)) return value.map(normal)
  if (value instanceof Map) return normal(Object.fromEntries(value))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .map(([name, one]) => [name, normal(one)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  )
}
const same = (left: unknown, right: unknown): boolean =>
  JSON.stringify(normal(left)) === JSON.stringify(normal(right))

/** The independent encoder tags byte strings that are not Buffers. */
function asBuffers(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value)
  if (Array.isArray(value)) return value.map(asBuffers)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, asBuffers(one)]))
}

t.test('plain data comes back, from memory at any offset', (t) => {
  check(
    t,
    fc.property(plain, fc.nat(9), (value, offset) => {
      const bytes = encodeCbor(value)
      const moved = Buffer.concat([Buffer.alloc(offset, 0xff), bytes]).subarray(offset)
      return same(decoded(bytes), value) && same(decoded(moved), value)
    }),
    150,
  )
  for (const length of [0, 1, 15, 16, 31, 32, 63, 64, 65, 255, 256, 65535, 65536]) {
    for (const letter of ['x', 'é', '水', '😀']) {
      const long = letter.repeat(length)
      t.equal(decoded(encodeCbor(long)), long, `${length} × ${letter}`)
    }
  }
  t.end()
})

t.test('keys that mean something to JavaScript are keys like others', (t) => {
  const inherited = Object.getOwnPropertyNames(Object.prototype)
  const names = fc.constantFrom(...inherited, '__proto_', 'toJSON', 'then', 'length', '0', '')
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      number,
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.array(fc.tuple(names, tie('tree')), { maxLength: 6 }).map(Object.fromEntries),
    ),
  }))
  check(
    t,
    fc.property(tree, (value) => same(decoded(encodeCbor(value)), value)),
    500,
  )
  t.end()
})

t.test('an independent decoder reads what we encode, and we what it encodes', (t) => {
  check(
    t,
    fc.property(plain, (value) => {
      const bytes = encodeCbor(value)
      // Its buffer holds 16 KiB; what passes that is lost.
      fc.pre(bytes.length < 8_000)
      const ours = independent.decodeFirstSync(bytes)
      return (
        same(ours, value) && same(decoded(independent.encodeCanonical(asBuffers(value))), value)
      )
    }),
    150,
  )
  t.end()
})

t.test('the vectors of RFC 8949, appendix A, that are plain data', (t) => {
  // biome-ignore format: a table
  const vectors: [string, unknown][] = [
    ['00', 0],
    ['01', 1],
    ['0a', 10],
    ['17', 23],
    ['1818', 24],
    ['1819', 25],
    ['1864', 100],
    ['1903e8', 1000],
    ['1a000f4240', 1000000],
    ['1b000000e8d4a51000', 1000000000000],
    ['20', -1],
    ['29', -10],
    ['3863', -100],
    ['3903e7', -1000],
    ['f90000', 0],
    ['f98000', -0],
    ['f93c00', 1],
    ['fb3ff199999999999a', 1.1],
    ['f93e00', 1.5],
    ['f97bff', 65504],
    ['fa47c35000', 100000],
    ['fa7f7fffff', 3.4028234663852886e38],
    ['fb7e37e43c8800759c', 1e300],
    ['f90001', 2 ** -24],
    ['f90400', 0.00006103515625],
    ['f9c400', -4],
    ['fbc010666666666666', -4.1],
    ['f97c00', Number.POSITIVE_INFINITY],
    ['f97e00', Number.NaN],
    ['f9fc00', Number.NEGATIVE_INFINITY],
    ['fa7f800000', Number.POSITIVE_INFINITY],
    ['fa7fc00000', Number.NaN],
    ['faff800000', Number.NEGATIVE_INFINITY],
    ['fb7ff0000000000000', Number.POSITIVE_INFINITY],
    ['fb7ff8000000000000', Number.NaN],
    ['fbfff0000000000000', Number.NEGATIVE_INFINITY],
    ['f4', false],
    ['f5', true],
    ['f6', null],
    ['40', new Uint8Array(0)],
    ['4401020304', Uint8Array.of(1, 2, 3, 4)],
    ['60', ''],
    ['6161', 'a'],
    ['6449455446', 'IETF'],
    ['62225c', '"\\'],
    ['62c3bc', 'ü'],
    ['63e6b0b4', '水'],
    ['64f0908591', '𐅑'],
    ['80', []],
    ['83010203', [1, 2, 3]],
    ['8301820203820405', [1, [2, 3], [4, 5]]],
    ['98190102030405060708090a0b0c0d0e0f101112131415161718181819', Array.from({ length: 25 }, (_,
      index) => index + 1)],
    ['a0', {}],
    ['a26161016162820203', { a: 1, b: [2, 3] }],
    ['826161a161626163', ['a', { b: 'c' }]],
    ['a56161614161626142616361436164614461656145', { a: 'A', b: 'B', c: 'C', d: 'D', e: 'E' }],
  ]
  for (const [bytes, value] of vectors) {
    const found = decoded(hex(bytes))
    if (typeof value === 'number') t.ok(Object.is(found, value), `${bytes} is ${value}`)
    else t.ok(same(found, value), bytes)
  }
  t.end()
})

t.test('the vectors of RFC 8949, appendix A, that are refused, each with its reason', (t) => {
  // biome-ignore format: a table
  const vectors: [string, RegExp][] = [
    ['1bffffffffffffffff', /integer beyond/],
    ['3bffffffffffffffff', /integer beyond/],
    ['c249010000000000000000', /a tag/],
    ['c349010000000000000000', /a tag/],
    ['f7', /simple value/],
    ['f0', /simple value/],
    ['f8ff', /simple value/],
    ['c074323031332d30332d32315432303a30343a30305a', /a tag/],
    ['c11a514b67b0', /a tag/],
    ['c1fb41d452d9e20000000', /a tag/],
    ['d74401020304', /a tag/],
    ['d818456449455446', /a tag/],
    ['d82076687474703a2f2f7777772e6578616d706c652e636f6d', /a tag/],
    ['a201020304', /key that is not text/],
    ['5f42010243030405ff', /indefinite/],
    ['7f657374726561646d696e67ff', /indefinite/],
    ['9fff', /indefinite/],
    ['9f018202039f0405ffff', /indefinite/],
    ['83018202039f0405ff', /indefinite/],
    ['83019f0203ff820405', /indefinite/],
    ['bf61610161629f0203ffff', /indefinite/],
    ['826161bf61626163ff', /indefinite/],
    ['bf6346756ef563416d7421ff', /indefinite/],
  ]
  for (const [bytes, reason] of vectors) t.match(decoded(hex(bytes)), reason, bytes)
  t.end()
})

t.test('every other construct that is refused', (t) => {
  // biome-ignore format: a table
  const shapes: [string, string, RegExp][] = [
    ['nothing', '', /no bytes/],
    ['bytes after the end', '0000', /left over/],
    ['a list cut short', '8201', /larger than|too early/],
    ['a head cut short', '19ff', /too early/],
    ['a float cut short', 'fb3ff1', /too early/],
    ['text cut short', '6261', /larger than/],
    ['a count of 2^32 - 1', '9affffffff', /larger than/],
    ['a count of 2^64 - 1', '9bffffffffffffffff', /larger than/],
    ['a map of 2^63', 'bb8000000000000000', /larger than/],
    ['a length of 2^64 - 1', '5bffffffffffffffff', /larger than/],
    ['a reserved length', '1c', /reserved/],
    ['a break', 'ff', /simple value|indefinite/],
    ['a key twice', 'a2616101616102', /twice/],
    ['a key twice, inside', '81a2616101616102', /twice/],
    ['a key that is a list', 'a18000', /key that is not text/],
    ['a key that is bytes', 'a1416101', /key that is not text/],
    ['text that is not UTF-8', '62c328', /UTF-8/],
    ['half a surrogate pair', '63eda080', /UTF-8/],
    ['a byte order mark', '64efbbbf61', /byte order mark/],
    ['2^53 + 1', '1b0020000000000001', /integer beyond/],
    ['-2^53 - 1', '3b0020000000000000', /integer beyond/],
    ['the record tag of cbor-x', 'd9dfff831901006161', /a tag/],
    ['self-described CBOR', 'd9d9f700', /a tag/],
    ['nine lists in one another', `${'81'.repeat(9)}00`, /too deep/],
  ]
  for (const [name, bytes, reason] of shapes) t.match(decoded(hex(bytes)), reason, name)
  t.equal(decoded(hex('1b0020000000000000')), 2 ** 53, '2^53 itself is taken')
  t.equal(decoded(hex('3b001fffffffffffff')), -(2 ** 53))
  t.equal(decoded(hex('1b00000001000000ff')), 2 ** 32 + 255, 'a number, not a BigInt')
  t.ok(Array.isArray(decoded(hex(`${'81'.repeat(8)}00`))), 'eight lists are taken')
  t.end()
})

t.test('the limits hold at their edges', (t) => {
  const limits = { bytesMax: 10, depthMax: 2, itemsMax: 4 }
  const takes = (value: unknown): boolean => decodeCbor(encodeCbor(value), limits).ok
  t.ok(takes([1, 2, 3]))
  t.notOk(takes([1, 2, 3, 4]), 'five data items')
  t.ok(takes('123456789'))
  t.notOk(takes('1234567890'), 'eleven bytes')
  t.ok(takes([[1]]))
  t.notOk(takes([[[1]]]), 'three levels')
  t.ok(decodeCbor(encodeCbor({ a: 1 }), MESSAGE_LIMITS).ok)
  t.end()
})

t.test('maps are read in any order and numbers in any width', (t) => {
  const message: Up = { t: 'heartbeat', session: 3, beat: 2 ** 20 }
  const numbers = {
    3: ['03', '1803', '190003', '1a00000003', '1b0000000000000003', 'f94200', 'fa40400000'],
    [2 ** 20]: ['1a00100000', '1b0000000000100000', 'fa49800000', 'fb4130000000000000'],
  }
  const pair = (name: string, value: string): string =>
    Buffer.concat([encodeCbor(name), hex(value)]).toString('hex')
  for (const session of numbers[3]) {
    for (const beat of numbers[2 ** 20]!) {
      const members = [
        pair('t', '69686561727462656174'),
        pair('session', session),
        pair('beat', beat),
      ]
      for (const order of [
        [0, 1, 2],
        [2, 1, 0],
        [1, 2, 0],
      ]) {
        const bytes = hex(`a3${order.map((at) => members[at]).join('')}`)
        t.strictSame(decodeUp(bytes), { ok: true, message }, `${session} ${beat} ${order}`)
      }
    }
  }
  t.end()
})

t.test('keys that objects have of their own come back', (t) => {
  const names = ['constructor', 'toString', 'valueOf', 'hasOwnProperty', 'toJSON', 'then', '10', '']
  const value = Object.fromEntries(names.map((name, at) => [name, at]))
  t.same(decoded(encodeCbor(value)), value)
  t.same(decoded(encodeCbor({ value })), { value })
  t.end()
})

t.test('a key that would reach a prototype reaches none', (t) => {
  const bytes = hex('a1695f5f70726f746f5f5fa168706f6c6c75746564f5')
  const value = decoded(bytes) as object
  t.equal(Object.getPrototypeOf(value), Object.prototype)
  t.equal(({} as { polluted?: boolean }).polluted, undefined)
  t.end()
})

// ---------------------------------------------------------------- messages

const chain = Uint8Array.of(0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4)
const grid = { width: 1024, height: 1024, tile: 16, fields: 'elevation:f64,level:u8' }

const PACKAGE = 'a1'.repeat(32)

/** Of a page on its way to another node. */
const piece = {
  move: 8_589_934_593,
  tile: 5,
  at: 9000,
  digest: chain,
  index: 1,
  of: 2,
  bytes: Uint8Array.of(1, 2, 3),
}

const UP: { [T in Up['t']]: Extract<Up, { t: T }> } = {
  hello: {
    t: 'hello',
    version: 1,
    node: 'pi-7',
    storeId: 's3v9k2m8q0x1b7n5',
    boot: 12,
    process: 'p0w8r3t6y2z4c1d9',
    ledgerId: 'l4h7j2k9m5n8p3q6',
    position: 4711,
    chain,
    seq: 8_589_934_592,
    weight: 1.5,
    operations: ['scale', 'put', 'set', 'add', 'get', 'stat', 'digest'],
    grid,
  },
  heartbeat: { t: 'heartbeat', session: 7, beat: 65_536 },
  applied: {
    t: 'applied',
    session: 7,
    position: 4712,
    chain,
    results: [
      { position: 4711, lsus: 256 },
      { position: 4712, lsus: 12 },
    ],
  },
  gap: { t: 'gap', session: 7, position: 4700, chain },
  stopped: { t: 'stopped', session: 7, position: 4700, code: 'disk-full', message: 'no space' },
  answer: {
    t: 'answer',
    task: 'task_001',
    part: 'r0-3',
    attempt: 2,
    position: 4712,
    seq: 9000,
    ms: 3.25,
    value: { tiles: Uint8Array.of(5, 0, 0, 0), counts: new Uint8Array(16) },
  },
  chunk: { t: 'chunk', session: 7, ...piece },
  'copy-failed': {
    t: 'copy-failed',
    session: 7,
    move: 8_589_934_593,
    tile: 5,
    code: 'tile-missing',
    message: 'tile 5 is not held here',
  },
  staged: { t: 'staged', session: 7, move: 8_589_934_593, tile: 5, at: 9000, digest: chain },
  examined: {
    t: 'examined',
    session: 7,
    tiles: Uint8Array.of(5, 0, 0, 0, 6, 0, 0, 0),
    ats: [9000, 0],
    digests: new Uint8Array(16),
  },
  held: {
    t: 'held',
    storeId: 's3v9k2m8q0x1b7n5',
    position: 4712,
    from: 0,
    tiles: Uint8Array.of(5, 0, 0, 0),
    ats: [9000],
    next: 2048,
  },
  'next-key': { t: 'next-key', key: new Uint8Array(91).fill(4), sig: new Uint8Array(64).fill(5) },
  fetched: { t: 'fetched', sha256: PACKAGE },
  upgraded: {
    t: 'upgraded',
    outcome: { sha256: PACKAGE, outcome: 'went-back', code: 'upgrade-went-back' },
  },
  'log-lines': {
    t: 'log-lines',
    ask: 3,
    lines: new TextEncoder().encode('{"level":40,"msg":"no room"}\n'),
    next: 'p0w8r3t6y2z4c1d9-17',
    left: 2,
    unread: 5,
  },
  'rule-changes': {
    t: 'rule-changes',
    session: 3,
    version: 2,
    records: [
      {
        ...{ number: 7 * 4096, version: 2 },
        ...{ rules: [0, 1], tiles: [5, 5], ats: [900, 900], counts: [12, 0] },
      },
    ],
    left: 0,
  },
}

const DOWN: { [T in Down['t']]: Extract<Down, { t: T }> } = {
  welcome: {
    t: 'welcome',
    version: 1,
    session: 7,
    ledgerId: 'l4h7j2k9m5n8p3q6',
    grid,
    heartbeatMs: 1000,
    confirmed: 4700,
  },
  refused: { t: 'refused', code: 'grid-mismatch', message: 'the store was made for another grid' },
  entries: {
    t: 'entries',
    session: 7,
    confirmed: 4710,
    entries: [
      {
        position: 4712,
        seq: 9000,
        chain,
        op: 'set',
        region: [0, 16, 640, 480],
        args: { fields: [0, 1], values: [0.5, 255] },
        tiles: Uint8Array.of(64, 0, 0, 0, 65, 0, 0, 0),
        body: Uint8Array.of(8, 7, 6, 5, 4, 3, 2, 1),
      },
    ],
  },
  read: {
    t: 'read',
    session: 7,
    task: 'task_002',
    part: 'r0-1',
    attempt: 1,
    leaseMs: 5000,
    after: 4712,
    op: 'stat',
    args: { field: 0, bins: 10 },
    grid: {
      region: [0, 0, 32, 16],
      tiles: Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0),
      unborn: Uint8Array.of(1, 0, 0, 0),
    },
    items: { keys: ['a', 'ü'], values: [Uint8Array.of(1), new Uint8Array(0)] },
  },
  cancel: { t: 'cancel', session: 7, task: 'task_002' },
  received: { t: 'received', session: 7, answers: [{ task: 'task_002', part: 'r0-1' }] },
  beat: { t: 'beat', session: 7, beat: 65_536, ts: 1_790_000_000_000, confirmed: 4712 },
  wipe: { t: 'wipe', session: 7, storeId: 's3v9k2m8q0x1b7n5', position: 4712 },
  copy: { t: 'copy', session: 7, move: 8_589_934_593, tile: 5, after: 4712 },
  chunk: { t: 'chunk', session: 7, ...piece },
  discard: { t: 'discard', session: 7, move: 8_589_934_593, tile: 5 },
  examine: { t: 'examine', session: 7, tiles: Uint8Array.of(5, 0, 0, 0) },
  'list-tiles': { t: 'list-tiles', from: 2048 },
  rebase: {
    t: 'rebase',
    storeId: 's3v9k2m8q0x1b7n5',
    position: 4712,
    ledgerId: 'l4h7j2k9m5n8p3q6',
    keep: Uint8Array.of(5, 0, 0, 0),
  },
  rekey: { t: 'rekey' },
  rekeyed: { t: 'rekeyed', cert: '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n' },
  upgrade: {
    t: 'upgrade',
    version: '0.2.0',
    sha256: PACKAGE,
    bytes: 545_000,
    next: 'wait',
  },
  log: { t: 'log', ask: 3, lines: 100, level: 'warn', after: 'p0w8r3t6y2z4c1d9-12' },
  'changes-taken': { t: 'changes-taken', session: 3, number: 7 * 4096 },
}

const MESSAGES = [
  ...Object.values(UP).map((message) => ({ message, decode: decodeUp, schema: upSchema })),
  ...Object.values(DOWN).map((message) => ({ message, decode: decodeDown, schema: downSchema })),
] as const

interface ObjectSchema {
  type: string
  entries: Record<string, { type: string }>
}

/** The schema of one message. */
function schemaOf(schemas: typeof upSchema | typeof downSchema, name: string): ObjectSchema {
  const options = schemas.options as readonly { entries: { t: { literal: string } } }[]
  return options.find((option) => option.entries.t.literal === name) as unknown as ObjectSchema
}

t.test('there is an example of every message', (t) => {
  t.same(
    [...upSchema.options, ...downSchema.options].map((option) => option.entries.t.literal).sort(),
    MESSAGES.map(({ message }) => message.t).sort(),
  )
  t.end()
})

t.test('every message comes back as it was', (t) => {
  for (const { message, decode } of MESSAGES) {
    const bytes = encodeMessage(message)
    const found = decode(Buffer.concat([Buffer.of(0), bytes]).subarray(1))
    t.ok(found.ok && same(found.message, message), message.t)
    t.ok(same(independent.decodeFirstSync(bytes), message), `${message.t}, decoded independently`)
  }
  t.end()
})

t.test('a message of the other direction, or of no kind, is refused', (t) => {
  for (const { message, decode } of MESSAGES) {
    const other = decode === decodeUp ? decodeDown : decodeUp
    // A piece of a page goes on as it came.
    t.equal(other(encodeMessage(message)).ok, message.t === 'chunk', message.t)
  }
  for (const value of [{}, { t: 'x' }, { t: 1 }, { t: '__proto__' }, [], null, 5, 'hello']) {
    for (const decode of [decodeUp, decodeDown]) {
      const found = decode(encodeCbor(value))
      t.ok(!found.ok && found.problem.length > 0, JSON.stringify(value))
    }
  }
  t.end()
})

t.test('a message with a key too many, too few or of another type is refused', (t) => {
  const WRONG: readonly unknown[] = [true, {}, [[]], -1, 1.5, '', new Uint8Array(3)]
  for (const { message, decode, schema } of MESSAGES) {
    const refuses = (changed: object): boolean => !decode(encodeCbor(changed)).ok
    t.ok(refuses({ ...message, extra: 1 }), `${message.t} with a key too many`)
    t.ok(refuses({ ...message, toString: 1 }), `${message.t} with toString`)
    const { entries } = schemaOf(schema, message.t)
    for (const name of Object.keys(entries)) {
      const { [name]: _, ...without } = message as Record<string, unknown>
      const isOptional = entries[name]!.type === 'optional'
      t.equal(refuses(without), !isOptional, `${message.t} without ${name}`)
      t.ok(refuses({ ...message, [name]: true }), `${message.t} with ${name}: true`)
      const taken = WRONG.filter((value) => !refuses({ ...message, [name]: value }))
      t.ok(taken.length <= 2, `${message.t} takes ${JSON.stringify(taken)} for ${name}`)
    }
  }
  t.end()
})

t.test('members inside a message are checked as well', (t) => {
  const [entry] = DOWN.entries.entries
  const wrong: [string, Up | Down, object][] = [
    ['a chain of seven bytes', UP.gap, { chain: chain.subarray(1) }],
    ['a chain of nine bytes', UP.gap, { chain: Uint8Array.of(...chain, 0) }],
    ['a count above 2^53', UP.gap, { position: 2 ** 53 }],
    ['an id with a slash', UP.hello, { node: 'a/b' }],
    ['a weight of zero', UP.hello, { weight: 0 }],
    ['an infinite weight', UP.hello, { weight: Number.POSITIVE_INFINITY }],
    ['a long name', UP.hello, { operations: ['x'.repeat(1025)] }],
    ['too many operations', UP.hello, { operations: new Array(1025).fill('x') }],
    ['a grid with a key too many', UP.hello, { grid: { ...grid, depth: 1 } }],
    ['a result with a key too few', UP.applied, { results: [{ position: 1 }] }],
    ['a time that is not finite', UP.answer, { ms: Number.POSITIVE_INFINITY }],
    ['a time that is no number', UP.answer, { ms: Number.NaN }],
    ['a partial result that is a list', UP.answer, { value: [] }],
    ['a partial result that is bytes', UP.answer, { value: new Uint8Array(4) }],
    ['an error without words', UP.answer, { error: { code: 'x' } }],
    ['arguments that are a list', DOWN.entries, { entries: [{ ...entry, args: [] }] }],
    ['a region of three', DOWN.entries, { entries: [{ ...entry, region: [0, 0, 1] }] }],
    ['a region of five', DOWN.entries, { entries: [{ ...entry, region: [0, 0, 1, 1, 1] }] }],
    ['tiles that are a list', DOWN.entries, { entries: [{ ...entry, tiles: [1] }] }],
    ['an entry with a key too many', DOWN.entries, { entries: [{ ...entry, at: 1 }] }],
    ['keys that are numbers', DOWN.read, { items: { keys: [1], values: [chain] } }],
    ['values that are text', DOWN.read, { items: { keys: ['a'], values: ['a'] } }],
  ]
  for (const [name, message, change] of wrong) {
    const decode = message.t in UP ? decodeUp : decodeDown
    const found = decode(encodeCbor({ ...message, ...change }))
    t.ok(!found.ok && found.problem.length > 0, found.ok ? name : `${name}: ${found.problem}`)
  }
  t.ok(decodeUp(encodeCbor({ ...UP.hello, ledgerId: null, grid: null })).ok, 'a new store')
  const broken = Uint8Array.of(5, 0, 0, 0)
  t.ok(decodeUp(encodeCbor({ ...UP.hello, broken })).ok, 'a damaged page in a hello')
  t.ok(decodeUp(encodeCbor({ ...UP.applied, broken })).ok, 'and in an acknowledgement')
  t.notOk(decodeUp(encodeCbor({ ...UP.applied, broken: [5] })).ok, 'which are not a list')
  const counted = { ...UP.applied, results: [{ position: 1, lsus: 9, written: broken }] }
  t.ok(decodeUp(encodeCbor(counted)).ok, 'what a program wrote')
  const first = { field: 0, lsu: 3, current: 1, ghost: 2 }
  const ghost = { differ: Uint8Array.of(1, 0, 1, 0), max: 1, first, late: true }
  const shadowed = { ...UP.applied, results: [{ position: 1, lsus: 9, ghost }] }
  t.ok(decodeUp(encodeCbor(shadowed)).ok, 'how a ghost compares')
  const endless = { ...ghost, max: Number.POSITIVE_INFINITY }
  const wrongly = { ...UP.applied, results: [{ position: 1, lsus: 9, ghost: endless }] }
  t.notOk(decodeUp(encodeCbor(wrongly)).ok, 'by numbers that are finite')
  t.ok(decodeUp(encodeCbor({ ...UP.answer, value: { '': null } })).ok, 'any map is a result')
  t.end()
})

// --------------------------------------------------- frozen bytes and CDDL

const SUBMISSION = {
  id: 'task_001',
  op: 'stat',
  region: { x: 0, y: 0, w: 64, h: 48 },
  args: { field: 'elevation', bins: 10 },
  deadline_ms: 30_000,
}
/** The fields of wire.md beside `v` and `node`. */
const TELEMETRY_FIELDS =
  'incarnation seq ts uptime_seconds cpu_percent load1 mem_total_bytes mem_available_bytes ' +
  'rss_bytes temp_celsius disk_free_bytes net_rx_bytes net_tx_bytes loop_busy_percent ' +
  'broker_rtt_ms clock_offset_ms tiles lsus shards_running shards_done_total ' +
  'shards_failed_total outbox_records outbox_bytes store_bytes store_written_bytes_total'

/** What stands beside the messages: one realistic payload for each rule of the outside. */
const OUTSIDE: Record<string, Record<string, unknown>> = {
  submission: SUBMISSION,
  'seal-head': { v: 1, task: 'task_001', op: 'stat', to: 'alice', ts: 1_700_000_000_000 },
  'short-submission': { Id: 'task_002', Data: 'digest', items: [{ key: 'a', data: 'text' }] },
  'task-result': {
    id: 'task_001',
    op: 'stat',
    state: 'completed',
    value: {
      count: 3072,
      sum: 1536.5,
      min: 0,
      max: 1,
      mean: 0.5,
      variance: 0.25,
      histogram: { edges: [0, 0.5, 1], counts: [1500, 1572] },
    },
    effect: 'none',
    consistent: true,
    lsus: 3072,
    shards: 4,
    nodes: 3,
    ms: 41,
    ts: 1_790_000_000_123,
  },
  telemetry: {
    v: 1,
    node: 'pi-7',
    ...Object.fromEntries(
      TELEMETRY_FIELDS.split(' ').map((name, at) => [name, at === 10 ? null : at * 1.5]),
    ),
  },
}

const FIXTURES = new URL('../../fixtures/wire/', import.meta.url)
const fixture = (name: string): URL => new URL(`${name}.cbor`, FIXTURES)
const FROZEN: readonly [name: string, value: object][] = Object.entries({
  ...UP,
  ...DOWN,
  ...OUTSIDE,
})

t.test('the bytes of every payload are the frozen ones (UPDATE=1 rewrites them)', (t) => {
  if (process.env.UPDATE === '1') {
    for (const [name, value] of FROZEN) writeFileSync(fixture(name), encodeCbor(value))
  }
  for (const [name, value] of FROZEN) {
    if (!existsSync(fixture(name))) {
      t.fail(`${name}.cbor is missing`)
      continue
    }
    const frozen = readFileSync(fixture(name))
    t.equal(Buffer.from(encodeCbor(value)).toString('hex'), frozen.toString('hex'), name)
    t.ok(same(decoded(frozen), value), `${name}, decoded`)
  }
  t.same(
    readdirSync(FIXTURES).sort(),
    FROZEN.map(([name]) => `${name}.cbor`).sort(),
    'no fixture without a payload',
  )
  t.end()
})

const rules = readCddl(
  readFileSync(new URL('../../../shared/protocol/obelisk.cddl', import.meta.url), 'utf8'),
)

t.test('the frozen bytes are of their CDDL rule, and of no rule once changed', (t) => {
  for (const [name] of FROZEN) {
    const value = decoded(readFileSync(fixture(name))) as Record<string, unknown>
    const type: Type = { kind: 'name', name }
    t.equal(faultOf(rules, type, value), undefined, name)
    t.ok(faultOf(rules, type, { ...value, extra: 1 }), `${name} with a key too many`)
    for (const member of Object.keys(value)) {
      const wrong = faultOf(rules, type, { ...value, [member]: undefined })
      t.ok(wrong, `${name} with ${member} undefined: ${wrong}`)
    }
  }
  for (const { message, schema } of MESSAGES) {
    const direction = schema === upSchema ? 'up-message' : 'down-message'
    t.equal(faultOf(rules, { kind: 'name', name: direction }, message), undefined)
  }
  t.end()
})

t.test('the CDDL is read whole: no rule is unused and no name is unknown', (t) => {
  const used = new Set(['submission', 'short-submission', 'task-result', 'telemetry'])
  used.add('seal-head')
  used.add('up-message').add('down-message')
  const visit = (type: Type): void => {
    if (type.kind === 'name') used.add(type.name)
    else if (type.kind === 'either') type.types.forEach(visit)
    else if (type.kind === 'control') visit(type.type)
    else if (type.kind === 'map' || type.kind === 'list') {
      for (const member of type.members) {
        if (typeof member.key === 'object') visit(member.key)
        visit(member.type)
      }
    }
  }
  for (const type of rules.values()) visit(type)
  const prelude = ['any', 'bool', 'null', 'tstr', 'bstr', 'number', 'float64', 'uint']
  for (const name of used) t.ok(rules.has(name) || prelude.includes(name), `${name} is known`)
  for (const name of rules.keys()) t.ok(used.has(name), `${name} is used`)
  t.end()
})

interface AnySchema {
  type: string
  entries?: Record<string, AnySchema>
  wrapped?: AnySchema
  item?: AnySchema
  items?: AnySchema[]
  literal?: string | number
}

/** Where a schema and a CDDL type differ in shape: keys, optional members, lists, nulls. */
function differences(schema: AnySchema, named: Type, path: string): string[] {
  const type = resolve(rules, named)
  if (schema.type === 'optional') return differences(schema.wrapped!, named, path)
  if (schema.type === 'nullable') {
    const isNull = (one: Type): boolean => one.kind === 'name' && one.name === 'null'
    if (type.kind !== 'either' || !type.types.some(isNull)) return [`${path} may be null`]
    return differences(schema.wrapped!, type.types.find((one) => !isNull(one))!, path)
  }
  if (schema.type === 'literal') {
    const isSame = type.kind === 'literal' && type.value === schema.literal
    return isSame ? [] : [`${path} is ${schema.literal}`]
  }
  if (schema.type === 'array') {
    if (type.kind !== 'list' || type.members.length !== 1) return [`${path} is a list`]
    return differences(schema.item!, type.members[0]!.type, `${path}[]`)
  }
  if (schema.type === 'strict_tuple') {
    const isSame = type.kind === 'list' && type.members.length === schema.items!.length
    return isSame ? [] : [`${path} has ${schema.items!.length} members`]
  }
  if (schema.type !== 'strict_object') {
    const isOpen = type.kind === 'map' && type.members.every(({ key }) => typeof key === 'object')
    return type.kind === 'map' && !isOpen ? [`${path} is no map of named members`] : []
  }
  if (type.kind !== 'map') return [`${path} is a map`]
  const found: string[] = []
  const members = new Map(type.members.map((member) => [member.key, member]))
  for (const [name, entry] of Object.entries(schema.entries!)) {
    const member = members.get(name)
    members.delete(name)
    if (member === undefined) found.push(`${path}.${name} is not in the CDDL`)
    else if ((member.least === 0) !== (entry.type === 'optional')) {
      found.push(`${path}.${name} is optional in one of them`)
    } else found.push(...differences(entry, member.type, `${path}.${name}`))
  }
  for (const name of members.keys()) found.push(`${path}.${String(name)} is only in the CDDL`)
  return found
}

t.test('the CDDL has the messages, keys and shapes of the schemas, and no others', (t) => {
  for (const [name, schema] of [
    ['up-message', upSchema],
    ['down-message', downSchema],
  ] as const) {
    const rule = rules.get(name)!
    const named = rule.kind === 'either' ? rule.types : []
    const names = named.map((type) => (type.kind === 'name' ? type.name : '?'))
    t.same(names.sort(), schema.options.map((option) => option.entries.t.literal).sort(), name)
  }
  for (const { message, schema } of MESSAGES) {
    const found = schemaOf(schema, message.t) as AnySchema
    t.same(differences(found, { kind: 'name', name: message.t }, message.t), [], message.t)
  }
  const outside: [string, AnySchema][] = [
    ['submission', submissionSchema as unknown as AnySchema],
    ['region', regionSchema as unknown as AnySchema],
    ['item', itemSchema as unknown as AnySchema],
  ]
  for (const [name, schema] of outside) {
    const keys = differences(schema, { kind: 'name', name }, name)
    t.same(
      keys.filter((line) => !/ is no map of named members$/.test(line)),
      [],
      name,
    )
  }
  const telemetry = telemetrySchema as unknown as AnySchema
  t.same(differences(telemetry, { kind: 'name', name: 'telemetry' }, 'telemetry'), [])
  t.same(
    Object.keys(telemetry.entries!).sort(),
    ['v', 'node', ...TELEMETRY_FIELDS.split(' ')].sort(),
    'the fields of wire.md',
  )
  t.end()
})

t.test('a difference between CDDL and schema is found', (t) => {
  const other = readCddl(
    'heartbeat = { t: "heartbeat", session: uint, ? beat: uint, ? shed: uint, at: uint }',
  )
  const found = differences(
    schemaOf(upSchema, 'heartbeat') as AnySchema,
    other.get('heartbeat')!,
    'heartbeat',
  )
  t.same(found.sort(), [
    'heartbeat.at is only in the CDDL',
    'heartbeat.beat is optional in one of them',
  ])
  t.throws(() => readCddl('a = { b: 1 c: 2 }'), { message: /comma/ })
  t.throws(() => readCddl('a = %'), { message: /not CDDL/ })
  t.throws(() => faultOf(readCddl('a = b'), { kind: 'name', name: 'a' }, 1), { message: /no rule/ })
  t.end()
})

t.test('the validator tells values of a type from others', (t) => {
  // biome-ignore format: a table
  const table: [string, unknown[], unknown[]][] = [
    ['uint', [0, 5], [-1, 0.5, '1', null]],
    ['1..3', [1, 3], [0, 4, 1.5, '2']],
    ['tstr .size (1..2)', ['a', 'é'], ['', 'abc', 'éé', 1]],
    ['bstr .size 2', [new Uint8Array(2)], [new Uint8Array(3), 'ab']],
    ['tstr .regexp "a+"', ['a', 'aa'], ['', 'ab']],
    ['uint / null', [1, null], ['1', undefined]],
    ['[* uint]', [[], [1, 2]], [[-1], {}, 1]],
    ['[1*2 uint]', [[1], [1, 2]], [[], [1, 2, 3]]],
    ['[x: uint, y: tstr]', [[1, 'a']], [[1], ['a', 1], [1, 'a', 2]]],
    ['{ a: 1, ? b: tstr }', [{ a: 1 }, { a: 1, b: '' }], [{}, { a: 2 }, { a: 1, c: 1 }, []]],
    ['{ * tstr => uint }', [{}, { a: 1 }], [{ a: 'b' }, new Uint8Array(1)]],
    ['any', [undefined, 1, {}], []],
    ['bool', [true, false], [0, 'true']],
    ['(uint .le 9) / (float64 .ge 100.0)', [9, 100, 100.5], [10, 99, 9.5, -1]],
  ]
  for (const [text, right, wrong] of table) {
    const parsed = readCddl(`a = ${text}`)
    const type = parsed.get('a')!
    for (const value of right) t.equal(faultOf(parsed, type, value), undefined, text)
    for (const value of wrong)
      t.ok(faultOf(parsed, type, value), `${text} ${JSON.stringify(value)}`)
  }
  t.end()
})

// --------------------------------------------------------------- telemetry

t.test('telemetry comes back, and is refused with a field too many, too few or wrong', (t) => {
  const { v, ...sample } = OUTSIDE.telemetry!
  const bytes = encodeTelemetry(sample as unknown as Telemetry)
  t.same([...bytes], [...encodeCbor({ v, ...sample })])
  t.ok(same(decodeTelemetry(bytes), { v, ...sample }))
  const takes = (value: unknown): boolean => decodeTelemetry(encodeCbor(value)) !== undefined
  for (const name of Object.keys(sample)) {
    const { [name]: _, ...without } = sample
    t.notOk(takes({ v, ...without }), `without ${name}`)
    t.notOk(takes({ v, ...sample, [name]: [] }), `${name} is a list`)
    t.equal(takes({ v, ...sample, [name]: null }), name !== 'node', `${name} is null`)
  }
  t.notOk(takes({ v: 2, ...sample }), 'another version')
  t.notOk(takes({ v, ...sample, extra: 1 }), 'a field too many')
  t.equal(decodeTelemetry(new Uint8Array(0)), undefined)
  t.end()
})

t.test('the JSON of a CBOR value has base64 for bytes and null for what JSON has not', (t) => {
  const bytes = Uint8Array.of(0xfb, 0xff)
  const value = { a: bytes, b: [Buffer.from(bytes)], c: Number.NaN, d: 'x', e: 1n }
  t.equal(toJsonText(value), '{"a":"+/8=","b":["+/8="],"c":null,"d":"x","e":1}')
  t.equal(toJsonText({ a: [1] }, 2), '{\n  "a": [\n    1\n  ]\n}')
  t.equal(toJsonText(bytes), '"+/8="')
  t.end()
})

// ------------------------------------------------------------- submissions

const context: GridContext = {
  geometry: new Geometry({ width: 64, height: 48, tile: 16 }),
  fields: [
    { name: 'elevation', type: 'f64' },
    { name: 'level', type: 'u8' },
  ],
}
const utf8 = new TextEncoder()
const submitText = (json: string): SubmissionResult => parseSubmission(utf8.encode(json), context)
const submitCbor = (value: unknown): SubmissionResult => parseSubmission(encodeCbor(value), context)

function problemsOf(result: SubmissionResult): string[] {
  return result.ok ? [] : result.problems.map(({ code, path }) => `${code} ${path}`.trim()).sort()
}

function bodyOf(result: SubmissionResult): TaskBody {
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.submission.body
}

t.test('a submission in JSON and in CBOR is one task', (t) => {
  for (const result of [submitText(JSON.stringify(SUBMISSION)), submitCbor(SUBMISSION)]) {
    t.strictSame(result, {
      ok: true,
      submission: {
        id: 'task_001',
        body: {
          op: 'stat',
          region: { x: 0, y: 0, w: 64, h: 48 },
          args: { field: 0, bins: 10 },
          deadlineMs: 30_000,
        },
      },
    })
  }
  t.end()
})

t.test('the short form of the design names id and operation', (t) => {
  const scale = submitText('{"Id":"task_001","Data":"scale"}')
  t.strictSame(scale, submitText('{"id":"task_001","op":"scale"}'))
  t.ok(scale.ok && scale.submission.id === 'task_001')
  t.ok(submitCbor({ Data: 'scale' }).ok, 'without an id')
  t.ok(submitCbor({ Data: 'set', args: { fields: { level: 1 } } }).ok, 'with arguments')
  t.same(problemsOf(submitText('{"Id":"task_001","Data":"navigate_drone"}')), [
    'unknown-operation op',
  ])
  t.same(problemsOf(submitText('{"Id":"a","Data":"scale","op":"scale"}')), [
    'unknown-key Data',
    'unknown-key Id',
  ])
  t.same(problemsOf(submitText('{"Id":"task_001"}')), ['missing op', 'unknown-key Id'])
  t.end()
})

t.test('equal bodies have one normal form, whatever their spelling', (t) => {
  // biome-ignore format: a table
  const groups: unknown[][] = [
    [{ op: 'set', args: { fields: { level: 1, elevation: 0 } } },
      { args: { fields: { elevation: -0, level: 1 } }, op: 'set', deadline_ms: 60_000 },
      { op: 'set', region: { h: 48, w: 64, y: 0, x: 0 }, args: { fields: { elevation: 0,
      level: 1 } } }, { Data: 'set', Id: 'x', args: { fields: { level: 1, elevation: 0 } } }],
    [{ op: 'scale' }, { op: 'scale', args: {} }, { op: 'scale', args: { fields: {} } }],
    [{ op: 'get' }, { op: 'get', args: { fields: ['elevation', 'level'] } }, { op: 'get',
      region: { x: 0, y: 0, w: 64, h: 48 } }],
    [{ op: 'digest', items: [{ key: 'a', data: 'ü' }] }, { op: 'digest', items: [{ data: 'ü',
      key: 'a' }], args: {} }],
    [{ op: 'put', region: { x: 0, y: 0, w: 2, h: 1 }, args: { field: 'level', values: [1, 2] } },
      { args: { values: [1, 2], field: 'level' }, op: 'put', region: { w: 2, x: 0, y: 0, h: 1 } }],
  ]
  const forms = groups.map((group) => {
    const bytes = group.flatMap((one) => [
      encodeCbor(bodyOf(submitCbor(one))),
      encodeCbor(bodyOf(submitText(JSON.stringify(one)))),
    ])
    const distinct = new Set(bytes.map((form) => Buffer.from(form).toString('hex')))
    t.equal(distinct.size, 1, JSON.stringify(group[0]))
    return [...distinct][0]
  })
  t.equal(new Set(forms).size, groups.length, 'other bodies have other forms')
  const asBytes = submitCbor({ op: 'digest', items: [{ key: 'a', data: utf8.encode('ü') }] })
  t.equal(Buffer.from(encodeCbor(bodyOf(asBytes))).toString('hex'), forms[3], 'text is its bytes')
  t.end()
})

t.test('a normal form survives the ledger', (t) => {
  const body = bodyOf(submitCbor(SUBMISSION))
  t.strictSame(decoded(encodeCbor(body)), body)
  t.end()
})

t.test('the deadline has a default and a range', (t) => {
  t.equal(bodyOf(submitText('{"op":"scale"}')).deadlineMs, 60_000)
  for (const ms of [1, 86_400_000]) {
    t.equal(bodyOf(submitCbor({ op: 'scale', deadline_ms: ms })).deadlineMs, ms)
  }
  for (const ms of [0, -1, 86_400_001, 1.5, 1e300, Number.POSITIVE_INFINITY]) {
    const result = submitCbor({ op: 'scale', deadline_ms: ms })
    t.same([...new Set(problemsOf(result))], ['out-of-range deadline_ms'], String(ms))
  }
  for (const ms of ['5', null, [1], Number.NaN]) {
    const result = submitCbor({ op: 'scale', deadline_ms: ms })
    t.same(problemsOf(result), ['wrong-type deadline_ms'], String(ms))
  }
  t.end()
})

t.test('what is wrong with a submission is named, every problem at once', (t) => {
  const put = { op: 'put', args: { field: 'level', values: [1, 2] } }
  // biome-ignore format: a table
  const table: [unknown, string[]][] = [
    [{}, ['missing op']],
    [{ op: 5 }, ['wrong-type op']],
    [{ op: 'fly' }, ['unknown-operation op']],
    [{ op: '\u2300' }, ['unknown-glyph op']],
    [{ op: 'toString' }, ['unknown-operation op']],
    [{ op: 'scale', a: 1, b: 2 }, ['unknown-key a', 'unknown-key b']],
    [{ op: 'scale', constructor: 1 }, ['unknown-key constructor']],
    [{ op: 'scale', args: null }, ['wrong-type args']],
    [{ op: 'scale', args: [] }, ['wrong-type args']],
    [{ op: 'scale', id: 'a/b' }, ['wrong-type id']],
    [{ op: 'scale', id: 7 }, ['wrong-type id']],
    [{ op: 'scale', region: null }, ['wrong-type region']],
    [{ op: 'scale', region: [0, 0, 1, 1] }, ['wrong-type region']],
    [{ op: 'scale', region: { x: -1, y: 64, w: 0, h: '1' } }, ['outside-grid region.w',
      'outside-grid region.x', 'outside-grid region.y', 'wrong-type region.h']],
    [{ op: 'scale', region: { x: 60, y: '0', w: 5, h: 1.5, d: 1 } }, ['out-of-range region.h',
      'outside-grid region', 'unknown-key region.d', 'wrong-type region.y']],
    [{ op: 'fly', region: { x: -1 }, id: '?' }, ['missing region.h', 'missing region.w',
      'missing region.y', 'outside-grid region.x', 'unknown-operation op', 'wrong-type id']],
    [{ op: 'scale', region: { x: 0, y: 0, w: 1 } }, ['missing region.h']],
    [{ op: 'scale', region: { x: 0, y: 0, w: 1, h: 1, d: 1, e: 1 } }, ['unknown-key region.d',
      'unknown-key region.e']],
    [{ op: 'scale', region: { x: 0.5, y: '0', w: 1, h: 1 } }, ['out-of-range region.x',
      'wrong-type region.y']],
    [{ op: 'scale', region: { x: 60, y: 0, w: 5, h: 1 } }, ['outside-grid region']],
    [{ op: 'scale', region: { x: -1, y: 0, w: 5, h: 1 } }, ['outside-grid region.x']],
    [{ op: 'scale', region: { x: 0, y: 0, w: 0, h: 1 } }, ['outside-grid region.w']],
    [{ op: 'scale', items: [] }, ['not-allowed items']],
    [{ op: 'digest' }, ['missing items']],
    [{ op: 'digest', items: 'a' }, ['wrong-type items']],
    [{ op: 'digest', items: [], region: { x: 0, y: 0, w: 1, h: 1 } }, ['not-allowed region',
      'wrong-count items']],
    // The values are counted against the region that was asked for, inside the grid or not.
    [{ ...put, region: { x: 63, y: 0, w: 2, h: 1 } }, ['outside-grid region']],
    [{ ...put, region: { x: 63, y: 0, w: 3, h: 1 } }, ['outside-grid region',
      'wrong-count args.values']],
    [{ ...put, region: { x: 0, y: 0, w: 2, h: '1' } }, ['wrong-type region.h']],
    [{ ...put, region: { x: 0, y: 0, w: -2, h: -1 } }, ['outside-grid region.h',
      'outside-grid region.w']],
    [{ op: 'get', region: { x: 9, y: 9, w: 999, h: 999 } }, ['outside-grid region.h',
      'outside-grid region.w',      'too-large region']],
    [{ op: 'stat', id: '?', region: { x: 9, y: 0, w: 64, h: 1 }, args: { field: 'x', bin: 1 },
      deadline_ms: 0, extra: 1 }, ['out-of-range deadline_ms', 'outside-grid region',
      'unknown-field args.field', 'unknown-key args.bin', 'unknown-key extra', 'wrong-type id']],
  ]
  for (const [value, expected] of table) {
    t.same(problemsOf(submitCbor(value)), expected, JSON.stringify(value))
    t.same(problemsOf(submitText(JSON.stringify(value))), expected)
  }
  t.same(problemsOf(submitText('{"op":"scale","__proto__":{"id":"x"}}')), ['unknown-key __proto__'])
  t.end()
})

t.test('a problem says in words what was expected', (t) => {
  const result = submitCbor({ op: 'scale', id: '?', region: 5, deadline_ms: 0, items: 5 })
  const messages = result.ok ? [] : result.problems.map((problem) => problem.message)
  t.ok(
    messages.includes('id must be an id of 1 to 64 letters, digits, "_" or "-"'),
    messages.join(),
  )
  t.ok(messages.includes('region must be an object of x, y, w and h'), messages.join())
  const bounds = 'a whole number from 1 to 86400000'
  t.ok(messages.includes(`deadline_ms is 0, expected ${bounds}`))
  t.ok(messages.includes('items must be a list'))
  t.end()
})

t.test('a problem says what is taken, and guesses what was meant', (t) => {
  const table: [unknown, string][] = [
    [
      { op: 'Stat' },
      'there is no operation "Stat", did you mean stat? (known: scale, put, set, add, scatter, get, gather, stat, overview, digest, verify, program)',
    ],
    [
      { op: 'stat', args: { field: 'elevatoin' } },
      'the grid has no field "elevatoin", did you mean elevation? (known: elevation, level)',
    ],
    [
      { op: 'stat', args: { filed: 'level' } },
      'args.filed is not a known key, did you mean field? (known: field, bins)',
    ],
    [
      { op: 'stat', args: { field: 'level', bins: 1.5 } },
      'args.bins must be a whole number from 1 to 1024',
    ],
    [
      { op: 'stat', args: { field: 'level', bins: 9999 } },
      'args.bins is 9999, expected a whole number from 1 to 1024',
    ],
    [
      { op: 'stat', regoin: 1, args: { field: 'level' } },
      'regoin is not a known key, did you mean region? (known: id, op, region, items, args, deadline_ms, seal)',
    ],
    [
      { op: 'scale', region: [1, 2, 3, 4] },
      'region must be an object of x, y, w and h, did you mean {"x":1,"y":2,"w":3,"h":4}?',
    ],
    [
      { op: 'scale', region: { x: -1, y: 0, w: 1, h: 1 } },
      'region.x is -1, expected a whole number from 0 to 63',
    ],
    [
      { op: 'scale', region: { x: 60, y: 40, w: 5, h: 17 } },
      'region does not lie in the grid: x + w is 65, at most 64; y + h is 57, at most 48',
    ],
  ]
  for (const [value, message] of table) {
    const result = submitCbor(value)
    t.ok(!result.ok && result.problems.some((problem) => problem.message === message), message)
    if (!result.ok) t.comment(result.problems.map((problem) => problem.message).join(' | '))
  }
  t.end()
})

t.test('a refusal tells the id whenever it can be read', (t) => {
  for (const value of [
    { id: 'abc' },
    { id: 'abc', op: 'fly' },
    { id: 'abc', op: 'scale', args: [] },
    { Id: 'abc', Data: 'fly' },
    { Id: 'abc' },
  ]) {
    const result = submitCbor(value)
    t.equal(!result.ok && result.id, 'abc', JSON.stringify(value))
  }
  for (const value of [{ op: 'fly' }, { id: 'a b' }, { id: 5 }]) {
    t.notOk('id' in submitCbor(value), JSON.stringify(value))
  }
  t.end()
})

t.test('what is neither a JSON object nor a CBOR map is malformed', (t) => {
  const payloads: [string, Uint8Array][] = [
    ['nothing', new Uint8Array(0)],
    ['a JSON list', utf8.encode('[]')],
    ['JSON after a space', utf8.encode(' {"op":"scale"}')],
    ['half an object', utf8.encode('{"op":')],
    ['two objects', utf8.encode('{}{}')],
    ['text that is not UTF-8', Buffer.from('{"op":"\xff"}', 'latin1')],
    ['a CBOR list', encodeCbor([])],
    ['a CBOR text', encodeCbor('scale')],
    ['a map without an end', hex('bf')],
    ['a map cut short', hex('a1626f70')],
    ['a key twice', hex('a2626f7001626f7002')],
  ]
  for (const [name, payload] of payloads) {
    t.same(problemsOf(parseSubmission(payload, context)), ['malformed'], name)
  }
  t.end()
})

t.test('items are a list of distinct short keys with text or bytes', (t) => {
  // biome-ignore format: a table
  const table: [unknown[], string[]][] = [
    [[{ key: 'a', data: '' }, { key: 'b', data: new Uint8Array(0) }], []],
    [[{ key: 'é'.repeat(128), data: '' }], []],
    [[{ key: `${'é'.repeat(128)}a`, data: '' }], ['out-of-range items[0].key']],
    [[{ key: '', data: '' }], ['out-of-range items[0].key']],
    [[{ key: 'a', data: '' }, { key: 'a', data: 'b' }], ['duplicate items[1].key']],
    [[{ key: 5, data: 5 }], ['wrong-type items[0].data', 'wrong-type items[0].key']],
    [[{ key: 'a' }], ['missing items[0].data']],
    [[{ key: 'a', data: '', x: 1, y: 1 }], ['unknown-key items[0].x', 'unknown-key items[0].y']],
    [['a'], ['wrong-type items[0]']],
    [[], ['wrong-count items']],
    [new Array(ITEMS_MAX + 1).fill(0), ['wrong-count items']],
  ]
  for (const [items, expected] of table) {
    const found = problemsOf(submitCbor({ op: 'digest', items }))
    t.same(found, expected, JSON.stringify(items).slice(0, 60))
  }
  const many = submitCbor({ op: 'digest', items: new Array(50_000).fill(0) })
  t.equal(!many.ok && many.problems.length, PROBLEMS_MAX, 'not a problem for each of 50,000')
  t.end()
})

t.test('text that UTF-8 cannot carry is refused before a node sees it', (t) => {
  const items = (json: string): string[] =>
    problemsOf(submitText(`{"op":"digest","items":[${json}]}`))
  t.same(items('{"key":"\\ud800","data":""}'), ['malformed items[0].key'])
  t.same(items('{"key":"\\ufeffa","data":""}'), ['malformed items[0].key'])
  t.same(items('{"key":"a","data":"\\udc00"}'), ['malformed items[0].data'])
  t.same(items('{"key":"\\ud83d\\ude00","data":"\\ufeff\\ud83d\\ude00"}'), [])
  t.end()
})

t.test('an item keeps its bytes, apart from the payload', (t) => {
  const payload = Buffer.from(
    encodeCbor({ op: 'digest', items: [{ key: 'k', data: Uint8Array.of(1, 2, 3) }] }),
  )
  const { items } = bodyOf(parseSubmission(payload, context))
  payload.fill(0)
  t.same([...items!.values[0]!], [1, 2, 3])
  t.same(items!.keys, ['k'])
  t.end()
})

t.test('a submission above 1 MiB is too large', (t) => {
  const frame = '{"op":"digest","items":[{"key":"a","data":""}]}'.length
  const ofSize = (size: number): SubmissionResult =>
    submitText(`{"op":"digest","items":[{"key":"a","data":"${'x'.repeat(size - frame)}"}]}`)
  t.ok(ofSize(SUBMISSION_BYTES_MAX).ok)
  t.same(problemsOf(ofSize(SUBMISSION_BYTES_MAX + 1)), ['too-large'])
  t.end()
})

t.test('the largest submissions are parsed in a bounded time', (t) => {
  const items = Array.from({ length: 65_000 }, (_, at) => ({ key: at.toString(36), data: '' }))
  const wide: GridContext = {
    geometry: new Geometry({ width: 1024, height: 1024, tile: 16 }),
    fields: context.fields,
  }
  const region = { x: 0, y: 0, w: 1000, h: 500 }
  const values = { field: 'level', values: new Array(500_000).fill(7) }
  const text = (value: unknown): Uint8Array => utf8.encode(JSON.stringify(value))
  // biome-ignore format: a table
  const payloads: [string, Uint8Array, boolean][] = [
    ['65,000 items', encodeCbor({ op: 'digest', items }), true],
    ['500,000 values', encodeCbor({ op: 'put', region, args: values }), true],
    ['500,000 values as JSON', text({ op: 'put', region, args: values }), true],
    ['names of no field', text({ op: 'get', args: { fields: new Array(250_000).fill('a') } }),
      false],
    ['fields that are numbers', text({ op: 'get',
      args: { fields: new Array(500_000).fill(1) } }), false],
    ['a million wrong items', encodeCbor({ op: 'digest', items: new Array(99_999).fill({}) }),
      false],
    ['unknown keys', text(Object.fromEntries(items.map(({ key }) => [`k${key}`, 1]))), false],
    ['deep lists', utf8.encode(`{"op":"scale","args":${'['.repeat(5e5)}${']'.repeat(5e5)}}`),
      false],
  ]
  for (const [name, payload, isTaken] of payloads) {
    t.ok(payload.length <= SUBMISSION_BYTES_MAX, `${name}: ${payload.length} bytes`)
    const started = process.cpuUsage()
    const result = parseSubmission(payload, wide)
    const { user } = process.cpuUsage(started)
    t.equal(result.ok, isTaken, result.ok ? name : result.problems[0]!.message)
    t.ok(user < 3_000_000, `${name}: ${Math.round(user / 1000)} ms`)
  }
  t.end()
})

t.test('a package is named by 64 small hexadecimal digits', (t) => {
  t.ok(isPackageName(PACKAGE))
  for (const name of [PACKAGE.toUpperCase(), `${PACKAGE}0`, '../etc', '', 7]) {
    t.notOk(isPackageName(name), `${name}`)
  }
  t.end()
})
