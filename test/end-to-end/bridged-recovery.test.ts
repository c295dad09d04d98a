/**
 * The ledger of a gateway that is a bridge is lost, and rebuilt from the nodes or from a copy. What another broker has
 * kept for it, and what comes over the bridge meanwhile and afterwards, is taken once: nothing of it comes again later.
 */
import { join } from 'node:path'
import t from 'tap'
import { lacksMosquitto, Mosquitto } from '../support/mosquitto.ts'
import { eventually, Fleet, type Run, within } from '../support/processes.ts'
import { BASE, HttpClient, WireClient } from '../support/wire-client.ts'

const GRID = ['--replicas', '1', '--grid', '16x16', '--tile', '4']

t.setTimeout(300_000)
t.jobs = 2

for (const isOfCopy of [false, true]) {
  t.test(
    `nothing comes over a bridge again after a rebuild ${isOfCopy ? 'of a copy' : 'from nodes alone'}`,
    { skip: lacksMosquitto(), buffered: true },
    async (t) => {
      const fleet = new Fleet(t)
      const mosquitto = await Mosquitto.start(fleet, '')
      const gateway = await fleet.gateway(...GRID, '--bridge-url', mosquitto.url)
      const agent = await fleet.agent('edge-1', gateway.url)
      const [user, http] = [await WireClient.connect(mosquitto.url), new HttpClient(gateway.http)]
      const tell = async (x: number, value: number): Promise<void> => {
        t.ok(await user.publish(`${BASE}/cell/value/${x}/0`, `${value}`))
      }
      const cellsAre = (...cells: readonly number[]): Promise<unknown> =>
        eventually(`the cells are ${cells}`, async () => {
          const region = { x: 0, y: 0, w: cells.length, h: 1 }
          const { body } = await http.post({ op: 'get', region }, '?wait=10')
          return JSON.stringify(body.value?.fields.value) === JSON.stringify(cells)
        })
      const filled = {
        op: 'set',
        region: { x: 0, y: 0, w: 16, h: 16 },
        args: { fields: { value: 1 } },
      }
      t.match(await http.run(filled), { state: 'completed' })
      await eventually('the bridge is there', () => gateway.run.stderr.includes('"bridge-up"'))
      await tell(0, 2)
      await cellsAre(2, 1, 1, 1)
      const data = join(fleet.directory, 'another-box')
      const backup = join(fleet.directory, 'ledger.backup')
      const command = async (...argv: readonly string[]): Promise<void> => {
        const run = fleet.start(argv)
        t.match(await within(argv[0]!, run.exited), { code: 0 }, run.stderr)
      }
      if (isOfCopy) await command('backup', backup, '--http', gateway.http)

      await agent.run.kill()
      await gateway.run.kill()
      if (isOfCopy) await command('restore', backup, '--data', data)
      await tell(1, 5)
      const ports = ['--port', `${gateway.port}`, '--http-port', `${gateway.httpPort}`]
      const own = [...ports, '--data', data, ...GRID, '--bridge-url', mosquitto.url]
      const start = async (...words: readonly string[]): Promise<Run> => {
        const run = fleet.start(['gateway', ...words, ...own])
        await run.line('ready ')
        return run
      }
      const rebuilding = await start('recover', '--nodes', '1')
      await tell(2, 6)
      await agent.restart()
      await cellsAre(2, 5, 6, 1)
      await tell(1, 100)
      const add = {
        op: 'add',
        region: { x: 3, y: 0, w: 1, h: 1 },
        args: { field: 'value', value: 1000 },
      }
      // Without an id, by which it would be known.
      t.ok(await user.submit(add))
      await cellsAre(2, 100, 6, 1001)
      const near = await WireClient.connect(gateway.url)
      t.ok(await near.publish(`${BASE}/cell/value/1/0`, '200'))
      await near.close()
      await cellsAre(2, 200, 6, 1001)

      await rebuilding.end('SIGTERM')
      await tell(0, 333)
      await start()
      await cellsAre(333, 200, 6, 1001)
      await user.close()
    },
  )
}
