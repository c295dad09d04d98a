import t from 'tap'
import { type GatewaySnapshot, Metrics } from '../../../broker/adapters/metrics.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import type { NodeView } from '../../../shared/protocol/views.ts'

const NONE: GatewaySnapshot = {
  nodes: [],
  counts: {},
  mqtt: { dropped: {}, refused: {} },
  httpRefused: {},
  cellsRefused: {},
  security: {},
}

function node(id: string, state: NodeView['state'], stream?: NodeView['stream']): NodeView {
  const view = {
    id: id as NodeId,
    state,
    connected: true,
    weight: 1,
    tiles: 5,
    tiles_written: 2,
    incarnation: 1,
  }
  return stream === undefined ? view : { ...view, stream }
}

t.test('what is named a total is one', async (t) => {
  const text = await new Metrics({ version: '0', nodesMax: 1 }, () => NONE).render()
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => ({
    name,
    type,
  }))
  t.ok(types.length > 50)
  t.same(
    types.filter(({ name, type }) => name!.endsWith('_total') !== (type === 'counter')),
    [],
  )
})

t.test('gauges show the moment of the scrape', async (t) => {
  let snapshot: GatewaySnapshot = {
    nodes: [[node('pi-1', 'alive', { head: 9, acked: 7 })], [node('pi-2', 'dead')]],
    counts: { openBytes: 12, readsReissued: 3, movesOpen: 2, movedBytes: 4096 },
    mqtt: { dropped: { 'topic-not-allowed': 2 }, refused: { 'filters-full': 1 } },
    httpRefused: { silent: 3 },
    cellsRefused: { 'not-granted': 5 },
    security: { 'enroll-refused': 4 },
  }
  const metrics = new Metrics({ version: '1.2.3', nodesMax: 2 }, () => snapshot)
  const text = await metrics.render()
  for (const line of [
    'obelisk_build_info{version="1.2.3"} 1',
    'obelisk_nodes{state="alive"} 1',
    'obelisk_nodes{state="dead"} 1',
    'obelisk_nodes{state="left"} 0',
    'obelisk_node_up{node="pi-1"} 1',
    'obelisk_node_up{node="pi-2"} 0',
    'obelisk_node_tiles{node="pi-2"} 5',
    'obelisk_node_behind_entries{node="pi-1"} 2',
    'obelisk_open_body_bytes 12',
    'obelisk_reads_reissued_total 3',
    'obelisk_moves_open 2',
    'obelisk_moved_bytes_total 4096',
    '# TYPE obelisk_moved_bytes_total counter',
    '# TYPE obelisk_reads_reissued_total counter',
    'obelisk_mqtt_dropped_total{reason="topic-not-allowed"} 2',
    'obelisk_mqtt_refused_total{reason="filters-full"} 1',
    'obelisk_http_refused_total{reason="silent"} 3',
    'obelisk_security_events_total{event="enroll-refused"} 4',
  ]) {
    t.ok(text.includes(`${line}\n`), line)
  }
  t.notMatch(text, /^obelisk_sequence /m, 'what was not measured has no line')
  snapshot = { ...NONE, nodes: [[node('pi-1', 'alive')]], counts: { readsReissued: 4 } }
  const next = await metrics.render()
  t.notMatch(next, 'pi-2', 'a node that is gone leaves no line')
  t.ok(next.includes('obelisk_reads_reissued_total 4\n'))
})

t.test('notices are counted by code, task ends by state, refusals by reason', async (t) => {
  const metrics = new Metrics({ version: '1', nodesMax: 2 }, () => NONE)
  const ended = { level: 'info' as const, code: 'task-ended', message: '' }
  metrics.recordNotice({ ...ended, fields: { task: 't1', op: 'stat', state: 'completed' } })
  metrics.recordNotice({ ...ended, fields: { task: 't2', op: 'stat', state: 'completed' } })
  const fields = { reason: 'overloaded', via: 'mqtt', client: 'someone' }
  metrics.recordNotice({ level: 'warn', code: 'task-rejected', message: '', fields })
  const text = await metrics.render()
  for (const line of [
    'obelisk_events_total{code="task-ended",level="info"} 2',
    'obelisk_tasks_ended_total{state="completed",op="stat"} 2',
    'obelisk_tasks_rejected_total{reason="overloaded",via="mqtt"} 1',
  ]) {
    t.ok(text.includes(`${line}\n`), line)
  }
  t.notMatch(text, /t1|someone/, 'no label without a bound')
})

