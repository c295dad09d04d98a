import t from 'tap'
import type { Logger } from '../../../shared/runtime/logger.ts'
import { Repeats, repeatKey, withoutRepeats } from '../../../shared/runtime/repeats.ts'

const BOUNDS = { firstMax: 2, intervalMs: 5, keysMax: 3 }

t.test('the first are told at once, and the rest as the last of them with a count', async (t) => {
  const told: [number, number][] = []
  let heard: () => void = () => {}
  const repeats = new Repeats<number>((item, count) => {
    told.push([item, count])
    heard()
  }, BOUNDS)
  for (let item = 1; item <= 1000; item++) repeats.take(item, 'a', 'a')
  t.same(told, [
    [1, 1],
    [2, 1],
  ])
  const next = (): Promise<void> =>
    new Promise((resolve) => {
      // The timer alone keeps no process alive.
      const alive = setTimeout(() => {}, 10_000)
      heard = () => {
        clearTimeout(alive)
        resolve()
      }
    })
  await next()
  t.same(told.at(-1), [1000, 998])
  for (let item = 1; item <= 50; item++) repeats.take(item, 'a', 'a')
  t.equal(told.length, 3, 'what still repeats waits for the end of the interval')
  await next()
  t.same(told.at(-1), [50, 50])
})

t.test('each key has its own, until there are too many of them', async (t) => {
  const told: string[] = []
  const repeats = new Repeats<string>((item, count) => told.push(`${item} ${count}`), BOUNDS)
  for (let number = 0; number < 100; number++) repeats.take(`n${number}`, 'kind', `kind ${number}`)
  t.same(told, ['n0 1', 'n1 1', 'n2 1', 'n3 1', 'n4 1'], 'three keys, and two of their kind')
  repeats.flush()
  t.equal(told.at(-1), 'n99 95')
  repeats.flush()
  t.equal(told.length, 6)
})

t.test('what is the same', async (t) => {
  const rejected = (fields: object) => repeatKey('warn', 'task-rejected', fields).key
  t.equal(rejected({ reason: 'invalid', client: 'a', task: '1' }), rejected({ reason: 'invalid' }))
  t.not(rejected({ reason: 'invalid' }), rejected({ reason: 'overloaded' }))
  const ended = (task: string) => repeatKey('info', 'task-ended', { task, state: 'completed' }).key
  t.not(ended('1'), ended('2'), 'each end is one of its own')
  const lost = (tile: number) => repeatKey('error', 'tile-lost', { node: 'a', tile }).key
  t.not(lost(1), lost(2))
})

t.test('a logger says how many lines one stands for', async (t) => {
  const lines: unknown[][] = []
  const at =
    (level: string) =>
    (fields: object, message: string): void => {
      lines.push([level, fields, message])
    }
  const inner: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  }
  const log = withoutRepeats(inner, BOUNDS)
  for (let number = 0; number < 9; number++)
    log.warn({ code: 'malformed-message' }, `bad ${number}`)
  for (let number = 0; number < 9; number++) log.debug({ code: 'seen' }, `${number}`)
  log.flush()
  t.equal(lines.filter(([level]) => level === 'debug').length, 9)
  t.same(
    lines.filter(([level]) => level === 'warn'),
    [
      ['warn', { code: 'malformed-message' }, 'bad 0'],
      ['warn', { code: 'malformed-message' }, 'bad 1'],
      ['warn', { code: 'malformed-message', count: 7 }, 'bad 8'],
    ],
  )
})
