/**
 * What a thousand inputs cost for each message outside the base: one that none of them is for, one that a single one
 * is for, and one that all are for. In this process, without the broker around it. After `npm run build`:
 * `node dist/scripts/bench/inputs.js [--runs 200]`.
 */
import { type Input, Inputs } from '../../broker/core/inputs.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import { INPUT_BYTES_MAX } from '../../shared/protocol/limits.ts'
import { benchOptions, misused } from './bench-options.ts'
import { describeMachine, formatTable, timeRuns } from './measure.ts'

const INPUTS = 1000
const WARM_UPS = 20

const { values: flags } = benchOptions('inputs.js [--runs 200]', { runs: '200' })
const runs = Number(flags.runs)
if (!(runs >= 10)) misused('--runs: 10 or more')

const grid = {
  geometry: new Geometry({ width: 1024, height: 1024, tile: 16 }),
  fields: [{ name: 'temp', type: 'f64' }],
} as const
const TOPIC = 'zigbee2mqtt/kitchen'
const KITCHEN =
  '{"battery":97,"humidity":48.2,"last_seen":"2026-05-01T10:00:00Z","linkquality":87,"temperature":21.5,"update":{"state":"idle"},"voltage":3000}'

function inputsOf(change: (index: number) => Partial<Input>): Inputs {
  const each = { pointer: ['temperature'], field: 'temp', y: 0, scale: 1, offset: 0 }
  const inputs = Array.from({ length: INPUTS }, (_, index) => ({
    ...{ topic: TOPIC, x: index, ...each, ...change(index) },
  }))
  return new Inputs(inputs, grid)
}

const apart = inputsOf((index) => ({ topic: `zigbee2mqtt/device-${index}` }))
const together = inputsOf(() => ({}))
const wild = inputsOf((index) => ({ topic: index % 2 === 0 ? '+/kitchen' : 'zigbee2mqtt/+' }))
const absent = inputsOf(() => ({ pointer: ['pressure'] }))
const wrong = inputsOf(() => ({ pointer: ['last_seen'] }))

const LARGE = `{"list":[${'1234,'.repeat(13_000)}0],"temperature":21}`.padEnd(INPUT_BYTES_MAX)

/** `count` messages are timed together. */
type Case = readonly [name: string, inputs: Inputs, topic: string, count: number, payload?: string]

const cases: readonly Case[] = [
  ['none is for it', apart, 'site/kitchen/lamp', 2000],
  ['none, but many for topics beside it', apart, 'zigbee2mqtt/x', 2000],
  ['one is for it', apart, 'zigbee2mqtt/device-7', 1000],
  ['one is for it, of 64 KiB', apart, 'zigbee2mqtt/device-7', 5, LARGE],
  ['all are for it', together, TOPIC, 5],
  ['all, by filters with `+`', wild, TOPIC, 5],
  ['all, and it has nothing for any', absent, TOPIC, 5],
  ['all, and none can take it', wrong, TOPIC, 5],
]

function microseconds(count: number, act: () => unknown): number {
  const timings = timeRuns({ warmUps: WARM_UPS, runs }, () => {
    let last: unknown
    for (let at = 0; at < count; at++) last = act()
    return last
  })
  return (timings.ownP50Ms * 1000) / count
}

const format = (us: number): string => (us < 10 ? us.toFixed(2) : us.toFixed(0))

console.log(describeMachine())
const rows = cases.map(([name, inputs, topic, count, payload = KITCHEN]) => {
  const bytes = Buffer.from(payload)
  return { name, us: microseconds(count, () => inputs.readerOf(topic)?.(bytes)) }
})
const parsing = microseconds(1000, () => JSON.parse(KITCHEN))
const none = rows[0]!.us
console.log(
  formatTable([
    [`Of ${INPUTS} inputs`, 'µs a message', 'times as much'],
    ['floor: the message of Zigbee2MQTT parsed', format(parsing), ''],
    ...rows.map(({ name, us }) => [name, format(us), format(us / none)]),
  ]),
)
