import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { decodeCbor, encodeCbor } from '../../../shared/protocol/cbor.ts'
import {
  decodeHead,
  encodeHead,
  keyPurpose,
  RECIPIENT_KEY_BYTES,
  RECIPIENT_SEED_BYTES,
  SIGNER_KEY_BYTES,
  SIGNER_SEED_BYTES,
  signedBytes,
} from '../../../shared/protocol/sealed.ts'
import { ML_DSA_65 } from '../../../shared/runtime/post-quantum.ts'
import { seal } from '../../../shared/runtime/sealing.ts'
import { X_WING, xWingPublicKey } from '../../../shared/runtime/x-wing.ts'
import { faultOf, readCddl } from '../../support/cddl.ts'

const rules = readCddl(
  readFileSync(new URL('../../../shared/protocol/obelisk.cddl', import.meta.url), 'utf8'),
)
const HEAD = { task: 'task_1', op: 'get', to: 'alice', ts: 1_700_000_000_000 }
const LIMITS = { bytesMax: 2 ** 16, depthMax: 8, itemsMax: 1000 }

t.test('what is sealed is what the CDDL says', async (t) => {
  const sealed = await seal({
    head: encodeHead(HEAD),
    value: encodeCbor({ lsus: 4 }),
    publicKey: await xWingPublicKey(randomBytes(32)),
    signer: randomBytes(32),
  })
  const clear = { id: 'task_1', op: 'get', state: 'completed', effect: 'none', lsus: 4 }
  const result = { ...clear, sealed, shards: 1, nodes: 1, ms: 5, ts: HEAD.ts }
  const decoded = decodeCbor(encodeCbor(result), LIMITS)
  if (!decoded.ok) throw new Error(decoded.message)
  t.equal(faultOf(rules, { kind: 'name', name: 'task-result' }, decoded.value), undefined)
  const short = { ...result, sealed: { ...sealed, kem: sealed.kem.subarray(1) } }
  t.ok(faultOf(rules, { kind: 'name', name: 'task-result' }, short))
})

t.test('a head is read strictly', (t) => {
  const bytes = encodeHead(HEAD)
  t.same(decodeHead(bytes), { v: 1, ...HEAD })
  const wrong = [
    ...[{ ...HEAD }, { v: 2, ...HEAD }, { v: 1, ...HEAD, more: 1 }, { v: 1, ...HEAD, to: 'a b' }],
    ...[{ v: 1, ...HEAD, ts: '5' }, { v: 1, ...HEAD, task: undefined }, [], 5, 'text'],
  ]
  for (const one of wrong) t.equal(decodeHead(encodeCbor(one)), undefined, JSON.stringify(one))
  for (const none of [new Uint8Array(), bytes.subarray(1), Buffer.alloc(2000)]) {
    t.equal(decodeHead(none), undefined)
  }
  t.end()
})

t.test('the parts that are signed and derived from are those that are written down', (t) => {
  const [head, kem, digest] = [Buffer.from('head'), Buffer.from('kem'), Buffer.from('digest')]
  t.equal(Buffer.from(signedBytes(head, kem, digest)).toString(), 'headkemdigest')
  t.equal(Buffer.from(keyPurpose(head)).toString(), 'obelisk-seal/1\0head')
  t.same(
    [RECIPIENT_KEY_BYTES, RECIPIENT_SEED_BYTES, SIGNER_KEY_BYTES, SIGNER_SEED_BYTES],
    [X_WING.publicKeyBytes, X_WING.seedBytes, ML_DSA_65.publicKeyBytes, ML_DSA_65.seedBytes],
  )
  t.end()
})
