/** Secrets that are typed, at a terminal that is none. */

import { PassThrough } from 'node:stream'
import t from 'tap'
import type { Streams } from '../../scripts/commands/streams.ts'
import { secretLine } from '../../scripts/commands/typed-input.ts'

function typed(text: string): Streams {
  const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => {} })
  stdin.end(text)
  return { stdin, stdout: process.stderr, stderr: { write: () => true }, environment: {} } as never
}

t.test('Ctrl-C ends the command as an interruption, the end of input is no answer', async (t) => {
  await t.rejects(secretLine(typed('secr\u0003'), 'password: '), {
    code: 'interrupted',
    exitCode: 130,
  })
  t.equal(await secretLine(typed('secret\n'), 'password: '), 'secret')
  t.equal(await secretLine(typed('\u0004'), 'password: '), undefined)
})
