/** The dashboard of docs/examples, by the types that Grafana publishes of dashboards. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { CHECKOUT } from '../../scripts/package/checkout.ts'
import { GRAFANA_TYPES } from './programs.ts'

const PATH = join(CHECKOUT, '.tap/others/dashboard.mts')

/** What is wrong with it. */
function problemsOf(dashboard: object): string[] {
  const { panels, ...rest } = dashboard as { panels: object[] }
  const lines = [
    `import type { Dashboard, Panel } from '${GRAFANA_TYPES}'`,
    `export const rest: Omit<Dashboard, 'panels'> = ${JSON.stringify(rest)}`,
    // Each by itself: as one of a union its members would not be looked at.
    ...panels.map((one, at) => `export const panel${at}: Panel = ${JSON.stringify(one)}`),
  ]
  mkdirSync(dirname(PATH), { recursive: true })
  writeFileSync(PATH, lines.join('\n'))
  const options = {
    ...{ module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2023, strict: true },
    ...{ noEmit: true, skipLibCheck: true, types: [] },
  }
  return ts
    .getPreEmitDiagnostics(ts.createProgram([PATH], options))
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
}

t.test('the dashboard is one by the types of Grafana', async (t) => {
  const file = new URL('../../docs/examples/grafana.json', import.meta.url)
  const dashboard = JSON.parse(readFileSync(file, 'utf8'))
  t.same(problemsOf(dashboard), [])
  const [panel] = dashboard.panels
  t.equal(problemsOf({ ...dashboard, panels: [{ ...panel, gridPos: { x: '0' } }] }).length, 1)
})
