import { chmodSync, existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { certifyAuthority, certifyNode } from '../../../broker/adapters/certificates.ts'
import {
  type Enrolled,
  keepIdentity,
  keyToEnrol,
  loadIdentity,
} from '../../../firmware-agent/adapters/identity-files.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import { putPrivate } from '../../../shared/runtime/private-folder.ts'
import { type KeyPair, newKeyPair, spkiOf } from '../../../shared/runtime/public-keys.ts'
import { shortDirectory } from '../../support/short-directory.ts'

const n1 = 'n1' as NodeId

function folderOf(t: Test): string {
  const directory = shortDirectory()
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return join(directory, 'state', 'identity')
}

async function enrolled({ publicKey }: KeyPair, node = n1): Promise<Enrolled> {
  const authority = newKeyPair()
  const ca = await certifyAuthority(authority.privateKey, authority.publicKey)
  const signer = { privateKey: authority.privateKey, certificate: ca }
  return { certificate: await certifyNode(signer, spkiOf(publicKey), node), ca }
}

async function whole(t: Test): Promise<string> {
  const folder = folderOf(t)
  const pair = keyToEnrol(folder)
  keepIdentity(folder, pair, await enrolled(pair))
  return folder
}

t.test('an identity is as it was kept, and nobody else’s to read', async (t) => {
  const folder = folderOf(t)
  t.equal(loadIdentity(folder, n1), undefined)
  const pair = keyToEnrol(folder)
  const given = await enrolled(pair)
  const kept = keepIdentity(folder, pair, given)
  t.match(kept, given)
  t.same(loadIdentity(folder, n1), kept)
  t.same(readdirSync(folder).sort(), ['ca.pem', 'cert.pem', 'key.pem'])
  t.equal(statSync(folder).mode & 0o777, 0o700)
  for (const name of readdirSync(folder)) {
    t.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name)
  }
  t.notOk(existsSync(`${folder}.new`))
})

t.test('an enrolment that was cut off anywhere goes on with the same key', async (t) => {
  const folder = folderOf(t)
  const key = (pair: KeyPair): Buffer => Buffer.from(spkiOf(pair.publicKey))
  const first = keyToEnrol(folder)
  const given = await enrolled(first)
  t.ok(key(keyToEnrol(folder)).equals(key(first)), 'before it was sent')
  putPrivate(folder, 'cert.pem', given.certificate)
  t.equal(loadIdentity(folder, n1), undefined)
  t.ok(key(keyToEnrol(folder)).equals(key(first)), 'with a certificate already')
  putPrivate(folder, 'ca.pem', given.ca)
  t.match(loadIdentity(folder, n1), given, 'all but in its place')
  t.notOk(existsSync(`${folder}.new`))
})

t.test('what was cut off and is not ours is asked for again', async (t) => {
  const folder = folderOf(t)
  const first = keyToEnrol(folder)
  const given = await enrolled(first)
  putPrivate(folder, 'cert.pem', given.certificate)
  putPrivate(folder, 'ca.pem', given.ca)
  t.equal(loadIdentity(folder, 'n2' as NodeId), undefined)
  keepIdentity(folder, keyToEnrol(folder), given)
  t.match(loadIdentity(folder, n1), given)
})

t.test('a key that was cut off while it was written is none', (t) => {
  const folder = folderOf(t)
  keyToEnrol(folder)
  const path = join(`${folder}.new`, 'key.pem')
  writeFileSync(path, '-----BEGIN PRIVATE KEY-----\nMIGH', { mode: 0o600 })
  t.ok(keyToEnrol(folder).privateKey)
  writeFileSync(join(`${folder}.new`, '.key.pem'), 'left over')
  t.ok(keyToEnrol(folder).privateKey)
  t.end()
})

t.test('what is not whole, not ours or open to others is not taken', async (t) => {
  const refused = { code: 'identity-broken', exitCode: 78 }
  const load =
    (folder: string, node = n1) =>
    () =>
      loadIdentity(folder, node)
  for (const name of ['key.pem', 'cert.pem', 'ca.pem']) {
    const missing = await whole(t)
    rmSync(join(missing, name))
    t.throws(load(missing), refused, `without ${name}`)
    const nonsense = await whole(t)
    writeFileSync(join(nonsense, name), 'nonsense')
    t.throws(load(nonsense), refused, `nonsense in ${name}`)
    const exposed = await whole(t)
    chmodSync(join(exposed, name), 0o640)
    t.throws(load(exposed), { code: 'key-exposed', exitCode: 78 }, `${name} is open`)
  }
  const sound = await whole(t)
  t.throws(load(sound, 'n2' as NodeId), refused, 'of another node')
  const pair = newKeyPair()
  const other = await enrolled(pair)
  writeFileSync(join(sound, 'cert.pem'), other.certificate)
  t.throws(load(sound), refused, 'of another key')
  const foreign = await whole(t)
  writeFileSync(join(foreign, 'ca.pem'), other.ca)
  t.throws(load(foreign), refused, 'of another authority')
})
