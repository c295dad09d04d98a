/** Backups of real ledgers, and what is left of them that were changed, cut off, or have no room. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Asker } from '../../broker/adapters/http-port.ts'
import { LedgerStore } from '../../broker/adapters/ledger-store.ts'
import { Backups, forgetUnsentBackup } from '../../broker/backups.ts'
import { newIdentity } from '../../broker/core/coordinator.ts'
import {
  LEDGER_TABLES,
  type LedgerRecord,
  type TaskRecord,
} from '../../broker/core/ledger-records.ts'
import { checkBackup, restoreLedger } from '../../broker/restore-ledger.ts'
import { tarHeader, tarPadding } from '../../shared/core/tar-header.ts'
import { MANIFEST } from '../../shared/protocol/backup-manifest.ts'
import { BENCH_OPTIONS } from '../support/gateway-bench.ts'
import { SmallDisk } from '../support/small-disk.ts'

const NOW = 1_750_000_000_000
const BY: Asker = { who: 'admin', via: 'socket', assertMay() {} }
const TASK: Omit<TaskRecord, 'order'> = {
  ...{ op: 'add', hash: 'a'.repeat(64), state: 'completed', effect: 'done', acceptedTs: NOW },
  ...{ endedTs: NOW, endedMs: 1, remainingMs: 0, seq: 1, error: null, isCleared: false },
  shards: { total: 1, done: 1, failed: 0 },
}

function records(tasks: number): LedgerRecord[] {
  const identity = { ...newIdentity(BENCH_OPTIONS, 'first'), term: 3, seq: 7 }
  const all: LedgerRecord[] = [{ table: 'meta', key: 'identity', value: identity }]
  for (let order = 1; order <= tasks; order++) {
    all.push({ table: 'task', key: `t${order}`, value: { ...TASK, order } })
    all.push({ table: 'result', key: `t${order}`, value: Buffer.alloc(300, order) })
  }
  return all
}

async function ledgerIn(t: Test, data: string): Promise<LedgerStore> {
  const ledger = await LedgerStore.open(data, LEDGER_TABLES, (error) => {
    throw error
  })
  t.teardown(() => ledger.close())
  return ledger
}

interface Box {
  readonly data: string
  readonly ledger: LedgerStore
  readonly backups: Backups
}

async function box(t: Test, tasks = 50): Promise<Box> {
  const data = t.testdir()
  const ledger = await ledgerIn(t, data)
  await ledger.write(records(tasks))
  const configuration = join(data, 'gateway.toml')
  writeFileSync(configuration, 'grid = "8x8"\n')
  const backups = new Backups({ data, ledger, configuration }, undefined)
  return { data, ledger, backups }
}

async function made({ backups, data }: Pick<Box, 'backups' | 'data'>): Promise<string> {
  const { bytes, content } = await until(() => backups.make(undefined, BY))
  const pieces: Buffer[] = []
  for await (const piece of content) pieces.push(piece as Buffer)
  const file = join(data, 'a.backup')
  writeFileSync(file, Buffer.concat(pieces))
  if (Buffer.concat(pieces).length !== bytes) throw new Error('the length that was said is another')
  return file
}

function restoring(file: string, data: string) {
  const none = async (): Promise<never> => {
    throw new Error('nobody is asked')
  }
  return restoreLedger({ data, file, nowTs: NOW + 1000, passphrase: none, revoked: none })
}

/** What a restore that failed left. */
function leftIn(data: string): string[] {
  return existsSync(data) ? readdirSync(data).filter((name) => name !== 'lock.sock') : []
}

t.test('what is restored is what was copied, and the copy is gone once it is sent', async (t) => {
  const one = await box(t)
  const file = await made(one)
  while (existsSync(join(one.data, 'backup.new'))) await turn()
  t.match(await checkBackup(file), {
    ledgerId: 'first',
    term: 3,
    seq: 7,
    ts: Number,
    records: { task: 50, result: 50 },
  })
  const data = join(one.data, 'new')
  const { failed, keys } = await restoring(file, data)
  t.same([failed, keys], [0, undefined])
  t.same(leftIn(data), [readdirSync(one.data).find((name) => name.startsWith('state-'))])
  const ledger = await ledgerIn(t, data)
  t.match(ledger.load().meta[0]!.value, { isRecovering: true, formerLedgerIds: ['first'], seq: 7 })
  t.same(ledger.result('t50'), one.ledger.result('t50'))
  await t.rejects(restoring(file, data), { code: 'ledger-exists' })
})

