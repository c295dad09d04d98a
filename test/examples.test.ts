/** The examples for programs of others name what there is: metrics, topics, tasks, and each other's nodes. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { Metrics } from '../broker/adapters/metrics.ts'
import { parseFields } from '../shared/grid/fields.ts'
import { Geometry } from '../shared/grid/geometry.ts'
import { parseSubmission } from '../shared/protocol/task.ts'
import { TELEMETRY_NUMBERS } from '../shared/protocol/telemetry.ts'
import { parseTopic, TOPIC_BASE_DEFAULT } from '../shared/protocol/topics.ts'

function example(name: string): string {
  return readFileSync(new URL(`../docs/examples/${name}`, import.meta.url), 'utf8')
}

function isTopic(filter: string): boolean {
  return parseTopic(TOPIC_BASE_DEFAULT, filter.replaceAll('+', 'x')) !== undefined
}

interface Panel {
  readonly id: number
  readonly title: string
  readonly targets: readonly { readonly expr: string }[]
  readonly gridPos: { readonly x: number; readonly y: number }
}

t.test('the dashboard of Grafana asks for metrics that there are', async (t) => {
  const nothing = {
    mqtt: { dropped: {}, refused: {} },
    httpRefused: {},
    cellsRefused: {},
    security: {},
  }
  const snapshot = () => ({ nodes: [], counts: {}, ...nothing })
  const text = await new Metrics({ version: '0', nodesMax: 1 }, snapshot).render()
  const known = new Set([...text.matchAll(/^# TYPE (\w+) /gm)].map((match) => match[1]!))
  const { panels, templating } = JSON.parse(example('grafana.json')) as {
    panels: Panel[]
    templating: { list: { name: string }[] }
  }
  const asked = [...example('grafana.json').matchAll(/\bobelisk_\w+/g)].map(([name]) => name)
  t.ok(new Set(asked).size >= 20, `${new Set(asked).size} metrics`)
  t.same(
    asked.filter((name) => !known.has(name)),
    [],
  )
  const exprs = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))
  t.ok(exprs.every((expr) => /obelisk_/.test(expr)))
  const variables = exprs.flatMap((expr) => [...expr.matchAll(/\$(\w+)/g)].map((match) => match[1]))
  const names = templating.list.map(({ name }) => name)
  t.same(
    variables.filter((name) => !names.includes(name!)),
    [],
  )
  const places = panels.map(({ gridPos: { x, y } }) => `${x},${y}`)
  t.equal(new Set(places).size, panels.length, 'none lies on another')
  t.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
})

interface FlowNode {
  readonly id: string
  readonly type: string
  readonly z?: string
  readonly topic?: string
  readonly broker?: string
  readonly payload?: string
  readonly wires?: readonly (readonly string[])[]
}

t.test('the flow of Node-RED hangs together, and its task is taken', async (t) => {
  const flow = JSON.parse(example('node-red.json')) as FlowNode[]
  const ids = new Set(flow.map(({ id }) => id))
  t.equal(ids.size, flow.length)
  for (const { id, type, z, topic = '', broker, wires = [] } of flow) {
    for (const wired of wires.flat()) t.ok(ids.has(wired), `${id} is wired to ${wired}`)
    if (z !== undefined) t.equal(z, flow.find((node) => node.type === 'tab')!.id)
    if (!/^mqtt (in|out)$/.test(type)) continue
    t.ok(isTopic(topic), topic)
    t.equal(flow.find((node) => node.id === broker)?.type, 'mqtt-broker')
  }
  const fields = parseFields('value:f64')
  const geometry = new Geometry({ width: 1024, height: 1024, tile: 16 })
  const grid = { geometry, fields: 'fields' in fields ? fields.fields : [] }
  const { payload = '' } = flow.find(({ type }) => type === 'inject')!
  t.match(parseSubmission(Buffer.from(payload), grid), { ok: true })
})

t.test('the lines of Telegraf name a topic and members of it', async (t) => {
  const text = example('telegraf.conf')
  const settingOf = (key: string): string => new RegExp(`^ *${key} = (.*)$`, 'm').exec(text)![1]!
  const topics = JSON.parse(settingOf('topics')) as string[]
  t.same(
    topics.map((topic) => parseTopic(TOPIC_BASE_DEFAULT, topic.replace('+', 'x'))?.kind),
    ['node-telemetry-json'],
  )
  t.same(JSON.parse(settingOf('tag_keys')), ['node'])
  t.ok(TELEMETRY_NUMBERS.includes(JSON.parse(settingOf('json_time_key'))))
  t.equal(settingOf('json_time_format'), '"unix_ms"')
})
