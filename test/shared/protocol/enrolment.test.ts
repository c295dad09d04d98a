import { deepEqual, equal, notDeepEqual, ok } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { fromBase32, toBase32 } from '../../../shared/core/base32.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import {
  decodeAnswer,
  decodeRequest,
  type EnrolmentRequest,
  encodeAnswer,
  encodeRequest,
  provenBytes,
  REQUEST_BYTES_MAX,
} from '../../../shared/protocol/enrolment.ts'
import { formatToken, parseToken, type Token } from '../../../shared/protocol/tokens.ts'
import { check } from '../../support/property.ts'

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const tokenId = bytes(5).map(toBase32)
const nodeId = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/) as fc.Arbitrary<NodeId>
const hex64 = bytes(32).map((raw) => Buffer.from(raw).toString('hex'))

const token: fc.Arbitrary<Token> = fc.record(
  { kind: fc.constantFrom('node', 'user'), id: tokenId, secret: bytes(16), pin: bytes(32) },
  { noNullPrototype: true },
)

const request: fc.Arbitrary<EnrolmentRequest> = fc.record(
  {
    tokenId,
    secret: bytes(16),
    node: nodeId,
    spki: bytes(91),
    signature: bytes(64),
    board: hex64,
    version: fc.string({ maxLength: 64 }),
  },
  {
    requiredKeys: ['tokenId', 'secret', 'node', 'spki', 'signature', 'version'],
    noNullPrototype: true,
  },
)

t.test('base 32 is that of RFC 4648, and each bytes have one text', (t) => {
  const vectors = ['', 'my', 'mzxq', 'mzxw6', 'mzxw6yq', 'mzxw6ytb', 'mzxw6ytboi']
  vectors.forEach((text, length) => {
    t.equal(toBase32(Buffer.from('foobar'.slice(0, length))), text)
  })
  for (const text of ['a', 'mz', 'MY', 'my======', 'm1', 'mzx', 'mzxw6ytbo']) {
    t.equal(fromBase32(text), undefined, text)
  }
  check(
    t,
    fc.property(fc.uint8Array({ maxLength: 60 }), (raw) => {
      deepEqual(fromBase32(toBase32(raw)), raw)
    }),
  )
  t.end()
})

t.test('a token is read as it was written', (t) => {
  check(
    t,
    fc.property(token, (one) => {
      const text = formatToken(one)
      ok(/^ob[ku]1-[a-z2-7]{8}-[a-z2-7]{26}-[a-z2-7]{52}$/.test(text))
      deepEqual(parseToken(`${text}\n`), one)
    }),
  )
  t.end()
})

t.test('a token that was changed in any place is another one, or none', (t) => {
  const change = fc.record({
    at: fc.nat(92),
    letter: fc.constantFrom('a', '7', '0', 'A', '-', ' '),
  })
  check(
    t,
    fc.property(token, change, (one, { at, letter }) => {
      const text = formatToken(one)
      const changed = `${text.slice(0, at)}${letter}${text.slice(at + 1)}`
      if (changed !== text) notDeepEqual(parseToken(changed), one)
    }),
  )
  for (const text of ['', 'obk1', 'obk1---', 'token', `${'obk1-aaaaaaaa-'}${'a'.repeat(26)}`]) {
    t.equal(parseToken(text), undefined, text)
  }
  t.end()
})

t.test('the line of a board is read as it was written, and is short', (t) => {
  check(
    t,
    fc.property(request, (one) => {
      const line = encodeRequest(one)
      ok(Buffer.byteLength(line) < REQUEST_BYTES_MAX)
      deepEqual(decodeRequest(line), one)
    }),
  )
  t.end()
})

t.test('a line that is not one is malformed, whatever it is', (t) => {
  const [one] = fc.sample(request, { numRuns: 1, seed: 7 }) as [EnrolmentRequest]
  const good = JSON.parse(encodeRequest(one)) as Record<string, unknown>
  const wrong: Record<string, unknown>[] = [
    { ...good, v: 2 },
    { ...good, more: 1 },
    { ...good, node: '../n1' },
    { ...good, node: '#' },
    { ...good, node: 'n'.repeat(65) },
    { ...good, token: 'aaaaaaaa' },
    { ...good, token: `${one.tokenId}.${toBase32(one.secret)}.x` },
    { ...good, token: `${one.tokenId}.${toBase32(one.secret).toUpperCase()}` },
    { ...good, token: 7 },
    { ...good, key: 'not base 64!' },
    { ...good, key: 'A'.repeat(4096) },
    { ...good, sig: 'AAAA' },
    { ...good, board: 'abc' },
    { ...good, version: 'v'.repeat(65) },
  ]
  for (const name of Object.keys(good).filter((key) => key !== 'board')) {
    wrong.push(Object.fromEntries(Object.entries(good).filter(([key]) => key !== name)))
  }
  for (const value of wrong) t.equal(decodeRequest(JSON.stringify(value)), undefined)
  const deep = `${'['.repeat(900)}${']'.repeat(900)}`
  for (const line of ['', '{', 'null', '[]', '"x"', '{"v":1}', deep, '\u0000', 'GET / HTTP/1.1']) {
    t.equal(decodeRequest(line), undefined, line.slice(0, 20))
    t.equal(decodeAnswer(line), undefined, line.slice(0, 20))
  }
  check(
    t,
    fc.property(fc.json(), (line) => {
      equal(decodeRequest(line), undefined)
    }),
  )
  t.end()
})

t.test('answers are read as they were written', (t) => {
  const given = { ok: true, certificate: 'PEM', ca: 'PEM of the authority', ts: 1234 } as const
  const refused = { ok: false, code: 'token-used', message: 'another key has used it' } as const
  t.same(decodeAnswer(encodeAnswer(given)), given)
  t.same(decodeAnswer(encodeAnswer(refused)), refused)
  t.end()
})

t.test('what is signed tells channels, names and keys apart', (t) => {
  const part = fc.uint8Array({ minLength: 1, maxLength: 40 })
  check(
    t,
    fc.property(bytes(32), nodeId, part, nodeId, part, (exported, node, spki, node2, spki2) => {
      const one = Buffer.from(provenBytes(exported, node, spki))
      const isSame = node === node2 && Buffer.from(spki).equals(spki2)
      equal(one.equals(provenBytes(exported, node2, spki2)), isSame)
    }),
  )
  t.end()
})
