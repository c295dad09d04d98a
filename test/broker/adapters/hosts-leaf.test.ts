/** The certificate for browsers, and when it is made anew. */
import { X509Certificate } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { HostsLeaf } from '../../../broker/adapters/hosts-leaf.ts'
import { type NewAuthority, newAuthority } from '../../support/certified.ts'
import { shortDirectory } from '../../support/short-directory.ts'

const DAY_MS = 24 * 3_600_000
const NOW = Date.UTC(2027, 0, 1)
const NAMES = ['gw.local', 'localhost', '192.0.2.7', '::1', '2001:db8::7']

interface Box {
  nowTs: number
  ownNames: string[]
  readonly authority: NewAuthority
  open(): HostsLeaf
}

async function boxOf(t: Test): Promise<Box> {
  const folder = join(shortDirectory(), 'security')
  mkdirSync(folder, { mode: 0o700 })
  t.teardown(() => rmSync(join(folder, '..'), { recursive: true, force: true }))
  const authority = await newAuthority()
  const box: Box = {
    nowTs: NOW,
    ownNames: [...NAMES],
    authority,
    open: () =>
      HostsLeaf.open({
        ...{ folder, authority, names: ['gw.example'] },
        ...{ now: () => box.nowTs, ownNames: () => box.ownNames },
      }),
  }
  return box
}

const leafOf = ({ keys }: HostsLeaf): X509Certificate => new X509Certificate(keys.certificate)

t.test('it has every name, and a life that systems take', async (t) => {
  const box = await boxOf(t)
  const leaf = box.open()
  t.equal(await leaf.look(), true)
  const made = leafOf(leaf)
  for (const name of ['gw.local', 'localhost', 'gw.example']) t.equal(made.checkHost(name), name)
  for (const address of ['192.0.2.7', '::1', '2001:db8::7']) t.equal(made.checkIP(address), address)
  t.notOk(made.checkHost('other.local'))
  const days = (Date.parse(made.validTo) - Date.parse(made.validFrom)) / DAY_MS
  t.equal(days, 398)
  t.equal(await leaf.look(), false)
  const again = box.open()
  t.equal(await again.look(), false, 'nor after a start')
  t.equal(again.keys.certificate, leaf.keys.certificate)
})

t.test(
  'attempt 68: it is made anew for another name, an end that comes, and a clock that was wrong',
  async (t) => {
    const box = await boxOf(t)
    const leaf = box.open()
    box.nowTs = 0
    t.equal(await leaf.look(), true, 'a box without a clock')
    box.nowTs = NOW
    t.equal(await leaf.look(), true, 'and with one')
    const { publicKey } = leafOf(leaf)
    box.nowTs = NOW - 2 * DAY_MS
    t.equal(await leaf.look(), true, 'set back')
    box.nowTs = NOW
    t.equal(await leaf.look(), false)
    box.nowTs = NOW + (397 - 133) * DAY_MS - 2 * DAY_MS
    t.equal(await leaf.look(), false, 'enough of it is left')
    box.nowTs += 3 * DAY_MS
    t.equal(await leaf.look(), true, 'no longer')
    box.ownNames = [...NAMES, '192.0.2.8']
    t.equal(await leaf.look(), true, 'another address')
    box.ownNames = NAMES.slice(1)
    t.equal(await leaf.look(), true, 'a name less')
    t.ok(leafOf(leaf).publicKey.equals(publicKey), 'the key stays')
  },
)

t.test('one that is damaged is made anew', async (t) => {
  const box = await boxOf(t)
  const leaf = box.open()
  await leaf.look()
  const folder = join(shortDirectory(), 'other')
  mkdirSync(folder, { mode: 0o700 })
  writeFileSync(join(folder, 'hosts.crt'), 'x', { mode: 0o600 })
  const damaged = HostsLeaf.open({
    ...{ folder, authority: box.authority, names: [], now: () => NOW },
  })
  t.equal(await damaged.look(), true, 'with the names of this machine')
  t.ok(leafOf(damaged).checkHost('localhost'))
})
