import t from 'tap'
import { cutPlan } from '../../../../broker/core/rules/planner.ts'
import { digest } from '../../../../shared/core/hash.ts'
import { Random } from '../../../../shared/core/random.ts'
import { unpackTiles } from '../../../../shared/operations/columns.ts'
import { decodeDown } from '../../../../shared/protocol/messages.ts'
import { memberAt, PART_PREFIX, planOf, roundOf } from '../../../support/flat-round.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
const MEMBERS = 300

t.test('its parts are found by their ids and by their members', async (t) => {
  t.comment(`SEED=${seed} npx tap run test/broker/core/rules/read-round.test.ts`)
  const random = new Random(seed)
  const shares = Array.from({ length: MEMBERS }, (_, at): [number, number] => [
    at,
    random.integer(3) * random.integer(40),
  ])
  const plan = cutPlan(planOf(shares.filter(([, tiles]) => tiles > 0)), 25)
  const round = roundOf(plan)
  t.ok(round.size > new Set(plan.members).size, 'some member has several')
  const wrong: number[] = []
  for (let part = 0; part < round.size; part++) {
    const tiles = new Uint8Array(round.tilesOf(part).slice().buffer)
    const id = PART_PREFIX + Buffer.from(digest(tiles)).toString('hex')
    if (round.idOf(part) !== id || round.find(id) !== part) wrong.push(part)
  }
  for (let member = 0; member < MEMBERS + 5; member++) {
    const own = [...plan.members.keys()].filter((at) => plan.members[at] === member)
    if (round.openOf(member).join() !== own.join()) wrong.push(member)
  }
  t.same(wrong, [])
  const id = round.idOf(0)
  const hash = id.slice(PART_PREFIX.length)
  for (const stranger of [
    ...['', PART_PREFIX, `${PART_PREFIX}0123456789abcdef`, `${id}00`, `${id}x`, id.slice(0, -1)],
    ...[`1${id.slice(1)}`, `${PART_PREFIX}A${hash.slice(1)}`],
  ]) {
    t.equal(round.find(stranger), undefined, stranger)
  }
})

t.test('a message says what held when the round was planned', async (t) => {
  const two = [memberAt(0), memberAt(1)]
  const plan = planOf([
    [0, 3],
    [1, 1],
  ])
  const round = roundOf(plan, { unborn: Uint8Array.of(0, 1, 0, 1), memberAt: (at) => two[at]! })
  two[0]!.session = undefined
  t.ok(round.hasUnborn)
  t.same([round.connectionOf(0), round.connectionOf(1)], ['to-0', 'to-1'])
  const messages = [0, 1].map((part) => {
    const decoded = decodeDown(round.payloadOf(part))
    return decoded.ok ? decoded.message : undefined
  })
  t.match(messages, [
    { session: 2 ** 32, part: round.idOf(0), after: 0, attempt: 1, leaseMs: 1000 },
    { session: 2 ** 32 + 1, part: round.idOf(1), after: 0, op: 'stat' },
  ])
  const grids = messages.map((message) => (message?.t === 'read' ? message.grid! : undefined))
  const wordsOf = (bytes: Uint8Array): number[] => [...unpackTiles(bytes)]
  t.same(
    grids.map((grid) => [wordsOf(grid!.tiles), wordsOf(grid!.unborn)]),
    [
      [[0, 2], [1]],
      [[], [3]],
    ],
  )
})

t.test('a part is open until it is taken out', async (t) => {
  const shares: [number, number][] = [
    [1, 2],
    [1, 1],
    [4, 2],
  ]
  const round = roundOf(planOf(shares))
  t.same(
    [round.open, round.openOf(1), round.openOf(2), round.openOf(4)],
    [[0, 1, 2], [0, 1], [], [2]],
  )
  const id = round.idOf(1)
  t.match(round.takeOut(1), { id, member: 1, attempt: 1, tiles: Uint32Array.of(2) })
  t.equal(round.find(id), undefined)
  t.same([round.open, round.openOf(1), round.openCount], [[0, 2], [0], 2])
  for (const part of round.open) round.takeOut(part)
  t.same([round.open, round.openOf(1), round.openCount], [[], [], 0])
})