t.test('a ledger that is being rebuilt is given to nobody before it is done', async (t) => {
  const one = await box(t)
  const { value } = one.ledger.load().meta[0]!
  const written = (isRecovering: boolean) => {
    return one.ledger.write([
      { table: 'meta', key: 'identity', value: { ...value, isRecovering } },
      { table: 'cell', key: 'value/1', value: 5 },
    ])
  }
  await written(true)
  let copies = 0
  const { ledger } = one
  const counted = {
    identity: () => ledger.identity(),
    fileBytes: () => ledger.fileBytes(),
    copyTo: (folder: string) => {
      copies += 1
      return ledger.copyTo(folder)
    },
  }
  const parts = { data: one.data, ledger: counted, configuration: undefined }
  const backups = new Backups(parts, undefined)
  await t.rejects(made({ backups, data: one.data }), { code: 'recovering' })
  t.equal(copies, 0, 'and nothing is copied for that')
  t.notOk(existsSync(join(one.data, 'backup.new')))
  await written(false)
  t.match(await checkBackup(await made(one)), { records: { cell: 1 } })
})

t.test('a copy is of one moment, while writes go on', async (t) => {
  const one = await box(t, 5000)
  let isOver = false
  let written = 5000
  const writing = (async () => {
    while (!isOver) {
      written += 1
      const value = { ...TASK, order: written }
      // Both or none: what a transaction is.
      await one.ledger.write([
        { table: 'task', key: `t${written}`, value },
        { table: 'result', key: `t${written}`, value: Buffer.alloc(300) },
      ])
    }
  })()
  for (let turn = 0; turn < 5; turn++) {
    const { records: found } = await checkBackup(await made(one))
    t.equal(found.task, found.result)
    t.ok(found.task! >= 5000)
  }
  isOver = true
  await writing
})

t.test('only one at a time, and one that nobody reads makes room for the next', async (t) => {
  const one = await box(t)
  const { content } = await one.backups.make(undefined, BY)
  await t.rejects(one.backups.make(undefined, BY), { code: 'backup-under-way' })
  t.ok(existsSync(join(one.data, 'backup.new')))
  content.destroy()
  await once(content, 'close')
  const again = await until(() => one.backups.make(undefined, BY))
  again.content.destroy()
  await t.rejects(
    until(() => one.backups.make('a passphrase', BY)),
    { code: 'not-secured' },
  )
})

t.test('whoever has the last byte of one may ask for the next', async (t) => {
  const one = await box(t)
  const { bytes, content } = await one.backups.make(undefined, BY)
  let read = 0
  for await (const piece of content) {
    read += (piece as Uint8Array).length
    if (read < bytes) continue
    const next = await one.backups.make(undefined, BY)
    await once(content.destroy(), 'close')
    await t.rejects(one.backups.make(undefined, BY), { code: 'backup-under-way' }, 'it is this one')
    next.content.destroy()
  }
  t.equal(read, bytes)
})

/** The next turn after the one before was let go of. */
async function until<T>(make: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await make()
    } catch (error) {
      if ((error as { code?: string }).code !== 'backup-under-way') throw error
      await turn()
    }
  }
}

t.test(
  'of a gateway that was killed in the middle nothing is left after its next start',
  async (t) => {
    const one = await box(t)
    mkdirSync(join(one.data, 'backup.new', 'ledger'), { recursive: true })
    writeFileSync(join(one.data, 'backup.new', 'ledger', 'data.mdb'), 'half of it')
    forgetUnsentBackup(one.data)
    t.notOk(existsSync(join(one.data, 'backup.new')))
    mkdirSync(join(one.data, 'backup.new', 'ledger'), { recursive: true })
    t.match(await checkBackup(await made(one)), { seq: 7 }, 'nor does it stand in the way')
  },
)

