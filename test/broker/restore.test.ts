/** Backups of real stores and keys, and what a new gateway has of them. What a passphrase costs is in sealed-file.test.ts. */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadFleetKeys, makeFleetKeys, readKeyFiles } from '../../broker/adapters/fleet-keys.ts'
import { IdentityStore } from '../../broker/adapters/identity-store.ts'
import { SecurityLog } from '../../broker/adapters/security-log.ts'
import { AuthorityCalls } from '../../broker/authority-calls.ts'
import { addUser } from '../../broker/core/access/users.ts'
import { Identities } from '../../broker/identities.ts'
import { type RestoreOrder, restoreFleet } from '../../broker/restore.ts'
import { forgetLeftOver } from '../../broker/secured.ts'
import { leftOverOf } from '../../scripts/doctor/security-facts.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'
import { lastBackupTs } from '../../shared/runtime/backup-mark.ts'
import { ExclusiveLock } from '../../shared/runtime/exclusive-lock.ts'
import { readSecurityLog, verifySecurityLog } from '../../shared/runtime/security-log-files.ts'
import { quickly } from '../support/quick-derivation.ts'
import { shortDirectory } from '../support/short-directory.ts'
import { TYPESCRIPT } from '../support/typescript/node-options.ts'

const PASSPHRASE = 'correct horse battery'
const NOW = Date.now()
const BY_ADMIN = { who: 'admin', via: 'socket', assertMay() {} } as const
const silent = { debug() {}, info() {}, warn() {}, error() {} }
const n1 = 'n1' as NodeId
const n2 = 'n2' as NodeId

class Box {
  readonly data: string
  readonly store: IdentityStore
  readonly identities: Identities
  readonly calls: AuthorityCalls
  readonly log: SecurityLog

  static async make(t: Test): Promise<Box> {
    const data = place(t)
    const folder = join(data, 'security')
    await makeFleetKeys(folder)
    return await Box.open(t, data)
  }

  static async open(t: Test, data: string): Promise<Box> {
    const folder = join(data, 'security')
    const store = await IdentityStore.open(join(folder, 'identities'), fatal)
    const now = () => ({ monotonicMs: 0, wallMs: NOW })
    const expectedHead = store.meta.head
    const onHead = (head: SecurityLog['head']) => store.keepMeta({ head })
    const log = await SecurityLog.open({ folder, now, expectedHead, onHead }, silent)
    t.teardown(async () => {
      await log.close()
      await store.close()
    })
    return new Box(data, store, log)
  }

  constructor(data: string, store: IdentityStore, log: SecurityLog) {
    const folder = join(data, 'security')
    const keys = loadFleetKeys(folder)!
    this.data = data
    this.store = store
    this.log = log
    this.identities = new Identities({}, store)
    this.calls = new AuthorityCalls({
      ...{ keys, store, log, folder, nowTs: () => NOW },
      files: () => readKeyFiles(folder),
      hostsCertificate: () => keys.agents.certificate,
      derive: quickly,
    })
  }

  async token(node: NodeId): Promise<{ readonly tokenId: string; readonly secret: Buffer }> {
    const secret = randomBytes(16)
    const tokenId = `t${randomBytes(4).toString('hex')}`
    const sha256 = createHash('sha256').update(secret).digest()
    const token = { node, replaces: true, untilTs: NOW * 2, createdTs: NOW, by: 'admin', sha256 }
    await this.identities.addToken(NOW, tokenId, token)
    return { tokenId, secret }
  }

  async enrol(
    node: NodeId,
    key: string,
    given: { readonly tokenId: string; readonly secret: Buffer },
  ) {
    const shown = { ...given, node, key, board: undefined, isProven: true, isNameKnown: false }
    return await this.identities.enrol(NOW, shown)
  }
}

function fatal(error: Error): never {
  throw error
}

