/** Ghosts over real processes: a version shadows another, differs or is equal, and becomes current. */
import t, { type Test } from 'tap'
import { eventually, Fleet } from '../support/processes.ts'
import { BASE, HttpClient, type Json, WireClient } from '../support/wire-client.ts'

const GRID = ['--grid', '16x16', '--tile', '4', '--fields', 'n:i32,heat:f64', '--replicas', '2']

async function start(t: Test) {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...GRID)
  const http = new HttpClient(gateway.http)
  await fleet.agents(['a', 'b', 'c'], gateway.url)
  const ask = async (method: string, path: string, body?: object): Promise<Json> => {
    const answer = await http.request(path, {
      method,
      headers: { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: Buffer.from(JSON.stringify(body)) }),
    })
    if (answer.status >= 300) throw new Error(`${path}: ${JSON.stringify(answer.body)}`)
    return answer.body as Json
  }
  const define = async (name: string, ...sources: string[]): Promise<void> => {
    for (const source of sources) await ask('PUT', `/api/codex/${name}`, { source })
  }
  const ghostOf = async (name: string): Promise<Json> => {
    return ((await ask('GET', `/api/codex/${name}`)) as Json).ghost
  }
  const wire = await WireClient.connect(gateway.url, `${BASE}/gateway/event`)
  t.teardown(() => wire.close())
  const told = async (code: string): Promise<Json> => {
    const isTold = ({ payload }: { payload: Uint8Array }): boolean => {
      return JSON.parse(payload.toString()).code === code
    }
    return JSON.parse((await wire.next('gateway/event', isTold)).payload.toString())
  }
  return { gateway, http, ask, define, ghostOf, told }
}

t.test('a write is shadowed on copies: one cell that differs is named', async (t) => {
  const { http, ask, define, ghostOf, told } = await start(t)
  await define('up', 'n = n + $p', 'n = n + $p + (if x == 9 and y == 6 then 2 else 0)')
  const begun = await ask('POST', '/api/codex/up/ghost', { version: 2, runs: 3 })
  t.match(begun, { name: 'up', version: 2, beside: 1, state: 'running', equal: 0 })
  const elsewhere = { x: 0, y: 0, w: 8, h: 16 }
  for (let round = 1; round <= 2; round++) {
    await http.run({ op: 'up', region: elsewhere, args: { with: { p: 1 } } })
    t.match(await ghostOf('up'), { state: 'running', equal: round, missed: 0 })
  }
  const { id, value } = await http.run({ op: 'up', args: { with: { p: 5 } } })
  t.same(value, { lsus: 256, written: { n: 256 } })
  t.match(await told('ghost-differs'), {
    ...{ program: 'up', version: 2, beside: 1, task: id, what: 'n', lsu: 6 * 16 + 9 },
    ...{ current: 5, ghost: 7, differ: 1, max_difference: 2 },
  })
  t.match(await ghostOf('up'), {
    ...{ state: 'differs', equal: 2 },
    difference: { task: id, what: 'n', lsu: 105, current: 5, ghost: 7, max_difference: 2 },
  })
  const cells = (await http.run({ op: 'get', args: { fields: ['n'] } })).value.fields.n as number[]
  t.same(
    cells,
    Array.from({ length: 256 }, (_, lsu) => (lsu % 16 < 8 ? 7 : 5)),
    'the cells are those of the current version',
  )
})

t.test('a version that is equal becomes current, through a kill of the gateway', async (t) => {
  const { gateway, http, ask, define, ghostOf } = await start(t)
  await define('up', 'heat = heat + 0.5', 'heat = 0.5 + heat')
  await ask('POST', '/api/codex/up/ghost', { version: 2, runs: 4, promote: 'auto' })
  const run = async (times: number): Promise<void> => {
    for (let count = 0; count < times; count++) await http.run({ op: 'up' })
  }
  await run(2)
  gateway.run.signal('SIGKILL')
  await gateway.run.exited
  await gateway.restart()
  await Promise.all(
    ['a', 'b', 'c'].map((id) => eventually(id, () => http.node(id).catch(() => false))),
  )
  const { equal, missed } = await ghostOf('up')
  t.same([equal, missed], [2, 0], 'what was counted is there')
  await run(2)
  t.match(await ghostOf('up'), { state: 'promoted', equal: 4 })
  const { program } = (await http.run({ op: 'up' })) as Json
  t.equal(program.version, 2)
})

t.test('a read is shadowed in the same visits', async (t) => {
  const { http, ask, define, ghostOf, told } = await start(t)
  await http.run({ op: 'set', args: { fields: { heat: 0.25 } } })
  await define('total', 'return s = sum(heat)', 'return s = sum(heat + 1)')
  await ask('POST', '/api/codex/total/ghost', { version: 2, runs: 1, tolerance: 256 })
  t.same((await http.run({ op: 'total' })).value, { s: 64 })
  t.match(await told('ghost-equal'), { program: 'total', version: 2, beside: 1 })
  t.match(await ghostOf('total'), { state: 'equal', equal: 1 })
  await ask('DELETE', '/api/codex/total/ghost')
  await ask('POST', '/api/codex/total/ghost', { version: 2 })
  t.same((await http.run({ op: 'total' })).value, { s: 64 })
  t.match(await told('ghost-differs'), { what: 's', current: 64, ghost: 320, max_difference: 256 })
})
