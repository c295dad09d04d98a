import t from 'tap'
import { HomeAssistant } from '../../broker/home-assistant.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'

const EDGE = 'edge-1' as NodeId
const CELL = { field: 'temp', x: 1, y: 2 }
const INFO = { id: EDGE, board: 'Pi', version: '1' }
const TELEMETRY = { cpu_percent: 1, temp_celsius: null, node: EDGE }
const topicOf = (name: string, prefix = 'homeassistant'): string =>
  `${prefix}/device/obelisk_fleet678_${name}/config`

/** The world of it, by hand. */
class Site {
  readonly published: [topic: string, payload: string][] = []
  readonly kept = new Map<string, string>()
  readonly members = new Set<string>([EDGE])
  readonly waits: { ms: number; act: () => void }[] = []
  fleet: string | undefined = 'fleet678'
  status: (payload: string) => void = () => {}
  readonly home: HomeAssistant

  constructor({ prefix }: { prefix: string | undefined } = { prefix: 'homeassistant' }) {
    this.home = new HomeAssistant(
      { prefix, base: 'obelisk/v1', version: '1', cells: [CELL] },
      {
        clock: {
          after: (ms, act) => {
            this.waits.push({ ms, act })
            return () => {}
          },
        },
        random: new Random(1),
        fleet: () => this.fleet,
        isMember: (node) => this.members.has(node),
        publish: (topic, payload) => {
          this.published.push([topic, payload])
          if (payload === '') this.kept.delete(topic)
          else this.kept.set(topic, payload)
        },
        retained: () => [...this.kept.keys()],
        follow: (_topic, listener) => {
          this.status = listener
          return () => {}
        },
      },
    )
  }

  get topics(): string[] {
    return this.published
      .splice(0)
      .map(([topic, payload]) => (payload === '' ? `-${topic}` : topic))
  }
}

t.test(
  'a node is told of once it has said what and how it is, and when that changes',
  async (t) => {
    const site = new Site()
    site.home.begin()
    t.same(site.topics, [topicOf('gateway')])
    t.match(site.kept.get(topicOf('gateway')), '"cell_temp_1_2"')
    site.home.heard(EDGE, 'node-info', INFO)
    t.same(site.topics, [], 'not without what it can tell')
    site.home.heard(EDGE, 'node-telemetry', TELEMETRY)
    t.same(site.topics, [topicOf(EDGE)])
    site.home.heard(EDGE, 'node-telemetry', TELEMETRY)
    site.home.heard(EDGE, 'node-info', INFO)
    t.same(site.topics, [], 'nothing has changed')
    site.home.heard(EDGE, 'node-telemetry', { ...TELEMETRY, temp_celsius: 40 })
    t.same(site.topics, [topicOf(EDGE)])
    t.match(site.kept.get(topicOf(EDGE)), '"temp"')
    site.home.heard(EDGE, 'node-telemetry', TELEMETRY)
    t.same(site.topics, [], 'null now, which its template says')
    site.home.heard(EDGE, 'node-info', { ...INFO, version: '2' })
    t.same(site.topics, [topicOf(EDGE)])
    site.home.forget(EDGE)
    t.same(site.topics, [`-${topicOf(EDGE)}`])
  },
)

t.test('a board that names what has no text is told of without it', async (t) => {
  const site = new Site()
  site.home.begin()
  const nameless = { toString: 1, valueOf: 1 }
  site.home.heard(EDGE, 'node-info', { id: EDGE, board: nameless, version: nameless })
  site.home.heard(EDGE, 'node-telemetry', TELEMETRY)
  t.same(site.topics, [topicOf('gateway'), topicOf(EDGE)])
  t.match(JSON.parse(site.kept.get(topicOf(EDGE))!), { device: { model: '', sw_version: '' } })
})

t.test('while the ledger is being rebuilt nobody is told of, and all are afterwards', async (t) => {
  const site = new Site()
  site.fleet = undefined
  site.home.begin()
  site.home.heard(EDGE, 'node-info', INFO)
  site.home.heard(EDGE, 'node-telemetry', TELEMETRY)
  t.same(site.topics, [])
  site.fleet = 'fleet678'
  site.home.heard(EDGE, 'node-telemetry', TELEMETRY)
  t.same(site.topics, [topicOf('gateway'), topicOf(EDGE)])
})

t.test('when Home Assistant has started all is told again, within 5 s and by turns', async (t) => {
  const site = new Site()
  site.home.begin()
  for (let n = 0; n < 120; n++) {
    const node = `n${n}` as NodeId
    site.members.add(node)
    site.home.heard(node, 'node-info', { ...INFO, id: node })
    site.home.heard(node, 'node-telemetry', TELEMETRY)
  }
  t.equal(site.topics.length, 121)
  site.status('offline')
  t.equal(site.waits.length, 0)
  site.status('online')
  const { ms, act } = site.waits.shift()!
  t.ok(ms >= 0 && ms <= 5000)
  act()
  t.equal(site.topics.length, 51)
  for (let wait = site.waits.shift(); wait !== undefined; wait = site.waits.shift()) wait.act()
  t.equal(site.topics.length, 70)
})

t.test('a start takes back what is not to be there any more', async (t) => {
  for (const [prefix, left] of [
    ['homeassistant', [topicOf(EDGE), 'homeassistant/device/zigbee/config', topicOf('gateway')]],
    [undefined, ['homeassistant/device/zigbee/config']],
  ] as const) {
    const site = new Site({ prefix })
    for (const topic of [topicOf(EDGE), topicOf('gone'), topicOf(EDGE, 'ha')])
      site.kept.set(topic, 'x')
    site.kept.set('homeassistant/device/zigbee/config', 'x')
    site.home.begin()
    t.same([...site.kept.keys()].sort(), [...left].sort(), `prefix ${prefix}`)
  }
})
