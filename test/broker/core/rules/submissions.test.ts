import t from 'tap'
import { isReadBy } from '../../../../broker/adapters/http-access.ts'
import type { TaskId } from '../../../../shared/core/ids.ts'
import {
  mayCancel,
  mayReceive,
  ownerNameOf,
  type UserPrincipal,
} from '../../../../shared/protocol/access.ts'
import {
  ADD,
  EMPTY_STORE,
  GatewayBench,
  GET,
  readerOf,
  settledPair,
  TILE_0,
} from '../../../support/gateway-bench.ts'

t.test('without any member a task is refused, with one away it is taken', async (t) => {
  const bench = new GatewayBench()
  t.match(bench.submit(ADD), { ok: false, refusal: { code: 'no-node' } })
  bench.join('a')
  bench.close('a')
  t.match(bench.submit({ id: 'w', ...ADD }), { ok: true, state: 'accepted' })
})

t.test('the same id and body is the same task, another body a conflict', async (t) => {
  const bench = settledPair()
  const task = { id: 'w', ...ADD, region: TILE_0 }
  t.match(bench.submit(task), { ok: true, task: 'w', state: 'running' })
  t.match(bench.submit({ ...task, deadline_ms: 60_000 }), { ok: true, task: 'w' })
  t.equal(bench.sent('entries').length, 0, 'it is not run again')
  const shown = bench.effects.filter(({ type }) => type === 'publish')
  t.match(shown, [{ topic: { kind: 'task-state', task: 'w' } }])
  t.match(bench.submit({ ...task, deadline_ms: 1 }), {
    ok: false,
    task: 'w',
    refusal: { code: 'task-id-conflict' },
  })
})

t.test('a resent packet without an id is known again, in the same run', async (t) => {
  const bench = settledPair()
  const task = { ...ADD, region: TILE_0 }
  const first = bench.submit(task, { packetId: 7 })
  t.same(bench.submit(task, { packetId: 7, isDuplicate: true }), first)
  const others = [
    bench.submit(task, { packetId: 7 }),
    bench.submit(task, { packetId: 8, isDuplicate: true }),
    bench.submit(task, { packetId: 7, isDuplicate: true, client: 'other' }),
    bench.submit({ ...task, deadline_ms: 9 }, { packetId: 7, isDuplicate: true }),
  ].map((outcome) => outcome.task)
  t.equal(new Set([first.task, ...others]).size, 5)
})

t.test('what is malformed is refused with every problem, over MQTT on its topic', async (t) => {
  const bench = settledPair()
  const outcome = bench.submit({ id: 'w', op: 'add', args: { field: 'no', value: 1 }, x: 1 })
  t.match(outcome, { ok: false, task: 'w', refusal: { code: 'invalid' } })
  const [rejected] = bench.effects.filter((effect) => effect.type === 'publish')
  t.equal(rejected?.topic.kind, 'task-rejected')
  t.match(JSON.parse(String(rejected?.payload)), {
    id: 'w',
    client: 'tester',
    errors: [{ code: 'unknown-key' }, { code: 'unknown-field' }],
  })
  bench.submit({ op: 'nothing' }, { via: 'http' })
  t.notOk(
    bench.effects.some(({ type }) => type === 'publish'),
    'over HTTP it is answered there',
  )
})

t.test('bodies that wait and ids that are kept are bounded', async (t) => {
  const bench = new GatewayBench({ openBytesMax: 70, tasksMax: 2 })
  bench.join('a')
  t.ok(bench.submit({ id: 'one', ...GET }).ok)
  t.match(bench.submit({ id: 'two', ...GET }), { refusal: { code: 'overloaded' } })
  t.ok(bench.cancel('one').ok)
  t.ok(bench.submit({ id: 'two', ...GET }).ok)
  t.ok(bench.cancel('two').ok)
  t.match(bench.submit({ id: 'three', ...GET }), { refusal: { code: 'ledger-full' } })
  t.ok(bench.submit({ id: 'two', ...GET }).ok, 'a repeat needs no room')
})

t.test(
  'a node far behind is given up when the log is full, if its tiles are elsewhere',
  async (t) => {
    const bench = settledPair({ logBytesMax: 100 })
    bench.close('b')
    bench.submit({ id: 'w', ...ADD, region: TILE_0 })
    bench.apply('a', bench.entriesTo('a'))
    t.equal(bench.task('w')?.state, 'completed')
    t.ok(bench.submit({ id: 'x', ...ADD, region: TILE_0 }).ok)
    t.equal(bench.notices('stream-closed').length, 1)
    bench.hello('b')
    t.equal(bench.sent('wipe').length, 1, 'it gets its tiles again')
  },
)

