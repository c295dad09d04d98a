import { execFile } from 'node:child_process'
import { freemem, totalmem, uptime } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import {
  DeviceMetrics,
  type DeviceMetricsOptions,
  type DeviceSample,
} from '../../../firmware-agent/adapters/device-metrics.ts'

function open(t: Test, options: Partial<DeviceMetricsOptions> = {}): DeviceMetrics {
  const metrics = new DeviceMetrics({ diskPath: '/', ...options })
  t.teardown(() => metrics.close())
  return metrics
}

function compute(forMs: number): void {
  const { user } = process.cpuUsage()
  while (process.cpuUsage().user - user < forMs * 1000);
}

const NUMBERS: readonly (keyof DeviceSample)[] = [
  'uptime_seconds',
  'cpu_percent',
  'load1',
  'mem_total_bytes',
  'mem_available_bytes',
  'rss_bytes',
  'disk_free_bytes',
  'loop_busy_percent',
]

t.test('a board with /proc gives numbers that make sense', (t) => {
  const metrics = open(t)
  compute(200)
  const sample = metrics.sample()
  for (const name of NUMBERS) t.ok(Number.isFinite(sample[name]) && sample[name]! >= 0, name)
  t.equal(sample.mem_total_bytes, totalmem())
  t.ok(sample.mem_available_bytes! > freemem() / 2)
  t.ok(sample.mem_available_bytes! <= totalmem())
  t.ok(Math.abs(sample.uptime_seconds - uptime()) <= 2)
  t.ok(sample.rss_bytes > 20e6 && sample.rss_bytes < 4e9)
  t.ok(sample.cpu_percent! > 0 && sample.cpu_percent! <= 100)
  t.end()
})

t.test('busy is what happened since the sample before', async (t) => {
  const metrics = open(t)
  await metrics.refreshSlow()
  metrics.sample()
  compute(100)
  const computing = metrics.sample().loop_busy_percent
  t.ok(computing > 80, `${computing} % while it computes`)
  let waiting = computing
  // What others do not let run counts as busy: on a busy machine it takes more than one look.
  for (let tries = 0; tries < 20 && waiting >= computing / 2; tries++) {
    // The loop waits while a child sleeps.
    await promisify(execFile)('sleep', ['0.5'])
    waiting = metrics.sample().loop_busy_percent
  }
  t.ok(waiting < computing / 2, `${waiting} % while it waits`)
})

t.test('what the board does not give is null, and nothing throws', async (t) => {
  const proc = t.testdir({ stat: 'nonsense\n', meminfo: 'MemTotal:  1024 kB\n' })
  for (const procPath of [proc, join(proc, 'nowhere')]) {
    const metrics = open(t, { procPath, diskPath: join(proc, 'nowhere') })
    const sample = metrics.sample()
    t.match(sample, { cpu_percent: null, mem_available_bytes: null, disk_free_bytes: null })
    t.equal(sample.mem_total_bytes, procPath === proc ? 1_048_576 : null)
  }
})

t.test('temperature and network counters come from the background', async (t) => {
  const metrics = open(t)
  const before = metrics.sample()
  t.match(before, { temp_celsius: null, net_rx_bytes: null, net_tx_bytes: null })
  await Promise.all([metrics.refreshSlow(), metrics.refreshSlow()])
  const { temp_celsius, net_rx_bytes, net_tx_bytes } = metrics.sample()
  t.ok(temp_celsius === null || (temp_celsius > -50 && temp_celsius < 150))
  for (const bytes of [net_rx_bytes, net_tx_bytes]) {
    t.ok(bytes === null || (Number.isInteger(bytes) && bytes >= 0))
  }
})

t.test('no process is started', async (t) => {
  const metrics = open(t)
  const started: unknown[] = []
  const { ChildProcess } = await import('node:child_process')
  const { spawn } = ChildProcess.prototype as unknown as { spawn: (options: unknown) => number }
  t.intercept(ChildProcess.prototype, 'spawn' as never, {
    value(this: unknown, options: unknown) {
      started.push(options)
      return spawn.call(this, options)
    },
  })
  await metrics.refreshSlow()
  metrics.sample()
  t.strictSame(started, [])
  await promisify(execFile)('true')
  t.equal(started.length, 1, 'one would be seen')
})

t.test('a sample costs less than half a millisecond', (t) => {
  const metrics = open(t)
  for (let count = 0; count < 200; count++) metrics.sample()
  const rounds = 1000
  const before = process.cpuUsage()
  for (let count = 0; count < rounds; count++) metrics.sample()
  const { user, system } = process.cpuUsage(before)
  const ms = (user + system) / 1000 / rounds
  t.comment(`${ms.toFixed(4)} ms of CPU a sample`)
  t.ok(ms < 0.5)
  t.end()
})
