import t from 'tap'
import type { SealingOrder } from '../../../../broker/core/effects.ts'
import { Sealing } from '../../../../broker/core/state/sealing.ts'
import type { TaskId } from '../../../../shared/core/ids.ts'
import { decodeCbor, encodeCbor } from '../../../../shared/protocol/cbor.ts'
import type { Sealed } from '../../../../shared/protocol/sealed.ts'
import {
  ADD,
  cells,
  type GatewayBench,
  GET,
  readerOf,
  settledPair,
  TILE_0,
} from '../../../support/gateway-bench.ts'

const LIMITS = { bytesMax: 2 ** 20, depthMax: 16, itemsMax: 10_000 }
const NONE = new Uint8Array()
const SEALED: Sealed = { head: NONE, kem: NONE, body: Uint8Array.of(1, 2, 3), sig: NONE }
/** As it stands in the cells that a node answers with. */
const SECRET = 41.25

function decode(bytes: unknown): Record<string, unknown> {
  const decoded = decodeCbor(bytes as Uint8Array, LIMITS)
  if (!decoded.ok) throw new Error(decoded.message)
  return decoded.value as Record<string, unknown>
}

function ordersOf(bench: GatewayBench): SealingOrder[] {
  return bench.effects.flatMap((effect) => (effect.type === 'seal' ? [effect.order] : []))
}

/** Whether the number is in something that leaves, or that is written. */
function isShown(bench: GatewayBench): boolean {
  const number = Buffer.from(encodeCbor(SECRET)).subarray(1)
  const others = bench.effects.filter(({ type }) => type !== 'seal')
  const texts = others.map((effect) => Buffer.from(encodeCbor(effect)))
  return texts.some((bytes) => bytes.includes(number)) || JSON.stringify(others).includes('41.25')
}

/** A read that one node has answered: its value waits to be sealed. */
function answered(bench: GatewayBench, id = 'r'): SealingOrder {
  bench.submit({ id, ...GET, seal: 'alice' })
  const { reader } = readerOf(bench)
  const [read] = bench.readsTo(reader)
  bench.answer(reader, read!, { value: cells(0, SECRET) })
  return ordersOf(bench)[0]!
}

function result(bench: GatewayBench, id: string): Record<string, unknown> | undefined {
  const bytes = bench.ledger.get<Uint8Array>('result', id)
  return bytes && decode(bytes)
}

t.test('a value is sealed before anything is written or shown of it', async (t) => {
  const bench = settledPair()
  const order = answered(bench)
  t.match(order, { task: 'r', op: 'get', to: 'alice', ts: Number })
  t.match(decode(order.value), { fields: { value: [SECRET] } })
  t.notOk(isShown(bench))
  t.equal(result(bench, 'r'), undefined)
  t.match(bench.task('r'), { state: 'running', waiting_for: 'sealing' })
  bench.step({ type: 'task-sealed', task: order.task, sealed: SEALED })
  t.notOk(isShown(bench))
  t.match(bench.task('r'), { state: 'completed' })
  t.match(result(bench, 'r'), { state: 'completed', sealed: { body: Buffer.of(1, 2, 3) } })
  t.notOk('value' in result(bench, 'r')!)
  const mirror = bench.effects.find((effect) => {
    return effect.type === 'publish' && effect.topic.kind === 'task-result-json'
  }) as { payload: string }
  t.match(JSON.parse(mirror.payload), { state: 'completed', lsus: 16, consistent: true })
  t.notMatch(mirror.payload, /sealed|value/)
  t.same(bench.step({ type: 'task-sealed', task: order.task, sealed: SEALED }), [], 'once')
})

t.test('after a start a read is done once more, and a write says what it said', async (t) => {
  const bench = settledPair()
  answered(bench)
  bench.submit({ id: 'w', ...ADD, region: TILE_0, seal: 'alice' })
  const [toA, toB] = [bench.entriesTo('a'), bench.entriesTo('b')]
  bench.apply('a', toA)
  bench.apply('b', toB)
  t.match(ordersOf(bench), [{ task: 'w' }])
  t.match(bench.task('w'), { state: 'running', effect: 'done' })

  for (let starts = 0; starts < 2; starts++) {
    bench.start()
    t.match(ordersOf(bench), [{ task: 'w', to: 'alice' }])
    t.same(decode(ordersOf(bench)[0]!.value), { lsus: 16 })
  }
  bench.step({ type: 'task-sealed', task: 'w' as TaskId, sealed: SEALED })
  t.match(result(bench, 'w'), { copies: 2, nodes: 2, effect: 'done', sealed: {} })
  t.equal(bench.ledger.get('body', 'w'), undefined, 'its body is needed no more')
  t.equal((bench.ledger.get('task', 'w') as { sealing?: unknown }).sealing, undefined)
  const asked = ['a', 'b'].flatMap((name) => {
    bench.hello(name)
    return bench.readsTo(name).map((read) => [name, read] as const)
  })
  const [reader, read] = asked[0]!
  t.match(read, { task: 'r' })
  bench.answer(reader, read, { value: cells(0, SECRET) })
  t.match(ordersOf(bench), [{ task: 'r' }])
  bench.step({ type: 'task-sealed', task: 'r' as TaskId, sealed: SEALED })
  t.match(result(bench, 'r'), { state: 'completed', sealed: {} })
})

