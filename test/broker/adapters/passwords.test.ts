import t from 'tap'
import { Passwords } from '../../../broker/adapters/passwords.ts'

const here = (): boolean => false
const text = (password: string): Uint8Array => Buffer.from(password)

t.test('a password is right for its record alone', async (t) => {
  const passwords = new Passwords()
  const record = await passwords.make(text('correct horse'))
  t.match(record, { n: 32_768, r: 8, p: 1 })
  t.equal(record.salt.length, 16)
  t.equal(await passwords.judge(record, text('correct horse'), here), 'right')
  t.equal(await passwords.judge(record, text('correct horse '), here), 'wrong')
  t.equal(await passwords.judge(undefined, text('correct horse'), here), 'wrong')
  const other = await passwords.make(text('correct horse'))
  t.notSame(other.hash, record.hash)
})

t.test('a name that is none costs the same', async (t) => {
  const passwords = new Passwords()
  const record = await passwords.make(text('correct horse'))
  const timed = async (one: typeof record | undefined): Promise<number> => {
    const startMs = process.cpuUsage().user
    for (let n = 0; n < 3; n++) await passwords.judge(one, text('wrong'), here)
    return process.cpuUsage().user - startMs
  }
  const [known, unknown] = [await timed(record), await timed(undefined)]
  t.ok(unknown > known / 3 && unknown < known * 3, `${known} and ${unknown} µs`)
})

t.test('what was right is remembered for a while, and for that record', async (t) => {
  const passwords = new Passwords({ n: 16, rememberedMax: 2, rememberedMs: 200 })
  const records = await Promise.all(['one', 'two', 'three'].map((one) => passwords.make(text(one))))
  const isRemembered = (): boolean[] =>
    ['one', 'two', 'three'].map((one, at) => passwords.isRemembered(records[at], text(one)))
  t.same(isRemembered(), [false, false, false])
  for (const [at, one] of ['one', 'two', 'three'].entries()) {
    await passwords.judge(records[at], text(one), here)
  }
  t.same(isRemembered(), [false, true, true], 'two, the latest')
  t.notOk(passwords.isRemembered(records[1], text('three')))
  t.notOk(passwords.isRemembered(await passwords.make(text('two')), text('two')), 'a new record')
  t.notOk(passwords.isRemembered(undefined, text('two')))
  await passwords.judge(records[0], text('wrong'), here)
  t.notOk(passwords.isRemembered(records[0], text('wrong')))
  const startMs = performance.now()
  while (performance.now() - startMs < 201) await new Promise(setImmediate)
  t.same(isRemembered(), [false, false, false], 'it is over')
})

t.test('so many at a time, so many that wait, and the rest hears that it is busy', async (t) => {
  const passwords = new Passwords({ n: 2 ** 14, waitingMax: 4 })
  const record = await passwords.make(text('right'))
  const judged = Array.from({ length: 10 }, () => passwords.judge(record, text('right'), here))
  const verdicts = await Promise.all(judged)
  t.equal(verdicts.filter((one) => one === 'right').length, 6)
  t.equal(verdicts.filter((one) => one === 'busy').length, 4)
  t.equal(await passwords.judge(record, text('right'), here), 'right', 'and then it goes on')
})

t.test('for who is gone when his turn comes nothing is computed', async (t) => {
  const passwords = new Passwords({ n: 2 ** 14, atATime: 1 })
  const record = await passwords.make(text('right'))
  let isGone = false
  const first = passwords.judge(record, text('right'), here)
  const second = passwords.judge(record, text('right'), () => isGone)
  isGone = true
  t.same(await Promise.all([first, second]), ['right', 'gone'])
})

t.test('strangers leave a quarter of the places, and who sets passwords takes none', async (t) => {
  const passwords = new Passwords({ n: 2 ** 14, waitingMax: 4, makingMax: 3 })
  const record = await passwords.make(text('right'))
  const made = Promise.allSettled(Array.from({ length: 5 }, () => passwords.make(text('another'))))
  const judge = (isKnown: boolean) => passwords.judge(record, text('right'), here, isKnown)
  const strangers = Array.from({ length: 20 }, () => judge(false))
  const known = [judge(true), judge(true)]
  const verdicts = await Promise.all(strangers)
  t.equal(verdicts.filter((one) => one === 'right').length, 5)
  t.same(await Promise.all(known), ['right', 'busy'])
  const refused = (await made).filter((one) => one.status === 'rejected')
  t.match(refused, [{ reason: { code: 'overloaded' } }, { reason: { code: 'overloaded' } }])
  await passwords.make(text('and then it goes on'))
})
