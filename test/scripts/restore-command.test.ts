/** What `ca restore` asks, and takes for an answer; what `restore` says a copy cannot know, and what is left to do. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import t, { type Test } from 'tap'
import type { BackupNames } from '../../broker/core/backup.ts'
import type { Restored, RestoreOrder } from '../../broker/restore.ts'
import { type RestoreFlags, restore } from '../../scripts/commands/restore.ts'
import { restoreAll } from '../../scripts/commands/restore-ledger.ts'
import { span } from '../../scripts/commands/streams.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { CONFIGURATION_FILE } from '../../shared/protocol/backup-manifest.ts'
import { sealFile } from '../../shared/runtime/sealed-file.ts'

const HEAD = { ts: Date.UTC(2026, 10, 20), pin: 'a'.repeat(52) }
const FOUND: BackupNames = { nodes: ['n1', 'n2'] as NodeId[], users: ['ann'], recipients: ['bob'] }

const file = t.testdir()
const backup = join(file, 'backup')
writeFileSync(backup, await sealFile(HEAD, '', [], async () => Buffer.alloc(64)))
writeFileSync(join(file, 'passphrase'), 'correct horse\n')

interface AskedHow {
  readonly typed?: string
  readonly path?: string | undefined
  readonly environment?: Readonly<Record<string, string>>
}

interface Asked {
  readonly code: number
  readonly passphrase: string
  readonly revoked: readonly string[]
  readonly said: string
}

async function ask(
  t: Test,
  flags: RestoreFlags,
  { typed, path = backup, environment = {} }: AskedHow = {},
): Promise<Asked> {
  const stdin = Object.assign(new PassThrough(), { isTTY: typed !== undefined })
  let said = ''
  const output = { write: (text: string | Uint8Array) => (said += String(text)) }
  const streams = { stdout: output, stderr: output, stdin, environment }
  const asked: { passphrase: string; revoked: readonly string[] } = { passphrase: '', revoked: [] }
  const restoreFleet = async (order: RestoreOrder): Promise<Restored> => {
    asked.passphrase = await order.passphrase()
    stdin.end(typed)
    asked.revoked = await order.revoked(FOUND, HEAD.ts)
    const log = { seq: 1, hash: '0'.repeat(32) }
    return { ...HEAD, nodes: 2, users: 1, recipients: 1, revoked: asked.revoked, log }
  }
  const given = { data: t.testdir(), passphraseFile: join(file, 'passphrase'), ...flags }
  const code = await restore(path, given, streams, restoreFleet)
  return { code, ...asked, said }
}

t.test('whoever restores says who is to stay out', async (t) => {
  const named = await ask(t, { revoke: ['n1', 'user/ann'] })
  t.match(named, { code: 0, passphrase: 'correct horse', revoked: ['n1', 'user/ann'] })
  t.match(named.said, /restored as of 2026-11-20 00:00:00Z.*n1, user\/ann stay out/)
  t.same((await ask(t, { noneRevoked: true })).revoked, [])
  const typed = await ask(t, {}, { typed: 'n1, user/ann\n' })
  t.same(typed.revoked, ['n1', 'user/ann'])
  t.match(
    typed.said,
    /backup is of 2026-11-20.*2 nodes: n1, n2\n.*1 user: ann\n.*1 recipient: bob\n/s,
  )
  t.same((await ask(t, {}, { typed: ' none \n' })).revoked, [])
})

t.test('how to start is said as the command was called', async (t) => {
  const called = await ask(t, { noneRevoked: true })
  t.match(called.said, /^start it: +obelisk gateway --data /m)
  const npx = await ask(t, { noneRevoked: true }, { environment: { npm_command: 'exec' } })
  t.match(npx.said, /^start it: +npx obelisk gateway --data /m)
})

t.test('a disk that takes no keys is told as what it is', async (t) => {
  const data = join(t.testdir(), 'data')
  const flags = { data, noneRevoked: true, passphraseFile: join(file, 'passphrase') }
  const output = { write: () => true }
  const streams = { stdout: output, stderr: output, stdin: new PassThrough(), environment: {} }
  const full = async (): Promise<Restored> => {
    throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
  }
  await t.rejects(restore(backup, flags, streams, full), { exitCode: 73, message: /is full/ })
})

t.test('no word is no answer', async (t) => {
  const usage = { code: 'usage', exitCode: 2 }
  await t.rejects(ask(t, {}), { ...usage, message: /2026-11-20 00:00:00Z: say who was revoked/ })
  await t.rejects(ask(t, {}, { typed: '\n\n' }), usage, 'nor is Enter')
  t.same((await ask(t, {}, { typed: '\n\nn2\n' })).revoked, ['n2'], 'which may be left of a paste')
  await t.rejects(ask(t, { revoke: ['n1'], noneRevoked: true }), usage)
  const host = { ...usage, message: /--host: "ju nk" is no host name/ }
  await t.rejects(ask(t, { noneRevoked: true, host: 'ju nk' }), host)
  await t.rejects(ask(t, { passphraseFile: '-', noneRevoked: true }, { path: '-' }), usage)
})

t.test('Ctrl-C at the question ends the command as an interruption', async (t) => {
  const stdin = Object.assign(new PassThrough(), { isTTY: true })
  const write = (text: string | Uint8Array): void => {
    if (String(text).startsWith('who lost')) setImmediate(() => process.emit('SIGINT'))
  }
  const streams = { stdout: { write }, stderr: { write }, stdin, environment: {} }
  const flags = { data: t.testdir(), passphraseFile: join(file, 'passphrase') }
  const asking = async ({ revoked }: RestoreOrder) => {
    await revoked(FOUND, HEAD.ts)
    throw new Error('somebody answered')
  }
  await t.rejects(restore(backup, flags, streams, asking), {
    ...{ code: 'interrupted', exitCode: 130, message: 'nothing is restored' },
  })
})

t.test('what is no backup is said before anybody is asked', async (t) => {
  const path = join(file, 'passphrase')
  await t.rejects(ask(t, {}, { path }), { code: 'backup-malformed', exitCode: 65 })
  const missing = join(file, 'nowhere')
  await t.rejects(ask(t, {}, { path: missing }), { code: 'unreadable', exitCode: 66 })
})

/** What is said of a copy of so long ago. */
async function saidOf(t: Test, agoMs: number, files: readonly string[]): Promise<string> {
  let said = ''
  const output = { write: (text: string | Uint8Array) => (said += String(text)) }
  const streams = { stdout: output, stderr: output, stdin: new PassThrough(), environment: {} }
  const one = { bytes: 1, sha256: '0'.repeat(64) }
  const manifest = {
    ...({ obelisk: 'backup', version: 1, program: '0.1.0', ledgerId: 'l', term: 1 } as const),
    ...{ seq: 7, word: 64, ts: Date.now() - agoMs, records: { task: 3 } },
    files: Object.fromEntries(files.map((name) => [name, one])),
  }
  const restoreLedger = async () => {
    return { manifest, nodes: ['n1', 'n2'], failed: 1, keys: undefined, hadKeys: false }
  }
  const flags = { data: t.testdir() }
  t.equal(await restoreAll('a.backup', flags, streams, { restoreLedger }), 0)
  return said
}

t.test('how old a copy is, is said as it is', async (t) => {
  t.match(await saidOf(t, 20_000, []), /as of .*Z, 2\d seconds ago: 3 tasks, 1 task /)
  t.match(await saidOf(t, 26 * 3_600_000, []), /Z, 26 hours ago:/)
  t.match(await saidOf(t, 9 * 86_400_000, []), /Z, 9 days ago:/)
  t.equal(span(1000), '1 second')
  t.equal(span(-5), '0 seconds', 'of a clock that is behind')
})

t.test('what a restore leaves to a person is said', async (t) => {
  const without = await saidOf(t, 0, [])
  t.match(without, /never written.*\n.*obelisk ring recreate .*gives up/)
  t.notMatch(without, /configuration/)
  t.match(await saidOf(t, 0, [CONFIGURATION_FILE]), /tar -xOf a\.backup gateway\.toml shows it/)
})
