/**
 * What readings of cells cost: how long a PUBACK takes at a steady rate, and the CPU time of gateway and agents; then,
 * for one reading a second, the bytes that the gateway and a board hand to their disks, counted at the system calls
 * where `strace` is there.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectAsync, type MqttClient } from 'mqtt'
import { databasePath, openDatabase } from '../../shared/runtime/lmdb.ts'
import { type BenchGateway, startFullGrid } from './bench-gateway.ts'
import { benchOptions, misused } from './bench-options.ts'
import { withProcesses } from './bench-processes.ts'
import { formatMs, judged, quantile, report } from './measure.ts'

/** Below the rate of one client. */
const PER_CLIENT = 125
const PUBACK_GOAL_MS = 300
const BOARD_GOAL_BYTES = 17_000
const WINDOWS = 10
/** Of a tile of this grid, and how many it has. */
const TILE_BYTES = 1304
const TILES = 256
const SIDE = 256

const { rate, seconds } = benchOptions({ rate: 2000, seconds: 20 })
if (!(rate >= PER_CLIENT && rate <= 4000)) misused(`--rate: ${PER_CLIENT} to 4000`)
if (!(seconds >= 2)) misused('--seconds: 2 or more')

/** One reading, at QoS 1: how long its PUBACK took. */
async function tell(client: MqttClient, at: number): Promise<number> {
  const topic = `obelisk/v1/cell/value/${at % SIDE}/${Math.floor(at / SIDE) % SIDE}`
  const startMs = performance.now()
  await client.publishAsync(topic, `${at / 8}`, { qos: 1 })
  return performance.now() - startMs
}

/** Each client tells at its own pace, whether it was acknowledged or not. */
async function atRate({ url }: BenchGateway): Promise<number[]> {
  const clients = Math.ceil(rate / PER_CLIENT)
  const each = Math.floor((seconds * rate) / clients)
  const told = Array.from({ length: clients }, async (_, index) => {
    const client = await connectAsync(url)
    const waits: Promise<number>[] = []
    const startMs = performance.now()
    for (let count = 0; count < each; count++) {
      const dueMs = startMs + (count * 1000 * clients) / rate
      if (dueMs > performance.now()) await sleep(dueMs - performance.now())
      waits.push(tell(client, index * 4096 + count))
    }
    const waited = await Promise.all(waits)
    await client.endAsync()
    return waited
  })
  return (await Promise.all(told)).flat()
}

interface Written {
  readonly pid: number
  readonly data: string
}

/** Bytes that a process hands to the file of its database each time that `act` runs. */
async function writtenBy({ pid, data }: Written, act: (at: number) => unknown): Promise<string> {
  // Pages that lie side by side go in one `writev`.
  const calls = ['-e', 'trace=pwrite64,pwritev,pwritev2,writev']
  const file = ['-P', join(databasePath(data), 'data.mdb')]
  const strace = spawn('strace', ['-f', '-q', '-p', String(pid), ...calls, ...file])
  let bytes = 0
  createInterface({ input: strace.stderr }).on('line', (line) => {
    bytes += Number(/= (\d+)$/.exec(line)?.[1] ?? 0)
  })
  await sleep(1000)
  for (let at = 0; at < WINDOWS; at++) {
    await act(at)
    await sleep(1100)
  }
  await sleep(1500)
  strace.kill('SIGINT')
  await once(strace, 'exit')
  return (bytes / WINDOWS).toFixed(0)
}

/** What one row costs at the least: a commit of a value as large as a tile, among as many. */
async function leastWritten(data: string): Promise<string> {
  const database = await openDatabase(data, { mapSizeBytes: 2 ** 24, maxDbs: 1 }, (error) => {
    throw error
  })
  const rows = database.table<number>('tiles', 'uint32')
  const write = (key: number): Promise<void> =>
    database.write(() => void rows.put(key, new Uint8Array(TILE_BYTES)))
  for (let key = 0; key < TILES; key++) await write(key)
  const bytes = await writtenBy({ pid: process.pid, data }, write)
  await database.close()
  return bytes
}

async function measureBytes(gateway: BenchGateway, directory: string): Promise<string[][]> {
  if (spawnSync('strace', ['-V']).status !== 0) return [['bytes a window', 'no strace here']]
  const client = await connectAsync(gateway.url)
  await sleep(3000)
  const reading = (count: number): Promise<number> => tell(client, count)
  const set = (x: number): Promise<unknown> => {
    const task = { op: 'set', region: { x, y: 0, w: 1, h: 1 }, args: { fields: { value: x } } }
    return client.publishAsync('obelisk/v1/task/submit', JSON.stringify(task), { qos: 1 })
  }
  const board = gateway.agents[0]!
  const told = await writtenBy(board, reading)
  const rows = [
    ['bytes a window to a board', told, ...judged(Number(told), BOARD_GOAL_BYTES)],
    ['bytes of a `set` of one cell to a board', await writtenBy(board, set)],
    ['bytes of one row in such a database', await leastWritten(join(directory, 'least'))],
    ['bytes a window to the gateway', await writtenBy(gateway, reading)],
  ]
  await client.endAsync()
  return rows
}

await withProcesses(async (processes) => {
  const setup = { name: 'readings', side: SIDE, type: 'f32', agents: 2, replicas: 2 }
  const gateway = await startFullGrid(processes, setup)
  const { value: waits, gatewayMs, agentsMs } = await gateway.cost(() => atRate(gateway))
  const percent = (ms: number): string => `${(ms / (10 * seconds)).toFixed(1)} %`
  const [p50, p99] = [quantile(waits, 0.5), quantile(waits, 0.99)]
  report([
    ['What', 'Value', 'Goal', 'Verdict'],
    ['readings a second, QoS 1', String(rate)],
    ['PUBACK p50, ms', formatMs(p50)],
    ['PUBACK p99, ms', formatMs(p99), ...judged(p99, PUBACK_GOAL_MS)],
    ['CPU of the gateway', percent(gatewayMs)],
    ['CPU of both agents', percent(agentsMs)],
    ...(await measureBytes(gateway, processes.directory)),
  ])
})
