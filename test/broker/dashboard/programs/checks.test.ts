import t, { type Test } from 'tap'
import { Checks } from '../../../../broker/dashboard/programs/checks.ts'

/** Typing pauses, and answers come, when a test says so. */
function typing(t: Test) {
  const asked: string[] = []
  const told: string[] = []
  const answers: (() => void)[] = []
  let pause: (() => void) | undefined
  const checks = new Checks<string>({
    ask(text) {
      asked.push(text)
      return new Promise((resolve) => answers.push(() => resolve(`of ${text}`)))
    },
    told(text, outcome) {
      t.equal(outcome, `of ${text}`)
      told.push(text)
    },
    later(run) {
      pause = run
      return () => {
        pause = undefined
      }
    },
  })
  const paused = (): void => pause?.()
  const answered = async (): Promise<void> => {
    answers.shift()!()
    await new Promise(setImmediate)
  }
  return { checks, asked, told, paused, answered }
}

t.test('not each letter is asked', async (t) => {
  const { checks, asked, told, paused, answered } = typing(t)
  for (const text of ['t', 'te', 'tem', 'temp']) checks.type(text)
  paused()
  t.same(asked, ['temp'])
  await answered()
  t.same(told, ['temp'])
})

t.test(
  'one is asked at a time, then the newest, and what came of an old one is told to nobody',
  async (t) => {
    const { checks, asked, told, paused, answered } = typing(t)
    for (const text of ['a', 'b', 'c']) {
      checks.type(text)
      paused()
    }
    t.same(asked, ['a'])
    await answered()
    t.same(asked, ['a', 'c'])
    t.same(told, [])
    await answered()
    t.same(told, ['c'])
  },
)

t.test('while one still types, an answer to what was there before is not told', async (t) => {
  const { checks, asked, told, paused, answered } = typing(t)
  checks.type('a')
  paused()
  checks.type('ab')
  await answered()
  t.same(told, [])
  t.same(asked, ['a'], 'nor is the next one asked before a pause')
  paused()
  await answered()
  t.same(told, ['ab'])
})

t.test('a text that is there again is told of, and not asked twice', async (t) => {
  const { checks, asked, told, paused, answered } = typing(t)
  for (const text of ['a', 'b', 'a']) {
    checks.type(text)
    paused()
  }
  await answered()
  t.same(asked, ['a'])
  t.same(told, ['a'])
})

t.test('once it is stopped nothing is asked or told', async (t) => {
  const { checks, asked, told, paused, answered } = typing(t)
  checks.type('a')
  paused()
  checks.type('b')
  checks.stop()
  paused()
  await answered()
  t.same(asked, ['a'])
  t.same(told, [])
})
