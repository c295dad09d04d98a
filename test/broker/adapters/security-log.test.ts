import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t from 'tap'
import { Random } from '../../../shared/core/random.ts'
import {
  formatHead,
  NO_HEAD,
  parseHead,
  type SecurityHead,
} from '../../../shared/protocol/security-log.ts'
import { verifySecurityLog } from '../../../shared/runtime/security-log-files.ts'
import { within } from '../../support/processes.ts'
import { checkAsync } from '../../support/property.ts'
import {
  eventsIn,
  grantOf,
  linesIn,
  openLog,
  pathsOf,
  REVOKED,
  SILENT,
  writeLog,
} from '../../support/security-logs.ts'
import { SmallDisk } from '../../support/small-disk.ts'
import { TYPESCRIPT } from '../../support/typescript/node-options.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/broker/adapters/security-log.test.ts`)

const WRITER = fileURLToPath(new URL('../../support/security-log-writer.ts', import.meta.url))
const WRONG = { event: 'login-failed', who: 'user/anna', source: '10.0.0.1', via: 'mqtt' } as const

t.test('what is appended is on disk, in a chain that verifies', async (t) => {
  const folder = join(t.testdir(), 'made', 'security')
  const heads: SecurityHead[] = []
  const log = await openLog(folder, { onHead: (head) => heads.push(head) })
  t.same(eventsIn(folder), ['log-begun'])
  await log.append(grantOf(1))
  t.match(linesIn(folder)[1], {
    seq: 2,
    event: 'enrolled',
    level: 'info',
    who: 'node/n1',
    count: 1,
  })
  await Promise.all(Array.from({ length: 200 }, (_, number) => log.append(grantOf(number))))
  const { head } = log
  t.equal(head.seq, 202)
  t.same(heads.at(-1), head)
  t.ok(heads.length < 10, `several lines are one write: ${heads.length}`)
  t.match(await verifySecurityLog(folder, head), { isWhole: true, lines: 202, head })
  t.equal(statSync(folder).mode & 0o777, 0o700)
  t.equal(statSync(join(folder, 'security.jsonl')).mode & 0o777, 0o600)
  await log.close()
})

t.test('a log goes on where it ended, and its modes are mended', async (t) => {
  const folder = t.testdir()
  const head = await writeLog(folder, { grants: 15 })
  const path = join(folder, 'security.jsonl')
  chmodSync(path, 0o644)
  const log = await openLog(folder, { expectedHead: head, fileBytesMax: 1500 })
  t.same(log.head, head)
  t.equal(statSync(path).mode & 0o777, 0o600)
  for (let number = 0; number < 100; number++) await log.append(grantOf(number))
  await log.close()
  t.equal(pathsOf(folder).length, 10)
  for (const path of pathsOf(folder)) t.ok(statSync(path).size <= 1500)
  const seqs = linesIn(folder).map(({ seq }) => seq)
  t.ok(seqs.every((seq, index) => index === 0 || seq === seqs[index - 1]! + 1))
  t.ok(seqs[0]! > 1, 'the oldest are gone')
  for (const expected of [log.head, head, undefined]) {
    t.match(await verifySecurityLog(folder, expected), { isWhole: true, head: log.head })
  }
})

t.test('a write that was cut off is taken away, and said', async (t) => {
  for (const rest of ['{"seq":17,"ts":17', `${'x'.repeat(3000)}`]) {
    const folder = t.testdir()
    const head = await writeLog(folder, { grants: 15 })
    appendFileSync(join(folder, 'security.jsonl'), rest)
    const log = await openLog(folder, { expectedHead: head })
    t.match(linesIn(folder).at(-1), { event: 'log-torn', count: rest.length, seq: head.seq + 1 })
    await log.append(grantOf(1))
    await log.close()
    t.match(await verifySecurityLog(folder, log.head), { isWhole: true, tornBytes: 0 })
  }
})

