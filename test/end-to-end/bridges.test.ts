/** A real Mosquitto beside a gateway, with the lines that docs/integrations.md shows. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Markdown } from '../support/markdown.ts'
import { lacksMosquitto, Mosquitto } from '../support/mosquitto.ts'
import {
  type Agent,
  eventually,
  Fleet,
  freePort,
  type Gateway,
  type Run,
} from '../support/processes.ts'
import { Secured } from '../support/secured-fleet.ts'
import { BASE, HttpClient, isEnd, type Message, WireClient } from '../support/wire-client.ts'

const PAGE = new URL('../../docs/integrations.md', import.meta.url)
const STAT = { op: 'stat', args: { field: 'value' } }

t.setTimeout(300_000)

interface Site {
  readonly fleet: Fleet
  readonly gateway: Gateway
  readonly agent: Agent
  readonly mosquitto: Mosquitto
}

/** The page's lines, as pasted but for name and port. */
async function bridged(t: Test, lines = ''): Promise<Site> {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway('--replicas', '1', '--grid', '64x64')
  const agent = await fleet.agent('edge-1', gateway.url, '--telemetry-interval', '1')
  const { blocks } = new Markdown(readFileSync(PAGE, 'utf8')).section('The Mosquitto as the bridge')
  const shown = blocks.find(({ language }) => language === 'conf')!.text
  const here = shown.replace('gw.local:1883', `127.0.0.1:${gateway.port}`)
  // It would wait up to half a minute before it tries again.
  const mosquitto = await Mosquitto.start(fleet, `${here}\nrestart_timeout 1\n${lines}`)
  return { fleet, gateway, agent, mosquitto }
}

/** What of a topic below the base is retained at a broker. */
async function retained(url: string, topic: string): Promise<Message | undefined> {
  const wire = await WireClient.connect(url, `${BASE}/${topic}`, `$SYS/broker/version`)
  await eventually('what comes behind it', () =>
    wire.messages.find(({ topic }) => topic.startsWith('$SYS')),
  )
  await wire.close()
  return wire.of(topic).find(({ retain }) => retain)
}

const isCompleted = async (url: string, task: string): Promise<boolean> => {
  const message = await retained(url, `task/${task}/state`)
  if (message === undefined) return false
  const { state } = JSON.parse(message.payload.toString())
  if (isEnd(state) && state !== 'completed') throw new Error(`${task} is ${state}`)
  return state === 'completed'
}

t.test(
  'a mosquitto that is a bridge shows the fleet, and keeps what is retained',
  { skip: lacksMosquitto() },
  async (t) => {
    const { gateway, mosquitto } = await bridged(t, 'topic site/# both 1')
    const early = await WireClient.connect(mosquitto.url, '#')
    const telemetry = 'node/edge-1/telemetry/json'
    const { ts } = await early.nextJson(telemetry)
    await early.nextJson(telemetry, (next) => next.ts > ts + 1000)
    const late = await retained(mosquitto.url, telemetry)
    t.ok(JSON.parse(late!.payload.toString()).ts > ts, 'the newest is retained, not the first')
    t.equal((await retained(mosquitto.url, 'node/edge-1/state'))?.payload.toString(), 'online')
    t.ok(await retained(mosquitto.url, 'node/edge-1/info'))

    t.ok(await early.submit({ id: 'far', ...STAT }))
    t.match(await early.end('far'), { state: 'completed' })
    await early.nextJson('task/far/result/json')
    const result = await retained(mosquitto.url, 'task/far/result/json')
    t.ok(result, 'who comes later has the result')
    await early.submit({ id: 'wrong', op: 'nothing' })
    t.match(await early.nextJson('task/rejected'), { id: 'wrong' })

    const there = await WireClient.connect(gateway.url, 'site/#')
    const count = (wire: WireClient, topic: string): number =>
      wire.messages.filter((one) => one.topic === topic).length
    for (const [from, to] of [
      [early, there],
      [there, early],
    ] as const) {
      const name = from === early ? 'from-mosquitto' : 'from-gateway'
      await from.publish(`site/${name}`, 'once')
      await eventually('it has come across', () => count(to, `site/${name}`) > 0)
    }
    // What goes round would have gone round by now: it is as fast as these.
    await early.publish('site/mark', '')
    await eventually('the mark', () => count(there, 'site/mark') > 0)
    await there.publish('site/mark-back', '')
    await eventually('the mark on its way back', () => count(early, 'site/mark-back') > 0)
    for (const wire of [early, there]) {
      t.equal(count(wire, 'site/from-mosquitto'), 1)
      t.equal(count(wire, 'site/from-gateway'), 1)
    }
    await early.close()
    await there.close()
  },
)

