import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { enrolByHand } from '../../firmware-agent/enroll.ts'

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
