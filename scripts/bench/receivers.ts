/**
 * Many connections in a process of their own (`receivers.js PORT COUNT FIRST`), for shards.ts: they come as nodes do that say
 * nothing more, and tell their parent when each has all of a round.
 */
import { connect } from 'node:net'
import { generate } from 'mqtt-packet'
import { nodeClientId } from '../../shared/protocol/topics.ts'
import { clockMs, nodeIdOf } from './light-node.ts'

const [port = 0, count = 0, first = 0] = process.argv.slice(2).map(Number)
const AT_ONCE = 50
let left = 0

process.on('message', (bytesEach: number) => {
  left += bytesEach * count
})

async function open(at: number): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  const clientId = nodeClientId(nodeIdOf(at), '1')
  const how = { protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: 0 } as const
  socket.write(generate({ cmd: 'connect', clientId, ...how }))
  // CONNACK, or what stands for it.
  await new Promise((resolve) => socket.once('data', resolve))
  socket.on('data', (chunk) => {
    left -= chunk.length
    if (left === 0) process.send!(clockMs())
  })
}

for (let at = first; at < first + count; at += AT_ONCE) {
  const some = Math.min(AT_ONCE, first + count - at)
  await Promise.all(Array.from({ length: some }, (_, one) => open(at + one)))
}
process.stderr.write('ready receivers\n')
