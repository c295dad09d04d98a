/** `verify` against keys that are made here and against signatures of others; whatever an item is, it gets a verdict. */
import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import t from 'tap'
import { Random } from '../../../shared/core/random.ts'
import type { Wire } from '../../../shared/operations/operation.ts'
import {
  SIGNATURE_ALGORITHMS,
  VERDICTS,
  verdictOf,
} from '../../../shared/operations/signed-item.ts'
import { verify } from '../../../shared/operations/verify.ts'
import { decodeCbor, encodeCbor } from '../../../shared/protocol/cbor.ts'
import { MESSAGE_LIMITS } from '../../../shared/protocol/limits.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/shared/operations/verify.test.ts`)

const MESSAGE = 'pay 5 to ü'

function pairOf(algorithm: string): { privateKey: KeyObject; publicKey: KeyObject } {
  if (algorithm === 'ed25519') return generateKeyPairSync('ed25519')
  const namedCurve = algorithm === 'ecdsa-p256' ? 'prime256v1' : 'secp256k1'
  return generateKeyPairSync('ec', { namedCurve })
}

/** As SPKI, raw, and of a curve also compressed. */
function formsOf(key: KeyObject): Uint8Array[] {
  const spki = key.export({ format: 'der', type: 'spki' })
  const { x, y } = key.export({ format: 'jwk' })
  const [left, right] = [x, y].map((part) => Buffer.from(part ?? '', 'base64url'))
  if (y === undefined) return [spki, left!]
  const odd = Buffer.of(2 + (right!.at(-1)! & 1))
  return [spki, Buffer.concat([Buffer.of(4), left!, right!]), Buffer.concat([odd, left!])]
}

function signaturesOf(algorithm: string, key: KeyObject, message: Uint8Array): Uint8Array[] {
  if (algorithm === 'ed25519') return [sign(null, message, key)]
  const encodings = ['ieee-p1363', 'der'] as const
  return encodings.map((dsaEncoding) => sign('sha256', message, { key, dsaEncoding }))
}

const bytes = (text: string): Uint8Array => Buffer.from(text, 'hex')
const text = (of: Uint8Array, form: 'base64' | 'base64url' = 'base64'): string =>
  Buffer.from(of).toString(form)

for (const algorithm of SIGNATURE_ALGORITHMS) {
  t.test(`${algorithm}: every form of a key and of a signature`, (t) => {
    const { privateKey, publicKey } = pairOf(algorithm)
    const other = pairOf(algorithm).publicKey
    for (const key of formsOf(publicKey)) {
      for (const signature of signaturesOf(algorithm, privateKey, Buffer.from(MESSAGE))) {
        const whole = { algorithm, public: key, message: MESSAGE, signature }
        t.equal(verdictOf(encodeCbor(whole)), 'valid')
        t.equal(verdictOf(encodeCbor({ ...whole, message: Buffer.from(MESSAGE) })), 'valid')
        for (const form of ['base64', 'base64url'] as const) {
          const json = { ...whole, public: text(key, form), signature: text(signature, form) }
          t.equal(verdictOf(Buffer.from(JSON.stringify(json))), 'valid')
        }
        t.equal(verdictOf(encodeCbor({ ...whole, message: `${MESSAGE}.` })), 'wrong-signature')
        const strange = formsOf(other)[0]
        t.equal(verdictOf(encodeCbor({ ...whole, public: strange })), 'wrong-signature')
        const [flipped] = [new Uint8Array(signature)]
        flipped![flipped!.length - 1]! ^= 1
        t.equal(verdictOf(encodeCbor({ ...whole, signature: flipped })), 'wrong-signature')
      }
    }
    t.end()
  })
}

t.test('RFC 8032, 7.1, test 2', (t) => {
  const item = {
    algorithm: 'ed25519',
    public: bytes('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c'),
    message: bytes('72'),
    signature: bytes(
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    ),
  }
  t.equal(verdictOf(encodeCbor(item)), 'valid')
  t.end()
})

t.test('what has another shape is not valid, and says why', (t) => {
  const { privateKey, publicKey } = pairOf('ecdsa-p256')
  const [spki, raw] = formsOf(publicKey)
  const [signature] = signaturesOf('ecdsa-p256', privateKey, Buffer.from(MESSAGE))
  const whole = { algorithm: 'ecdsa-p256', public: raw, message: MESSAGE, signature }
  t.equal(verdictOf(encodeCbor(whole)), 'valid')
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey
  const cases: [change: Record<string, unknown>, verdict: string][] = [
    [{ more: 1 }, 'malformed'],
    [{ message: 5 }, 'malformed'],
    [{ signature: 'not base64!' }, 'malformed'],
    [{ public: null }, 'malformed'],
    [{ algorithm: 'rsa' }, 'unknown-algorithm'],
    [{ algorithm: 7 }, 'unknown-algorithm'],
    [{ algorithm: 'toString' }, 'unknown-algorithm'],
    [{ algorithm: 'ecdsa-secp256k1', public: spki }, 'malformed-key'],
    [{ algorithm: 'ed25519', public: spki }, 'malformed-key'],
    [{ public: new Uint8Array(65) }, 'malformed-key'],
    [
      { public: Buffer.concat([Buffer.of(6 + (raw!.at(-1)! & 1)), raw!.subarray(1)]) },
      'malformed-key',
    ],
    [{ public: new Uint8Array(0) }, 'malformed-key'],
    [{ public: rsa.export({ format: 'der', type: 'spki' }) }, 'malformed-key'],
    [{ public: new Uint8Array(100_000) }, 'malformed-key'],
    [{ signature: new Uint8Array(0) }, 'malformed-signature'],
    [{ signature: new Uint8Array(73) }, 'malformed-signature'],
    [{ signature: new Uint8Array(63) }, 'wrong-signature'],
    [{ signature: new Uint8Array(64) }, 'wrong-signature'],
    [{ signature: new Uint8Array(64).fill(255) }, 'wrong-signature'],
  ]
  for (const [change, verdict] of cases) {
    t.equal(verdictOf(encodeCbor({ ...whole, ...change })), verdict, Object.keys(change).join())
  }
  const { message: _, ...without } = whole
  t.equal(verdictOf(encodeCbor(without)), 'malformed')
  const ed = formsOf(pairOf('ed25519').publicKey)[0]
  const short = { ...whole, algorithm: 'ed25519', public: ed, signature: new Uint8Array(63) }
  t.equal(verdictOf(encodeCbor(short)), 'malformed-signature')
  for (const data of ['', '{', '[]', '{"a":', '{}', 'text', '{"__proto__":1}']) {
    t.equal(verdictOf(Buffer.from(data)), 'malformed', data)
  }
  t.equal(verdictOf(Buffer.from([0x7b, 0xff, 0x7d])), 'malformed')
  t.equal(verdictOf(Buffer.from('{"a":'.repeat(200_000))), 'malformed')
  t.end()
})

