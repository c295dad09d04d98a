import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { whileDown } from '../../scripts/commands/while-down.ts'
import { EXIT_DONE } from '../../shared/runtime/errors.ts'
import { TYPESCRIPT } from '../support/typescript/node-options.ts'

t.test('a service is down while something is done for its user, and up afterwards', async (t) => {
  const run = async (state: string, work: () => Promise<number>, fails = '') => {
    const asked: string[] = []
    const programs = {
      run: async (_name: string, words: readonly string[]) => {
        asked.push(words.join(' '))
        const stdout = words[0] === 'show' ? `ActiveState=${state}\n` : ''
        return { code: words[0] === fails ? 1 : 0, stdout, stderr: 'no' }
      },
      runNow: (_name: string, words: readonly string[]) => void asked.push(words.join(' ')),
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

t.test('it is up again where whoever does it is cut off', async (t) => {
  const from = JSON.stringify(new URL('../../scripts/commands/while-down.ts', import.meta.url).href)
  const program = `
    import { writeSync } from 'node:fs'
    import { whileDown } from ${from}
    const programs = {
      async run(_name, words) {
        return { code: 0, stdout: 'ActiveState=active', stderr: '' }
      },
      runNow: (_name, words) => writeSync(1, words.join(' ')),
    }
    await whileDown(programs, 'a.service', async () => {
      writeSync(1, 'work, ')
      setInterval(() => {}, 1000)
      await new Promise(() => {})
    })`
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) {
    const argv = [TYPESCRIPT, '--input-type=module', '-e', program]
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      if (said === '') child.kill(signal)
      said += text
    })
    t.same(await once(child, 'close'), [null, signal])
    t.equal(said, 'work, --no-block start a.service', signal)
  }
})
