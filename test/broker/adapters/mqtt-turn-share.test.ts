import t from 'tap'
import { ConnectionShare, TurnShare } from '../../../broker/adapters/mqtt-turn-share.ts'

const nextTurn = (): Promise<void> => new Promise(setImmediate)

t.test('a connection takes its share in each turn, and is told of the next', async (t) => {
  let told = 0
  const turns = new TurnShare({ packetsMax: 3, packetsFirst: 3, turnMs: Number.POSITIVE_INFINITY })
  const rates = { packetsPerSecond: 1e6, bytesPerSecond: 1e9 }
  const share = new ConnectionShare(turns, rates, () => told++)
  const other = new ConnectionShare(turns, rates, () => told++)
  for (let turn = 0; turn < 3; turn++) {
    let taken = 0
    for (; share.isLeft(); taken++) share.takePacket()
    t.equal(taken, 3)
    t.ok(other.isLeft(), 'each has its own')
    t.equal(told, turn)
    await nextTurn()
    await nextTurn()
    t.equal(told, turn + 1, 'once, and only who asked for more')
  }
})

t.test('who brings more bytes than it may in a second is told when it may go on', async (t) => {
  const rates = { packetsPerSecond: 1e6, bytesPerSecond: 10_000 }
  const timer = { over: () => {} }
  const isOver = new Promise<void>((resolve) => {
    timer.over = resolve
  })
  const share = new ConnectionShare(new TurnShare(), rates, () => timer.over())
  const beganMs = performance.now()
  // What comes back in a second may come at once; the rest is waited for.
  share.takeBytes(11_000)
  t.notOk(share.isLeft())
  await isOver
  t.ok(performance.now() - beganMs > 50)
  t.ok(share.isLeft())
  share.close()
  share.takeBytes(1e6)
  t.ok(share.isLeft(), 'nobody is told any more')
})

t.test('the share shrinks where turns are long, down to one, and grows again', async (t) => {
  const turns = new TurnShare({ packetsMax: 16, packetsFirst: 4, turnMs: 20 })
  const work = async (ms: number): Promise<void> => {
    turns.turn()
    const untilMs = performance.now() + ms
    while (performance.now() < untilMs);
    await nextTurn()
  }
  for (let turn = 0; turn < 8; turn++) await work(25)
  t.equal(turns.packets, 1)
  while (turns.packets < 16) await work(0)
  t.equal(turns.packets, 16)
  await nextTurn()
  await nextTurn()
  turns.turn()
  t.equal(turns.packets, 4, 'after a turn without any it begins small')
})