t.test('writes are refused while those that a node lacks fill the log', async (t) => {
  const bench = new GatewayBench({ logBytesMax: 100, replicas: 1 })
  bench.join('a')
  bench.submit({ id: 'w', ...ADD, region: TILE_0, deadline_ms: 1000 })
  bench.close('a')
  bench.wait(1000)
  t.match(bench.task('w'), { state: 'expired', effect: 'pending' })
  const next = { id: 'x', ...ADD, region: TILE_0 }
  t.match(bench.submit(next), { refusal: { code: 'ledger-full' } })
  t.ok(bench.submit({ id: 'r', ...GET }).ok, 'reads are not')
})

t.test('cancel: in time, too late, and of nothing', async (t) => {
  const bench = settledPair()
  bench.close('a')
  bench.close('b')
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  t.match(bench.cancel('w'), { ok: true, state: 'cancelled' })
  t.match(bench.task('w'), { state: 'cancelled', effect: 'none' })
  t.match(bench.cancel('w'), { refusal: { code: 'too-late' } })
  t.match(bench.cancel('none'), { refusal: { code: 'unknown-task' } })
  bench.hello('a')
  t.same(bench.entriesTo('a'), [], 'a cancelled write leaves no trace')
  bench.submit({ id: 'x', ...ADD, region: TILE_0 })
  t.match(bench.cancel('x'), { refusal: { code: 'too-late' } })
})

t.test('a cancelled read is taken back from the node', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'r', ...GET })
  const { reader } = readerOf(bench)
  bench.cancel('r')
  t.match(bench.sent('cancel', bench.node(reader).connection), [{ task: 'r' }])
})

t.test('a tile whose every copy was lost is refused, never read as zeros', async (t) => {
  const bench = new GatewayBench({ replicas: 1 })
  bench.join('a')
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  bench.apply('a', bench.entriesTo('a'))
  bench.close('a')
  bench.hello('a', EMPTY_STORE)
  t.match(bench.submit({ id: 'r', ...GET }), { refusal: { code: 'tile-missing' } })
  t.match(bench.submit({ id: 'x', ...ADD }), { refusal: { code: 'tile-missing' } })
  const elsewhere = { x: 4, y: 0, w: 4, h: 4 }
  t.ok(bench.submit({ id: 's', ...GET, region: elsewhere }).ok)
  const look = { op: 'overview', region: TILE_0, args: { field: 'value', step: 4 } }
  t.match(bench.submit({ id: 'o', ...look }), { refusal: { code: 'tile-missing' } })
})

t.test('with a full disk nothing is accepted, until there is clearly room again', async (t) => {
  const MIB = 1024 * 1024
  const bench = settledPair()
  const checked = (mib: number): void => {
    bench.step({ type: 'disk-checked', freeBytes: mib * MIB })
  }
  const refused = { ok: false, refusal: { code: 'disk-full' } }
  checked(16)
  t.match(bench.submit({ ...ADD, region: TILE_0 }), refused, 'it would not fit any more')
  t.same(bench.notices('disk-full'), [])
  checked(17)
  t.match(bench.submit({ id: 'w', ...ADD, region: TILE_0 }), { ok: true })
  checked(15.9)
  t.same(bench.notices('disk-full'), [{ freeBytes: 15.9 * MIB }])
  t.match(bench.submit(GET), refused)
  t.same(bench.notices('task-rejected'), [{ client: 'tester', via: 'mqtt', reason: 'disk-full' }])
  t.match(bench.submit({ id: 'w', ...ADD, region: TILE_0 }), { ok: true }, 'it is known already')
  checked(1)
  t.same(bench.notices('disk-full'), [], 'said once')
  checked(19.9)
  t.match(bench.submit(GET), refused)
  checked(20)
  t.same(bench.notices('disk-roomy'), [{ freeBytes: 20 * MIB }])
  t.match(bench.submit(GET), { ok: true })
})

t.test('what is accepted between two looks at the disk uses up its room', async (t) => {
  const bench = settledPair()
  bench.step({ type: 'disk-checked', freeBytes: 16 * 1024 * 1024 + 100 })
  const outcomes = [1, 2, 3, 4].map(() => bench.submit({ ...ADD, region: TILE_0 }).ok)
  t.equal(outcomes[0], true)
  t.equal(outcomes.at(-1), false)
})

function user(name: string, more: Partial<UserPrincipal> = {}): { readonly user: UserPrincipal } {
  const grant = { ops: '*', regions: '*', fields: '*' } as const
  return { user: { kind: 'user', name, roles: ['submitter'], topics: [], grant, ...more } }
}

t.test('a task is of who submitted it, also after a start', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'w', ...ADD, region: TILE_0 }, user('anna'))
  t.equal(bench.view.ownerOf('w' as TaskId), 'user/anna')
  bench.submit({ id: 'x', ...ADD, region: TILE_0 })
  t.equal(bench.view.ownerOf('x' as TaskId), undefined)
  bench.start()
  t.equal(bench.view.ownerOf('w' as TaskId), 'user/anna')
})

