/**
 * What readings of cells cost: how long a PUBACK takes at a steady rate, and the CPU time of gateway and agents; then,
 * for one reading a second, the bytes that the gateway and a board hand to their disks, counted at the system calls
 * where `strace` is there. After `npm run build`: `node dist/scripts/bench/readings.js [--rate 2000] [--seconds 20]`.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectAsync, type MqttClient } from 'mqtt'
import { benchOptions, misused } from './bench-options.ts'
import { BenchProcesses, cpuSecondsOf } from './bench-processes.ts'
import { fillGrid, type GridFleet, startGridFleet } from './grid-fleet.ts'
import { describeMachine, formatMs, formatTable, quantile } from './measure.ts'

/** Below the rate of one client. */
const PER_CLIENT = 125
const PUBACK_GOAL_MS = 300
const BOARD_GOAL_BYTES = 17_000
const SETUP = { name: 'readings', side: 256, type: 'f32', agents: 2, replicas: 2 }

const { values: flags } = benchOptions('readings.js [--rate 2000] [--seconds 20]', {
  options: {
    rate: { type: 'string', default: '2000' },
    seconds: { type: 'string', default: '20' },
  },
})
const [rate, seconds] = [Number(flags.rate), Number(flags.seconds)]
if (!(rate >= PER_CLIENT && rate <= 4000)) misused(`--rate: ${PER_CLIENT} to 4000`)
if (!(seconds >= 2)) misused('--seconds: 2 or more')

/** One reading, at QoS 1: how long its PUBACK took. */
async function tell(client: MqttClient, at: number): Promise<number> {
  const { side } = SETUP
  const topic = `obelisk/v1/cell/value/${at % side}/${Math.floor(at / side) % side}`
  const startMs = performance.now()
  await client.publishAsync(topic, `${at / 8}`, { qos: 1 })
  return performance.now() - startMs
}

/** Each client tells at its own pace, whether it was acknowledged or not. */
async function atRate(fleet: GridFleet): Promise<number[]> {
  const waits: Promise<number>[] = []
  const clients = Math.ceil(rate / PER_CLIENT)
  await Promise.all(
    Array.from({ length: clients }, async (_, index) => {
      const client = await connectAsync(fleet.url)
      const startMs = performance.now()
      const each = Math.floor((seconds * rate) / clients)
      for (let count = 0; count < each; count++) {
        const dueMs = startMs + (count * 1000 * clients) / rate
        if (dueMs > performance.now()) await sleep(dueMs - performance.now())
        waits.push(tell(client, index * 4096 + count))
      }
      await Promise.all(waits)
      await client.endAsync()
    }),
  )
  return await Promise.all(waits)
}

/** Bytes that a process hands to files by their place, as LMDB does, while `act` runs. */
async function writtenBy(pid: number, act: () => Promise<void>): Promise<number> {
  const calls = ['-e', 'trace=pwrite64,pwritev,pwritev2']
  const strace: ChildProcess = spawn('strace', ['-f', '-q', '-p', String(pid), ...calls])
  let bytes = 0
  createInterface({ input: strace.stderr! }).on('line', (line) => {
    bytes += Number(/= (\d+)$/.exec(line)?.[1] ?? 0)
  })
  await sleep(1000)
  await act()
  strace.kill('SIGINT')
  await once(strace, 'exit')
  return bytes
}

const processes = new BenchProcesses()
try {
  const fleet = await startGridFleet(SETUP, processes)
  await fillGrid(SETUP, fleet.base)
  const gatewayBefore = cpuSecondsOf(fleet.gateway)
  const agentsBefore = cpuSecondsOf(...fleet.agents)
  const waits = await atRate(fleet)
  const cpu = (pids: readonly number[], before: number): string =>
    `${(((cpuSecondsOf(...pids) - before) * 100) / seconds).toFixed(1)} %`
  const rows = [['What', 'Value', 'Goal', 'Verdict']]
  const p99 = quantile(waits, 0.99)
  rows.push(['readings a second, QoS 1', String(rate), '', ''])
  rows.push(['PUBACK p50, ms', formatMs(quantile(waits, 0.5)), '', ''])
  const verdict = p99 < PUBACK_GOAL_MS ? 'holds' : 'missed'
  rows.push(['PUBACK p99, ms', formatMs(p99), `< ${PUBACK_GOAL_MS}`, verdict])
  rows.push(['CPU of the gateway', cpu([fleet.gateway], gatewayBefore), '', ''])
  rows.push(['CPU of both agents', cpu(fleet.agents, agentsBefore), '', ''])
  if (spawnSync('strace', ['-V']).status === 0) {
    const client = await connectAsync(fleet.url)
    await sleep(3000)
    const windows = 10
    const tellSlowly = async (): Promise<void> => {
      for (let count = 0; count < windows; count++) {
        await tell(client, count)
        await sleep(1100)
      }
      await sleep(1500)
    }
    const board = (await writtenBy(fleet.agents[0]!, tellSlowly)) / windows
    const gateway = (await writtenBy(fleet.gateway, tellSlowly)) / windows
    const holds = board <= BOARD_GOAL_BYTES ? 'holds' : 'missed'
    rows.push(['bytes a window to a board', board.toFixed(0), `≤ ${BOARD_GOAL_BYTES}`, holds])
    rows.push(['bytes a window to the gateway', gateway.toFixed(0), '', ''])
    await client.endAsync()
  } else rows.push(['bytes a window', 'no strace here', '', ''])
  process.stdout.write(`${describeMachine()}\n${formatTable(rows)}\n`)
} finally {
  await processes.close()
}
