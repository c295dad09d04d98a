/** What a gateway that is a bridge clears is gone at the mosquitto, too, whoever was away or killed in between. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { lacksMosquitto, Mosquitto } from '../support/mosquitto.ts'
import { eventually, Fleet } from '../support/processes.ts'
import { BASE, HttpClient, WireClient } from '../support/wire-client.ts'

t.setTimeout(300_000)

const TOLD = [`${BASE}/node/#`, `${BASE}/cell/#`, 'homeassistant/#']

/** Topics of these that something is retained of. */
async function retained(url: string): Promise<string[]> {
  const wire = await WireClient.connect(url, ...TOLD, '$SYS/broker/version')
  await eventually('what comes behind it', () =>
    wire.messages.find(({ topic }) => topic.startsWith('$SYS')),
  )
  await wire.close()
  return wire.messages.filter(({ retain }) => retain).map(({ topic }) => topic)
}

t.test(
  'what was cleared before a gateway was killed is cleared at the mosquitto once both are there',
  { skip: lacksMosquitto() },
  async (t) => {
    const fleet = new Fleet(t)
    const kept = join(fleet.directory, 'kept')
    mkdirSync(kept)
    const mosquitto = await Mosquitto.start(
      fleet,
      `persistence true\npersistence_location ${kept}/`,
    )
    const file = join(fleet.directory, 'gateway.toml')
    const options = (...lines: readonly string[]): void => {
      const own = ['grid = "16x16"', 'tile = 4', 'replicas = 1']
      writeFileSync(file, [...own, ...lines, ''].join('\n'))
    }
    const bridge = `bridge_url = "${mosquitto.url}"`
    const home = 'home_assistant = "homeassistant"'
    options(bridge, home, '[[watch]]', 'field = "value"', 'x = 1', 'y = 1')
    const gateway = await fleet.gateway('--config', file)
    const [http, often] = [new HttpClient(gateway.http), ['--telemetry-interval', '1']]
    const stays = await fleet.agent('stays', gateway.url, ...often)
    const region = { x: 0, y: 0, w: 4, h: 4 }
    await http.run({ op: 'set', region, args: { fields: { value: 7 } } })
    // It holds nothing.
    await fleet.agent('goes', gateway.url, ...often)
    const isToGo = (topic: string): boolean => /goes|\/cell\//.test(topic)
    const there = async (url: string): Promise<string[]> => (await retained(url)).filter(isToGo)
    await eventually('all of it is there', async () => (await there(mosquitto.url)).length === 5)

    // It writes what it keeps.
    await mosquitto.run.end('SIGTERM')
    const drain = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: Buffer.from('{"drain":true,"force":true}'),
    }
    t.equal((await http.request('/api/nodes/goes/drain', drain)).status, 202)
    await eventually('the node is forgotten', async () => {
      const { status } = await http.request('/api/nodes/goes', { method: 'DELETE' })
      return status === 200
    })
    t.match(await there(gateway.url), [/\/cell\//])
    await gateway.run.kill()
    options(bridge, home)
    await gateway.restart()
    await eventually('the cell goes, too', async () => (await there(gateway.url)).length === 0)
    // Who has its acknowledgement knows that all before it is on disk.
    const wire = await WireClient.connect(gateway.url)
    t.ok(await wire.publish('site/mark', 'x', true))
    await wire.close()
    await gateway.run.kill()

    await mosquitto.restart()
    t.equal((await there(mosquitto.url)).length, 5, 'nobody has told it')
    options(home)
    await gateway.restart()
    await gateway.run.kill()
    t.match(gateway.run.stderr, '5 topics are still to be cleared', 'it is not forgotten')
    options(bridge, home)
    await gateway.restart()
    await eventually('all of it is gone', async () => (await there(mosquitto.url)).length === 0)
    await eventually('the other node is there', async () =>
      (await retained(mosquitto.url)).includes(`${BASE}/node/stays/state`),
    )
    t.notOk(stays.run.hasExited)

    const isForHome = (topic: string): boolean => topic.startsWith('homeassistant/')
    t.ok((await retained(mosquitto.url)).some(isForHome))
    await gateway.run.end('SIGTERM')
    options(bridge)
    await gateway.restart()
    await eventually('Home Assistant is told nothing any more', async () =>
      (await retained(mosquitto.url)).every((topic) => !isForHome(topic)),
    )
    await gateway.run.end('SIGTERM')
    options()
    await gateway.restart()
    t.notMatch(gateway.run.stderr, 'still to be cleared')
  },
)
