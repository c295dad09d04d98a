import { readFileSync } from 'node:fs'
import t from 'tap'
import { remediesIn } from '../../../scripts/package/page.ts'

t.test('codes of events and tasks have their meaning and remedy', async (t) => {
  const manual = `
## Codes

| Code | Said as | Meaning | Remedy |
|---|---|---|---|
| \`a-b\` | event warn, HTTP 503 | It is \`so\`. | See above, [A node](#a-node). |
| \`c\` | task | C. | See below, "Far", or wait. |
| \`d\` | HTTP 400 | D. | Nothing. |
| \`e\` | error | E of a task. | Nothing. |
| \`f\` | event | F. | Nothing. |
`
  t.same(remediesIn(manual), {
    'a-b': ['It is `so`.', 'See the manual (operations.md), "A node".'],
    c: ['C.', 'See the manual (operations.md), "Far", or wait.'],
    f: ['F.'],
  })
  t.same(remediesIn(''), {})
})

t.test('the manual has them', async (t) => {
  const manual = readFileSync(new URL('../../../docs/operations.md', import.meta.url), 'utf8')
  const remedies = remediesIn(manual)
  t.ok(Object.keys(remedies).length > 30, `${Object.keys(remedies).length} codes`)
  for (const [code, texts] of Object.entries(remedies)) {
    for (const text of texts) t.ok(text !== '' && !/\]\(|See (above|below)/.test(text), code)
  }
})
