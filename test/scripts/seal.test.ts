/** `obelisk seal` without a gateway: what it is given, and what it says of what is none. */
import { randomBytes } from 'node:crypto'
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { runCommand } from '../../scripts/commands/program.ts'
import { encodeCbor } from '../../shared/protocol/cbor.ts'
import { toJsonText } from '../../shared/protocol/json-text.ts'
import { encodeHead } from '../../shared/protocol/sealed.ts'
import { mlDsa65 } from '../../shared/runtime/post-quantum.ts'
import { newKeyPair, pemOf } from '../../shared/runtime/public-keys.ts'
import { seal } from '../../shared/runtime/sealing.ts'

interface Outcome {
  readonly code: number
  readonly out: Buffer
  readonly err: string
}

async function obelisk(input: string | Uint8Array, ...argv: string[]): Promise<Outcome> {
  const out: Buffer[] = []
  let err = ''
  const stdout = { write: (text: string | Uint8Array) => out.push(Buffer.from(text)) }
  const stderr = { write: (text: string | Uint8Array) => (err += text.toString()) }
  const stdin = Readable.from([Buffer.from(input)])
  const code = await runCommand(argv, { stdout, stderr, stdin, environment: {} }, '0')
  return { code, out: Buffer.concat(out), err }
}

const VALUE = { fields: { n: [1, 2] }, status: ['idle', 'scaled'] }
const HEAD = { task: 'mine', op: 'get', to: 'alice', ts: 1_700_000_000_000 }

async function bench(t: Test) {
  const directory = t.testdir()
  const key = join(directory, 'alice.key')
  const made = await obelisk('', 'seal', 'keygen', key)
  const signer = randomBytes(32)
  const sealed = await seal({
    head: encodeHead(HEAD),
    value: encodeCbor(VALUE),
    publicKey: Buffer.from(made.out.toString(), 'base64'),
    signer,
  })
  const result = { id: 'mine', op: 'get', state: 'completed', sealed }
  const signerKey = Buffer.from(await mlDsa65().publicKeyOf(signer)).toString('base64')
  const open = (input: string | Uint8Array, ...more: string[]): Promise<Outcome> =>
    obelisk(input, 'seal', 'open', '-', '--key', key, ...more)
  return { directory, key, made, result, signerKey, open }
}

t.test('a result is opened as JSON and as CBOR, whoever prints it', async (t) => {
  const { key, made, result, signerKey, open } = await bench(t)
  t.equal(made.code, 0)
  t.equal(statSync(key).mode & 0o777, 0o600)
  t.equal(Buffer.from(readFileSync(key, 'utf8'), 'base64').length, 32)
  for (const input of [toJsonText(result), toJsonText(result, 2), encodeCbor(result)]) {
    const { code, out, err } = await open(input, '--signer', signerKey)
    t.equal(code, 0, err)
    t.same(JSON.parse(out.toString()), VALUE)
    t.match(err, /task mine \(get\), for alice/)
    t.notMatch(err, /warning/)
  }
  t.match((await open(toJsonText(result))).err, /warning: anybody can have sealed it/)
  const { out } = await open(encodeCbor(result), '--signer', signerKey, '--cbor')
  t.ok(out.equals(encodeCbor(VALUE)))
})

t.test('what is no sealed result is said, and nothing of it printed', async (t) => {
  const { result, signerKey, open } = await bench(t)
  const { sealed } = result
  const text = JSON.parse(toJsonText(sealed)) as Record<string, string>
  const table: unknown[] = [
    ...[null, 5, 'text', [], {}, { value: 1 }],
    ...[null, 5, 'text', [], {}].map((none) => ({ ...result, sealed: none })),
    { ...result, sealed: { ...text, more: 'AA==' } },
    { ...result, sealed: { ...text, sig: undefined } },
    { ...result, sealed: { ...text, sig: 5 } },
    { ...result, sealed: { ...text, body: `${text.body}\n` } },
    { ...result, id: 'yours' },
    { ...result, op: 'stat' },
    { ...result, id: undefined },
  ]
  const inputs = [
    ...table.map((value) => JSON.stringify(value) ?? ''),
    ...['', '{', ' {"sealed": ', '\xff'],
    encodeCbor({ ...result, sealed: { ...sealed, kem: 'text' } }),
    randomBytes(100),
  ]
  for (const input of inputs) {
    const { code, out, err } = await open(input, '--signer', signerKey)
    t.equal(code, 65, err)
    t.equal(out.length, 0)
    t.match(err, /^error: it cannot be opened: /)
  }
})

t.test('keys that are none are refused before anything is read', async (t) => {
  const { directory, key, made, result, signerKey, open } = await bench(t)
  const input = toJsonText(result)
  const other = join(directory, 'other')
  const by = (file: string): Promise<Outcome> =>
    obelisk(input, 'seal', 'open', '-', '--key', file, '--signer', signerKey)
  t.match(await by(join(directory, 'none')), { code: 66, err: /there is no file/ })
  t.match(await by(directory), { err: /it is no file/ })
  writeFileSync(other, 'no key', { mode: 0o600 })
  t.match(await by(other), { code: 65, err: /is not what seal keygen wrote/ })
  chmodSync(key, 0o644)
  t.match(await by(key), { code: 78, err: /others can read it/ })
  chmodSync(key, 0o600)
  writeFileSync(other, 'AAAA')
  t.match(await open(input, '--signer', other), { code: 65, err: /not what seal signer prints/ })
  t.match(await open(input, '--signer', join(directory, 'none')), { code: 66 })
  t.match(await obelisk(input, 'seal', 'open', '-'), { code: 2, err: /--key/ })
  const gone = await obelisk('', 'seal', 'open', join(directory, 'none'), '--key', key)
  t.match(gone, { code: 66, err: /none is not there$/m })
  const again = await obelisk('', 'seal', 'keygen', key)
  t.match(again, { code: 1, err: /is there already/, out: made.out }, 'the shell emptied its file')
  t.match(await obelisk('', 'seal', 'pub', key), { code: 0, err: '', out: made.out })
  t.match(await obelisk('', 'seal', 'pub', other), { code: 65, err: /not what seal keygen wrote/ })
  const nowhere = await obelisk('', 'seal', 'keygen', join(directory, 'none', 'key'))
  t.match(nowhere, { code: 66, err: /has no directory to be in/ })
  t.equal(nowhere.out.length, 0, 'a public key of nothing is not printed')
  t.match(await obelisk('', 'seal', 'keygen', join(key, 'key')), {
    code: 66,
    err: /a file above it/,
  })
  t.match(await by(key), { code: 0 }, 'the key that was there is there')
})

t.test('the secret half of a key goes to no gateway', async (t) => {
  const { directory, key } = await bench(t)
  const nowhere = ['--http', 'https://127.0.0.1:9']
  const sealing = await obelisk('', 'seal', 'recipient', 'add', 'bob', key, ...nowhere)
  t.match(sealing, { code: 65, err: /no public key/ })
  const pem = join(directory, 'bridge.key')
  writeFileSync(pem, pemOf(newKeyPair()))
  const user = await obelisk('', 'user', 'key', 'add', 'bridge', pem, ...nowhere)
  t.match(user, { code: 65, err: /the private half/ })
})
