import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { makeFleetKeys } from '../../../broker/adapters/fleet-keys.ts'
import { enrolByHand } from '../../../firmware-agent/enroll.ts'
import { asOwnerOfPlace } from '../../../shared/runtime/as-owner.ts'
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
  const token = `obk1-aaaaaaaa-${'a'.repeat(26)}-${'a'.repeat(52)}`
  const url = 'mqtts://127.0.0.1:1'
  const argv = ['--id', 'n1', '--url', url, '--data', data, '--identity', join(data, 'identity')]
  await t.rejects(enrolByHand([...argv, `--token=${token}`], {}), { code: 'EEXIST' })
  t.same(readdirSync(other), [])
  t.equal(lstatSync(other).uid, 0)
})
