import assert from 'node:assert'
import { type ChildProcess, spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { AppError } from '../../../shared/runtime/errors.ts'
import { type Database, databasePath, openDatabase } from '../../../shared/runtime/lmdb.ts'
import type { Table } from '../../../shared/runtime/tables.ts'
import { TYPESCRIPT } from '../../support/typescript/node-options.ts'

const PAGE = 4096
const OPTIONS = { mapSizeBytes: 16 * 1024 * 1024, maxDbs: 4 }
const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes && Buffer.from(bytes).toString()

async function open(t: Test, directory: string, options = {}): Promise<Opened> {
  const fatal: AppError[] = []
  const database = await openDatabase(directory, { ...OPTIONS, ...options }, (error) => {
    fatal.push(error)
  })
  t.teardown(async () => await database.close())
  return { database, table: database.table<string>('words', 'ordered-binary'), fatal }
}

interface Opened {
  readonly database: Database
  readonly table: Table<string>
  readonly fatal: AppError[]
}

/** A process that opens the database, writes once, says so, and then waits to be killed. */
async function startWriter(directory: string): Promise<ChildProcess> {
  const lmdb = new URL('../../../shared/runtime/lmdb.ts', import.meta.url)
  const program = `
    import { openDatabase } from ${JSON.stringify(lmdb.href)}
    const [directory, options] = process.argv.slice(-2)
    const database = await openDatabase(directory, JSON.parse(options), () => process.exit(70))
    const table = database.table('words', 'ordered-binary')
    await database.write(() => { table.put('written', Buffer.from('by a child')) })
    console.log('written')
    setInterval(() => {}, 1000)`
  const child = spawn(
    process.execPath,
    [TYPESCRIPT, '--input-type=module', '-e', program, directory, JSON.stringify(OPTIONS)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  await new Promise((resolve, reject) => {
    child.stdout.once('data', resolve)
    child.once('exit', (code) => reject(new Error(`the writer ended with ${code}`)))
  })
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}

t.test('what was written is there after a clean close', async (t) => {
  const directory = join(t.testdir(), 'store')
  const first = await open(t, directory)
  t.equal(first.database.setAside, undefined)
  await first.database.write(() => {
    void first.table.put('a', Buffer.from('one'))
  })
  t.notOk(existsSync(join(databasePath(directory), 'clean')), 'no marker while it is open')
  await first.database.close()
  t.ok(existsSync(join(databasePath(directory), 'clean')))
  const second = await open(t, directory)
  t.equal(text(second.table.getBinary('a')), 'one')
  t.strictSame(readdirSync(directory), [databasePath(directory).split('/').at(-1)])
})

t.test('the path names the word size', (t) => {
  t.match(databasePath('/somewhere'), /^\/somewhere\/state-(32|64)$/)
  t.end()
})

t.test('a transaction that throws leaves nothing and is fatal', async (t) => {
  const { database, table, fatal } = await open(t, join(t.testdir(), 'store'))
  const write = database.write(() => {
    void table.put('a', Buffer.from('half'))
    throw new Error('broken off')
  })
  await t.rejects(write, { code: 'store-failed', exitCode: 70 })
  t.equal(table.getBinary('a'), undefined)
  t.strictSame(
    fatal.map(({ code }) => code),
    ['store-failed'],
  )
  await t.rejects(
    database.write(() => {}),
    { code: 'store-closed' },
    'nothing is written after a failure',
  )
})

t.test('writes of one moment are all there, in order', async (t) => {
  const { database, table } = await open(t, join(t.testdir(), 'store'))
  const writes = Array.from({ length: 50 }, (_, index) =>
    database.write(() => {
      void table.put('last', Buffer.from(String(index)))
      void table.put(`own-${index}`, Buffer.from('x'))
    }),
  )
  await Promise.all(writes)
  t.equal(text(table.getBinary('last')), '49')
  t.equal([...table.getKeys()].length, 51)
})

t.test('bytes may be changed once the transaction has run', async (t) => {
  const { database, table } = await open(t, join(t.testdir(), 'store'))
  const bytes = Buffer.alloc(5000, 'a')
  let isTaken = () => {}
  const taken = new Promise<void>((resolve) => {
    isTaken = resolve
  })
  const flushed = database.write(() => {
    void table.put('long', bytes)
    isTaken()
  })
  await taken
  bytes.fill('b')
  await flushed
  t.equal(text(table.getBinary('long')), 'a'.repeat(5000))
})

t.test('a killed writer leaves its flushed write, and the probe finds it sound', async (t) => {
  const directory = join(t.testdir(), 'store')
  const writer = await startWriter(directory)
  await kill(writer)
  t.notOk(existsSync(join(databasePath(directory), 'clean')))
  const { database, table } = await open(t, directory)
  t.equal(database.setAside, undefined)
  t.equal(text(table.getBinary('written')), 'by a child')
})

/** The child of this process that looks at a store; nothing while there is none. */
function findLooker(): number | undefined {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim()
  return children
    .split(' ')
    .filter((pid) => pid !== '' && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('lmdb'))
    .map(Number)[0]
}

/** A store of so many MiB whose process was killed. */
async function uncleanStore(t: Test, mib: number): Promise<string> {
  const directory = join(t.testdir(), 'store')
  const { database, table } = await open(t, directory)
  await database.write(() => {
    for (let key = 0; key < mib; key++) void table.put(`key ${key}`, Buffer.alloc(1024 * 1024, key))
  })
  await database.close()
  rmSync(join(databasePath(directory), 'clean'))
  return directory
}

t.test('a look that goes on is not ended, however long it takes', async (t) => {
  const directory = await uncleanStore(t, 64)
  const beganMs = performance.now()
  await (await open(t, directory)).database.close()
  // On a machine that does much else the process alone takes its time.
  const stallMs = Math.max(2000, 5 * (performance.now() - beganMs))
  rmSync(join(databasePath(directory), 'clean'))
  const seen: number[] = []
  const onLook = (looked: number, all: number): void => {
    seen.push(looked)
    t.equal(all, statSync(join(databasePath(directory), 'data.mdb')).size)
    const pid = findLooker()
    if (looked === 0 || seen.length > 3 || pid === undefined) return
    // As a slow disk would: each of these takes most of the time that one may.
    process.kill(pid, 'SIGSTOP')
    setTimeout(() => process.kill(pid, 'SIGCONT'), stallMs * 0.6)
  }
  const { database, table } = await open(t, directory, { stallMs, onLook })
  t.equal(database.setAside, undefined)
  t.equal([...table.getKeys()].length, 64)
  t.ok(seen.length > 1, `${seen}`)
  t.ok(seen.every((bytes, index) => index === 0 || bytes > seen[index - 1]!))
})

t.test('a look that gets nowhere is ended, and nothing is set aside for it', async (t) => {
  const directory = await uncleanStore(t, 1)
  const onLook = (looked: number): void => {
    if (looked === 0) setImmediate(() => process.kill(findLooker()!, 'SIGSTOP'))
  }
  await t.rejects(open(t, directory, { stallMs: 300, onLook }), {
    code: 'store-probe-failed',
    exitCode: 70,
    message: /got nowhere/,
  })
  const { database } = await open(t, directory)
  t.equal(database.setAside, undefined)
})

t.test('a database that kills who opens it is set aside after an unclean stop', async (t) => {
  const directory = join(t.testdir(), 'store')
  const damages: Record<string, (file: string) => void> = {
    garbage: (file) => writeFileSync(file, Buffer.alloc(200_000, 0xa5)),
    zeros: (file) => writeFileSync(file, Buffer.alloc(200_000)),
    'cut off': (file) => truncateSync(file, 2 * 4096),
  }
  for (const [name, damage] of Object.entries(damages)) {
    const writer = await startWriter(directory)
    await kill(writer)
    damage(join(databasePath(directory), 'data.mdb'))
    const { database, table } = await open(t, directory)
    t.match(database.setAside, /\.broken-\d+$/, name)
    t.ok(existsSync(join(database.setAside!, 'data.mdb')), `${name}: kept`)
    t.equal(table.getBinary('written'), undefined, `${name}: a new store`)
    await database.write(() => {
      void table.put('new', Buffer.from(name))
    })
    t.equal(text(table.getBinary('new')), name)
    await database.close()
  }
  t.equal(readdirSync(directory).filter((entry) => entry.includes('broken')).length, 3)
})

t.test('a file in the place of the store is left alone, and said', async (t) => {
  const directory = t.testdir()
  const path = databasePath(directory)
  writeFileSync(path, 'mine')
  await t.rejects(open(t, directory), { exitCode: 78, message: `${path} is a file, where` })
  t.equal(readFileSync(path, 'utf8'), 'mine')
})

t.test('what cannot be replaced and is damaged inside says so when it is read', async (t) => {
  const directory = join(t.testdir(), 'store')
  const { database, table } = await open(t, directory, { isIrreplaceable: true })
  await database.write(() => {
    for (let key = 0; key < 200; key++) void table.put(`key ${key}`, Buffer.alloc(500, key))
  })
  const keys = (): number => database.read(() => [...table.getRange()].length)
  t.equal(keys(), 200)
  await database.close()
  const file = join(databasePath(directory), 'data.mdb')
  const bytes = readFileSync(file)
  // The pages that hold the keys; those before say where they are.
  for (let at = 4 * PAGE; at < bytes.length; at += PAGE) {
    if (bytes.includes('key 1', at) && bytes.indexOf('key 1', at) < at + PAGE)
      bytes.fill(0, at, at + PAGE)
  }
  writeFileSync(file, bytes)
  const again = await open(t, directory, { isIrreplaceable: true })
  const read = (): unknown => again.database.read(() => [...again.table.getRange()])
  const damage = { code: 'store-damaged', exitCode: 78, cause: { message: /MDB_/ } }
  await t.rejects(again.database.rowsOf(['words'], 7), damage, 'in slices')
  t.throws(read, damage)
  const other = (): never => again.database.read(() => assert.fail('other'))
  t.throws(other, { message: 'other' }, 'another failure stays what it is')
})

t.test('only so many broken databases are kept, the newest', async (t) => {
  const directory = join(t.testdir(), 'store')
  const path = databasePath(directory)
  for (const number of [1, 2, 10]) mkdirSync(`${path}.broken-${number}`, { recursive: true })
  const writer = await startWriter(directory)
  await kill(writer)
  truncateSync(join(path, 'data.mdb'), 4096)
  const { database } = await open(t, directory, { brokenKept: 2 })
  t.equal(database.setAside, `${path}.broken-11`)
  const broken = readdirSync(directory).filter((entry) => entry.includes('broken'))
  t.strictSame(
    broken.sort(),
    ['10', '11'].map((number) => `${path.split('/').at(-1)}.broken-${number}`),
  )
})

t.test('a creation that was cut off leaves nothing behind', async (t) => {
  const directory = join(t.testdir(), 'store')
  const temporary = `${databasePath(directory)}.new`
  mkdirSync(temporary, { recursive: true })
  writeFileSync(join(temporary, 'data.mdb'), Buffer.alloc(5000, 1))
  const { database, table } = await open(t, directory)
  t.equal(database.setAside, undefined)
  t.same([...table.getKeys()], [])
  t.notOk(existsSync(temporary))
})

t.test('free bytes are what was removed, and are used again', async (t) => {
  const { database, table } = await open(t, join(t.testdir(), 'store'))
  const large = Buffer.alloc(512 * 1024, 'x')
  const turn = async (): Promise<void> => {
    await database.write(() => {
      void table.put('large', large)
    })
    await database.write(() => {
      void table.remove('large')
    })
  }
  await turn()
  t.ok(database.freeBytes() >= large.length)
  await turn()
  await turn()
  const settled = database.fileBytes()
  t.ok(settled > large.length)
  for (let count = 0; count < 10; count++) await turn()
  t.equal(database.fileBytes(), settled, 'the file stops growing')
})

t.test('rows are of one moment, however much is written while they are read', async (t) => {
  const { database, table } = await open(t, t.testdir())
  const others = database.table<number>('numbers', 'uint32')
  const ROWS = 500
  const put = (round: number): Promise<void> =>
    database.write(() => {
      for (let at = 0; at < ROWS; at++) {
        table.put(`${at}`, Buffer.from(`${round}`))
        others.put(at, Buffer.from(`${round}`))
      }
      table.put(`only in ${round}`, Buffer.from(`${round}`))
      table.remove(`only in ${round - 1}`)
    })
  await put(0)
  let isOver = false
  let round = 0
  const writing = (async () => {
    while (!isOver) await put(++round)
  })()
  for (let time = 0; time < 10; time++) {
    const least = round - 1
    const rows = await database.rowsOf(['words', 'numbers'], 7)
    const [of] = new Set(rows.map(({ value }) => Number(text(value))))
    t.ok(of! >= least, 'not of before')
    t.ok(rows.every(({ value }) => text(value) === `${of}`))
    t.equal(rows.length, 2 * ROWS + 1)
    t.same(
      rows.filter(({ table }) => table === 'numbers').map(({ key }) => key),
      Array.from({ length: ROWS }, (_, at) => at),
    )
  }
  isOver = true
  await writing
  const looking = database.rowsOf(['words', 'numbers'], 7)
  await database.close()
  t.equal((await looking).length, 2 * ROWS + 1, 'who closes it waits')
})