t.test(
  'each byte counts: what was changed or cut off is refused, and nothing of it restored',
  async (t) => {
    const one = await box(t)
    const whole = readFileSync(await made(one))
    const file = join(one.data, 'bad.backup')
    const data = join(one.data, 'new')
    const codes = new Set<string>()
    const tryOut = async (bytes: Uint8Array, what: string): Promise<void> => {
      writeFileSync(file, bytes)
      const error = await restoring(file, data).then(
        () => ({ code: 'none' }),
        (error) => error,
      )
      codes.add(error.code)
      if (!['backup-damaged', 'backup-malformed', 'backup-newer'].includes(error.code)) {
        t.fail(`${what}: ${error.code} ${error.stack}`)
      }
      t.same(leftIn(data), [], what)
    }
    // Zeros after the last file say nothing.
    const end = whole.length - 1024
    for (let at = 0; at < end; at += Math.ceil(end / 150)) {
      const padding = isPadding(whole, at)
      if (padding) continue
      const bytes = Buffer.from(whole)
      bytes[at]! ^= 0xff
      await tryOut(bytes, `byte ${at} of ${whole.length}`)
    }
    for (let length = 0; length < end; length += Math.ceil(end / 20)) {
      await tryOut(whole.subarray(0, length), `the first ${length} of ${whole.length} bytes`)
    }
    t.same([...codes].sort(), ['backup-damaged', 'backup-malformed'])
    await tryOut(Buffer.from('not a backup'.repeat(100)), 'something else')
    writeFileSync(file, withManifest(whole, { version: 2 }))
    await t.rejects(restoring(file, data), { code: 'backup-newer' })
    writeFileSync(file, withManifest(whole, { word: 32 }))
    await t.rejects(restoring(file, data), { code: 'backup-word-size' })
    writeFileSync(file, withManifest(whole, { seq: 7, ledgerId: 'other' }))
    await t.rejects(restoring(file, data), { code: 'backup-damaged' })
    t.same(leftIn(data), [])
  },
)

/** Behind the content of a file, up to the next block. */
function isPadding(archive: Buffer, wanted: number): boolean {
  for (let at = 0; at < archive.length; ) {
    const size = Number.parseInt(archive.toString('latin1', at + 124, at + 135), 8)
    const end = at + 512 + size
    const next = end + tarPadding(size).length
    if (wanted < next) return wanted >= end
    at = next
  }
  return true
}

/** One that says something else of itself, and has the right sums. */
function withManifest(archive: Buffer, change: object): Buffer {
  const size = Number.parseInt(archive.toString('latin1', 124, 135), 8)
  const manifest = JSON.parse(archive.toString('utf8', 512, 512 + size))
  const text = Buffer.from(JSON.stringify({ ...manifest, ...change }))
  const sum = Buffer.from(`${createHash('sha256').update(text).digest('hex')}  ${MANIFEST}\n`)
  const parts = [
    [MANIFEST, text],
    ['manifest.sha256', sum],
  ] as const
  const head = parts.flatMap(([name, bytes]) => [
    tarHeader({ name, size: bytes.length, mode: 0o600, seconds: 0 }),
    bytes,
    tarPadding(bytes.length),
  ])
  const rest = 512 + size + tarPadding(size).length + 1024
  return Buffer.concat([...head, archive.subarray(rest)])
}

t.test('a disk without room is said, and left as it was', async (t) => {
  const one = await box(t, 2000)
  const file = await made(one)
  const disk = SmallDisk.mount(t, 4)
  if (disk === undefined) return
  const data = join(disk.path, 'gateway')
  await t.rejects(restoring(file, data), { code: 'no-room' })
  t.same(leftIn(data), [])
  const full = new Backups(
    { data: disk.path, ledger: one.ledger, configuration: undefined },
    undefined,
  )
  await t.rejects(full.make(undefined, BY), { code: 'no-room' })
  t.notOk(existsSync(join(disk.path, 'backup.new')))
})

