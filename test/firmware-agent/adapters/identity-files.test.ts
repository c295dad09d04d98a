import {
  chmodSync,
  cpSync,
  existsSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { certifyAuthority, certifyNode } from '../../../broker/adapters/certificates.ts'
import {
  type Enrolled,
  keepIdentity,
  keyToEnrol,
  loadIdentities,
  readIdentity,
} from '../../../firmware-agent/adapters/identity-files.ts'
import { OwnIdentity } from '../../../firmware-agent/adapters/own-identity.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import { putPrivate } from '../../../shared/runtime/private-folder.ts'
import { type KeyPair, newKeyPair, spkiOf } from '../../../shared/runtime/public-keys.ts'
import { shortDirectory } from '../../support/short-directory.ts'

const n1 = 'n1' as NodeId

const loadIdentity = (folder: string, node: NodeId) => loadIdentities(folder, node)?.current

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

t.test('attempt 62: what is not whole, not ours or open to others is not taken', async (t) => {
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

/** Another identity in the place of the one that is there. */
async function renewed(folder: string, purpose = 'again'): Promise<OwnIdentity> {
  const pair = keyToEnrol(folder, purpose)
  keepIdentity(folder, pair, await enrolled(pair))
  return OwnIdentity.load(folder, n1)!
}

t.test('a new identity is shown first, and the one before goes when it was let in', async (t) => {
  const folder = await whole(t)
  const before = loadIdentity(folder, n1)
  const own = await renewed(folder)
  t.not(own.shown.key, before!.key)
  t.match(loadIdentities(folder, n1), { current: own.shown, former: before })
  own.admitted()
  t.same(loadIdentities(folder, n1), { current: own.shown })
  t.notOk(existsSync(`${folder}.old`))
  t.notOk(own.refused(), 'there is no other to be shown')
  own.admitted()
  t.same(loadIdentities(folder, n1), { current: own.shown })
})

t.test(
  'a new identity that is refused gives way to the one before, if that is let in',
  async (t) => {
    const folder = await whole(t)
    const before = loadIdentity(folder, n1)
    const own = await renewed(folder)
    const fresh = own.shown
    t.ok(own.refused())
    t.same(own.shown, before)
    t.notOk(own.refused(), 'both were')
    t.same(own.shown, fresh)
    t.ok(own.refused())
    own.admitted()
    t.same(own.shown, before)
    t.same(loadIdentities(folder, n1), { current: before })
  },
)

t.test('what was never let in is not kept for what comes after it', async (t) => {
  const folder = await whole(t)
  const before = loadIdentity(folder, n1)
  const first = (await renewed(folder, 'first')).shown
  const second = (await renewed(folder, 'second')).shown
  t.not(first.key, second.key)
  t.same(loadIdentities(folder, n1), { current: second, former: before })
})

t.test('a key is asked with again for the same purpose, and for no other', async (t) => {
  const folder = await whole(t)
  const spki = (purpose?: string): string =>
    Buffer.from(spkiOf(keyToEnrol(folder, purpose).publicKey)).toString('hex')
  const first = spki('token a')
  t.equal(spki('token a'), first)
  const second = spki('token b')
  t.not(second, first)
  t.equal(spki('token b'), second)
  t.equal(spki(), second)
})

t.test('whatever was cut off when, one identity is whole', async (t) => {
  const folder = await whole(t)
  const before = loadIdentity(folder, n1)!
  const pair = keyToEnrol(folder, 'again')
  const given = await enrolled(pair)
  const [fresh, old] = [`${folder}.new`, `${folder}.old`]
  t.same(loadIdentity(folder, n1), before, 'with a key')
  putPrivate(folder, 'cert.pem', given.certificate)
  t.same(loadIdentity(folder, n1), before, 'with a certificate')
  putPrivate(folder, 'ca.pem', given.ca)
  const kept = join(folder, '..', 'kept')
  const reset = (): void => {
    for (const path of [folder, fresh, old]) rmSync(path, { recursive: true, force: true })
    for (const [from, to] of [
      ['identity', folder],
      ['identity.new', fresh],
    ] as const) {
      cpSync(join(kept, from), to, { recursive: true })
    }
  }
  cpSync(folder, join(kept, 'identity'), { recursive: true })
  cpSync(fresh, join(kept, 'identity.new'), { recursive: true })
  const cuts: readonly [name: string, cut: () => void, current: object, former?: object][] = [
    ['all is there', () => {}, given, before],
    ['the one before is put aside', () => renameSync(folder, old), given, before],
    [
      'one that was never let in is on its way out',
      () => {
        cpSync(folder, old, { recursive: true })
        rmSync(join(folder, 'key.pem'))
      },
      ...([given, before] as const),
    ],
    [
      'the one before is on its way out',
      () => {
        renameSync(folder, old)
        renameSync(fresh, folder)
        rmSync(join(old, 'key.pem'))
      },
      given,
    ],
    [
      'the one before is on its way back',
      () => {
        renameSync(folder, old)
        renameSync(fresh, folder)
        rmSync(join(folder, 'cert.pem'))
      },
      before,
    ],
    [
      'the one before is nearly back',
      () => {
        renameSync(folder, old)
        rmSync(fresh, { recursive: true })
      },
      before,
    ],
  ]
  for (const [name, cut, current, former] of cuts) {
    reset()
    cut()
    const seen = existsSync(folder) && readdirSync(folder).length
    try {
      readIdentity(folder, n1)
    } catch (error) {
      t.match(error, { code: 'identity-broken' })
    }
    t.equal(
      existsSync(folder) && readdirSync(folder).length,
      seen,
      `${name}: looking changes nothing`,
    )
    for (const time of ['first', 'second']) {
      const loaded = loadIdentities(folder, n1)!
      t.match(loaded.current, current, `${name}, the ${time} time`)
      t.match(loaded.former, former ?? undefined, name)
      t.equal(loaded.former === undefined, former === undefined, name)
    }
    const own = OwnIdentity.load(folder, n1)!
    own.admitted()
    t.match(loadIdentities(folder, n1), { current })
    t.notOk(existsSync(old), name)
  }
})

t.test('a key follows another by its certificate, and by no other', async (t) => {
  const folder = folderOf(t)
  const authority = newKeyPair()
  const ca = await certifyAuthority(authority.privateKey, authority.publicKey)
  const signer = { privateKey: authority.privateKey, certificate: ca }
  const certify = async ({ publicKey }: KeyPair, node = n1): Promise<string> =>
    await certifyNode(signer, spkiOf(publicKey), node)
  const pair = keyToEnrol(folder)
  keepIdentity(folder, pair, { certificate: await certify(pair), ca })
  const own = OwnIdentity.load(folder, n1)!
  const before = own.shown
  const next = own.nextKey()
  t.same(spkiOf(own.nextKey().publicKey), spkiOf(next.publicKey), 'asked twice')
  const unsuitable = { code: 'certificate-unsuitable' }
  const [stale, foreign] = [await certify(pair), (await enrolled(next)).certificate]
  for (const certificate of [stale, foreign, await certify(next, 'n2' as NodeId), 'nonsense']) {
    t.throws(() => own.renew(certificate), unsuitable)
    t.same(own.shown, before)
  }
  own.renew(await certify(next))
  t.not(own.shown.key, before.key)
  t.same(loadIdentities(folder, n1), { current: own.shown, former: before })
  const another = own.nextKey()
  t.notSame(spkiOf(another.publicKey), spkiOf(next.publicKey))
  own.admitted()
  own.renew(await certify(another))
  own.admitted()
  t.same(loadIdentities(folder, n1), { current: own.shown })
})
