import t from 'tap'
import type { NodeRow } from '../../../../broker/dashboard/answers.ts'
import {
  behindOf,
  choiceOf,
  chosenRows,
  conditionOf,
  countsOf,
  isTroubled,
  memoryOf,
  queryOf,
} from '../../../../broker/dashboard/fleet/rows.ts'

function row(id: string, more: Partial<NodeRow> = {}): NodeRow {
  const figures = { weight: 1, tiles: 4, tiles_written: 4, incarnation: 1 }
  return { id, state: 'alive', connected: true, ...figures, ...more }
}

const FLEET = [
  row('edge-10', { tiles: 7, telemetry: { cpu_percent: 5 } }),
  row('edge-2', { state: 'dead', tiles: 0 }),
  row('edge-1', { state: 'suspect', telemetry: { cpu_percent: 80 } }),
  row('pi', { draining: true, telemetry: { cpu_percent: null } }),
  row('old', { stopped: { code: 'disk-full', message: '' }, telemetry: { cpu_percent: 5 } }),
]

const shown = (query: Record<string, string>): string =>
  chosenRows(FLEET, choiceOf(query))
    .map(({ id }) => id)
    .join(' ')

t.test('rows are sorted as people count, each way, and what is not known comes last', async (t) => {
  t.equal(shown({}), 'edge-1 edge-2 edge-10 old pi')
  t.equal(shown({ down: '1' }), 'pi old edge-10 edge-2 edge-1')
  t.equal(shown({ sort: 'cpu' }), 'edge-10 old edge-1 edge-2 pi')
  t.equal(shown({ sort: 'cpu', down: '1' }), 'edge-1 edge-10 old edge-2 pi')
  t.equal(shown({ sort: 'tiles', down: '1' }).split(' ')[0], 'edge-10')
  t.equal(shown({ sort: 'state' }), 'edge-2 edge-1 old pi edge-10', 'the worst first')
  t.equal(shown({ sort: 'constructor' }), shown({}), 'what is no column is none')
})

t.test('troubles, and what is looked for, are found', async (t) => {
  t.equal(shown({ troubles: '1' }), 'edge-1 edge-2 old')
  t.equal(shown({ find: ' EDGE' }), 'edge-1 edge-2 edge-10')
  t.equal(shown({ find: 'drain' }), 'pi')
  t.equal(shown({ find: 'disk-full' }), 'old')
  t.equal(shown({ find: 'nothing' }), '')
})

t.test('a node is in one condition, the worst one', async (t) => {
  const words = FLEET.map((node) => conditionOf(node).word)
  t.same(words, ['alive', 'dead', 'suspect', 'draining', 'stopped: disk-full'])
  t.equal(conditionOf(row('a', { quarantined: true })).word, 'comes and goes')
  t.equal(conditionOf(row('a', { state: 'left', draining: true })).word, 'left')
  t.ok(isTroubled(row('a', { quarantined: true })))
  t.notOk(isTroubled(row('a', { state: 'left' })))
})

t.test('figures are taken from what the node told, if it did', async (t) => {
  t.equal(behindOf(row('a')), undefined)
  t.equal(behindOf(row('a', { stream: { head: 9, acked: 4 } })), 5)
  t.equal(memoryOf(row('a')), undefined)
  t.equal(
    memoryOf(row('a', { telemetry: { mem_total_bytes: 0, mem_available_bytes: 0 } })),
    undefined,
  )
  t.equal(
    memoryOf(row('a', { telemetry: { mem_total_bytes: 8, mem_available_bytes: null } })),
    undefined,
  )
  t.equal(memoryOf(row('a', { telemetry: { mem_total_bytes: 8, mem_available_bytes: 6 } })), 25)
})

t.test('rows are counted, and asked for in the words of the gateway', async (t) => {
  const left = row('gone', { state: 'left' })
  t.same(countsOf([...FLEET, left]), { all: 6, members: 5, alive: 3, troubled: 3 })
  const asked = (query: Record<string, string>): string => queryOf(choiceOf(query))
  t.equal(asked({}), 'sort=id&limit=100&offset=0')
  t.equal(asked({ page: '3', sort: 'temp', down: '1' }), 'sort=-temperature&limit=100&offset=200')
  t.equal(asked({ sort: 'heard' }), 'sort=-heard&limit=100&offset=0', 'the last that was heard')
  t.equal(asked({ sort: 'heard', down: '1' }), 'sort=heard&limit=100&offset=0')
  t.equal(asked({ troubles: '1', find: ' a&b ' }).slice(0, 21), 'troubles=true&q=a%26b')
  for (const page of ['0', '-1', 'x', '1e3', '99999']) t.equal(choiceOf({ page }).page, 0, page)
})
