import t from 'tap'
import { tapLines } from './tap-output.ts'

/** As dpkg, and systemd on a console, write it. */
const WRITTEN =
  '(Reading database ... \r(Reading database ... 5%\r\n\u001b[0;32m  OK  \u001b[0m up\u2028\u0007on\tit'

t.test('what was written on a terminal is lines', async (t) => {
  t.equal(tapLines(WRITTEN), '(Reading database ... \n(Reading database ... 5%\n  OK   up\non\tit')
  t.equal(tapLines('a\r\r\nb\n\nc\n'), 'a\nb\n\nc\n')
})

t.test('a test that shows them in a comment goes on', async (t) => {
  t.plan(1)
  t.comment(tapLines(WRITTEN))
  t.pass('is counted')
})
