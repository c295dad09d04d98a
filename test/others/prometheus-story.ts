/** Prometheus scrapes a gateway by the job of docs/examples, and answers what the dashboard asks. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { eventually, Fleet, freePort, type Gateway } from '../support/processes.ts'
import { HttpClient } from '../support/wire-client.ts'

const example = (name: string): string =>
  readFileSync(new URL(`../../docs/examples/${name}`, import.meta.url), 'utf8')

t.setTimeout(300_000)

async function site(t: Test): Promise<{ readonly fleet: Fleet; readonly gateway: Gateway }> {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway('--grid', '64x64', '--replicas', '1')
  await fleet.agent('edge-1', gateway.url, '--telemetry-interval', '1')
  return { fleet, gateway }
}

t.test('promtool finds nothing to say of the metrics', async (t) => {
  const { gateway } = await site(t)
  const http = new HttpClient(gateway.http)
  await http.run({ op: 'stat', args: { field: 'value' } })
  await http.post({ op: 'nothing' })
  const told = async () => (await http.metric('obelisk_node_memory_total_bytes')) > 0
  await eventually('what the node tells of itself', told)
  const { text } = await http.get('/metrics')
  const check = (input: string) =>
    spawnSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8' })
  const { status, stdout, stderr } = check(text)
  t.equal(status, 0, `${stdout}${stderr}`)
  t.not(check('# TYPE wrong_total gauge\nwrong_total 1\n').status, 0)
})

t.test('Prometheus has the gateway, and answers each question of the dashboard', async (t) => {
  const { fleet, gateway } = await site(t)
  const folder = join(fleet.directory, 'prometheus')
  mkdirSync(folder)
  const file = join(folder, 'prometheus.yml')
  const job = example('prometheus.yml')
    .replace('127.0.0.1:8025', `127.0.0.1:${gateway.httpPort}`)
    .replace('scrape_interval: 15s', 'scrape_interval: 1s')
  writeFileSync(file, job)
  const port = await freePort()
  const own = ['--config.file', file, '--storage.tsdb.path', join(folder, 'data')]
  fleet.command('prometheus', [...own, '--web.listen-address', `127.0.0.1:${port}`])
  const prometheus = new HttpClient(`http://127.0.0.1:${port}`)
  const ask = async (query: string): Promise<{ value: [number, string] }[]> => {
    const path = `/api/v1/query?query=${encodeURIComponent(query)}`
    return (await prometheus.get(path)).data.result
  }
  await eventually('the gateway is up', async () => {
    const found = await ask('up{job="obelisk"}').catch(() => [])
    return found[0]?.value[1] === '1'
  })
  const { panels } = JSON.parse(example('grafana.json')) as {
    panels: { targets: { expr: string }[] }[]
  }
  const exprs = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))
  t.ok(exprs.length >= 15)
  for (const expr of exprs) {
    // Of a board without a thermometer there is nothing, and of one sample no rate.
    const mayLack = /temperature|rate\(|increase\(/.test(expr)
    const query = expr.replaceAll('$node', '.*')
    const found = mayLack
      ? await ask(query)
      : await eventually(expr, async () => {
          const some = await ask(query)
          return some.length > 0 && some
        })
    t.ok(Array.isArray(found), expr)
  }
})
