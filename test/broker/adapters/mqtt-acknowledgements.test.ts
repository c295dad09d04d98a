import t from 'tap'
import { Acknowledgements } from '../../../broker/adapters/mqtt-acknowledgements.ts'
import { SentPackets } from '../../../broker/adapters/mqtt-frames.ts'
import { packet, publishPacket } from '../../support/raw-mqtt-client.ts'

const [PUBACK, PUBREC, PUBREL, PUBCOMP] = [4, 5, 6, 7] as const

/** What was sent, in pieces of a size; then a client's answers: whether the last may stand. */
function lastStands(sent: Uint8Array[], size: number, answers: readonly number[], id = 0x0102) {
  const awaited = new Acknowledgements()
  const packets = new SentPackets((type, qos, id) => {
    if (id > 0) awaited.sent(type, qos, id)
  })
  const bytes = Buffer.concat(sent)
  for (let at = 0; at < bytes.length; at += size) packets.watch(bytes.subarray(at, at + size))
  return answers.map((type) => awaited.take(type, id)).at(-1)
}

t.test('a message takes the acknowledgement of its kind, and no other', (t) => {
  const topic = 'a/topic'.repeat(40)
  const at = (qos: number): Buffer => publishPacket(topic, 'payload', { qos, id: 0x0102 })
  const release = packet(PUBREL, 2, Uint8Array.of(1, 2))
  const others = [publishPacket('b', 'x'), publishPacket('b', 'x', { qos: 1, id: 9 })]
  for (const size of [1, 2, 3, 7, 10_000]) {
    for (const [name, sent, kinds] of [
      ['QoS 1', [at(1)], [PUBACK]],
      ['QoS 2', [at(2)], [PUBREC]],
      ['QoS 2, released', [at(2), release], [PUBREC, PUBCOMP]],
      ['released in a session of before', [release], [PUBREC, PUBCOMP]],
      ['an id anew', [at(2), release, at(1)], [PUBACK]],
      ['QoS 0', [], [PUBACK, PUBREC, PUBCOMP]],
    ] as const) {
      const all = [others[0]!, ...sent, ...others]
      const taken = [PUBACK, PUBREC, PUBCOMP].filter((kind) => lastStands(all, size, [kind]))
      t.same(taken, kinds, `${name}, ${size} bytes at once`)
    }
  }
  t.equal(lastStands([at(2)], 5, [PUBREC, PUBREC]), true, 'said twice')
  t.equal(lastStands([at(1)], 5, [PUBACK, PUBACK]), true, 'late, and nobody waits for it')
  t.equal(lastStands([at(1)], 5, [PUBREL]), true, 'is of the messages that came')
  t.end()
})