t.test('attempt 64: a log that was cut at its end is found when it is opened', async (t) => {
  const folder = t.testdir()
  const path = join(folder, 'security.jsonl')
  const cuts: Record<string, () => void> = {
    'the last line': () => {
      const text = readFileSync(path, 'utf8').trimEnd()
      writeFileSync(path, text.slice(0, text.lastIndexOf('\n') + 1))
    },
    'a part of the last line': () => truncateSync(path, statSync(path).size - 3),
    'all lines of the file': () => truncateSync(path, 0),
    'the file': () => rmSync(path),
    'the log': () => rmSync(folder, { recursive: true }),
  }
  for (const [name, cut] of Object.entries(cuts)) {
    rmSync(folder, { recursive: true, force: true })
    const head = await writeLog(folder, { grants: 15 })
    cut()
    const said: object[] = []
    const log = await openLog(
      folder,
      { expectedHead: head },
      { ...SILENT, error: (fields) => said.push(fields) },
    )
    t.match(
      linesIn(folder).findLast(({ event }) => event === 'log-broken'),
      { level: 'alarm', code: 'cut' },
      name,
    )
    t.match(said, [{ isCut: true }])
    await log.append(grantOf(1))
    await log.close()
    const { faults } = await verifySecurityLog(folder, log.head)
    t.match(faults, [{ kind: 'told' }], 'and is told from then on')
    t.equal(faults.length, 1)
    const again = await openLog(folder, { expectedHead: log.head })
    await again.close()
    t.same(again.head, log.head, 'once')
  }
})

t.test(
  'attempt 64: a log that was changed or written anew is found when it is opened',
  async (t) => {
    const folder = t.testdir()
    const head = await writeLog(folder, { grants: 15, fileBytesMax: 1e6 })
    const path = join(folder, 'security.jsonl')
    const text = readFileSync(path, 'utf8')
    writeFileSync(path, text.replace('192.168.1.9', '192.168.1.8'))
    const log = await openLog(folder, { expectedHead: head })
    await log.append(grantOf(1))
    await log.close()
    t.match(linesIn(folder).slice(-2), [
      { event: 'log-broken', code: 'changed' },
      { event: 'enrolled' },
    ])
    const { faults } = await verifySecurityLog(folder, log.head)
    t.same(
      faults.map(({ kind }) => kind),
      ['changed', 'told'],
    )

    rmSync(folder, { recursive: true })
    await writeLog(folder, { grants: 16 })
    const anew = await openLog(folder, { expectedHead: head })
    await anew.close()
    t.match(linesIn(folder).at(-1), { event: 'log-broken', code: 'changed' })
  },
)

t.test('a head that lies files back is looked for, one from before the log is not', async (t) => {
  const folder = t.testdir()
  const early = await writeLog(folder, { grants: 3 })
  const middle = await writeLog(folder, { grants: 50 })
  const head = await writeLog(folder, { grants: 40 })
  for (const expectedHead of [early, middle, head]) {
    const log = await openLog(folder, { expectedHead })
    t.same(log.head, head)
    await log.close()
  }
  const log = await openLog(folder, { expectedHead: { ...middle, hash: 'f'.repeat(32) } })
  await log.close()
  t.match(linesIn(folder).at(-1), { event: 'log-broken', code: 'changed' })
})

t.test(
  'a file that was put aside half way is put aside, at whatever step that ended',
  async (t) => {
    const folder = t.testdir()
    const at = (end: string): string => join(folder, `security.jsonl${end}`)
    const steps: Record<string, () => void> = {
      'the next file was begun': () => writeFileSync(at('.next'), '{"seq"'),
      'a number was freed': () => {
        writeFileSync(at('.next'), '')
        renameSync(at('.2'), at('.3'))
      },
      'it was put aside': () => {
        writeFileSync(at('.next'), '')
        for (const number of [2, 1]) renameSync(at(`.${number}`), at(`.${number + 1}`))
        renameSync(at(''), at('.1'))
      },
    }
    for (const [name, step] of Object.entries(steps)) {
      rmSync(folder, { recursive: true, force: true })
      mkdirSync(folder)
      const head = await writeLog(folder, { grants: 15 })
      step()
      t.match(await verifySecurityLog(folder, head), { isWhole: true }, `${name}: it is whole`)
      const log = await openLog(folder, { expectedHead: head, fileBytesMax: 1500 })
      for (let number = 0; number < 10; number++) await log.append(grantOf(number))
      await log.close()
      t.match(await verifySecurityLog(folder, log.head), { isWhole: true }, `${name}: it goes on`)
      t.notOk(eventsIn(folder).includes('log-broken'))
    }
  },
)