function place(t: Test): string {
  const path = shortDirectory()
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

function restoring(data: string, backup: Uint8Array, more: Partial<RestoreOrder> = {}) {
  const passphrase = async () => PASSPHRASE
  return restoreFleet({
    data,
    backup,
    passphrase,
    derive: quickly,
    revoked: async () => [],
    ...more,
  })
}

t.test('attempt 69: a new box has the keys, and no token or tombstone comes back', async (t) => {
  const box = await Box.make(t)
  writeFileSync(join(box.data, 'security', 'seal.key'), randomBytes(32), { mode: 0o600 })
  const [first, gone, spare] = [await box.token(n1), await box.token(n2), await box.token(n2)]
  await box.enrol(n1, 'key-1', first)
  await box.enrol(n2, 'key-2', gone)
  await box.identities.revoke(NOW, n2)
  const later = await box.token(n2)
  const ann = addUser(NOW, 'ann', undefined, { by: 'admin', roles: ['admin'] })
  if (ann.ok) await box.store.write(ann.changes)
  t.equal(box.calls.view().backupTs, undefined)
  const backup = await box.calls.backup(PASSPHRASE, BY_ADMIN)
  t.equal(box.calls.view().backupTs, undefined, 'nobody has it yet')
  t.throws(() => box.calls.kept(NOW + 1), { code: 'unknown-backup' })
  box.calls.kept(NOW)
  t.equal(box.calls.view().backupTs, NOW)
  const mark = join(box.data, 'security', 'last-backup.json')
  chmodSync(mark, 0o644)
  t.equal(box.calls.view().backupTs, undefined, 'nobody can tell')
  chmodSync(mark, 0o600)
  t.notOk(Buffer.from(backup).includes('PRIVATE KEY'))
  const said: string[] = []
  await readSecurityLog(join(box.data, 'security'), undefined, {
    onLine: ({ event, who }) => said.push(`${event} ${who}`),
  })
  t.equal(said.at(-1), 'ca-backup admin')

  const data = place(t)
  const restored = await restoring(data, backup, {
    async revoked(found) {
      t.same(found, { nodes: ['n1'], users: ['ann'], recipients: [] })
      return []
    },
  })
  t.match(restored, { nodes: 1, users: 1, revoked: [], ts: NOW })
  const folder = join(data, 'security')
  const mine = loadFleetKeys(folder)!
  const theirs = loadFleetKeys(join(box.data, 'security'))!
  t.same([mine.pin, mine.agents, mine.probe], [theirs.pin, theirs.agents, theirs.probe])
  t.same(readKeyFiles(folder), readKeyFiles(join(box.data, 'security')), 'the seal key, too')
  t.equal(lastBackupTs(folder), NOW)

  const events: string[] = []
  const onLine = ({ event, who, what = '' }: { event: string; who: string; what?: string }) =>
    events.push(`${event} ${who} ${what}`)
  await readSecurityLog(folder, undefined, { onLine })
  const when = new Date(NOW).toISOString().replace(/[.:]/g, '-')
  t.same(events, ['log-begun gateway ', `ca-restored admin backup/${when}`])

  const again = await Box.open(t, data)
  t.same(again.log.head, again.store.meta.head)
  t.match(await verifySecurityLog(folder, again.log.head), { isWhole: true })
  t.equal(again.identities.ownerOf('key-1'), n1)
  t.equal(again.identities.ownerOf('key-2'), undefined)
  t.match(again.store.user('ann'), { roles: ['admin'] })
  t.ok(again.store.meta.floorTs! >= NOW)
  for (const given of [first, gone, spare, later]) {
    for (const [node, key] of [
      ['n1', 'key-1'],
      ['n2', 'key-2'],
      ['n2', 'key-3'],
    ] as const) {
      const judgement = await again.enrol(node as NodeId, key, given)
      t.match(judgement, { ok: false, code: 'token-revoked' }, `${node} ${key}`)
    }
  }
  t.match(await again.enrol(n2, 'key-2', await again.token(n2)), { code: 'key-revoked' })
  t.match(await again.enrol(n2, 'key-3', await again.token(n2)), { ok: true }, 'a new token')
})

t.test('who was revoked since stays out, in the registry and in the log', async (t) => {
  const box = await Box.make(t)
  box.store.keepMeta({ floorTs: NOW - 1 })
  await box.token(n1)
  t.equal(box.calls.view().changedTs, undefined, 'a token is no key')
  await box.enrol(n1, 'key-1', await box.token(n1))
  t.equal(box.calls.view().changedTs, NOW - 1)
  await box.enrol(n2, 'key-2', await box.token(n2))
  const ann = addUser(NOW, 'ann', undefined, { by: 'admin', roles: ['admin'] })
  if (ann.ok) await box.store.write(ann.changes)
  const recipient = { key: randomBytes(1216), addedTs: NOW, by: 'admin' }
  const recipients = ['alice', 'n2', 'bob']
  await box.store.write(
    recipients.map((key) => ({ table: 'recipient', key, value: recipient }) as const),
  )
  const backup = await box.calls.backup(PASSPHRASE, BY_ADMIN)
  const data = place(t)
  const unknown = { code: 'not-in-backup', exitCode: 2, message: /n3/ }
  await t.rejects(restoring(data, backup, { revoked: async () => ['n1', 'n3'] }), unknown)
  const ambiguous = { code: 'name-ambiguous', exitCode: 2, message: /n2/ }
  await t.rejects(restoring(data, backup, { revoked: async () => ['n2'] }), ambiguous)
  t.same(readdirSync(data), [], 'nothing of that is there')
  const out = ['n1', 'user/ann', 'recipient/alice']
  t.match(await restoring(data, backup, { revoked: async () => out }), { revoked: out })
  const again = await Box.open(t, data)
  t.equal(again.identities.ownerOf('key-1'), undefined)
  t.equal(again.identities.ownerOf('key-2'), n2)
  t.ok(again.store.user('ann')!.revokedTs)
  const events: string[] = []
  const onLine = ({ event, what = '' }: { event: string; what?: string }) =>
    events.push(`${event} ${what}`)
  await readSecurityLog(join(data, 'security'), undefined, { onLine })
  t.same(events.slice(2), [
    ...['node-revoked node/n1', 'user-removed user/ann', 'recipient-removed recipient/alice'],
  ])
  t.same(
    again.store.recipients().map(([name]) => name),
    ['bob', 'n2'],
  )
})

t.test('what cannot be restored leaves everything as it was', async (t) => {
  const box = await Box.make(t)
  const backup = await box.calls.backup(PASSPHRASE, BY_ADMIN)
  const data = place(t)
  const other = async () => 'another horse battery'
  await t.rejects(restoring(data, backup, { passphrase: other }), { code: 'backup-passphrase' })
  const cut = backup.subarray(0, -1)
  await t.rejects(restoring(data, cut), { code: 'backup-damaged' })
  await t.rejects(restoring(data, Buffer.from('nonsense')), { code: 'backup-malformed' })
  t.same(readdirSync(data), [])

  const lock = await ExclusiveLock.acquire(data)
  const runs = { code: 'data-directory-in-use', message: `${data}: end the gateway first (` }
  await t.rejects(restoring(data, backup), runs)
  await lock.release()

  const folder = join(data, 'security')
  mkdirSync(folder)
  writeFileSync(join(folder, 'ca.key'), 'of somebody')
  const asked = { passphrase: () => t.fail('it asks first') as never }
  await t.rejects(restoring(data, backup, asked), { code: 'secured', exitCode: 78 })
  t.same(readdirSync(folder), ['ca.key'])

  rmSync(join(folder, 'ca.key'))
  mkdirSync(`${folder}.new`)
  writeFileSync(join(`${folder}.new`, 'ca.key'), 'of one that was cut off')
  await restoring(data, backup)
  t.ok(loadFleetKeys(folder), 'an empty folder is none')
  t.notOk(existsSync(`${folder}.new`))
  await t.rejects(restoring(data, backup), { code: 'secured' }, 'nor a second time')
})

t.test('a backup is given for a passphrase that will do, one at a time', async (t) => {
  const box = await Box.make(t)
  await t.rejects(box.calls.backup('short', BY_ADMIN), { code: 'passphrase-unsuitable' })
  const first = box.calls.backup(PASSPHRASE, BY_ADMIN)
  await t.rejects(box.calls.backup(PASSPHRASE, BY_ADMIN), { code: 'backup-under-way' })
  await first
  t.ok(await box.calls.backup(PASSPHRASE, BY_ADMIN))
})

t.test('one that the security log does not take is not given', async (t) => {
  const box = await Box.make(t)
  await box.log.close()
  await t.rejects(box.calls.backup(PASSPHRASE, BY_ADMIN), { code: 'log-broken' })
  t.equal(box.calls.view().backupTs, undefined)
})

const OWNER = 54_321
const notRoot = process.geteuid!() === 0 ? false : 'only root restores for somebody else'

t.test('all belongs to the owner of the data, who can use it', { skip: notRoot }, async (t) => {
  const box = await Box.make(t)
  await box.enrol(n1, 'key-1', await box.token(n1))
  const backup = await box.calls.backup(PASSPHRASE, BY_ADMIN)
  const data = place(t)
  chownSync(data, OWNER, OWNER)
  await restoring(data, backup)
  const folder = join(data, 'security')
  const names = ['.', ...(readdirSync(folder, { recursive: true }) as string[])]
  t.ok(names.length > 10)
  for (const name of names) {
    const { uid, gid, mode } = lstatSync(join(folder, name))
    t.same([uid, gid, mode & 0o077], [OWNER, OWNER, 0], name)
  }
  const program = `
    const { loadFleetKeys } = await import(${JSON.stringify(moduleOf('fleet-keys'))})
    const { IdentityStore } = await import(${JSON.stringify(moduleOf('identity-store'))})
    process.setgid(${OWNER}); process.setgroups([]); process.setuid(${OWNER})
    const pin = loadFleetKeys(${JSON.stringify(folder)}).pin
    const store = await IdentityStore.open(${JSON.stringify(join(folder, 'identities'))}, (e) => { throw e })
    await store.write([{ table: 'token', key: 'x', value: { ...[...store.tokens()][0][1] } }])
    console.log(store.identity('n1').keys[0].sha256, pin.length)
    await store.close()`
  const argv = [TYPESCRIPT, '--input-type=module', '-e', program]
  const said = execFileSync(process.execPath, argv, { encoding: 'utf8', timeout: 120_000 })
  t.equal(said.trim(), 'key-1 32')
})

function moduleOf(name: string): string {
  return new URL(`../../broker/adapters/${name}.ts`, import.meta.url).href
}

/** Restores, and gives itself a signal before the call to the file system of a number; says how many there were. */
const KILLED = `
  import fs from 'node:fs'
  import { syncBuiltinESMExports } from 'node:module'
  const [, file, data, step, signal] = process.argv
  const { restoreFleet } = await import(${JSON.stringify(new URL('../../broker/restore.ts', import.meta.url).href)})
  const { quickly } = await import(${JSON.stringify(new URL('../support/quick-derivation.ts', import.meta.url).href)})
  let calls = 0
  const passphrase = async () => {
    for (const name of ['openSync', 'writeFileSync', 'fsyncSync', 'mkdirSync', 'rmSync', 'renameSync', 'lchownSync']) {
      const real = fs[name]
      fs[name] = (...given) => {
        if (calls++ === Number(step)) process.kill(process.pid, signal)
        return real(...given)
      }
    }
    syncBuiltinESMExports()
    return ${JSON.stringify(PASSPHRASE)}
  }
  const backup = fs.readFileSync(file)
  await restoreFleet({ data, backup, passphrase, derive: quickly, revoked: async () => [] })
  console.log(calls)`

function killed(file: string, data: string, step: number, signal: NodeJS.Signals) {
  const argv = [TYPESCRIPT, '--input-type=module', '-e', KILLED, file, data, `${step}`, signal]
  return spawnSync(process.execPath, argv, { encoding: 'utf8', timeout: 120_000 })
}

t.test('interrupted, it leaves no keys; after a kill the gateway removes them', async (t) => {
  const box = await Box.make(t)
  const file = join(place(t), 'backup')
  writeFileSync(file, await box.calls.backup(PASSPHRASE, BY_ADMIN))
  // Some of the files of keys are there.
  const STEP = 24
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const data = place(t)
    t.equal(killed(file, data, STEP, signal).signal, signal)
    t.notOk(existsSync(join(data, 'security.new')), signal)
  }
  const data = place(t)
  killed(file, data, STEP, 'SIGKILL')
  const left = join(data, 'security.new')
  t.ok(readdirSync(left).includes('ca.key'))
  t.equal(leftOverOf(join(data, 'security')), left, 'the doctor sees it')
  const said: object[] = []
  forgetLeftOver(data, { log: { ...silent, warn: (what: object) => said.push(what) } })
  t.notOk(existsSync(left))
  forgetLeftOver(data, { log: { ...silent, warn: (what: object) => said.push(what) } })
  t.same(said, [{ code: 'keys-left-over', path: left }])
  t.equal(leftOverOf(join(data, 'security')), undefined)
})

