/** Entries on their way: what a message says is what it was sent for, whatever has become of the stream since. */
import assert from 'node:assert/strict'
import t from 'tap'
import { EntriesRound } from '../../../../broker/core/rules/entries-round.ts'
import { EntryParts } from '../../../../broker/core/state/entry-parts.ts'
import { NodeStream } from '../../../../broker/core/state/node-stream.ts'
import { StreamItem } from '../../../../broker/core/state/stream-items.ts'
import { decodeDown } from '../../../../shared/protocol/messages.ts'
import { CHAIN_START, extendChain } from '../../../../shared/protocol/stream-chain.ts'

const SESSION = { number: 5, connection: 'to-node', process: 'one' }
const MEMBER = 2
const WINDOW_BYTES = 10_000

function newItem(position: number, seq: number): StreamItem {
  const tiles = Uint32Array.of(seq, seq + 5)
  const parts = EntryParts.of([{ member: MEMBER, position, tiles }])
  const region: [number, number, number, number] = [0, 0, 9, 9]
  const forAll = { seq, op: 'set', region, args: { value: seq }, body: new Uint8Array(8).fill(seq) }
  const cut = (own: Uint32Array) => ({ value: seq, tiles: own.length })
  return new StreamItem({ forAll, tileBytes: 4, ...(seq % 2 === 0 ? { cut } : {}) }, parts)
}

/** All of a stream in one message, which has not left. */
function sent(stream: NodeStream): EntriesRound {
  const round = new EntriesRound()
  round.begin(SESSION, stream)
  for (;;) {
    const part = stream.takeSendable(WINDOW_BYTES)
    if (part === undefined) return round
    round.add(stream.itemAt(stream.sent)!, part)
  }
}

function entriesOf(round: EntriesRound) {
  const decoded = decodeDown(round.payloadOf(0))
  assert.ok(decoded.ok && decoded.message.t === 'entries')
  assert.equal(decoded.message.session, SESSION.number)
  return decoded.message.entries
}

function streamOf(seqs: readonly number[]): NodeStream {
  const stream = new NodeStream(MEMBER, 'store')
  for (const seq of seqs) stream.append(newItem(stream.head + 1, seq), 0)
  return stream
}

t.test('entries say what they are, each with the chain behind the one before', async (t) => {
  const entries = entriesOf(sent(streamOf([7, 8, 11])))
  t.same(
    entries.map(({ position, seq }) => [position, seq]),
    [
      [1, 7],
      [2, 8],
      [3, 11],
    ],
  )
  t.same(entries[1]!.args, { value: 8, tiles: 2 }, 'arguments that are cut')
  let chain = CHAIN_START
  for (const entry of entries) {
    chain = extendChain(chain, entry)
    t.same(entry.chain, chain)
  }
})

t.test('a message that leaves late says what it would have said before', async (t) => {
  const seqs = [7, 8, 11]
  const before = entriesOf(sent(streamOf(seqs)))
  const stream = streamOf(seqs)
  const first = sent(stream)
  stream.rewind()
  const again = sent(stream)
  stream.append(newItem(4, 12), 0)
  t.same(entriesOf(first), before)
  t.equal(stream.compare(3, before[2]!.chain), 'match')
  stream.acknowledge(3, 0, 1)
  t.same(entriesOf(again), before, 'also when the node has it all')
  const ended = streamOf(seqs)
  const last = sent(ended)
  ended.end()
  for (const { parts } of ended.items) parts.remove(MEMBER)
  t.same(entriesOf(last), before, 'also of a stream that has ended')
  const late = streamOf(seqs)
  const round = sent(late)
  late.replace(2, newItem(2, 13), 0)
  t.same(entriesOf(round)[0], before[0], 'what follows is for nobody, who stopped there')
})
