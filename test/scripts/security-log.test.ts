import { execFileSync } from 'node:child_process'
import { appendFileSync, chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runCommand } from '../../scripts/commands/program.ts'
import { formatHead } from '../../shared/protocol/security-log.ts'
import { readPrivate } from '../../shared/runtime/private-folder.ts'
import { grantOf, openLog, REVOKED } from '../support/security-logs.ts'
import { withoutRights } from '../support/without-rights.ts'

async function run(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const written = { stdout: '', stderr: '' }
  const into = (name: keyof typeof written) => ({
    write(text: string | Uint8Array) {
      written[name] += text
    },
  })
  const stdin = (async function* () {})()
  const streams = { stdout: into('stdout'), stderr: into('stderr'), stdin, environment: {} }
  const code = await runCommand(['security', 'log', ...argv], streams, '0')
  return { code, ...written }
}

/** A log of some lines, an hour apart. */
async function makeLog(data: string) {
  let wallMs = Date.now() - 4 * 3_600_000
  const folder = join(data, 'security')
  const log = await openLog(folder, { now: () => ({ monotonicMs: wallMs, wallMs }) })
  const early = log.head
  wallMs += 3_600_000
  await log.append(grantOf(1))
  wallMs += 3_600_000
  log.tell({ event: 'login-failed', who: 'user/?', source: '::1', via: 'http', code: 'no-user' })
  log.tell({ event: 'login-failed', who: 'user/?', source: '::1', via: 'http', code: 'no-user' })
  wallMs += 3_600_000
  await log.append(REVOKED)
  await log.close()
  return { path: join(folder, 'security.jsonl'), early, head: log.head }
}

t.test('lines are printed for people, and as they are', async (t) => {
  const data = t.testdir()
  const { path } = await makeLog(data)
  const { code, stdout, stderr } = await run('--data', data)
  t.equal(code, 0)
  t.equal(stderr, '')
  const lines = stdout.trimEnd().split('\n')
  t.equal(lines.length, 5)
  t.match(
    lines[1],
    /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ {2}info {3}enrolled +node\/n1 {2}192\.168\.1\.9 {2}enrol$/,
  )
  t.match(stdout, /warn {3}login-failed +user\/\? {2}::1 {2}http {2}no-user\n/)
  t.match(stdout, /warn {3}node-revoked +user\/anna {2}→ node\/n1 {2}192\.168\.1\.2 {2}http\n/)
  const json = await run('--data', data, '--json')
  t.equal(json.stdout, readFileSync(path, 'utf8'))
})

t.test('lines of an event, or from a time on, are printed alone', async (t) => {
  const data = t.testdir()
  await makeLog(data)
  const count = async (...argv: string[]) => {
    const { code, stdout } = await run('--data', data, ...argv)
    t.equal(code, 0)
    return stdout.split('\n').length - 1
  }
  t.equal(await count('--event', 'enrolled'), 1)
  t.equal(await count('--event', 'login'), 0)
  t.equal(await count('--since', '90m'), 2)
  t.equal(await count('--since', '150m'), 3)
  t.equal(await count('--since', '1d'), 5)
  t.equal(await count('--since', new Date(Date.now() - 5_400_000).toISOString()), 2)
  t.equal(await count('--since', '90m', '--event', 'node-revoked'), 1)
})

t.test('a log that nobody touched verifies, also against a head', async (t) => {
  const data = t.testdir()
  const { path, early, head } = await makeLog(data)
  const { code, stdout } = await run('--data', data, '--verify')
  t.equal(code, 0)
  t.match(stdout, `ok: 5 lines in 1 file, from 1 to 5\nhead ${formatHead(head)}\nnothing is known`)
  for (const known of [early, head]) {
    const { code, stdout } = await run('--data', data, '--verify', '--head', formatHead(known))
    t.equal(code, 0)
    t.notMatch(stdout, 'nothing is known')
  }
  appendFileSync(path, '{"seq":6')
  t.match(await run('--data', data, '--verify'), { code: 0, stdout: 'a write of 8 bytes is' })
})

