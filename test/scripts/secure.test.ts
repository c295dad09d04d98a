import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { configure, placeOfGateway, secure } from '../../scripts/commands/secure.ts'
import { showSecurityLog } from '../../scripts/commands/security-log.ts'
import { EXIT_DONE } from '../../shared/runtime/errors.ts'
import { command } from '../support/secured-gateway.ts'

t.test('what a configuration has stays, and where the gateway listens is put in', (t) => {
  const path = join(t.testdir(), 'gateway.toml')
  writeFileSync(path, '# ours\ngrid = "32x32"\nhost = "127.0.0.1"\n')
  configure(path, { host: '0.0.0.0' })
  t.match(readFileSync(path, 'utf8'), /^# ours\ngrid = "32x32"\nhost = "0\.0\.0\.0"\n/)
  t.match(readFileSync(path, 'utf8'), /^security = "on"$/m)
  configure(path, { httpHost: '0.0.0.0' })
  t.match(readFileSync(path, 'utf8'), /^http_host = "0\.0\.0\.0"$/m)
  t.match(readFileSync(path, 'utf8'), /^host = "0\.0\.0\.0"$/m)
  t.end()
})

t.test('a gateway that is no service is said how to start', async (t) => {
  const data = join(t.testdir(), 'gateway')
  const text = { stdout: '' }
  const stdout = { write: (more: string | Uint8Array) => void (text.stdout += more) }
  const streams = { stdout, stderr: stdout, stdin: nothing(), environment: {} }
  const makeKeys = async (at: string): Promise<number> => {
    const { makeFleetKeys } = await import('../../broker/adapters/fleet-keys.ts')
    await makeFleetKeys(join(at, 'security'))
    return EXIT_DONE
  }
  const flags = { data, host: '0.0.0.0', httpHost: '::' }
  t.equal(await secure(flags, streams, makeKeys), EXIT_DONE)
  t.match(
    text.stdout,
    `start it:       obelisk gateway --data ${data} --host 0.0.0.0 --http-host ::\n`,
  )
  t.match(text.stdout, `obelisk token create n7 --http unix:${data}/admin.sock\n`)
  t.match(text.stdout, /^from elsewhere: obelisk login https:\/\/\S+\.local:8025$/m)
  text.stdout = ''
  await secure({ data }, streams, makeKeys)
  t.notMatch(text.stdout, /obelisk login/, 'where HTTP stays on loopback')
  text.stdout = ''
  await secure(flags, { ...streams, environment: { npm_command: 'exec' } }, makeKeys)
  const ours = text.stdout.match(/(?<=: +|; )\S+ (?:\S+ )?(gateway|token|agent|user|login|ca) /gm)
  t.equal(ours?.length, 7, text.stdout)
  for (const line of ours ?? []) t.match(line, /^npx obelisk /, 'as it was called')
  const bad = { data: `${data}2`, httpHost: '0.0.0.0:80' }
  await t.rejects(secure(bad, streams, makeKeys), { code: 'usage', message: /no host name/ })
  t.notOk(existsSync(bad.data), 'before anything is made')
  t.match(await command(['gateway', 'secure', '--help']), { stdout: /--http-host/ })
})

t.test('a disk that takes no keys is told as what it is', async (t) => {
  const data = join(t.testdir(), 'gateway')
  const streams = {
    stdout: process.stderr,
    stderr: process.stderr,
    stdin: nothing(),
    environment: {},
  }
  const failing = (code: string) => async (): Promise<number> => {
    throw Object.assign(new Error(code), { code })
  }
  const secured = (code: string) => secure({ data }, streams, failing(code))
  const message = `the disk of ${data} is full`
  await t.rejects(secured('ENOSPC'), { code: 'no-room', exitCode: 73, message })
  await t.rejects(secured('EROFS'), { exitCode: 77, message: /is read-only/ })
  await t.rejects(secured('EACCES'), { code: 'not-permitted', exitCode: 77 })
})

t.test('the security log is looked for where a gateway of this machine has its data', async (t) => {
  const { stdout, stderr } = process
  const streams = { stdout, stderr, stdin: nothing(), environment: {} }
  const message = `${join(placeOfGateway(undefined).data, 'security')} has no security log`
  await t.rejects(showSecurityLog({}, streams, 0), { code: 'unreadable', message })
})

async function* nothing(): AsyncGenerator<string> {}
