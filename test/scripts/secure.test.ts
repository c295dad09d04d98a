import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { configure, secure, whileDown } from '../../scripts/commands/secure.ts'
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
  t.match(text.stdout, /^from elsewhere: obelisk login https:\/\/\S+\.local:8025$/m)
  text.stdout = ''
  await secure({ data }, streams, makeKeys)
  t.notMatch(text.stdout, /obelisk login/, 'where HTTP stays on loopback')
  const bad = { data: `${data}2`, httpHost: '0.0.0.0:80' }
  await t.rejects(secure(bad, streams, makeKeys), { code: 'usage', message: /no host name/ })
  t.notOk(existsSync(bad.data), 'before anything is made')
  t.match(await command(['gateway', 'secure', '--help']), { stdout: /--http-host/ })
})

t.test('a service is down while keys are made for its user, and up afterwards', async (t) => {
  const run = async (state: string, work: () => Promise<number>, fails = '') => {
    const asked: string[] = []
    const programs = {
      run: async (_name: string, words: readonly string[]) => {
        asked.push(words.join(' '))
        const stdout = words[0] === 'show' ? `ActiveState=${state}\n` : ''
        return { code: words[0] === fails ? 1 : 0, stdout, stderr: 'no' }
      },
    }
    const noted = async () => {
      asked.push('work')
      return await work()
    }
    const ended = await whileDown(programs, 'a.service', noted).then(String, ({ code }) => code)
    return [...asked.slice(1), ended]
  }
  const done = async () => EXIT_DONE
  const failing = async () => {
    throw Object.assign(new Error('no'), { code: 'disk-full' })
  }
  t.same(await run('active', done), ['stop a.service', 'work', 'start a.service', '0'])
  t.same(await run('failed', done), ['stop a.service', 'work', 'start a.service', '0'])
  t.same(await run('inactive', done), ['work', '0'], 'one that does not run is not started')
  t.same(await run('active', async () => 78), ['stop a.service', 'work', 'start a.service', '78'])
  const again = '--no-block start a.service'
  t.same(await run('active', failing), ['stop a.service', 'work', again, 'disk-full'])
  t.same(await run('active', done, 'stop'), ['stop a.service', 'restart-failed'])
})

async function* nothing(): AsyncGenerator<string> {}
