import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { ml_kem768_x25519 as reference } from '@noble/post-quantum/hybrid.js'
import t from 'tap'
import {
  ML_DSA_65,
  ML_KEM_768,
  mlDsa65,
  mlKem768,
  NOBLE_DSA,
  NOBLE_KEM,
} from '../../../shared/runtime/post-quantum.ts'
import {
  X_WING,
  xWingDecapsulate,
  xWingEncapsulate,
  xWingPublicKey,
} from '../../../shared/runtime/x-wing.ts'

const VECTOR = JSON.parse(
  readFileSync(new URL('../../fixtures/x-wing.json', import.meta.url), 'utf8'),
) as Record<'seed' | 'publicKeyBegins' | 'secret' | 'capsule', string>
const hex = (text: string): Buffer => Buffer.from(text, 'hex')
/** The same where Node has none of its own. */
const KEMS = new Set([mlKem768(), NOBLE_KEM])
const DSAS = new Set([mlDsa65(), NOBLE_DSA])

t.comment(`${process.version}: native ML-KEM ${KEMS.size === 2}, ML-DSA ${DSAS.size === 2}`)

t.test('a capsule of the draft gives the secret of the draft', async (t) => {
  for (const kem of KEMS) {
    const key = await xWingPublicKey(hex(VECTOR.seed), kem)
    t.equal(Buffer.from(key).toString('hex', 0, 32), VECTOR.publicKeyBegins)
    const secret = await xWingDecapsulate(hex(VECTOR.seed), hex(VECTOR.capsule), kem)
    t.equal(Buffer.from(secret).toString('hex'), VECTOR.secret)
  }
})

t.test('whoever makes a capsule, everybody opens it', async (t) => {
  const seed = randomBytes(X_WING.seedBytes)
  const key = await xWingPublicKey(seed)
  t.equal(key.length, X_WING.publicKeyBytes)
  t.same(Buffer.from(reference.keygen(seed).publicKey), Buffer.from(key))
  for (const made of KEMS) {
    const { capsule, secret } = await xWingEncapsulate(key, made)
    t.equal(capsule.length, X_WING.capsuleBytes)
    for (const opened of KEMS) t.same(await xWingDecapsulate(seed, capsule, opened), secret)
    const other = reference.decapsulate(new Uint8Array(capsule), reference.keygen(seed).secretKey)
    t.same(Buffer.from(other), Buffer.from(secret))
    const own = randomBytes(X_WING.seedBytes)
    t.notSame(await xWingDecapsulate(own, capsule, made), secret, 'but for those of other keys')
  }
  const { cipherText, sharedSecret } = reference.encapsulate(new Uint8Array(key))
  t.same(Buffer.from(await xWingDecapsulate(seed, cipherText)), Buffer.from(sharedSecret))
})

t.test('what is no key takes no capsule', async (t) => {
  const key = await xWingPublicKey(randomBytes(X_WING.seedBytes))
  const withoutPoint = Buffer.concat([key.subarray(0, ML_KEM_768.publicKeyBytes), Buffer.alloc(32)])
  for (const kem of KEMS) {
    for (const none of [
      ...[key.subarray(1), Buffer.alloc(0), Buffer.alloc(X_WING.publicKeyBytes, 255)],
      // The shared secret of any other key with it is zero [RFC 7748 §6.1].
      withoutPoint,
    ]) {
      await t.rejects(xWingEncapsulate(none, kem), `${none.length} bytes`)
    }
  }
})

t.test('signatures are the same, whoever makes them', async (t) => {
  const [seed, message] = [randomBytes(ML_DSA_65.seedBytes), randomBytes(100)]
  const key = await mlDsa65().publicKeyOf(seed)
  t.equal(key.length, ML_DSA_65.publicKeyBytes)
  t.same(Buffer.from(await NOBLE_DSA.publicKeyOf(seed)), Buffer.from(key))
  for (const made of DSAS) {
    const signature = await made.sign(seed, message)
    t.equal(signature.length, ML_DSA_65.signatureBytes)
    const changed = Uint8Array.from(signature)
    changed[1000]! ^= 1
    for (const judge of DSAS) {
      t.ok(await judge.verify(key, message, signature))
      t.notOk(await judge.verify(key, randomBytes(100), signature))
      t.notOk(await judge.verify(key, message, changed))
      t.notOk(await judge.verify(key, message, signature.subarray(1)))
      t.notOk(await judge.verify(randomBytes(key.length), message, signature))
      t.notOk(await judge.verify(key.subarray(1), message, signature))
    }
  }
  t.same(await NOBLE_DSA.sign(seed, message), await NOBLE_DSA.sign(seed, message))
})