/** Goes on once a file is there, and has so many bytes. */
async function appears(path: string, bytes = 0): Promise<void> {
  while ((statSync(path, { throwIfNoEntry: false })?.size ?? -1) < bytes) await turn()
}

t.test('a disk that fills while it is restored is said, and nothing is left', async (t) => {
  const one = await box(t, 4000)
  const file = await made(one)
  const disk = SmallDisk.mount(t, 28)
  if (disk === undefined) return
  const data = join(disk.path, 'gateway')
  mkdirSync(data)
  const [state] = readdirSync(one.data).filter((name) => name.startsWith('state-'))
  const unfinished = join(data, `${state}.new`, state!, 'data.mdb')
  const filled = appears(unfinished).then(() => disk.fillUpTo(0))
  await t.rejects(restoring(file, data), { code: 'ENOSPC' })
  await filled
  t.same(leftIn(data), [])
  disk.empty()
  t.match(await restoring(file, data), { failed: 0 }, 'and it can be done again')
})

t.test('a disk that has no room for one more file leaves nothing half', async (t) => {
  const one = await box(t)
  const file = await made(one)
  for (let filesMax = 2; ; filesMax++) {
    const disk = SmallDisk.mount(t, 32, filesMax)
    if (disk === undefined) return
    const data = join(disk.path, 'gateway')
    const error = await restoring(file, data).then(
      () => undefined,
      (error) => error,
    )
    const left = leftIn(data)
    if (error === undefined) {
      t.same(left.length, 1)
      t.ok(filesMax > 4, `it takes ${filesMax}`)
      break
    }
    t.match(error, { message: /ENOSPC|takes [0-9] files more/ }, `${filesMax} files`)
    t.same(left, [], `${filesMax} files`)
  }
})

t.test('a disk that fills while a backup is made is said, and the gateway goes on', async (t) => {
  const one = await box(t, 500)
  const disk = SmallDisk.mount(t, 72)
  if (disk === undefined) return
  const filling = {
    identity: () => one.ledger.identity(),
    fileBytes: () => one.ledger.fileBytes(),
    copyTo: async (folder: string) => {
      disk.fillUpTo(256 * 1024)
      await one.ledger.copyTo(folder)
    },
  }
  const backups = new Backups(
    { data: disk.path, ledger: filling, configuration: undefined },
    undefined,
  )
  await t.rejects(backups.make(undefined, BY), { code: 'no-room' })
  t.notOk(existsSync(join(disk.path, 'backup.new')))
  await one.ledger.write([{ table: 'task', key: 'more', value: { ...TASK, order: 9999 } }])
  disk.empty()
  const again = new Backups(
    { data: disk.path, ledger: one.ledger, configuration: undefined },
    undefined,
  )
  t.match(await checkBackup(await made({ backups: again, data: one.data })), {
    records: { task: 501 },
  })
})

t.test('a disk that is full when the copy is opened is said, and no copy damaged', async (t) => {
  const one = await box(t)
  const disk = SmallDisk.mount(t, 72)
  if (disk === undefined) return
  const filling = {
    identity: () => one.ledger.identity(),
    fileBytes: () => one.ledger.fileBytes(),
    copyTo: async (folder: string) => {
      await one.ledger.copyTo(folder)
      disk.fillUpTo(0)
    },
  }
  const parts = { data: disk.path, ledger: filling, configuration: undefined }
  await t.rejects(new Backups(parts, undefined).make(undefined, BY), { code: 'no-room' })
  const file = await made(one)
  disk.empty()
  const data = join(disk.path, 'gateway')
  mkdirSync(data)
  const [state] = readdirSync(one.data).filter((name) => name.startsWith('state-'))
  const unpacked = join(data, `${state}.new`, state!, 'data.mdb')
  const { files } = await checkBackup(file)
  const filled = appears(unpacked, files['ledger/data.mdb']!.bytes).then(() => disk.fillUpTo(0))
  await t.rejects(restoring(file, data), { code: 'no-room' })
  await filled
  t.same(leftIn(data), [])
})
