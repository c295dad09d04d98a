/**
 * What watched cells cost: the CPU time of gateway and agents at a steady rate of readings, without any that is
 * watched, with a thousand that nobody writes, and with a thousand that the readings go to and somebody follows; and
 * how long it takes from a reading to the new number. After `npm run build`: `node dist/scripts/bench/watches.js`.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectAsync } from 'mqtt'
import { benchOptions, misused } from './bench-options.ts'
import { BenchProcesses, cpuSecondsOf } from './bench-processes.ts'
import { fillGrid, startGridFleet } from './grid-fleet.ts'
import { describeMachine, formatMs, formatTable, quantile } from './measure.ts'

const SETUP = { side: 256, type: 'f32', agents: 2, replicas: 2 }
const WATCHED = 1000
/** Of one client. */
const RATE_MAX = 200
const SETTLE_MS = 3000

const { values: flags } = benchOptions('watches.js [--rate 100] [--seconds 30]', {
  rate: '100',
  seconds: '30',
})
const [rate, seconds] = [Number(flags.rate), Number(flags.seconds)]
if (!(rate >= 1 && rate <= RATE_MAX)) misused(`--rate: 1 to ${RATE_MAX}`)
if (!(seconds >= 2)) misused('--seconds: 2 or more')

/** The cell of a number, each in another tile than the one before. */
function placeOf(at: number): [x: number, y: number] {
  const across = SETUP.side / 16
  const tile = at % across ** 2
  const within = Math.floor(at / across ** 2)
  return [(tile % across) * 16 + within, Math.floor(tile / across) * 16]
}

interface Variant {
  readonly what: string
  readonly watched: number
  /** The number of the first cell that is told. */
  readonly from: number
}

async function measure({ what, watched, from }: Variant): Promise<string[]> {
  const processes = new BenchProcesses()
  try {
    const file = join(processes.directory, 'gateway.toml')
    const entries = Array.from({ length: watched }, (_, at) => {
      const [x, y] = placeOf(at)
      return `[[watch]]\nfield = "value"\nx = ${x}\ny = ${y}\n`
    })
    writeFileSync(file, entries.join(''))
    const setup = { ...SETUP, name: 'watches', gatewayFlags: ['--config', file] }
    const fleet = await startGridFleet(setup, processes)
    await fillGrid(setup, fleet.base)
    const client = await connectAsync(fleet.url)
    const told = new Map<string, number>()
    const waits: number[] = []
    client.on('message', (topic, payload) => {
      const atMs = told.get(`${topic} ${payload}`)
      if (atMs !== undefined) waits.push(performance.now() - atMs)
    })
    await client.subscribeAsync('obelisk/v1/cell/+/+/+/value', { qos: 1 })
    await sleep(SETTLE_MS)
    const [gateway, agents] = [cpuSecondsOf(fleet.gateway), cpuSecondsOf(...fleet.agents)]
    const startMs = performance.now()
    for (let count = 0; count < seconds * rate; count++) {
      const dueMs = startMs + (count * 1000) / rate
      if (dueMs > performance.now()) await sleep(dueMs - performance.now())
      const topic = `obelisk/v1/cell/value/${placeOf(from + (count % WATCHED)).join('/')}`
      told.set(`${topic}/value ${count + 8}`, performance.now())
      client.publish(topic, `${count + 8}`, { qos: 1 })
    }
    const share = (seconds: number): string =>
      `${((seconds * 100_000) / (performance.now() - startMs)).toFixed(1)} %`
    const row = [
      what,
      share(cpuSecondsOf(fleet.gateway) - gateway),
      share(cpuSecondsOf(...fleet.agents) - agents),
    ]
    await sleep(SETTLE_MS)
    await client.endAsync()
    if (waits.length === 0) return [...row, '0', '', '']
    const [p50, p99] = [quantile(waits, 0.5), quantile(waits, 0.99)]
    return [...row, String(waits.length), formatMs(p50), formatMs(p99)]
  } finally {
    await processes.close()
  }
}

const rows = [
  ['Watched', 'CPU of the gateway', 'of both agents', 'numbers told', 'p50, ms', 'p99, ms'],
  await measure({ what: 'none', watched: 0, from: 0 }),
  await measure({ what: `${WATCHED}, others are told`, watched: WATCHED, from: WATCHED }),
  await measure({ what: `${WATCHED}, these are told`, watched: WATCHED, from: 0 }),
]
process.stdout.write(`${describeMachine()}\n${formatTable(rows)}\n`)