t.test(
  'a log whose process is killed at any moment verifies, and has all that was said',
  async (t) => {
    const random = new Random(seed)
    const folder = join(t.testdir(), 'security')
    let head = NO_HEAD
    let files = 0
    for (let kill = 0; kill < 12; kill++) {
      const argv = [TYPESCRIPT, WRITER, folder, formatHead(head)]
      const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
      const exit = once(child, 'exit')
      let left = 1 + random.integer(120)
      for await (const line of createInterface({ input: child.stdout })) {
        // What a kill cut off was not said.
        head = parseHead(line) ?? head
        left -= 1
        if (left === 0) child.kill('SIGKILL')
      }
      const [code, signal] = await within('it ends', exit)
      t.same([code, signal], [null, 'SIGKILL'])
      const report = await verifySecurityLog(folder, head, { filesKept: 3 })
      t.match(report, { isWhole: true, faults: [] }, `kill ${kill} at ${head.seq}`)
      files = Math.max(files, report.files)
    }
    t.equal(files, 4, 'files were put aside meanwhile')
  },
)

t.test('a log verifies at any moment while it is written', async (t) => {
  const folder = join(t.testdir(), 'security')
  await (await openLog(folder)).close()
  const child = spawn(process.execPath, [TYPESCRIPT, WRITER, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exit = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })
  await once(lines, 'line')
  let head = NO_HEAD
  lines.on('line', (line) => {
    head = parseHead(line) ?? head
  })
  const seqs = new Set<number>()
  // However slow the writer is on this machine.
  for (let look = 0; look < 150 || seqs.size <= 20; look++) {
    const report = await verifySecurityLog(folder, head, { filesKept: 3 })
    if (!report.isWhole) t.same(report.faults, [])
    seqs.add(report.head.seq)
  }
  child.kill('SIGKILL')
  await within('it ends', exit)
  t.pass(`it was written meanwhile: ${seqs.size}`)
})

t.test('whatever sectors a power cut leaves of the last write, the log goes on', async (t) => {
  const folder = join(t.testdir(), 'security')
  const path = join(folder, 'security.jsonl')
  const property = fc.asyncProperty(
    fc.record({
      acknowledged: fc.nat(12),
      waiting: fc.integer({ min: 1, max: 30 }),
      sectors: fc.infiniteStream(fc.boolean()),
      isSizeKept: fc.boolean(),
    }),
    async ({ acknowledged, waiting, sectors, isSizeKept }) => {
      rmSync(folder, { recursive: true, force: true })
      const before = await openLog(folder)
      for (let number = 0; number < acknowledged; number++) await before.append(grantOf(number))
      const { head } = before
      const { size } = statSync(path)
      await Promise.all(
        Array.from({ length: waiting }, (_, number) => before.append(grantOf(number))),
      )
      await before.close()
      const bytes = readFileSync(path)
      let end = size
      for (let from = size; from < bytes.length; ) {
        const to = Math.min(bytes.length, 512 * Math.floor(from / 512 + 1))
        if (sectors.next().value) end = to
        else bytes.fill(0, from, to)
        from = to
      }
      writeFileSync(path, isSizeKept ? bytes : bytes.subarray(0, end))
      const found = await verifySecurityLog(folder, head)
      if (!found.isWhole) throw new Error(`it does not verify: ${JSON.stringify(found.faults)}`)
      const after = await openLog(folder, { expectedHead: head })
      await after.append(grantOf('after'))
      await after.close()
      const report = await verifySecurityLog(folder, after.head)
      if (!report.isWhole || report.tornBytes > 0) throw new Error('it does not go on')
      if (eventsIn(folder).includes('log-broken')) throw new Error('it is taken for a change')
      const isTorn = found.tornBytes > 0
      if (eventsIn(folder).includes('log-torn') !== isTorn) throw new Error('it is not said')
    },
  )
  await checkAsync(t, property, 60)
})

