/** One node's stream: what the window of bytes lets go. */
import t from 'tap'
import { NodeStream } from '../../../../broker/core/state/node-stream.ts'
import { Random } from '../../../../shared/core/random.ts'

const WINDOW_BYTES = 100

function part(seq: number, bytes: number) {
  const [body, tiles] = [new Uint8Array(8), Uint32Array.of(seq)]
  return { seq, body, tiles, queuedMs: 0, bytes }
}

t.test('what is in flight is not counted anew at each look', async (t) => {
  const stream = new NodeStream('store')
  let looks = 0
  for (let seq = 1; seq <= WINDOW_BYTES + 1; seq++) {
    const entry = stream.append(part(seq, 1))
    const get = (): number => {
      looks += 1
      return 1
    }
    Object.defineProperty(entry, 'bytes', { get })
  }
  t.equal(stream.takeSendable(WINDOW_BYTES).length, WINDOW_BYTES)
  looks = 0
  t.same(stream.takeSendable(WINDOW_BYTES), [])
  t.equal(looks, 1, 'the next one')
})

t.test('the window is filled, whatever was acknowledged, replaced or sent again', async (t) => {
  const random = new Random(1)
  const stream = new NodeStream('store')
  let seq = 0
  let sent = 0
  let taken = 0
  for (let round = 0; round < 2000; round++) {
    const { acked, head } = stream
    const position = acked + random.integer(head - acked + 1)
    switch (random.integer(5)) {
      case 0:
        sent = Math.max(sent, position)
        stream.acknowledge(position, 0, 1)
        break
      case 1:
        sent = acked
        stream.rewind()
        break
      case 2:
        if (position === acked) break
        sent = Math.min(sent, position - 1)
        stream.replace(position, part(++seq, 1 + random.integer(40)))
        break
      default:
        stream.append(part(++seq, 1 + random.integer(40)))
    }
    let inFlight = 0
    for (const entry of stream.entries) {
      if (entry.position <= sent) inFlight += entry.bytes
      else if (inFlight > 0 && inFlight + entry.bytes > WINDOW_BYTES) break
      else {
        inFlight += entry.bytes
        sent = entry.position
      }
    }
    const last = stream.takeSendable(WINDOW_BYTES).at(-1)
    if (last === undefined) continue
    taken += 1
    if (last.position !== sent) t.fail(`round ${round}: ${last.position} is not ${sent}`)
  }
  t.ok(taken > 500)
})
