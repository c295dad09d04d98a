/**
 * What readings of cells cost: how long a PUBACK takes at a steady rate, and the CPU time of gateway and agents; then,
 * for one reading a second, the bytes that the gateway and a board hand to their disks, counted at the system calls
 * where `strace` is there.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectAsync, type MqttClient } from 'mqtt'
import { openDatabase } from '../../shared/runtime/lmdb.ts'
import { benchOptions, misused } from './bench-options.ts'
import { cpuSecondsOf, withProcesses } from './bench-processes.ts'
import { fillGrid, type GridFleet, startGridFleet } from './grid-fleet.ts'
import { formatMs, judged, quantile, report } from './measure.ts'

/** Below the rate of one client. */
const PER_CLIENT = 125
const PUBACK_GOAL_MS = 300
const BOARD_GOAL_BYTES = 17_000
const WINDOWS = 10
/** Of a tile of this grid, and how many it has. */
const TILE_BYTES = 1304
const TILES = 256
const SETUP = { name: 'readings', side: 256, type: 'f32', agents: 2, replicas: 2 }

const { flags } = benchOptions({ rate: 2000, seconds: 20 })
const { rate, seconds } = flags
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

/** Bytes that a process hands to the files of its databases while `act` runs. */
async function writtenBy(pid: number, act: () => Promise<void>): Promise<number> {
  // Pages that lie side by side go in one `writev`.
  const calls = ['-e', 'trace=pwrite64,pwritev,pwritev2,writev']
  const files = filesOf(pid).flatMap((file) => ['-P', file])
  const strace: ChildProcess = spawn('strace', ['-f', '-q', '-p', String(pid), ...calls, ...files])
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

function filesOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`
  const files = readdirSync(folder).flatMap((name) => {
    try {
      return [readlinkSync(`${folder}/${name}`)]
    } catch {
      // Closed since.
      return []
    }
  })
  return [...new Set(files)].filter((file) => file.endsWith('/data.mdb'))
}

/** What one row costs at the least: a commit of a value as large as a tile, among as many. */
async function leastWritten(directory: string): Promise<number> {
  const options = { mapSizeBytes: 2 ** 24, maxDbs: 1 }
  const database = await openDatabase(directory, options, (error) => {
    throw error
  })
  const rows = database.table<number>('tiles', 'uint32')
  const write = (key: number): Promise<void> =>
    database.write(() => void rows.put(key, new Uint8Array(TILE_BYTES)))
  for (let key = 0; key < TILES; key++) await write(key)
  const bytes = await writtenBy(process.pid, async () => {
    for (let count = 0; count < WINDOWS; count++) await write(count)
  })
  await database.close()
  return bytes / WINDOWS
}

await withProcesses(async (processes) => {
  const fleet = await startGridFleet(SETUP, processes)
  await fillGrid(SETUP, fleet.base)
  const gatewayBefore = cpuSecondsOf(fleet.pid)
  const agentsBefore = cpuSecondsOf(...fleet.agents)
  const waits = await atRate(fleet)
  const cpu = (pids: readonly number[], before: number): string =>
    `${(((cpuSecondsOf(...pids) - before) * 100) / seconds).toFixed(1)} %`
  const rows: string[][] = [['What', 'Value', 'Goal', 'Verdict']]
  const p99 = quantile(waits, 0.99)
  rows.push(['readings a second, QoS 1', String(rate)])
  rows.push(['PUBACK p50, ms', formatMs(quantile(waits, 0.5))])
  rows.push(['PUBACK p99, ms', formatMs(p99), ...judged(p99, PUBACK_GOAL_MS)])
  rows.push(['CPU of the gateway', cpu([fleet.pid], gatewayBefore)])
  rows.push(['CPU of both agents', cpu(fleet.agents, agentsBefore)])
  if (spawnSync('strace', ['-V']).status === 0) {
    const client = await connectAsync(fleet.url)
    await sleep(3000)
    const slowly = async (act: (count: number) => Promise<unknown>): Promise<void> => {
      for (let count = 0; count < WINDOWS; count++) {
        await act(count)
        await sleep(1100)
      }
      await sleep(1500)
    }
    const tellSlowly = (): Promise<void> => slowly((count) => tell(client, count))
    const setSlowly = (): Promise<void> =>
      slowly((x) => {
        const task = { op: 'set', region: { x, y: 0, w: 1, h: 1 }, args: { fields: { value: x } } }
        return client.publishAsync('obelisk/v1/task/submit', JSON.stringify(task), { qos: 1 })
      })
    const [board] = fleet.agents
    const told = (await writtenBy(board!, tellSlowly)) / WINDOWS
    const set = (await writtenBy(board!, setSlowly)) / WINDOWS
    const gateway = (await writtenBy(fleet.pid, tellSlowly)) / WINDOWS
    const least = await leastWritten(join(processes.directory, 'least'))
    const toBoard = ['bytes a window to a board', told.toFixed(0)]
    rows.push([...toBoard, ...judged(told, BOARD_GOAL_BYTES)])
    rows.push(['bytes of a `set` of one cell to a board', set.toFixed(0)])
    rows.push(['bytes of one row in such a database', least.toFixed(0)])
    rows.push(['bytes a window to the gateway', gateway.toFixed(0)])
    await client.endAsync()
  } else rows.push(['bytes a window', 'no strace here'])
  report(rows)
})
