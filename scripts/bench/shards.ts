/**
 * A message of its own to each of ten thousand nodes, from the broker of the gateway, until the last one has it; beside it
 * the same bytes to as many bare sockets, one `write` each, from the same loop.
 */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { MqttBroker } from '../../broker/adapters/mqtt-broker.ts'
import type { ConnectionId } from '../../broker/core/events.ts'
import { buildTopic, nodeClientId, TOPIC_BASE_DEFAULT } from '../../shared/protocol/topics.ts'
import { benchOptions } from './bench-options.ts'
import { ask, withProcesses } from './bench-processes.ts'
import { clockMs, nodeIdOf } from './light-node.ts'
import { inMs, median, report } from './measure.ts'

const PROCESSES = 2
/** With its topic, what a part of a read has about. */
const MESSAGE_BYTES = 210
/** So many are sent before others have their turn, as the driver does. */
const SLICE = 256

const { count, rounds } = benchOptions({ count: 9900, rounds: 15 } as const)

interface Taken {
  readonly wallMs: number
  readonly cpuMs: number
}

/** Until all have theirs, and the processor time of it: medians. */
async function measureRounds(port: number, send: (at: number) => void): Promise<Taken> {
  return await withProcesses(async (processes) => {
    const each = Math.ceil(count / PROCESSES)
    const firsts = Array.from({ length: PROCESSES }, (_, at) => at * each)
    const receivers = await Promise.all(
      firsts.map((first) => {
        return processes.startBeside('receivers', port, Math.min(each, count - first), first)
      }),
    )
    const taken: Taken[] = []
    for (let round = 0; round <= rounds; round++) {
      const ends = receivers.map(({ child }) => ask<number>(child, MESSAGE_BYTES))
      const cpu = process.cpuUsage()
      const startMs = clockMs()
      for (let at = 0; at < count; at += SLICE) {
        for (let next = at; next < Math.min(count, at + SLICE); next++) send(next)
        await new Promise(setImmediate)
      }
      const { user, system } = process.cpuUsage(cpu)
      const wallMs = Math.max(...(await Promise.all(ends))) - startMs
      taken.push({ wallMs, cpuMs: (user + system) / 1000 })
    }
    // The first is for the compiler.
    taken.shift()
    const [walls, cpus] = [taken.map(({ wallMs }) => wallMs), taken.map(({ cpuMs }) => cpuMs)]
    return { wallMs: median(walls), cpuMs: median(cpus) }
  })
}

async function bare(): Promise<Taken> {
  const sockets: Socket[] = []
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.push(socket)
    socket.once('data', () => socket.write('.'))
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const taken = await measureRounds((server.address() as AddressInfo).port, (at) => {
    const message = Buffer.alloc(MESSAGE_BYTES, 'a')
    message.writeUInt32LE(at)
    sockets[at]!.write(message)
  })
  for (const socket of sockets) socket.destroy()
  server.close()
  return taken
}

async function brokered(): Promise<Taken> {
  const nothing = (): void => {}
  const broker = await MqttBroker.start(
    { port: 0 },
    {
      ...{ onSubmission: nothing, onReadings: nothing, onCancel: nothing, onNodeMessage: nothing },
      ...{ onReport: nothing, onNodeConnectionClosed: nothing },
    },
  )
  const taken = await measureRounds(broker.port, (at) => {
    const node = nodeIdOf(at)
    const topic = buildTopic(TOPIC_BASE_DEFAULT, { kind: 'node-down', node })
    // Without the fixed header of three bytes and the topic with its length.
    const payload = Buffer.alloc(MESSAGE_BYTES - 5 - topic.length, 'a')
    payload.writeUInt32LE(at)
    broker.sendToNode(nodeClientId(node, '1') as ConnectionId, payload)
  })
  await broker.close()
  return taken
}

const floor = await bare()
const own = await brokered()
report([
  ['What', 'until the last has its own', 'processor time'],
  [`${count} bare sockets`, inMs(floor.wallMs), inMs(floor.cpuMs)],
  [`${count} nodes`, inMs(own.wallMs), inMs(own.cpuMs)],
  [
    'nodes ÷ bare sockets',
    (own.wallMs / floor.wallMs).toFixed(2),
    (own.cpuMs / floor.cpuMs).toFixed(2),
  ],
])
