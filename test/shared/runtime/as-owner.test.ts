import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { makeFleetKeys } from '../../../broker/adapters/fleet-keys.ts'
import { restoreFleet } from '../../../broker/restore.ts'
import { keyToEnrol } from '../../../firmware-agent/adapters/identity-files.ts'
import { enrolByHand } from '../../../firmware-agent/enroll.ts'
import { asOwnerOfPlace } from '../../../shared/runtime/as-owner.ts'
import { ExclusiveLock } from '../../../shared/runtime/exclusive-lock.ts'
import { shortDirectory } from '../../support/short-directory.ts'

const OWNER = 54_321
const notRoot = process.geteuid!() === 0 ? false : 'only root works for somebody else'

/** Data of a service below a directory that is root's alone, as systemd makes them, and a place that is none of its business. */
function places(t: Test): { data: string; other: string } {
  const here = shortDirectory()
  t.teardown(() => rmSync(here, { recursive: true, force: true }))
  const [data, other] = [join(here, 'private', 'data'), join(here, 'etc')]
  mkdirSync(data, { recursive: true })
  mkdirSync(other)
  chmodSync(dirname(data), 0o700)
  chownSync(data, OWNER, OWNER)
  return { data, other }
}

/** To a gateway that does not answer. */
function enrolArgs(data: string): string[] {
  const token = `obk1-aaaaaaaa-${'a'.repeat(26)}-${'a'.repeat(52)}`
  const identity = join(data, 'identity')
  const at = ['--url', 'mqtts://127.0.0.1:1', '--data', data, '--identity', identity]
  return ['--id', 'n1', ...at, `--token=${token}`]
}

t.test('work in a directory of somebody else is his', { skip: notRoot }, async (t) => {
  const { data, other } = places(t)
  const before = { groups: process.getgroups!(), gid: process.getegid!() }
  const ids = await asOwnerOfPlace(join(data, 'a'), async (path) => {
    await undefined
    writeFileSync(path, '')
    t.throws(() => writeFileSync(join(other, 'a'), ''), { code: 'EACCES' })
    return [process.geteuid!(), process.getegid!(), ...process.getgroups!()]
  })
  t.same(ids, [OWNER, OWNER, OWNER])
  t.same([process.geteuid!(), process.getegid!()], [0, before.gid])
  t.same(process.getgroups!(), before.groups)
  t.equal(lstatSync(join(data, 'a')).uid, OWNER)
  const failed = asOwnerOfPlace(join(data, 'b'), (path) => writeFileSync(join(path, 'c'), ''))
  await t.rejects(failed, { message: `ENOENT: no such file or directory, open '${data}/b/c'` })
  t.equal(process.geteuid!(), 0)
})

t.test('a link in its data leads no gateway’s keys away', { skip: notRoot }, async (t) => {
  const { data, other } = places(t)
  const folder = join(data, 'security')
  chmodSync(dirname(data), 0o755)
  // It is there before anything is looked at, and again when everything was taken away.
  symlinkSync(other, `${folder}.new`)
  const made = makeFleetKeys(folder)
  rmSync(`${folder}.new`, { force: true })
  symlinkSync(other, `${folder}.new`)
  await made.catch(() => {})
  t.same(readdirSync(other), [])
  t.equal(lstatSync(other).uid, 0)
})

t.test('nor the key of a board', { skip: notRoot }, async (t) => {
  const { data, other } = places(t)
  symlinkSync(other, join(data, 'identity.new'))
  await t.rejects(enrolByHand(enrolArgs(data), {}), { code: 'EEXIST' })
  t.same(readdirSync(other), [])
  t.equal(lstatSync(other).uid, 0)
})

t.test(
  'no link leads root to another directory than the one it was told',
  { skip: notRoot },
  async (t) => {
    const { data, other } = places(t)
    const refused = { code: 'not-permitted', exitCode: 77 }
    const noBackup = {
      ...{ backup: Buffer.alloc(0), passphrase: async () => '', revoked: async () => [] },
    }
    const led = join(data, 'gateway')
    for (const to of [other, '../../etc']) {
      symlinkSync(to, led)
      for (const at of [led, join(led, 'below')]) {
        await t.rejects(makeFleetKeys(join(at, 'security')), refused, at)
        await t.rejects(enrolByHand(enrolArgs(at), {}), refused, at)
        await t.rejects(restoreFleet({ data: at, ...noBackup }), refused, at)
      }
      rmSync(led)
    }
    mkdirSync(led)
    chownSync(led, OWNER + 1, OWNER + 1)
    await t.rejects(makeFleetKeys(join(led, 'security')), refused, 'of a third user')
    t.same(readdirSync(other), [])
    // As /var/lib has them for services with a user of their own.
    const alias = join(dirname(other), 'alias')
    symlinkSync('private/data', alias)
    await makeFleetKeys(join(alias, 'security'))
    t.equal(lstatSync(join(data, 'security')).uid, OWNER, 'but a link of root’s own does')
    chmodSync(dirname(other), 0o777)
    await t.rejects(
      makeFleetKeys(join(alias, 'security')),
      refused,
      'unless others can put it there',
    )
  },
)

