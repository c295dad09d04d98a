/**
 * How many readings a second come over the gateway's bridge from a mosquitto that has more of them, at QoS 1, for each
 * number of messages that it sends without an acknowledgement. After `npm run build`, with `mosquitto` installed:
 * `node dist/scripts/bench/bridge.js [--seconds 10] [--inflight 20,1000]`.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectAsync } from 'mqtt'
import { benchOptions, misused } from './bench-options.ts'
import { BenchProcesses, cpuSecondsOf } from './bench-processes.ts'
import { startGridFleet } from './grid-fleet.ts'
import { describeMachine, formatTable } from './measure.ts'

/** More than the goal of all brings in the time. */
const PER_SECOND = 5000
const SIDE = 256

const { values: flags } = benchOptions('bridge.js [--seconds 10] [--inflight 20,1000]', {
  seconds: '10',
  inflight: '20,1000',
})
const seconds = Number(flags.seconds)
if (!(seconds >= 2)) misused('--seconds: 2 or more')
const counts = flags.inflight.split(',').map(Number)

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

async function metric(base: string, name: string): Promise<number> {
  const text = await (await fetch(`${base}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? 0)
}

async function measure(inflight: number): Promise<string[]> {
  const processes = new BenchProcesses()
  const port = await freePort()
  const conf = join(processes.directory, 'mosquitto.conf')
  const lines = [
    ...['user root', `listener ${port} 127.0.0.1`, 'allow_anonymous true'],
    ...['max_queued_messages 0', `max_inflight_messages ${inflight}`],
  ]
  writeFileSync(conf, `${lines.join('\n')}\n`)
  // It lies where only root looks.
  const command = 'PATH="$PATH:/usr/sbin" exec mosquitto -c "$0"'
  const mosquitto = spawn('/bin/sh', ['-c', command, conf], { stdio: 'ignore' })
  try {
    const url = `mqtt://127.0.0.1:${port}`
    const grid = { name: 'bridge', side: SIDE, type: 'f32', agents: 1, replicas: 1 }
    const setup = { ...grid, gatewayFlags: ['--bridge-url', url] }
    const fleet = await startGridFleet(setup, processes)
    const sensors = await connectAsync(url)
    const taken = async (): Promise<number> => await metric(fleet.base, 'obelisk_cells_taken_total')
    // It is there once something has come over it.
    while ((await taken()) === 0) {
      await sensors.publishAsync('obelisk/v1/cell/value/0/0', '1', { qos: 1 })
      await sleep(100)
    }
    for (let at = 0; at < seconds * PER_SECOND; at++) {
      const topic = `obelisk/v1/cell/value/${at % SIDE}/${Math.floor(at / SIDE) % SIDE}`
      sensors.publish(topic, `${at / 8}`, { qos: 1 })
    }
    const [before, cpuBefore, startMs] = [
      await taken(),
      cpuSecondsOf(fleet.gateway),
      performance.now(),
    ]
    await sleep(seconds * 1000)
    const after = await taken()
    const passed = (performance.now() - startMs) / 1000
    const cpu = (cpuSecondsOf(fleet.gateway) - cpuBefore) / passed
    await sensors.endAsync(true)
    return [`${inflight}`, ((after - before) / passed).toFixed(1), `${(cpu * 100).toFixed(1)} %`]
  } finally {
    await processes.close()
    mosquitto.kill()
    await once(mosquitto, 'exit')
  }
}

const rows = [['max_inflight_messages', 'readings a second', 'CPU of the gateway']]
for (const inflight of counts) rows.push(await measure(inflight))
process.stdout.write(`${describeMachine()}\n${formatTable(rows)}\n`)