t.test('attempt 45: a submitter learns nothing by the id of another’s task', async (t) => {
  const bench = settledPair()
  const task = { id: 'w', ...ADD, region: TILE_0 }
  bench.submit(task, user('anna'))
  const conflict = { ok: false, refusal: { code: 'task-id-conflict' } }
  const same = bench.submit(task, user('bert'))
  t.match(same, conflict)
  t.same(bench.submit({ ...task, deadline_ms: 7 }, user('bert')), same, 'nor what it asks for')
  const shown = bench.effects.filter(({ type }) => type === 'publish')
  t.match(shown, [{ topic: { kind: 'task-rejected' }, owner: 'user/bert' }])
  t.match(bench.submit(task, user('anna')), { ok: true, task: 'w' })
  t.match(bench.submit(task, user('root', { roles: ['operator'] })), { ok: true, task: 'w' })
  t.match(bench.submit(task), { ok: true, task: 'w' })
})

t.test('who has the name of a user that was removed has none of his tasks', async (t) => {
  const bench = settledPair()
  const task = { id: 'w', ...GET, region: TILE_0 }
  bench.submit(task, user('anna'))
  const second = user('anna', { generation: 1 })
  t.match(bench.submit(task, second), { ok: false, refusal: { code: 'task-id-conflict' } })
  t.match(bench.submit({ ...task, id: 'x' }, second), { ok: true })
  const owners = ['w', 'x'].map((id) => bench.view.ownerOf(id as TaskId))
  t.same(owners, ['user/anna', 'user/anna.2'])
  for (const one of [user('anna').user, second.user]) {
    for (const owner of owners) {
      const isHis = owner === ownerNameOf(one)
      t.equal(mayCancel(one, owner), isHis)
      t.equal(isReadBy(one, owner), isHis)
      const topic = 'obelisk/v1/task/w/result'
      t.equal(
        mayReceive('obelisk/v1', one, topic, () => owner),
        isHis,
      )
    }
  }
})

t.test('a resent packet is known again for the user who sent it', async (t) => {
  const bench = settledPair()
  const task = { ...ADD, region: TILE_0 }
  const first = bench.submit(task, { packetId: 7, ...user('anna') })
  const again = { packetId: 7, isDuplicate: true }
  t.same(bench.submit(task, { ...again, ...user('anna') }), first)
  t.not(bench.submit(task, { ...again, ...user('bert') }).task, first.task)
})

t.test('attempt 44: a task of somebody else is none to be cancelled', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'r', ...GET, region: TILE_0 }, user('anna'))
  const cancel = (submitter: object): unknown => {
    const ticket = 1000
    const who = { via: 'http', client: 'x', ...submitter } as const
    bench.step({ type: 'cancel-requested', ticket, submitter: who, task: 'r' as TaskId })
    const answer = bench.effects.find(({ type }) => type === 'answer')
    return answer?.type === 'answer' ? answer.outcome : undefined
  }
  t.match(cancel(user('bert')), { ok: false, refusal: { code: 'unknown-task' } })
  const seen = { ok: false, refusal: { code: 'not-granted' } }
  t.match(cancel(user('bert', { roles: ['viewer'] })), seen)
  t.match(cancel(user('bert', { roles: ['viewer', 'submitter'] })), seen, 'who may only see it')
  t.match(cancel(user('anna', { roles: ['viewer'] })), seen, 'who submits nothing any more')
  t.match(bench.task('r'), { state: 'running' })
  t.match(cancel(user('anna', { roles: ['viewer', 'submitter'] })), { ok: true })
})

t.test('what is not granted is refused before anything is told of it', async (t) => {
  const bench = settledPair()
  const grant = { ops: ['get'], regions: '*', fields: '*' } as const
  const outcome = bench.submit({ id: 'w', ...ADD, region: TILE_0 }, user('anna', { grant }))
  t.match(outcome, {
    ok: false,
    task: 'w',
    refusal: { code: 'not-granted', errors: [{ path: 'op', code: 'not-granted' }] },
  })
  t.equal(bench.view.ownerOf('w' as TaskId), undefined)
})

t.test('a user has so many tasks a second, and so many that have not ended', async (t) => {
  const bench = settledPair()
  const all = { ops: '*', regions: '*', fields: '*' } as const
  const read = (id: string): object => ({ id, ...GET, region: TILE_0 })
  const submit = (id: string, grant: object): unknown =>
    bench.submit({ ...read(id) }, user('anna', { grant: { ...all, ...grant } }))
  t.match(submit('1', { openTasksMax: 2 }), { ok: true })
  t.match(submit('2', { openTasksMax: 2 }), { ok: true })
  t.match(submit('3', { openTasksMax: 2 }), { ok: false, refusal: { code: 'rate-limited' } })
  t.match(submit('2', { openTasksMax: 2 }), { ok: true }, 'a repeat is none more')
  t.match(bench.cancel('1'), { ok: true })
  t.match(submit('3', { openTasksMax: 2 }), { ok: true })
  const codes = Array.from({ length: 1100 }, () => bench.submit({ op: 'no' }, user('bert')))
  const limited = codes.filter((one) => !one.ok && one.refusal.code === 'rate-limited')
  t.equal(limited.length, 100)
})
