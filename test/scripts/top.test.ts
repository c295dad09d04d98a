/** `obelisk top`: its keys, what fits into a terminal, and the whole of it against a gateway's HTTP door. */
import { EventEmitter } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { runCommand } from '../../scripts/commands/program.ts'
import { pressed, type TopState } from '../../scripts/commands/top-keys.ts'
import { nodeTable, screenOf, type TopFacts } from '../../scripts/commands/top-screen.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import type { NodeView } from '../../shared/protocol/views.ts'
import { VERSION } from '../../shared/runtime/version.ts'
import { eventually, within } from '../support/processes.ts'
import { check } from '../support/property.ts'
import { command } from '../support/secured-gateway.ts'

const ESCAPE = '\u001b'
const ESCAPES = new RegExp(`${ESCAPE}\\[[?0-9;]*[A-Za-z]`, 'g')
const plain = (text: string): string => text.replace(ESCAPES, '')
const START: TopState = { pane: 'nodes', sort: 'state', filter: '', isTyping: false, row: 0 }

function node(id: string, more: object = {}): NodeView {
  return {
    id: id as NodeId,
    ...{
      state: 'alive',
      connected: true,
      weight: 1,
      tiles: 2570,
      tiles_written: 2,
      incarnation: 1,
    },
    ...{ heard_ts: 1_000, behind: 4 },
    telemetry: {
      cpu_percent: 41.2,
      mem_total_bytes: 400,
      mem_available_bytes: 300,
      temp_celsius: 48,
      broker_rtt_ms: 6.4,
    },
    ...more,
  } as NodeView
}

function after(state: TopState, keys: string, ids = ['a', 'b']) {
  const deeds: object[] = []
  for (const key of keys) {
    const next = pressed(state, key, ids)
    state = next.state
    if (next.deed !== undefined) deeds.push(next.deed)
  }
  return { state, deeds }
}

t.test('keys do what the line at the foot says', (t) => {
  t.same(after(START, 'q').deeds, [{ do: 'quit' }])
  t.match(
    after(START, '/q1\b'),
    { state: { filter: 'q', isTyping: true }, deeds: [] },
    'q never quits while typing',
  )
  t.match(after(START, '/x\rq'), {
    state: { filter: 'x', isTyping: false },
    deeds: [{ do: 'quit' }],
  })
  t.match(after(START, '/x\u001b').state, { filter: '', isTyping: false })
  t.same(after(START, '/\u0003').deeds, [{ do: 'quit' }], 'Ctrl-C does')
  t.match(after(START, 's').state, { sort: 'heard' })
  t.match(after(START, 't').state, { pane: 'tasks' })
  t.match(after(START, 'tt').state, { pane: 'nodes' })
  t.match(after(START, 'm').state, { pane: 'moves' })
  t.match(after(START, 'e').state, { pane: 'events' })
  t.match(after(START, 'jjj\r').state, { pane: 'node', row: 1 }, 'the last row')
  t.match(after(START, 'jkk').state, { row: 0 })
  t.same(after(START, 'jdy').deeds, [{ do: 'drain', node: 'b' }])
  t.same(after(START, 'dn').deeds, [], 'only if it is confirmed')
  t.same(after(START, 'td').state, after(START, 't').state, 'what is shown there is no node')
  t.same(after(START, 'd', []).state, START)
  t.end()
})

t.test('whatever there is fits into the terminal', (t) => {
  const text = fc.string({ unit: 'binary', maxLength: 100 })
  const view = fc
    .record({
      id: text,
      state: fc.constantFrom('alive', 'suspect', 'dead', 'left'),
      tiles: fc.nat(),
      behind: fc.option(fc.nat(), { nil: undefined }),
      draining: fc.option(fc.constant(true), { nil: undefined }),
      telemetry: fc.option(
        fc.record({ cpu_percent: fc.option(fc.double()), broker_rtt_ms: fc.double() }),
        { nil: undefined },
      ),
    })
    .map((more) => node('x', more))
  const panes = fc.constantFrom('nodes', 'node', 'tasks', 'moves', 'events') as fc.Arbitrary<
    TopState['pane']
  >
  const size = { rows: fc.integer({ min: 4, max: 50 }), columns: fc.integer({ min: 80, max: 200 }) }
  const rule = fc.property(
    fc.array(view, { maxLength: 60 }),
    panes,
    fc.record(size),
    fc.nat(70),
    text,
    (nodes, pane, at, row, said) => {
      const tasks = [
        {
          id: said,
          op: said,
          state: 'running',
          shards: { total: 2, done: 1, failed: 0 },
          ts: 1,
          accepted_ts: 1,
        },
      ]
      const facts = {
        address: 'https://gw',
        nodes,
        total: nodes.length,
        troubled: 1,
        notes: [said, `${said} ${said}`],
        tasks,
        moves: undefined,
        events: [said, said],
        away: undefined,
        said,
      } as unknown as TopFacts
      for (const isTTY of [true, false]) {
        const none = { write: () => {}, isTTY }
        const streams = { stdout: none, stderr: none, stdin: nothing(), environment: {} }
        const lines = screenOf({ ...START, pane, row }, facts, { ...at, nowMs: 60_000 }, streams)
        if (lines.length !== at.rows) return false
        if (lines.some((line) => plain(line).length > at.columns)) return false
      }
      return true
    },
  )
  check(t, rule, 200)
  t.end()
})

async function* nothing(): AsyncGenerator<string> {}