t.test('attempt 64: what was changed is said, and ends with 1', async (t) => {
  const data = t.testdir()
  const { path, head } = await makeLog(data)
  const text = readFileSync(path, 'utf8')
  writeFileSync(path, text.replace('192.168.1.9', '192.168.1.8'))
  const { code, stdout } = await run('--data', data, '--verify')
  t.equal(code, 1)
  t.match(
    stdout,
    'fail  security.jsonl:2  seq 2  changed: this line was changed, or the one after it',
  )
  t.match(stdout, '1 fault: 5 lines')
  const json = await run('--data', data, '--verify', '--json')
  t.equal(json.code, 1)
  t.match(JSON.parse(json.stdout), {
    isWhole: false,
    faults: [{ kind: 'changed', seq: 2, line: 2 }],
  })
  const print = await run('--data', data)
  t.equal(print.code, 0)
  t.match(print.stderr, 'this log is not what the gateway wrote')

  const lines = text.split('\n')
  writeFileSync(path, [...lines.slice(0, -2), ''].join('\n'))
  t.match(await run('--data', data, '--verify'), { code: 0 }, 'of the end nothing is known')
  const cut = await run('--data', data, '--verify', '--head', formatHead(head))
  t.match(cut, { code: 1, stdout: 'cut: the log ends with 4, and once had lines up to 5' })
})

t.test('a log that is not there, or may not be read, is said', async (t) => {
  const data = t.testdir()
  t.match(await run('--data', data), { code: 66, stderr: 'say where the gateway has its data' })
  const folder = join(data, 'security')
  mkdirSync(folder)
  t.match(await run('--data', data, '--verify'), { code: 66 })
  await makeLog(data)
  chmodSync(folder, 0o700)
  await withoutRights(async () => {
    if (process.getuid!() !== 0) chmodSync(folder, 0)
    t.match(await run('--data', data), { code: 77, stderr: 'run it as root' })
    t.match(await run('--data', data, '--verify'), { code: 77 })
  })
  chmodSync(folder, 0o700)
})

t.test('what makes no sense is refused', async (t) => {
  const data = t.testdir()
  await makeLog(data)
  const refused: Record<string, string[]> = {
    'there is no event "enroled"': ['--event', 'enroled'],
    'there is no event "constructor"': ['--event', 'constructor'],
    'is no time': ['--since', 'yesterday'],
    'is no time as': ['--since', '2026-99-99'],
    'is not <seq>': ['--verify', '--head', '12'],
    '--head is for --verify': ['--head', `1:${'0'.repeat(32)}`],
    'no --event and no --since': ['--verify', '--since', '1h'],
  }
  for (const [said, argv] of Object.entries(refused)) {
    t.match(await run('--data', data, ...argv), { code: 2, stderr: said }, said)
  }
})

t.test('whatever stands in the files does not steer the terminal', async (t) => {
  const data = t.testdir()
  const { path } = await makeLog(data)
  const text = readFileSync(path, 'utf8')
  writeFileSync(
    path,
    text.replaceAll('user/anna', 'user/\\u001b[2J').replace('enrolled', '\\u009b'),
  )
  const { stdout } = await run('--data', data)
  for (const control of ['\u001b', '\u009b']) t.notOk(stdout.includes(control))
})

t.test('a pipe where a file should be is not waited for', async (t) => {
  const data = t.testdir({ security: {} })
  const path = join(data, 'security', 'security.jsonl')
  execFileSync('mkfifo', ['-m', '600', path])
  for (const more of [[], ['--verify']]) {
    const { code, stderr } = await run('--data', data, ...more)
    t.not(code, 0)
    t.match(stderr, /security.jsonl is no file/)
  }
  t.throws(() => readPrivate(path), { code: 'key-exposed', message: /it is no file/ })
})