t.test(
  'attempt 65: with a full disk nothing is granted, what is taken away is, and it comes back',
  async (t) => {
    const disk = SmallDisk.mount(t, 1)
    if (disk === undefined) return
    const folder = join(disk.path, 'security')
    const complaints: string[] = []
    const log = await openLog(
      folder,
      { retryMs: 20 },
      { ...SILENT, error: (_fields, message) => complaints.push(message) },
    )
    disk.fillUpTo(4096)
    const granted: string[] = []
    let refusals = 0
    for (let number = 0; refusals < 5; number++) {
      await log.append(grantOf(number)).then(
        () => granted.push(`node/n${number}`),
        (error: unknown) => {
          t.match(error, { code: 'log-broken' })
          refusals += 1
        },
      )
    }
    t.ok(log.isBroken)
    await log.append(REVOKED)
    log.tell(WRONG)
    t.notOk(eventsIn(folder).includes('node-revoked'), 'it waits')
    t.match(await verifySecurityLog(folder, log.head), { isWhole: true }, 'what is there is whole')
    await t.rejects(log.append(grantOf('late')), { code: 'log-broken' })
    disk.empty()
    const broken = (): boolean => log.isBroken
    while (broken()) await new Promise((resolve) => setTimeout(resolve, 5))
    await log.append(grantOf('again'))
    const after = linesIn(folder).slice(1 + granted.length)
    t.match(after, [
      { event: 'log-broken', level: 'alarm', code: 'unwritable', count: 6 },
      { event: 'node-revoked' },
      { event: 'login-failed' },
      { event: 'enrolled', who: 'node/nagain' },
    ])
    t.equal(after.length, 4, 'nothing that was refused is there')
    t.same(complaints, ['the security log cannot be written'])
    await log.close()
    t.match(await verifySecurityLog(folder, log.head), { isWhole: true })
  },
)

t.test(
  'attempt 65: whatever a disk that fills and empties does, what is granted is logged',
  async (t) => {
    const disk = SmallDisk.mount(t, 1)
    if (disk === undefined) return
    const random = new Random(seed)
    const folder = join(disk.path, 'security')
    const log = await openLog(folder, { fileBytesMax: 20_000, filesKept: 9, retryMs: 1e6 })
    const granted: string[] = []
    let refused = 0
    // However often it was full when it mattered.
    for (let round = 0; round < 60 || granted.length <= 100 || refused <= 20; round++) {
      if (random.integer(2) === 0) disk.fillUpTo(4096 * random.integer(3))
      else disk.empty()
      const number = 1 + random.integer(25)
      const appends = Array.from({ length: number }, (_, index) => `${round}_${index}`)
      await Promise.all(
        appends.map((name) =>
          log.append(grantOf(name)).then(
            () => granted.push(`node/n${name}`),
            () => {
              refused += 1
            },
          ),
        ),
      )
      if (random.integer(5) === 0) log.tell({ ...WRONG, who: `user/u${round}` })
    }
    disk.empty()
    await log.tick()
    await log.close()
    const logged = linesIn(folder).filter(({ event }) => event === 'enrolled')
    t.same(
      logged.map(({ who }) => who),
      granted,
    )
    t.comment(`${granted.length} granted, ${refused} refused`)
    t.match(await verifySecurityLog(folder, log.head), { isWhole: true, faultCount: 0 })
    t.ok(pathsOf(folder).length > 2, 'files were put aside')
  },
)

t.test('a disk that is full from the start keeps nobody, and grants nothing', async (t) => {
  const disk = SmallDisk.mount(t, 1)
  if (disk === undefined) return
  const folder = join(disk.path, 'security')
  mkdirSync(folder)
  disk.fillUpTo(0)
  const log = await openLog(folder)
  t.ok(log.isBroken)
  await t.rejects(log.append(grantOf(1)), { code: 'log-broken' })
  disk.empty()
  await log.append(grantOf(2))
  await log.close()
  t.same(eventsIn(folder), ['log-begun', 'log-broken', 'enrolled'])
})