t.test('items with a byte changed, cut or added get a verdict, and are never valid', (t) => {
  const random = new Random(seed)
  for (const algorithm of SIGNATURE_ALGORITHMS) {
    const { privateKey, publicKey } = pairOf(algorithm)
    for (const key of formsOf(publicKey)) {
      const signature = signaturesOf(algorithm, privateKey, Buffer.from(MESSAGE)).at(-1)
      const item = encodeCbor({ algorithm, public: key, message: MESSAGE, signature })
      for (let run = 0; run < 150; run++) {
        const changed = [...item]
        const at = random.integer(changed.length)
        const kind = random.integer(3)
        if (kind === 0) changed[at]! ^= 1 << random.integer(8)
        else changed.splice(at, kind === 1 ? 1 : 0, ...(kind === 2 ? [random.integer(256)] : []))
        const verdict = verdictOf(Uint8Array.from(changed))
        if (!VERDICTS.includes(verdict)) t.fail(`no verdict: ${verdict}`)
        if (verdict === 'valid' && !saysTheSame(Uint8Array.from(changed), publicKey)) {
          t.fail(`valid: ${Buffer.from(changed).toString('hex')}`)
        }
      }
    }
  }
  t.pass('all of them')
  t.end()
})

/** A text may have become bytes; SPKI may be written in more than one way. */
function saysTheSame(changed: Uint8Array, key: KeyObject): boolean {
  const result = decodeCbor(changed, MESSAGE_LIMITS)
  if (!result.ok) return false
  const { public: given, message } = result.value as { public: Uint8Array; message: string }
  if (!Buffer.from(message).equals(Buffer.from(MESSAGE))) return false
  if (formsOf(key).some((form) => Buffer.from(form).equals(given))) return true
  return createPublicKey({ key: Buffer.from(given), format: 'der', type: 'spki' }).equals(key)
}

t.test('the value is the same whatever the parts and their order', (t) => {
  const { privateKey, publicKey } = pairOf('ed25519')
  const signature = sign(null, Buffer.from(MESSAGE), privateKey)
  const item = { algorithm: 'ed25519', public: formsOf(publicKey)[1], message: MESSAGE, signature }
  const keys = ['b', '__proto__', 'a', '10', '2']
  const dataOf = (key: string): Uint8Array =>
    key === 'a'
      ? Buffer.from('{}')
      : encodeCbor({ ...item, ...(key === 'b' ? { message: '' } : {}) })
  const partOf = (own: readonly string[]): Wire => {
    const run = verify.run({})
    for (const key of own) run.visit(key, dataOf(key))
    const partial = run.finish()
    t.equal(verify.faultOf(partial, own, {}), undefined)
    t.ok(verify.faultOf(partial, [...own, 'more'], {}))
    return partial
  }
  const total = verify.merge(partOf(keys.slice(3)), partOf(keys.slice(0, 3)))
  const value = verify.finish(total, {}) as {
    valid: Map<string, boolean>
    reasons: Map<string, string>
  }
  t.strictSame(
    [...value.valid],
    [
      ['10', true],
      ['2', true],
      ['__proto__', true],
      ['a', false],
      ['b', false],
    ],
  )
  t.strictSame(
    [...value.reasons],
    [
      ['a', 'malformed'],
      ['b', 'wrong-signature'],
    ],
  )
  t.strictSame(
    encodeCbor(value),
    encodeCbor(verify.finish(verify.merge(partOf(keys.slice(0, 2)), partOf(keys.slice(2))), {})),
  )
  const [one] = [partOf(['2'])]
  t.strictSame(Object.keys(verify.finish(one!, {}) as object), ['items', 'valid'])
  t.ok(verify.faultOf({ keys: ['2'], verdicts: Uint8Array.of(VERDICTS.length) }, ['2'], {}))
  t.ok(verify.faultOf({ keys: ['2'], verdicts: new Uint8Array(2) }, ['2'], {}))
  t.ok(verify.faultOf({ keys: ['3'], verdicts: new Uint8Array(1) }, ['2'], {}))
  t.ok(verify.faultOf({ keys: ['2'], verdicts: [0] }, ['2'], {}))
  t.end()
})
