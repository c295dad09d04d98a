import t from 'tap'
import {
  bookText,
  currentIn,
  operationOf,
  standingOf,
  summaryOf,
} from '../../../../broker/dashboard/programs/words.ts'
import { type Typed, taskOf } from '../../../../broker/dashboard/tasks/forms.ts'
import type { CheckedView, VersionView } from '../../../../shared/protocol/codex-views.ts'

const CHECKED: CheckedView = {
  ...{ kind: 'write', hash: 'ab', parameters: ['k'], cost: 1234, reach: 2, bytes: 40 },
  microglyphs: [{ text: '× mul', cost: 2 }],
}

t.test('a program in one line', async (t) => {
  t.equal(
    summaryOf(CHECKED),
    'It sets fields · cost 1,234 a cell · 1 microglyph in 40 bytes · reach 2 · takes $k',
  )
  const read: CheckedView = { ...CHECKED, kind: 'read', parameters: [], reach: 0 }
  t.match(summaryOf(read), /^It returns values .* · reads no neighbours$/)
})

t.test('the form has what the program needs, and makes a task of it', async (t) => {
  const region: Typed = { x: ['0'], y: ['0'], w: ['2'], h: ['1'] }
  const once = operationOf({ op: 'program', does: 'runs', explained: CHECKED })
  t.same(
    once.args.map(({ name, max }) => [name, max]),
    [
      ['source', undefined],
      ['with', undefined],
      ['steps', 2],
    ],
  )
  const source = ['temp = temp[2, 0] * $k']
  t.match(taskOf(once, { ...region, source, 'with.k': ['2'], steps: ['2'] }), {
    body: { op: 'program', args: { source: source[0], with: { k: 2 }, steps: 2 } },
  })
  const contexts = ['main', 'winter'].map((name) => ({ name, version: 1, programs: {} }))
  const explained = { ...CHECKED, parameters: [], reach: 0 }
  const named = operationOf({ op: 'heat', does: 'runs', explained, contexts })
  t.same(
    named.args.map(({ name }) => name),
    ['context'],
  )
  t.match(taskOf(named, { ...region, context: ['winter'] }), {
    body: { op: 'heat', args: { context: 'winter' } },
  })
  const far = operationOf({ op: 'heat@2', does: 'runs', explained: { ...explained, reach: 4 } })
  t.same(far.args, [], 'more than a step would reach too far')
})

t.test('a context that names none means that of main', async (t) => {
  const versions = [
    { version: 3, current_in: [] },
    { version: 2, current_in: ['winter'] },
    { version: 1, current_in: ['main', 'summer'] },
  ] as unknown as readonly VersionView[]
  t.equal(currentIn(versions, 'winter')?.version, 2)
  t.equal(currentIn(versions, 'summer')?.version, 1)
  t.equal(currentIn(versions, 'spring')?.version, 1)
})

t.test('how a rule stands, and the book as it is typed', async (t) => {
  t.equal(standingOf({}).word, 'was never raised')
  t.equal(standingOf({ state: 'raised', tiles: 1, count: 3 }).word, 'raised in 1 tile')
  t.equal(standingOf({ state: 'cleared', tiles: 0 }).word, 'cleared')
  const over = { x: 0, y: 0, w: 4, h: 4 }
  const hot = { name: 'hot', when: 'temp > 30', message: 'too "hot"' }
  const dry = { name: 'dry', when: 'hum < 0.2', over, message: 'water' }
  const text = bookText([{ ...hot, state: 'raised', tiles: 1, count: 2, ts: 3 }, dry])
  t.same(JSON.parse(text), [hot, dry], 'without how they stand')
  t.equal(text.split('\n').length, 4, 'a rule a line')
  t.same(JSON.parse(bookText([])), [])
})
