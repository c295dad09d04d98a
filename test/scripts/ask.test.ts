/** A question that a person answers. */

import { PassThrough } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { ask } from '../../scripts/commands/typed-input.ts'

async function answered(typed: string | undefined): Promise<string> {
  const stdin = new PassThrough()
  const none = { write: () => {} }
  const streams = { stdout: none, stderr: none, stdin, environment: {} }
  const answer = ask('sure? ', streams, new AbortController().signal)
  if (typed === undefined) stdin.end()
  else stdin.write(typed)
  const line = await answer
  // As the program ends that asked.
  stdin.destroy()
  await setImmediate()
  return line
}

t.test('the answer is a line, and who asked may end', async (t) => {
  t.equal(await answered(' y \n'), 'y')
  t.equal(await answered('\n'), '')
  t.equal(await answered(undefined), '')
})

t.test('who is asked may be interrupted', async (t) => {
  const stdin = new PassThrough()
  const none = { write: () => {} }
  const streams = { stdout: none, stderr: none, stdin, environment: {} }
  const end = new AbortController()
  const answer = ask('sure? ', streams, end.signal)
  end.abort()
  await t.rejects(answer, { name: 'AbortError' })
  stdin.destroy()
})
