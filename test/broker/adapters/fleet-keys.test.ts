import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadFleetKeys, makeFleetKeys } from '../../../broker/adapters/fleet-keys.ts'
import { shortDirectory } from '../../support/short-directory.ts'

function folderOf(t: Test): string {
  const directory = shortDirectory()
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return join(directory, 'data', 'security')
}

t.test('keys are made once, and are the same at every start', async (t) => {
  const folder = folderOf(t)
  t.equal(loadFleetKeys(folder), undefined)
  const made = await makeFleetKeys(folder)
  const again = loadFleetKeys(folder)!
  t.ok(again.authority.privateKey.equals(made.authority.privateKey))
  t.same([again.pin, again.agents], [made.pin, made.agents])
  t.same(readdirSync(folder).sort(), [
    'agents.crt',
    'agents.key',
    'ca.crt',
    'ca.key',
    'probe.crt',
    'probe.key',
    'seal.key',
  ])
  for (const name of readdirSync(folder)) {
    t.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name)
  }
  await t.rejects(makeFleetKeys(folder), 'never over those that are there')
  t.same(loadFleetKeys(folder)!.pin, made.pin)
})

t.test('what was cut off while it was made is begun anew', async (t) => {
  const folder = folderOf(t)
  mkdirSync(`${folder}.new`, { recursive: true })
  writeFileSync(join(`${folder}.new`, 'ca.key'), 'half')
  t.equal(loadFleetKeys(folder), undefined)
  await makeFleetKeys(folder)
  t.notOk(existsSync(`${folder}.new`))
  t.ok(loadFleetKeys(folder))
})

t.test('attempt 62: what is not whole, or open to others, is not taken', async (t) => {
  const [one, other] = [folderOf(t), folderOf(t)]
  await makeFleetKeys(one)
  await makeFleetKeys(other)
  const load = () => loadFleetKeys(one)
  const path = join(one, 'ca.key')
  chmodSync(path, 0o644)
  t.throws(load, { code: 'key-exposed', exitCode: 78 })
  rmSync(path)
  t.throws(load, { code: 'security-broken', exitCode: 78 })
  writeFileSync(path, 'nonsense', { mode: 0o600 })
  t.throws(load, { code: 'security-broken' })
  const theirs = loadFleetKeys(other)!.authority.privateKey
  writeFileSync(path, theirs.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  t.throws(load, { code: 'security-broken' })
})