t.test(
  'over a bridge nothing is lost that was published at QoS 1, whoever is killed',
  { skip: lacksMosquitto() },
  async (t) => {
    const { gateway, agent, mosquitto } = await bridged(t)
    await eventually('the bridge is there', () => retained(mosquitto.url, 'node/edge-1/state'))
    const ids = Array.from({ length: 20 }, (_, n) => `away-${n}`)
    await gateway.run.kill()
    const user = await WireClient.connect(mosquitto.url, `${BASE}/task/+/state`)
    for (const id of ids) t.ok(await user.submit({ id, ...STAT }))
    await gateway.restart()
    for (const id of ids) t.match(await user.end(id), { state: 'completed' })
    await user.close()
    t.notOk(agent.run.hasExited)

    await mosquitto.run.kill()
    const near = await WireClient.connect(gateway.url, `${BASE}/task/+/state`)
    const later = ids.map((id) => `later-${id}`)
    for (const id of later) await near.submit({ id, ...STAT })
    for (const id of later) await near.end(id)
    await near.close()
    await mosquitto.restart()
    for (const id of [...ids, ...later]) {
      await eventually(`${id} is retained at mosquitto`, () => isCompleted(mosquitto.url, id))
    }
    t.equal((await new HttpClient(gateway.http).get('/api/tasks?limit=100')).length, 40)
  },
)

/** The gateway is the bridge, and mosquitto knows nothing of it. */
async function bridging(t: Test, ...options: readonly string[]): Promise<Site> {
  const fleet = new Fleet(t)
  const mosquitto = await Mosquitto.start(fleet, '')
  const own = ['--replicas', '1', '--grid', '64x64', '--bridge-url', mosquitto.url]
  const gateway = await fleet.gateway(...own, ...options)
  const agent = await fleet.agent('edge-1', gateway.url, '--telemetry-interval', '1')
  return { fleet, gateway, agent, mosquitto }
}

t.test(
  'a gateway that is a bridge brings the fleet to a mosquitto, and its tasks to the fleet',
  { skip: lacksMosquitto() },
  async (t) => {
    const { gateway, mosquitto } = await bridging(
      t,
      ...['--home-assistant', 'homeassistant', '--bridge-topics-in', 'zigbee2mqtt/#'],
    )
    const user = await WireClient.connect(mosquitto.url, '#')
    const telemetry = 'node/edge-1/telemetry/json'
    const { ts } = await user.nextJson(telemetry)
    await user.nextJson(telemetry, (next) => next.ts > ts + 1000)
    t.ok(JSON.parse((await retained(mosquitto.url, telemetry))!.payload.toString()).ts > ts)
    await eventually('the state is retained', () => retained(mosquitto.url, 'node/edge-1/state'))
    await eventually('Home Assistant is told of both', () => {
      const told = user.messages.filter(({ topic }) => topic.startsWith('homeassistant/device/'))
      return new Set(told.map(({ topic }) => topic)).size === 2
    })
    t.ok(await user.submit({ id: 'far', ...STAT }))
    t.match(await user.end('far'), { state: 'completed' })
    await eventually('the result', () => retained(mosquitto.url, 'task/far/result/json'))
    await user.submit({ id: 'wrong', op: 'nothing' })
    t.match(await user.nextJson('task/rejected'), { id: 'wrong' })
    t.equal(user.of('task/submit').length, 2, 'what came in is not sent out')

    const near = await WireClient.connect(gateway.url, 'zigbee2mqtt/#')
    await user.publish('zigbee2mqtt/kitchen', '{"temperature":21}')
    await eventually('what was asked for comes in', () => near.messages.length > 0)
    await near.publish('zigbee2mqtt/back', '')
    await user.submit({ id: 'mark', ...STAT })
    await user.end('mark')
    t.notOk(
      user.messages.some(({ topic }) => topic === 'zigbee2mqtt/back'),
      'what is not for it does not go out',
    )
    await near.close()
    await user.close()
  },
)

t.test(
  'over a bridge of the gateway nothing is lost at QoS 1, whoever is killed',
  { skip: lacksMosquitto() },
  async (t) => {
    const { gateway, mosquitto } = await bridging(t)
    await eventually('the bridge is there', () => retained(mosquitto.url, 'node/edge-1/state'))
    const user = await WireClient.connect(mosquitto.url, `${BASE}/task/+/state`)
    const ids = Array.from({ length: 30 }, (_, n) => `away-${n}`)
    // The first ones are on their way in when it is killed, the rest wait at mosquitto.
    for (const id of ids.slice(0, 10)) void user.submit({ id, ...STAT })
    await gateway.run.kill()
    for (const id of ids.slice(10)) t.ok(await user.submit({ id, ...STAT }))
    await gateway.restart()
    for (const id of ids) t.match(await user.end(id), { state: 'completed' })
    await user.close()

    await mosquitto.run.kill()
    const near = await WireClient.connect(gateway.url, `${BASE}/task/#`)
    await near.submit({ id: 'wrong-away', op: 'nothing' })
    await near.nextJson('task/rejected')
    const later = ids.map((id) => `later-${id}`)
    for (const id of later) await near.submit({ id, ...STAT })
    for (const id of later) await near.end(id)
    await near.close()
    t.match(gateway.run.stderr, 'bridge-down')
    // So that the one who listens is there before the bridge is.
    gateway.run.signal('SIGSTOP')
    await mosquitto.restart()
    const again = await WireClient.connect(mosquitto.url, `${BASE}/task/rejected`)
    gateway.run.signal('SIGCONT')
    for (const id of [...ids, ...later]) {
      await eventually(`${id} is retained at mosquitto`, () => isCompleted(mosquitto.url, id))
    }
    t.match(await again.nextJson('task/rejected'), { id: 'wrong-away' }, 'and what is not retained')
    await again.close()
    t.equal((await new HttpClient(gateway.http).get('/api/tasks?limit=100')).length, 60)
  },
)

