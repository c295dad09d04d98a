/** The rule book over a real HTTP door. */
import t from 'tap'
import { RuleCalls } from '../../../broker/rule-calls.ts'
import { Geometry } from '../../../shared/grid/geometry.ts'
import type { RuleBookDraft } from '../../../shared/operations/rule-book.ts'
import { serve } from '../../support/recorded-http-port.ts'

const GRID = {
  geometry: new Geometry({ width: 64, height: 32, tile: 16 }),
  fields: [{ name: 'temp', type: 'f64' }],
} as const

t.test('a book is set where nobody has set another one meanwhile', async (t) => {
  const { recorded, base } = await serve(t)
  let version = 0
  let rules: RuleBookDraft['rules'] = []
  const driver = {
    setRules: async (set: RuleBookDraft['rules']) => {
      rules = set
      version += 1
    },
  }
  const view = {
    ruleBook: () => ({ version, rules: rules.map(({ program: _, ...text }) => text) }),
  }
  const calls = new RuleCalls(GRID, driver, view)
  Object.assign(recorded.port.rules, {
    parse: (input: unknown) => calls.parse(input),
    book: () => calls.book(),
    set: (draft: RuleBookDraft) => calls.set(draft),
  })
  const put = async (body: unknown) => {
    const headers = { 'content-type': 'application/json' }
    const options = { method: 'PUT', headers, body: JSON.stringify(body) }
    const response = await fetch(`${base}/api/rules`, options)
    return { status: response.status, body: (await response.json()) as unknown }
  }
  const hot = { name: 'hot', when: 'temp > 30', message: 'too hot' }
  const set = { status: 200, body: { version: 1, rules: [hot] } }
  t.same(await put({ rules: [hot], if_version: 0 }), set)
  t.match(await put({ rules: [], if_version: 0 }), {
    status: 409,
    body: { code: 'version-conflict', version: 1 },
  })
  t.match(
    await put({
      rules: [
        { ...hot, when: 'tempp > 1' },
        { ...hot, name: '' },
      ],
    }),
    {
      status: 422,
      body: { code: 'wrong-type', errors: [{ path: 'rules[1].name' }] },
    },
  )
  t.match(await put({ rules: [{ ...hot, when: 'tempp > 1' }] }), {
    status: 422,
    body: { errors: [{ path: 'rules[0].when', line: 1, column: 1, hint: 'did you mean "temp"?' }] },
  })
  const shown = await fetch(`${base}/api/rules`)
  t.same(await shown.json(), { version: 1, rules: [hot] })
})
