/** `agent enroll` where the agent is a service: what systemd is told, around what the agent's program does. */
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { type EnrolPlace, enroll } from '../../scripts/commands/enroll.ts'
import { placesOf } from '../../scripts/install/places.ts'
import type { SystemPrograms } from '../../scripts/install/system-programs.ts'
import { AppError } from '../../shared/runtime/errors.ts'

const TOKEN = `obk1-${'a'.repeat(8)}-${'a'.repeat(26)}-${'a'.repeat(52)}`

interface Bench {
  readonly at: EnrolPlace
  /** In the order in which it was done. */
  readonly done: string[]
  run(flags: object, others?: readonly string[], fault?: Error): Promise<number>
}

function bench(t: Test, state: string, isService = true): Bench {
  const directory = t.testdir({ 'obelisk-agent.service': '' })
  const unitFile = join(directory, isService ? 'obelisk-agent.service' : 'none')
  const places = { ...placesOf('agent'), unitFile, packagedUnitFile: unitFile, state: '/state' }
  const done: string[] = []
  const programs = {
    runNow: (name: string, argv: readonly string[]) => void done.push(`${name} ${argv.join(' ')}`),
    run: async (name: string, argv: readonly string[]) => {
      if (argv[0] !== 'show') done.push(`${name} ${argv.join(' ')}`)
      return { code: 0, stdout: `ActiveState=${state}\n`, stderr: '' }
    },
  } as unknown as SystemPrograms
  const at = { places, programs }
  const streams = {
    ...{ stdout: process.stderr, stderr: process.stderr, environment: { A: 'a' } },
    get stdin() {
      return Readable.from([`${TOKEN}\n`])
    },
  }
  return {
    at,
    done,
    run: (flags, others = [], fault?) =>
      enroll(
        flags,
        others,
        streams as never,
        async (argv, environment) => {
          done.push(`enrol ${argv.join(' ')} ${JSON.stringify(environment)}`)
          if (fault !== undefined) throw fault
          return 0
        },
        at,
      ),
  }
}

t.test('a service is stopped for it, and started again', async (t) => {
  const { run, done } = bench(t, 'active')
  t.equal(await run({ tokenFile: '-', again: true }, ['--url', 'mqtts://gw']), 0)
  t.same(done, [
    'systemctl stop obelisk-agent.service',
    `enrol --again --token=${TOKEN} --url mqtts://gw {"A":"a","STATE_DIRECTORY":"/state"}`,
    'systemctl --no-block start obelisk-agent.service',
  ])
})

t.test('it is started again where it got nothing, and only if somebody wants it', async (t) => {
  const failed = bench(t, 'failed')
  const fault = new AppError('token-used', 'another key')
  await t.rejects(failed.run({ tokenFile: '-' }, [], fault), { code: 'token-used' })
  t.match(failed.done.at(-1), /start obelisk-agent/)
  const off = bench(t, 'inactive')
  t.equal(await off.run({}), 0)
  t.same(off.done, ['enrol  {"A":"a","STATE_DIRECTORY":"/state"}'])
  const malformed = bench(t, 'active')
  await t.rejects(malformed.run({ tokenFile: '/dev/null' }))
  t.same(malformed.done, [], 'it goes on where the token is none')
})

t.test('an agent that is no service is left alone', async (t) => {
  const none = bench(t, 'active', false)
  t.equal(await none.run({ tokenFile: '-' }), 0)
  t.same(none.done, [`enrol --token=${TOKEN} {"A":"a"}`])
  const other = bench(t, 'active')
  t.equal(await other.run({ tokenFile: '-', data: '/elsewhere' }), 0)
  t.same(other.done, [`enrol --token=${TOKEN} --data /elsewhere {"A":"a"}`])
})
