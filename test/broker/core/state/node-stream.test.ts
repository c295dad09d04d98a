/** One node's stream: what the window of bytes lets go, and the chains, which are computed late. */
import t from 'tap'
import { EntryParts } from '../../../../broker/core/state/entry-parts.ts'
import { NodeStream } from '../../../../broker/core/state/node-stream.ts'
import { StreamItem } from '../../../../broker/core/state/stream-items.ts'
import { Random } from '../../../../shared/core/random.ts'
import { CHAIN_START, extendChain } from '../../../../shared/protocol/stream-chain.ts'

const WINDOW_BYTES = 100
const MEMBER = 3

interface Plain {
  readonly seq: number
  readonly body: Uint8Array
  readonly tiles: Uint32Array
}

/** Something of so many bytes at this position; beside it, what an item says, for the one that looks. */
function newItem(position: number, seq: number, bytes: number) {
  const plain: Plain = {
    seq,
    body: new Uint8Array(8).fill(seq),
    tiles: Uint32Array.of(seq, seq + 1),
  }
  const parts = EntryParts.of([{ member: MEMBER, position, tiles: plain.tiles }])
  const forAll = { seq, op: 'set', region: [0, 0, 1, 1] as [number, number, number, number] }
  const item = new StreamItem(
    { forAll: { ...forAll, args: {}, body: plain.body }, tileBytes: (bytes - 160) / 2 },
    parts,
  )
  return { item, plain, bytes }
}

t.test('what is in flight is not counted anew at each look', async (t) => {
  const stream = new NodeStream(MEMBER, 'store')
  let looks = 0
  for (let position = 1; position <= WINDOW_BYTES + 1; position++) {
    const { item } = newItem(position, position, 1)
    const bytesOf = (): number => {
      looks += 1
      return 1
    }
    stream.append(Object.assign(item, { bytesOf }), 0)
  }
  for (let count = 0; count < WINDOW_BYTES; count++) stream.takeSendable(WINDOW_BYTES)
  t.equal(stream.sent, WINDOW_BYTES)
  looks = 0
  t.equal(stream.takeSendable(WINDOW_BYTES), undefined)
  t.equal(looks, 1, 'the next one')
})

t.test(
  'window and chains are right, whatever was acknowledged, replaced or sent again',
  async (t) => {
    const random = new Random(1)
    const stream = new NodeStream(MEMBER, 'store')
    let seq = 0
    let sent = 0
    let taken = 0
    /** What stands at each position, and the chains of those that are acknowledged. */
    const made: ReturnType<typeof newItem>[] = []
    const chains = [CHAIN_START]
    const chainAt = (position: number): Uint8Array => {
      let chain = chains.at(-1)!
      for (let at = chains.length; at <= position; at++) {
        const { plain } = made[at - 1]!
        const tiles = new Uint8Array(plain.tiles.buffer)
        chain = extendChain(chain, { position: at, seq: plain.seq, body: plain.body, tiles })
      }
      return chain
    }
    for (let round = 0; round < 2000; round++) {
      const { acked, head } = stream
      const position = acked + random.integer(head - acked + 1)
      switch (random.integer(6)) {
        case 0:
          sent = Math.max(sent, position)
          for (let at = acked + 1; at <= position; at++) chains.push(chainAt(at))
          stream.acknowledge(position, 0, 1)
          break
        case 1:
          sent = acked
          stream.rewind()
          break
        case 2:
          if (position === acked) break
          sent = Math.min(sent, position - 1)
          made[position - 1] = newItem(position, ++seq, 1 + random.integer(40))
          stream.replace(position, made[position - 1]!.item, 0)
          break
        case 3:
          t.equal(stream.compare(position, chainAt(position)), 'match')
          t.equal(stream.compare(position, new Uint8Array(8).fill(255)), 'differs')
          break
        default:
          made.push(newItem(head + 1, ++seq, 1 + random.integer(40)))
          stream.append(made.at(-1)!.item, 0)
      }
      let inFlight = 0
      for (let at = stream.acked + 1; at <= stream.head; at++) {
        const { bytes } = made[at - 1]!
        if (at > sent && inFlight > 0 && inFlight + bytes > WINDOW_BYTES) break
        inFlight += bytes
        sent = Math.max(sent, at)
      }
      while (stream.takeSendable(WINDOW_BYTES) !== undefined) taken += 1
      if (stream.sent !== sent) t.fail(`round ${round}: ${stream.sent} is not ${sent}`)
    }
    t.ok(taken > 500)
  },
)
