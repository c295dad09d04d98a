/**
 * A message of its own to each of ten thousand nodes, from the broker of the gateway, until the last one has it; beside it
 * the same bytes to as many bare sockets, one `write` each, from the same loop.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { MqttBroker } from '../../broker/adapters/mqtt-broker.ts'
import type { ConnectionId } from '../../broker/core/events.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { buildTopic, nodeClientId, TOPIC_BASE_DEFAULT } from '../../shared/protocol/topics.ts'
import { benchOptions } from './bench-options.ts'
import { withProcesses } from './bench-processes.ts'
import { clockMs } from './light-node.ts'
import { formatMs, median, report } from './measure.ts'

const RECEIVERS = fileURLToPath(new URL('receivers.js', import.meta.url))
const PROCESSES = 2
/** With its topic, what a part of a read has about. */
const MESSAGE_BYTES = 210
/** So many are sent before others have their turn, as the driver does. */
const SLICE = 256

const { flags } = benchOptions({ count: 9900, rounds: 15 } as const)
const { count, rounds } = flags

type Send = (at: number) => void

/** Until all have theirs, and the processor time of it: medians, ms. */
async function measureRounds(
  port: number,
  send: (bytes: number) => Send,
): Promise<{ wallMs: number; cpuMs: number }> {
  return await withProcesses(async (processes) => {
    const children: ChildProcess[] = []
    const each = Math.ceil(count / PROCESSES)
    for (let first = 0; first < count; first += each) {
      const words = [port, Math.min(each, count - first), first].map(String)
      children.push((await processes.start(`receivers-${first}`, [RECEIVERS, ...words])).child)
    }
    const walls: number[] = []
    const cpus: number[] = []
    for (let round = 0; round <= rounds; round++) {
      const ends = children.map((child) => once(child, 'message') as Promise<[number]>)
      for (const child of children) child.send(MESSAGE_BYTES)
      const one = send(MESSAGE_BYTES)
      const cpu = process.cpuUsage()
      const startMs = clockMs()
      for (let at = 0; at < count; at += SLICE) {
        for (let next = at; next < Math.min(count, at + SLICE); next++) one(next)
        await new Promise(setImmediate)
      }
      const { user, system } = process.cpuUsage(cpu)
      const lastMs = Math.max(...(await Promise.all(ends)).map(([endMs]) => endMs))
      // The first is for the compiler.
      if (round === 0) continue
      walls.push(lastMs - startMs)
      cpus.push((user + system) / 1000)
    }
    return { wallMs: median(walls), cpuMs: median(cpus) }
  })
}

async function bare(): Promise<{ wallMs: number; cpuMs: number }> {
  const sockets: Socket[] = []
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.push(socket)
    socket.once('data', () => socket.write('.'))
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const rows = await measureRounds((server.address() as AddressInfo).port, (bytes) => (at) => {
    const message = Buffer.alloc(bytes, 'a')
    message.writeUInt32LE(at)
    sockets[at]!.write(message)
  })
  for (const socket of sockets) socket.destroy()
  server.close()
  return rows
}

async function brokered(): Promise<{ wallMs: number; cpuMs: number }> {
  const nothing = (): void => {}
  const broker = await MqttBroker.start(
    { port: 0 },
    {
      ...{ onSubmission: nothing, onReadings: nothing, onCancel: nothing, onNodeMessage: nothing },
      ...{ onReport: nothing, onNodeConnectionClosed: nothing },
    },
  )
  const rows = await measureRounds(broker.port, (bytes) => (at) => {
    const node = `node-${at}` as NodeId
    // Without the fixed header of three bytes and the topic with its length.
    const payload = Buffer.alloc(
      bytes - 5 - buildTopic(TOPIC_BASE_DEFAULT, { kind: 'node-down', node }).length,
      'a',
    )
    payload.writeUInt32LE(at)
    broker.sendToNode(nodeClientId(node, '1') as ConnectionId, payload)
  })
  await broker.close()
  return rows
}

const floor = await bare()
const own = await brokered()
const row = (what: string, { wallMs, cpuMs }: typeof own): string[] => {
  return [what, `${formatMs(wallMs)} ms`, `${formatMs(cpuMs)} ms`]
}
const ratio = own.wallMs / floor.wallMs
report([
  ['What', 'until the last has its own', 'processor time'],
  row(`${count} bare sockets`, floor),
  row(`${count} nodes`, own),
  ['nodes ÷ bare sockets', ratio.toFixed(2), (own.cpuMs / floor.cpuMs).toFixed(2)],
])