t.test('a write that the start itself completes is sealed once', async (t) => {
  const bench = settledPair({ returnGraceMs: 0 })
  bench.submit({ id: 'w', ...ADD, region: TILE_0, seal: 'alice' })
  bench.apply('a', bench.entriesTo('a'))
  t.same(ordersOf(bench), [], 'b is in sync and lacks it')
  bench.start()
  t.match(bench.task('w'), { effect: 'done', waiting_for: 'sealing' })
  t.match(ordersOf(bench), [{ task: 'w', to: 'alice' }])
  t.equal(ordersOf(bench).length, 1)
})

t.test('a write that a replica still lacks keeps its body until that has it', async (t) => {
  const bench = settledPair({ lagMs: 0 })
  bench.close('b')
  bench.wait(1)
  bench.submit({ id: 'w', ...ADD, region: TILE_0, seal: 'alice' })
  bench.apply('a', bench.entriesTo('a'))
  bench.step({ type: 'task-sealed', task: 'w' as TaskId, sealed: SEALED })
  t.match(bench.task('w'), { state: 'completed' })
  t.ok(bench.ledger.get('body', 'w'))
  bench.hello('b')
  bench.apply('b', bench.entriesTo('b'))
  t.equal(bench.ledger.get('body', 'w'), undefined)
})

t.test('what cannot be sealed is shown to nobody', async (t) => {
  const bench = settledPair()
  const { task } = answered(bench)
  const error = { code: 'unknown-recipient', message: 'recipient alice was removed' }
  bench.step({ type: 'sealing-failed', task, error })
  t.notOk(isShown(bench))
  t.match(bench.task('r'), { state: 'failed', error })
  t.match(result(bench, 'r'), { state: 'failed', error })
})

t.test('a task that ends meanwhile has ended', async (t) => {
  const late = settledPair()
  answered(late)
  late.wait(60_000)
  t.match(late.task('r'), { state: 'expired', error: { message: /not sealed before/ } })
  const taken = settledPair()
  answered(taken)
  t.match(taken.cancel('r'), { ok: true })
  for (const bench of [late, taken]) {
    t.match(
      bench.effects.filter(({ type }) => type === 'unseal'),
      [{ task: 'r' }],
    )
    t.same(bench.step({ type: 'task-sealed', task: 'r' as TaskId, sealed: SEALED }), [])
    t.notOk('sealed' in result(bench, 'r')!)
  }
})

t.test('the value of a task that has ended counts until it is let go', async (t) => {
  const bench = settledPair()
  for (let count = 0; count < 256; count++) {
    answered(bench, `r${count}`)
    bench.cancel(`r${count}`)
  }
  const task = { ...GET, seal: 'alice' }
  t.match(bench.submit(task), { ok: false, refusal: { code: 'overloaded' } })
  const error = { code: 'seal-failed', message: 'nobody wants it any more' }
  t.same(bench.step({ type: 'sealing-failed', task: 'r0' as TaskId, error }), [])
  t.match(bench.submit(task), { ok: true })
})

t.test('a recipient that nobody knows is refused, but for what was accepted before', async (t) => {
  const bench = settledPair()
  const task = { id: 'r', ...GET, seal: 'alice' }
  t.match(bench.submit(task), { ok: true })
  t.match(bench.submit({ ...task, id: 'other' }, {}, { lacksRecipient: true }), {
    ...{ ok: false, task: 'other' },
    refusal: { code: 'unknown-recipient', errors: [{ path: 'seal', code: 'unknown-recipient' }] },
  })
  t.match(bench.submit(task, {}, { lacksRecipient: true }), { ok: true, task: 'r' })
  t.match(bench.submit({ id: 'r', ...GET }), { refusal: { code: 'task-id-conflict' } })
  const wrong = { ...GET, seal: 'two words' }
  t.match(bench.submit(wrong), { refusal: { errors: [{ path: 'seal', code: 'wrong-type' }] } })
})

t.test('where too much waits no such task is accepted', async (t) => {
  const bench = settledPair()
  for (let count = 0; count < 256; count++) answered(bench, `r${count}`)
  const refused = { ok: false, refusal: { code: 'overloaded' } }
  t.match(bench.submit({ ...GET, seal: 'alice' }), refused)
  t.match(bench.submit({ ...GET }), { ok: true }, 'but for others there is room')
  bench.step({ type: 'task-sealed', task: 'r0' as TaskId, sealed: SEALED })
  t.match(bench.submit({ ...GET, seal: 'alice' }), { ok: true })
})

t.test('what waits is bounded by bytes, and what has left makes room', async (t) => {
  const sealing = new Sealing()
  const mebibytes = (count: number): number => count * 1024 * 1024
  const add = (name: string, bytes: number): void =>
    sealing.add(name as TaskId, { nodes: 1 }, bytes)
  add('a', mebibytes(20))
  t.notOk(sealing.isBusy)
  add('b', mebibytes(19))
  t.ok(sealing.isBusy)
  t.ok(sealing.hasRoom(mebibytes(19)))
  t.notOk(sealing.hasRoom(mebibytes(25)))
  t.same(sealing.take('a' as TaskId), { nodes: 1 })
  t.equal(sealing.take('a' as TaskId), undefined)
  t.notOk(sealing.isBusy)
  t.ok(sealing.hasRoom(mebibytes(25)))
})