t.test('two gateways in one process do not share numbers', async (t) => {
  const snapshot = () => NONE
  const [one, two] = [
    new Metrics({ version: '1', nodesMax: 2 }, snapshot),
    new Metrics({ version: '1', nodesMax: 2 }, snapshot),
  ]
  one.recordNotice({ level: 'info', code: 'node-joined', message: '' })
  t.match(await one.render(), 'node-joined')
  t.notMatch(await two.render(), 'node-joined')
})

t.test(
  'what nodes told of themselves has the base units, and no line where it is not known',
  async (t) => {
    const telemetry = { cpu_percent: 41, broker_rtt_ms: 6, temp_celsius: null, net_rx_bytes: 7 }
    const told = ['pi-1', 'pi-2', 'pi-3'].map((id) => ({ ...node(id, 'alive'), telemetry }))
    const nodes = [{ ...told[0]!, heard_ts: Date.now() - 5000 }, node('pi-2', 'dead'), told[2]!]
    const text = await new Metrics({ version: '1', nodesMax: 2 }, () => ({
      ...NONE,
      nodes: [nodes],
    })).render()
    for (const line of [
      'obelisk_node_cpu_ratio{node="pi-1"} 0.41',
      'obelisk_node_round_trip_seconds{node="pi-1"} 0.006',
      '# TYPE obelisk_node_network_receive_bytes_total counter',
      'obelisk_node_network_receive_bytes_total{node="pi-1"} 7',
      '# TYPE obelisk_node_temperature_celsius gauge',
    ]) {
      t.ok(text.includes(`${line}\n`), line)
    }
    t.match(text, /^obelisk_node_heard_age_seconds\{node="pi-1"\} [56](\.\d+)?$/m)
    t.notMatch(text, /temperature_celsius\{|cpu_ratio\{node="pi-2"|cpu_ratio\{node="pi-3"/)
    t.match(text, /^obelisk_node_up\{node="pi-3"\} 1$/m, 'whether it is there is shown of each')
  },
)

t.test('a large fleet is told in slices, and each node once', async (t) => {
  const nodes = Array.from({ length: 1201 }, (_, at) => ({
    ...node(`pi-${at}`, 'alive', { head: at, acked: 0 }),
    telemetry: { ts: 1, cpu_percent: at / 100 } as NonNullable<NodeView['telemetry']>,
  }))
  const metrics = new Metrics({ version: '1.2.3', nodesMax: 1000 }, () => ({
    ...NONE,
    nodes: [nodes],
  }))
  let turns = 0
  let isDone = false
  const turn = (): void => {
    turns += 1
    if (!isDone) setImmediate(turn)
  }
  setImmediate(turn)
  const text = await metrics.render()
  isDone = true
  t.ok(turns > 20, `${turns} turns for others`)
  const lines = text.split('\n')
  for (const [start, count] of [
    ['obelisk_node_up{', 1201],
    ['obelisk_node_behind_entries{', 1201],
    ['obelisk_node_cpu_ratio{', 1000],
  ] as const) {
    const own = lines.filter((line) => line.startsWith(start))
    t.equal(new Set(own).size, count, start)
    t.equal(own.length, count, start)
  }
  t.ok(lines.includes('obelisk_node_behind_entries{node="pi-1200"} 1200'))
  t.ok(lines.includes('obelisk_node_cpu_ratio{node="pi-999"} 0.0999'))
})

t.test('rows of nodes are made a slice a turn', async (t) => {
  const turnsAt: number[] = []
  let turns = 0
  let isDone = false
  const turn = (): void => {
    turns += 1
    if (!isDone) setImmediate(turn)
  }
  const nodes = (function* () {
    for (let at = 0; at < 10; at++) {
      turnsAt.push(turns)
      yield [node(`pi-${at}`, 'alive')]
    }
  })()
  const metrics = new Metrics({ version: '1', nodesMax: 10 }, () => ({ ...NONE, nodes }))
  setImmediate(turn)
  const text = await metrics.render()
  isDone = true
  t.equal(new Set(turnsAt).size, 10, `after turns ${turnsAt}`)
  t.ok(text.includes('obelisk_nodes{state="alive"} 10\n'))
})