t.test(
  'nor does one that comes meanwhile, where the directory is root’s',
  { skip: notRoot },
  async (t) => {
    const { data, other } = places(t)
    const own = join(data, 'own')
    await asOwnerOfPlace(join(own, 'a'), (path) => {
      renameSync(own, join(data, 'moved'))
      symlinkSync(other, own)
      writeFileSync(path, '')
    })
    t.same(readdirSync(other), [])
    t.same(readdirSync(join(data, 'moved')), ['a'])
  },
)

t.test(
  'the lock in a directory of somebody else is his, and is given back',
  { skip: notRoot },
  async (t) => {
    const { data } = places(t)
    const socket = join(data, 'lock.sock')
    const lock = await ExclusiveLock.acquireAsOwner(data)
    t.equal(lstatSync(socket).uid, OWNER)
    const inUse = { code: 'data-directory-in-use', message: `another process uses ${data}: end it` }
    await t.rejects(ExclusiveLock.acquireAsOwner(data), inUse)
    await lock.release()
    t.same(readdirSync(data), [])
    withoutSwitching(t)
    const given = await ExclusiveLock.acquireAsOwner(data)
    t.equal(lstatSync(socket).uid, OWNER)
    await t.rejects(ExclusiveLock.acquireAsOwner(data), inUse)
    await given.release()
    t.same(readdirSync(data), [])
  },
)

/** As the Node of Debian 13 answers. */
function withoutSwitching(t: Test): void {
  const { seteuid } = process
  process.seteuid = () => {
    const error = new Error('seteuid() disabled: io_uring may be enabled. See CVE-2024-22017.')
    throw Object.assign(error, { code: 'ERR_INVALID_STATE' })
  }
  t.teardown(() => {
    process.seteuid = seteuid!
  })
}

t.test(
  'where no process may change its user, root gives what it made',
  { skip: notRoot },
  async (t) => {
    withoutSwitching(t)
    const { data, other } = places(t)
    const folder = join(data, 'security')
    await makeFleetKeys(folder)
    t.same(readdirSync(data), ['security'])
    for (const name of ['.', ...readdirSync(folder)]) {
      const { uid, gid, mode } = lstatSync(join(folder, name))
      t.same([uid, gid, mode & 0o077], [OWNER, OWNER, 0], name)
    }
    await asOwnerOfPlace(join(data, 'identity'), keyToEnrol)
    t.equal(lstatSync(join(data, 'identity.new', 'key.pem')).uid, OWNER, 'what is unfinished, too')

    const linked = places(t)
    const refused = { code: 'not-permitted', exitCode: 77 }
    for (const name of ['security', 'security.new', 'security.old']) {
      symlinkSync(other, join(linked.data, name))
      await t.rejects(makeFleetKeys(join(linked.data, 'security')), refused, name)
      rmSync(join(linked.data, name))
    }
    mkdirSync(join(linked.data, 'security.new'))
    writeFileSync(join(other, 'shadow'), 'a secret')
    linkSync(join(other, 'shadow'), join(linked.data, 'security.new', 'ca.key'))
    await t.rejects(makeFleetKeys(join(linked.data, 'security')), refused, 'nor a second name')
    t.same(readdirSync(other), ['shadow'])
    t.equal(lstatSync(join(other, 'shadow')).uid, 0)
  },
)

t.test('and only while its owner has no process', { skip: notRoot }, async (t) => {
  withoutSwitching(t)
  const { data } = places(t)
  const child = spawn('/bin/sleep', ['600'], { uid: OWNER, gid: OWNER, stdio: 'ignore' })
  await once(child, 'spawn')
  const ended = once(child, 'exit')
  const busy = { code: 'owner-busy', exitCode: 77, message: /stop the service/ }
  await t.rejects(makeFleetKeys(join(data, 'security')), busy)
  t.same(readdirSync(data), [])
  child.kill('SIGKILL')
  await ended
  await makeFleetKeys(join(data, 'security'))
  t.same(readdirSync(data), ['security'])
})