t.test('killed at any step, all of it is there or nothing', async (t) => {
  const KILLS = 8
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
  t.comment(`SEED=${seed}`)
  const random = new Random(seed)
  const box = await Box.make(t)
  await box.enrol(n1, 'key-1', await box.token(n1))
  const file = join(place(t), 'backup')
  writeFileSync(file, await box.calls.backup(PASSPHRASE, BY_ADMIN))
  const run = (data: string, step: number) => killed(file, data, step, 'SIGKILL')
  const whole = run(place(t), -1)
  const calls = Number(whole.stdout)
  t.ok(calls > 40, `${calls} calls ${whole.stderr}`)
  // The last are the rename and the flush behind it.
  const steps = [calls - 1, calls - 2, calls - 3]
  while (steps.length < KILLS) steps.push(random.integer(calls))
  for (const step of steps) {
    const data = place(t)
    t.equal(run(data, step).signal, 'SIGKILL')
    const isThere = existsSync(join(data, 'security'))
    if (!isThere) await restoring(data, readFileSync(file))
    t.comment(`step ${step}: ${isThere ? 'all' : 'nothing'}`)
    const again = await Box.open(t, data)
    t.equal(again.identities.ownerOf('key-1'), n1)
    t.match(await verifySecurityLog(join(data, 'security'), again.log.head), { isWhole: true })
    t.equal(again.log.head.seq, 2)
  }
})