t.test('a table of nodes has 80 columns', (t) => {
  const none = { write: () => {} }
  const streams = { stdout: none, stderr: none, stdin: nothing(), environment: {} }
  const nodes = [
    node('edge-1'),
    node('edge-with-a-very-long-name', {
      state: 'dead',
      telemetry: undefined,
      heard_ts: undefined,
    }),
  ]
  const lines = nodeTable(nodes, 3_000, streams)
  t.same(lines, [
    'NODE                STATE         HEARD   TILES  BEHIND  CPU%  MEM%   °C    TRIP',
    'edge-1              alive           2 s    2570       4    41    25   48    6 ms',
    'edge-with-a-very-l… dead                   2570       4',
  ])
  t.ok(lines.every((line) => line.length <= 80))
  t.same(
    nodeTable(nodes.slice(0, 1), 3_000, streams, 60),
    [
      'NODE               STATE         HEARD   TILES  BEHIND  CPU%',
      'edge-1             alive           2 s    2570       4    41',
    ],
    'what has no room is left out',
  )
  t.end()
})

/** A gateway with two nodes, one of which goes when it is told to. */
async function served(t: import('tap').Test) {
  const asked: string[] = []
  const server = createServer(async (request, response) => {
    for await (const _ of request);
    asked.push(`${request.method} ${request.url}`)
    const { pathname, searchParams } = new URL(request.url!, 'http://gw')
    if (pathname === '/api/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const event = { type: 'event', ts: 0, level: 'warn', message: 'the moon rose' }
      response.write(`event: opened\nid: a-0\ndata: {}\n\ndata: ${JSON.stringify(event)}\n\n`)
      return
    }
    if (pathname.endsWith('/drain')) return void response.end('{"id":"edge-2"}')
    if (pathname === '/api/detector') {
      return void response.end('{"doubts":[],"tiles_missing":2714}')
    }
    if (pathname !== '/api/nodes')
      return void response.writeHead(404).end('{"code":"not-found","detail":"no"}')
    const nodes = [node('edge-1'), node('edge-2', { state: 'dead', troubled: true })]
    const found = nodes.filter(({ id }) => id.includes(searchParams.get('q')!))
    response.writeHead(200, { 'x-total-count': found.length }).end(JSON.stringify(found))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return { asked, http: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

t.test('once, for a pipe', async (t) => {
  const { http, asked } = await served(t)
  const { code, stdout } = await command([
    'top',
    '--once',
    '--sort',
    'cpu',
    '--filter',
    '-1',
    '--http',
    http,
  ])
  t.equal(code, 0)
  t.match(stdout.split('\n'), [/^NODE/, /^edge-1 /, /^nobody has 2714 tiles/, ''])
  t.match(asked, [/sort=-cpu&q=-1/])
  t.match(JSON.parse((await command(['top', '--json', '--http', http])).stdout), [
    { id: 'edge-1' },
    { id: 'edge-2' },
  ])
  t.match(await command(['top', '--sort', 'height', '--http', http]), {
    code: 2,
    stderr: /none of id, state/,
  })
  t.match(await command(['top', '--http', 'http://127.0.0.1:1']), { code: 69 })
})

function inTerminal(http: string) {
  let screen = ''
  const raw: boolean[] = []
  const stdin = Object.assign(new EventEmitter(), {
    isTTY: true,
    setRawMode: (isRaw: boolean) => raw.push(isRaw),
  })
  const stdout = { isTTY: true, rows: 10, columns: 80, write: (text: string) => (screen += text) }
  const streams = { stdout, stderr: stdout, stdin, environment: { NO_COLOR: '1' } }
  const running = runCommand(['top', '--http', http], streams as never, VERSION)
  const shows = async (what: RegExp): Promise<void> => {
    await eventually(`${what}`, () => what.test(plain(screen)))
    screen = ''
  }
  const type = (keys: string): void => void stdin.emit('data', Buffer.from(keys))
  return { running, shows, type, raw, rest: () => screen }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  t.test(`${signal} gives the terminal back as it was`, async (t) => {
    const { http } = await served(t)
    const before = process.rawListeners(signal)
    const { running, shows, raw, rest } = inTerminal(http)
    await shows(/2 nodes/)
    // Those of the test end this process.
    for (const listener of process.rawListeners(signal)) {
      if (!before.includes(listener)) listener.call(process, signal)
    }
    t.equal(await within('its end', running), 130)
    t.same(raw, [true, false])
    t.ok(rest().endsWith(`${ESCAPE}[?25h${ESCAPE}[?1049l`), 'and nothing is said')
  })
}

t.test('in a terminal, until q', async (t) => {
  const { http, asked } = await served(t)
  const { running, shows, type, raw } = inTerminal(http)
  await shows(
    /2 nodes, 1 in trouble[\s\S]*nobody has 2714 tiles[\s\S]*obelisk ring[\s\S]*>dge-1[\s\S]*edge-2 +dead[\s\S]*q quit/,
  )
  type('\u001b[B')
  await shows(/>dge-2/)
  type('d')
  await shows(/empty edge-2, so that it can go\? y\/n/)
  type('y')
  await shows(/edge-2 drains/)
  t.ok(asked.includes('POST /api/nodes/edge-2/drain'))
  type('e')
  await shows(/warn {3}the moon rose/)
  type('t')
  await shows(/not-found: no/)
  type('/1\r')
  await shows(/1 node [\s\S]*\/1/)
  type('q')
  t.equal(await within('its end', running), 0)
  t.same(raw, [true, false], 'the terminal is as it was')
})
