import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { ExclusiveLock } from '../../../shared/runtime/exclusive-lock.ts'
import { shortDirectory } from '../../support/short-directory.ts'
import { TYPESCRIPT } from '../../support/typescript/node-options.ts'

async function startHolder(directory: string): Promise<ChildProcess> {
  const lock = new URL('../../../shared/runtime/exclusive-lock.ts', import.meta.url)
  const program = `
    import { ExclusiveLock } from ${JSON.stringify(lock.href)}
    await ExclusiveLock.acquire(process.argv.at(-1))
    console.log('held')
    setInterval(() => {}, 1000)`
  const child = spawn(
    process.execPath,
    [TYPESCRIPT, '--input-type=module', '-e', program, directory],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  await new Promise((resolve, reject) => {
    child.stdout.once('data', resolve)
    child.once('exit', (code) => reject(new Error(`the holder ended with ${code}`)))
  })
  return child
}

t.test('one holder at a time', async (t) => {
  const directory = join(t.testdir(), 'data')
  const first = await ExclusiveLock.acquire(directory)
  await t.rejects(ExclusiveLock.acquire(directory), { code: 'data-directory-in-use' })
  await first.release()
  t.strictSame(readdirSync(directory), [])
  const second = await ExclusiveLock.acquire(directory)
  await second.release()
})

t.test('a path that is too long for a socket address is no obstacle', async (t) => {
  const directory = join(t.testdir(), 'long'.repeat(30), 'data')
  const lock = await ExclusiveLock.acquire(directory)
  t.ok(existsSync(join(directory, 'lock.sock')))
  await t.rejects(ExclusiveLock.acquire(directory), { code: 'data-directory-in-use' })
  await lock.release()
})

t.test('another process holds it until it dies', async (t) => {
  const directory = join(t.testdir(), 'data')
  const holder = await startHolder(directory)
  await t.rejects(ExclusiveLock.acquire(directory), { code: 'data-directory-in-use' })
  const gone = new Promise((resolve) => holder.once('exit', resolve))
  holder.kill('SIGKILL')
  await gone
  t.ok(existsSync(join(directory, 'lock.sock')), 'its socket stays behind')
  const lock = await ExclusiveLock.acquire(directory)
  await t.rejects(ExclusiveLock.acquire(directory), { code: 'data-directory-in-use' })
  await lock.release()
})

t.test('a path where nothing can be is said at once', async (t) => {
  const directory = t.testdir({ file: '', dangling: t.fixture('symlink', '/proc/none') })
  const within = ['file', 'dangling'].map((name) => join(directory, name))
  const paths = ['/proc/none', '/proc/none/below', '/proc/self/fd/none', ...within]
  const lock = new URL('../../../shared/runtime/exclusive-lock.ts', import.meta.url)
  const program = `
    import { ExclusiveLock } from ${JSON.stringify(lock.href)}
    for (const path of process.argv.slice(-${paths.length})) {
      await ExclusiveLock.acquire(path).catch(({ code, exitCode, message }) => {
        console.log([code, exitCode, message].join(' '))
      })
    }`
  // In a process of its own: where the answer never comes, this one must not wait for it.
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [...process.execArgv, '--input-type=module', '-e', program, ...paths],
    { timeout: 60_000, killSignal: 'SIGKILL' },
  )
  const lines = stdout.trimEnd().split('\n')
  t.equal(lines.length, paths.length)
  for (const [index, path] of paths.entries()) {
    t.match(lines[index], `data-directory-unusable 78 cannot use ${path}: `)
  }
})

// As of a process in another network namespace.
t.test('a socket is enough', async (t) => {
  const directory = shortDirectory()
  t.teardown(() => rmSync(directory, { recursive: true }))
  const holder = createServer().listen(join(directory, 'lock.sock'))
  await once(holder, 'listening')
  await t.rejects(ExclusiveLock.acquire(directory), { code: 'data-directory-in-use' })
  t.ok(existsSync(join(directory, 'lock.sock')), 'it is left alone')
  holder.close()
  await once(holder, 'close')
  await (await ExclusiveLock.acquire(directory)).release()
})

t.test('of many that start at once over a stale socket, one gets it', async (t) => {
  const directory = t.testdir()
  writeFileSync(join(directory, 'lock.sock'), '')
  const attempts = await Promise.allSettled(
    Array.from({ length: 8 }, () => ExclusiveLock.acquire(directory)),
  )
  const locks = attempts.filter((attempt) => attempt.status === 'fulfilled')
  t.equal(locks.length, 1)
  for (const attempt of attempts) {
    if (attempt.status === 'rejected') t.match(attempt.reason, { code: 'data-directory-in-use' })
  }
  await locks[0]?.value.release()
})