t.test('10,000 nodes and 20,000 tokens are no trouble', async (t) => {
  const NODES = 10_000
  const box = await Box.make(t)
  for (let at = 0; at < NODES; at += 1000) {
    const changes = Array.from({ length: 1000 }, (_, index) => {
      const node = `node-${at + index}` as NodeId
      const sha256 = createHash('sha256').update(node).digest('hex')
      const token = { node, replaces: false, untilTs: NOW * 2, createdTs: NOW, by: 'admin' }
      const board = sha256
      const identity = { keys: [{ sha256, addedTs: NOW, state: 'active' }], createdTs: NOW, board }
      return [
        { table: 'identity', key: node, value: identity },
        { table: 'key', key: sha256, value: { node } },
        ...['a', 'b'].map((name) => ({
          ...{ table: 'token', key: `${name}${at + index}` },
          value: { ...token, sha256: randomBytes(32), usedBy: sha256 },
        })),
      ]
    }).flat() as Parameters<IdentityStore['write']>[0]
    await box.store.write(changes)
  }
  let turns = 0
  let isOver = false
  const count = (): void => {
    turns += 1
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  t.equal((await box.store.stored()).length, 4 * NODES + 1)
  isOver = true
  t.ok(turns > 100, `others have ${turns} turns while records are read`)
  const backup = await box.calls.backup(PASSPHRASE, BY_ADMIN)
  t.comment(`${backup.length} bytes`)
  t.ok(backup.length < 16 * 1024 * 1024)
  const data = place(t)
  const restoredAt = performance.now()
  t.match(await restoring(data, backup), { nodes: NODES })
  t.comment(`restored in ${Math.round(performance.now() - restoredAt)} ms`)
  const again = await Box.open(t, data)
  const sha256 = createHash('sha256').update('node-9999').digest('hex')
  t.equal(again.identities.ownerOf(sha256), 'node-9999')
  t.ok([...again.store.tokens()].every(([, { revokedTs }]) => revokedTs !== undefined))
})