t.test('lines that wait for the disk are bounded, and those of strangers leave room', async (t) => {
  const folder = t.testdir()
  const log = await openLog(folder, { waitingMax: 20 })
  // Within one turn the disk takes nothing.
  for (let number = 0; number < 50; number++) log.tell({ ...WRONG, source: `10.0.0.${number}` })
  log.tell({ event: 'token-used-twice', who: 'node/n7', via: 'enrol' })
  const grants = Array.from({ length: 30 }, (_, number) => log.append(grantOf(number)))
  const settled = await Promise.allSettled(grants)
  t.equal(settled.filter(({ status }) => status === 'fulfilled').length, 9)
  await log.append(grantOf('later'))
  await log.close()
  t.ok(eventsIn(folder).includes('token-used-twice'), 'an alarm has room, too')
  const lost = linesIn(folder).find(({ event }) => event === 'log-broken')
  t.match(lost, { code: 'unwritable', count: 61 })
  t.match(await verifySecurityLog(folder, log.head), { isWhole: true })
})

t.test('nobody but root writes the log over, however much he may', async (t) => {
  const folder = t.testdir()
  const now = { monotonicMs: 0, wallMs: 1000 }
  const log = await openLog(folder, { now: () => now, waitingMax: 10_000 })
  const by = (who: string) => log.append({ event: 'token-created', who, via: 'http' })
  await Promise.all(Array.from({ length: 3600 }, () => by('user/ann')))
  await t.rejects(by('user/ann'), { code: 'rate-limited' })
  await log.append({ event: 'token-revoked', who: 'user/ann', via: 'http' })
  await by('user/bob')
  await by('admin')
  await Promise.all(Array.from({ length: 3600 }, () => by('admin')))
  await by('admin')
  now.monotonicMs += 3_600_000
  await by('user/ann')
  await log.close()
  t.equal(linesIn(folder).filter(({ who }) => who === 'user/ann').length, 3602)
})

t.test('what strangers repeat becomes one line, what grants is written each time', async (t) => {
  const folder = t.testdir()
  const now = { monotonicMs: 0, wallMs: 1000 }
  const log = await openLog(folder, { now: () => now })
  for (let count = 0; count < 1000; count++) log.tell({ ...WRONG, code: 'wrong-password' })
  for (let count = 0; count < 3; count++) await log.append(grantOf(1))
  now.monotonicMs = 9999
  await log.tick()
  t.equal(linesIn(folder).length, 5)
  now.monotonicMs = 10_000
  now.wallMs = 7
  await log.tick()
  t.match(linesIn(folder).slice(1), [
    { event: 'login-failed', count: 1, ts: 1000 },
    ...[1, 2, 3].map(() => ({ event: 'enrolled', count: 1 })),
    { event: 'login-failed', code: 'wrong-password', count: 999, ts: 7 },
  ])
  log.tell(WRONG)
  log.tell(WRONG)
  await log.close()
  t.match(
    linesIn(folder).at(-1),
    { event: 'login-failed', count: 2 },
    'the end writes what is held',
  )
  await t.rejects(log.append(grantOf(1)), { code: 'log-broken' })
  await log.append(REVOKED)
  t.match(await verifySecurityLog(folder, log.head), { isWhole: true })
})

t.test('no timer keeps the process', async (t) => {
  const folder = join(t.testdir(), 'security')
  const logs = new URL('../../support/security-logs.ts', import.meta.url).href
  const program = `
    import { openLog } from ${JSON.stringify(logs)}
    const log = await openLog(${JSON.stringify(folder)})
    for (let n = 0; n < 9; n++) log.tell(${JSON.stringify(WRONG)})
    await log.tick()`
  const argv = [TYPESCRIPT, '--input-type=module', '--eval', program]
  const begun = performance.now()
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'inherit', 'inherit'] })
  const [code] = await within('it ends', once(child, 'exit'))
  t.equal(code, 0)
  t.ok(performance.now() - begun < 60_000)
  t.same(eventsIn(folder), ['log-begun', 'login-failed'])
})
