/** `obelisk osl rules`, with a real rule book behind a real HTTP door. */
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { RuleCalls } from '../../broker/rule-calls.ts'
import { runCommand } from '../../scripts/commands/program.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import type { Rule, RuleBookDraft } from '../../shared/operations/rule-book.ts'
import { serve } from '../support/recorded-http-port.ts'

const GRID = {
  geometry: new Geometry({ width: 32, height: 16, tile: 16 }),
  fields: [{ name: 'temp', type: 'f64' }],
} as const

async function place(t: Test) {
  const { base, recorded } = await serve(t)
  const book = { version: 0, rules: [] as readonly Rule[] }
  const driver = {
    setRules: async (rules: readonly Rule[]) => {
      Object.assign(book, { version: book.version + 1, rules })
    },
  }
  const standing = { state: 'raised', tiles: 2, count: 9, ts: 1_750_000_000_000 } as const
  const view = {
    ruleBook: () => ({
      version: book.version,
      rules: book.rules.map(({ program: _, ...text }) => ({ ...text, ...standing })),
    }),
  }
  const calls = new RuleCalls(GRID, driver, view)
  Object.assign(recorded.port.rules, {
    parse: (input: unknown) => calls.parse(input),
    book: () => calls.book(),
    set: (draft: RuleBookDraft) => calls.set(draft),
  })
  return async (argv: readonly string[], input = '') => {
    const said = { out: '', err: '' }
    const stdout = { write: (text: string | Uint8Array) => (said.out += text.toString()) }
    const stderr = { write: (text: string | Uint8Array) => (said.err += text.toString()) }
    const stdin = Readable.from(input === '' ? [] : [Buffer.from(input)])
    const environment = { OBELISK_HTTP: base }
    const place = { stdout, stderr, stdin, environment }
    const code = await runCommand(['osl', 'rules', ...argv], place, '0')
    return { code, ...said }
  }
}

const HOT = { name: 'hot', when: 'temp > 30', message: 'too hot' }

t.test('a book is set, guarded, and shown', async (t) => {
  const rules = await place(t)
  t.strictSame(await rules([]), { code: 0, out: 'version 0, 0 rules\n', err: '' })
  t.strictSame(await rules(['-'], JSON.stringify([HOT])), {
    ...{ code: 0, out: 'version 1 of the rule book is set: 1 rule\n', err: '' },
  })
  const lines = (await rules([])).out.split('\n')
  t.equal(lines[0], 'version 1, 1 rule')
  t.match(lines[1], /^RULE +STATE +TILES +CELLS +SINCE +WHEN +MESSAGE/)
  t.match(lines[2], /^hot +raised +2 +9 +.* temp > 30 +too hot/)
  const late = await rules(['-', '--if-version', '0'], JSON.stringify({ rules: [] }))
  t.match(late, { code: 1, err: /at version 1, not 0/ })
  const json = await rules(['-', '--if-version', '1', '--json'], JSON.stringify({ rules: [] }))
  t.match(JSON.parse(json.out), { version: 2, rules: [] })
})

t.test('what is wrong is drawn where it stands, or said', async (t) => {
  const rules = await place(t)
  const wrong = { rules: [HOT, { ...HOT, name: 'dry', when: 'tempp < 3' }] }
  t.strictSame(await rules(['-'], JSON.stringify(wrong)), {
    code: 1,
    out: '',
    err: '1:1: rules[1].when: nothing is called "tempp"\n  tempp < 3\n  ^^^^^\n  did you mean "temp"?\n',
  })
  t.match(await rules(['-'], JSON.stringify([{ ...HOT, name: '' }])), { code: 1, err: /an id/ })
  const told = await rules(['-', '--json'], JSON.stringify(wrong))
  t.match(JSON.parse(told.out), { problems: [{ path: 'rules[1].when', column: 1 }] })
  t.match(await rules(['-'], '{'), { code: 2, err: /no JSON/ })
  t.match(await rules(['-'], '3'), { code: 2, err: /a list of them/ })
  t.match(await rules(['--if-version', '1']), { code: 2, err: /say what is to be set/ })
  t.match(await rules(['-', '--if-version', 'x'], '[]'), { code: 2, err: /not the number/ })
})
