/**
 * How long many pictures of a field take, each in other colours, and one that somebody else wants meanwhile: a gateway and
 * an agent with a grid of 512 × 512 f32, each cell written. After `npm run build`:
 * `node dist/scripts/bench/pictures.js [--pictures 60] [--runs 5]`.
 */
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { benchOptions, wholeOption } from './bench-options.ts'
import { BenchProcesses, cpuSecondsOf } from './bench-processes.ts'
import { fillGrid, type GridFleet, startGridFleet } from './grid-fleet.ts'
import { describeMachine, formatMs, formatTable, median, quantile } from './measure.ts'

const SETUP = { name: 'pictures', side: 512, type: 'f32', agents: 1, replicas: 1 }
/** Two who ask, as the gateway tells them apart. */
const [ONE, OTHER] = ['127.0.0.2', '127.0.0.3'] as const

const { values: flags } = benchOptions('pictures.js [--pictures 60] [--runs 5]', {
  pictures: '60',
  runs: '5',
})
const [pictures, runs] = [wholeOption(flags, 'pictures'), wholeOption(flags, 'runs')]

/** Resolves with how long it took, ms. */
async function picture(base: string, localAddress: string, low: number): Promise<number> {
  const beganMs = performance.now()
  const asking = get(`${base}/api/grid/value.png?low=${low}&high=1000000`, {
    ...{ localAddress, agent: false },
  })
  const [response] = (await once(asking, 'response')) as [IncomingMessage]
  if (response.statusCode !== 200) throw new Error(`a picture is ${response.statusCode}`)
  response.resume()
  await once(response, 'end')
  return performance.now() - beganMs
}

async function measure({ base, gateway }: GridFleet): Promise<string> {
  const [all, others, cpu]: [number[], number[], number[]] = [[], [], []]
  let low = 0
  await picture(base, ONE, low++)
  for (let run = 0; run < runs; run++) {
    const [beganMs, beganCpu] = [performance.now(), cpuSecondsOf(gateway)]
    const many = Array.from({ length: pictures }, () => picture(base, ONE, low++))
    await Promise.race(many)
    others.push(await picture(base, OTHER, low++))
    await Promise.all(many)
    all.push(performance.now() - beganMs)
    cpu.push(1000 * (cpuSecondsOf(gateway) - beganCpu))
  }
  const row = (what: string, found: readonly number[]): string[] => [
    what,
    ...[quantile(found, 0), median(found), quantile(found, 1)].map(formatMs),
  ]
  return formatTable([
    ['ms', 'least', 'median', 'most'],
    row(`${pictures} pictures`, all),
    row('one that somebody else wants meanwhile', others),
    row('CPU of the gateway for all of them', cpu),
  ])
}

const processes = new BenchProcesses()
try {
  const fleet = await startGridFleet(SETUP, processes)
  await fillGrid(SETUP, fleet.base)
  process.stdout.write(`${describeMachine()}\n\n${await measure(fleet)}\n`)
} finally {
  await processes.close()
}