t.test(
  'of readings at QoS 1 that come over a bridge none is lost, whoever is killed',
  { skip: lacksMosquitto() },
  async (t) => {
    const { gateway, mosquitto } = await bridging(t)
    await eventually('the bridge is there', () => retained(mosquitto.url, 'node/edge-1/state'))
    const sensors = await WireClient.connect(mosquitto.url)
    // Fewer than a mosquitto keeps.
    const numbers = Array.from({ length: 768 }, (_, at) => at + 1)
    const tell = async (from: number, to: number): Promise<void> => {
      const told = numbers.slice(from, to).map((number, index) => {
        const at = from + index
        return sensors.publish(`${BASE}/cell/value/${at % 64}/${Math.floor(at / 64)}`, `${number}`)
      })
      t.ok((await Promise.all(told)).every(Boolean))
    }
    const http = new HttpClient(gateway.http)
    const taken = (): Promise<number> => http.metric('obelisk_cells_taken_total')
    await tell(0, 384)
    // The others wait at mosquitto, or are under way.
    await eventually('some are taken', async () => (await taken()) > 0)
    await gateway.run.kill()
    await tell(384, 768)
    await gateway.restart()
    const region = { x: 0, y: 0, w: 64, h: 12 }
    await eventually('all are in the grid', async () => {
      const { value } = await http.run({ op: 'get', region })
      return JSON.stringify(value.fields.value) === JSON.stringify(numbers)
    })
    t.same(await http.metric('obelisk_cells_refused_total'), 0)
    await sensors.close()
  },
)

t.test('a bridge whose other end is the gateway itself ends, and says so', async (t) => {
  const fleet = new Fleet(t)
  const port = await freePort()
  const own = ['--port', `${port}`, '--http-port', '0', '--data', join(fleet.directory, 'g')]
  const run = fleet.start(['gateway', ...own, '--bridge-url', `mqtt://127.0.0.1:${port}`])
  await run.line('ready ')
  await eventually('it is said', () => run.stderr.includes('"code":"bridge-loop"'))
  const user = await WireClient.connect(`mqtt://127.0.0.1:${port}`, `${BASE}/task/submit`)
  await user.submit({ id: 'once', op: 'nothing' })
  await user.submit({ id: 'twice', op: 'nothing' })
  await eventually('both came', () => user.of('task/submit').length >= 2)
  t.equal(user.of('task/submit').length, 2)
  await user.close()
})

t.test(
  'a bridge of a secured gateway acts as the user of its name',
  { skip: lacksMosquitto() },
  async (t) => {
    const fleet = new Fleet(t)
    const mosquitto = await Mosquitto.start(fleet, '')
    const here = (...argv: readonly string[]): Run => fleet.start(argv)
    const bare = await Secured.start(fleet, here, '127.0.0.1')
    await bare.command('user', 'add', 'bridge', '--role', 'operator', '--no-password')
    const { exit, stdout, stderr } = await bare.command('user', 'token', 'create', 'bridge')
    t.match(exit, { code: 0 }, stderr)
    const file = join(fleet.directory, 'bridge-token')
    writeFileSync(file, stdout)
    await bare.gateway.kill()
    const bridge = ['--bridge-url', mosquitto.url, '--bridge-token-file', file]
    const secured = await bare.replaced(bare.data, bridge)
    const token = ['--enroll-token-file', await secured.token('n1')]
    await secured.board('n1', here, '127.0.0.1', ...token).ready()
    await secured
      .board('n2', here, '127.0.0.1', '--enroll-token-file', await secured.token('n2'))
      .ready()
    const user = await WireClient.connect(mosquitto.url, `${BASE}/task/+/state`)
    t.ok(await user.submit({ id: 'far', op: 'stat', args: { field: 'n' } }))
    t.match(await user.end('far'), { state: 'completed' })
    t.match(await secured.admin.json({ path: '/api/tasks/far' }), { state: 'completed' })
    const gone = await secured.command('user', 'rm', 'bridge')
    t.match(gone.exit, { code: 0 }, gone.stderr)
    await user.publish(
      `${BASE}/task/submit`,
      JSON.stringify({ id: 'late', op: 'stat', args: { field: 'n' } }),
    )
    await user.close()
    const failed = async (): Promise<boolean> =>
      (await secured.events(t)).some((event) => event.startsWith('login-failed'))
    await eventually('it tries again, and is nobody any more', failed)
    const known = await secured.admin.json<{ id: string }[]>({ path: '/api/tasks' })
    t.same(
      known.map(({ id }) => id),
      ['far'],
    )
    t.ok((await secured.events(t)).includes('login user/bridge'), 'it is known by its name')
  },
)
