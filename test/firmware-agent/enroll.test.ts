import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { enrolByHand } from '../../firmware-agent/enroll.ts'
import { ExclusiveLock } from '../../shared/runtime/exclusive-lock.ts'

const TOKEN = `obk1-${'a'.repeat(8)}-${'a'.repeat(26)}-${'a'.repeat(52)}`

t.test(
  'another identity is for a board that has one: else the folder is another than meant',
  async (t) => {
    const data = t.testdir()
    const argv = (folder: string) => [
      ...['--again', `--token=${TOKEN}`, '--id', 'n1', '--url', 'mqtts://127.0.0.1:1'],
      ...['--data', join(data, folder)],
    ]
    await t.rejects(enrolByHand(argv('typo'), {}), {
      code: 'not-enrolled',
      exitCode: 78,
      message: /is --data right\?/,
    })
    t.same(readdirSync(data), [], 'and nothing was made, nor was anybody shown the token')
  },
)

t.test('an agent that runs is named, and what to do with it', async (t) => {
  const data = t.testdir()
  const lock = await ExclusiveLock.acquireAsOwner(data)
  t.teardown(() => lock.release())
  const argv = [`--token=${TOKEN}`, '--id', 'n1', '--url', 'mqtts://127.0.0.1:1', '--data', data]
  await t.rejects(enrolByHand(argv, {}), {
    code: 'data-directory-in-use',
    exitCode: 70,
    message: /^another process uses .*, an agent that was started by hand: end it, do this again/,
  })
})

t.test('who gave no token is told of the option of this command', async (t) => {
  const argv = ['--id', 'n1', '--url', 'mqtts://127.0.0.1:1', '--data', t.testdir()]
  await t.rejects(enrolByHand(argv, {}), { code: 'not-enrolled', message: ', then --token-file (' })
})
