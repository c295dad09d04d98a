/**
 * What the client library takes to write and read a field of 1024 × 1024, over HTTP and over MQTT: processor time of the
 * gateway and of the client. After `npm run build`: `node dist/scripts/bench/client.js [--runs 5] [--type f32]`.
 */
import { connect } from '../client/connect.ts'
import { benchOptions, wholeOption } from './bench-options.ts'
import { BenchProcesses, cpuSecondsOf } from './bench-processes.ts'
import { fillGrid, startGridFleet } from './grid-fleet.ts'
import { describeMachine, formatMs, formatTable, median } from './measure.ts'

const SIDE = 1024

const { values: flags } = benchOptions('client.js [--runs 5] [--type f32]', {
  runs: '5',
  type: 'f32',
})
const runs = wholeOption(flags, 'runs')

const rows: string[][] = [['What', 'ms, p50', 'CPU gateway, ms', 'CPU client, ms']]

async function measure(what: string, gateway: number, work: () => Promise<unknown>): Promise<void> {
  const samples: (readonly [number, number, number])[] = []
  for (let run = 0; run < runs; run++) {
    const [startMs, startCpu, own] = [performance.now(), cpuSecondsOf(gateway), process.cpuUsage()]
    await work()
    const { user, system } = process.cpuUsage(own)
    const cpuMs = (cpuSecondsOf(gateway) - startCpu) * 1000
    samples.push([performance.now() - startMs, cpuMs, (user + system) / 1000])
  }
  rows.push([what, ...[0, 1, 2].map((at) => formatMs(median(samples.map((one) => one[at]!))))])
}

const processes = new BenchProcesses()
try {
  const setup = { name: 'client', side: SIDE, type: flags.type, agents: 2, replicas: 1 }
  const fleet = await startGridFleet(setup, processes)
  await fillGrid(setup, fleet.base)
  const region = { x: 0, y: 0, w: SIDE, h: SIDE }
  const isWhole = flags.type === 'u8' || flags.type === 'i32'
  const data = Float64Array.from({ length: SIDE * SIDE }, (_, at) => {
    return isWhole ? (at * 7) % 251 : ((at * 7) % 997) / 4
  })
  for (const [name, url] of [
    ['HTTP', fleet.base],
    ['MQTT', fleet.url],
  ] as const) {
    const client = await connect(url)
    await measure(`put over ${name}`, fleet.gateway, () => client.put('value', region, data))
    await measure(`get over ${name}`, fleet.gateway, async () => {
      const cells = await client.get('value')
      if (cells.data.some((value, at) => value !== data[at])) throw new Error('other numbers')
    })
    await client.close()
  }
} finally {
  await processes.close()
}
process.stdout.write(
  `${describeMachine()}\n${SIDE} × ${SIDE} ${flags.type}\n${formatTable(rows)}\n`,
)
