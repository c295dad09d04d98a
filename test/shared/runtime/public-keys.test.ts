import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import {
  fingerprint,
  newKeyPair,
  parsePublicKey,
  spkiOf,
} from '../../../shared/runtime/public-keys.ts'

t.test('a key of P-256 is taken as it was written, and has one fingerprint', (t) => {
  const { publicKey } = newKeyPair()
  const spki = spkiOf(publicKey)
  t.ok(parsePublicKey(spki)?.equals(publicKey))
  t.equal(fingerprint(spki).length, 32)
  t.end()
})

t.test('attempt 26: any other bytes are none', (t) => {
  const spki = Buffer.from(spkiOf(newKeyPair().publicKey))
  const others = [
    generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    generateKeyPairSync('ed25519'),
    generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ].map(({ publicKey }) => spkiOf(publicKey))
  const x = spki.subarray(27, 59)
  const parity = Uint8Array.of(2 + (spki[90]! & 1))
  // The same point in 33 bytes: OpenSSL reads it, and writes it in 65.
  const compressed = Buffer.concat([
    Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex'),
    ...[parity, x],
  ])
  const broken = Buffer.from(spki)
  broken[60]! ^= 1
  for (const bytes of [
    ...[...others, compressed, broken, spki.subarray(1), Buffer.concat([spki, Buffer.of(0)])],
    ...[new Uint8Array(0), Buffer.alloc(1024, 0x30)],
  ]) {
    t.equal(parsePublicKey(bytes), undefined, Buffer.from(bytes).toString('hex').slice(0, 60))
  }
  t.end()
})

t.test('attempt 26: keys that end a process of Node which asks about them are none', (t) => {
  const dsa = generateKeyPairSync('dsa', { modulusLength: 1024, divisorLength: 160 })
  const odd = [
    // P-256, with the point at infinity.
    '3019301306072a8648ce3d020106082a8648ce3d03010703020000',
    `3059301306072a8648ce3d020106082a8648ce3d03010703420004${'00'.repeat(64)}`,
    `3059301306072a8648ce3d020106082a8648ce3d03010703420004${'ff'.repeat(64)}`,
    Buffer.from(spkiOf(dsa.publicKey)).toString('hex'),
  ]
  // An abort would end this one.
  const printed = execFileSync(process.execPath, [
    '--import=./test/support/typescript/register.js',
    '--input-type=module',
    '--eval',
    `import { parsePublicKey } from './shared/runtime/public-keys.ts'
     for (const hex of ${JSON.stringify(odd)}) console.log(parsePublicKey(Buffer.from(hex, 'hex')))`,
  ])
  t.same(
    printed.toString().trim().split('\n'),
    odd.map(() => 'undefined'),
  )
  t.end()
})
