import t from 'tap'
import { OpenParts } from '../../../../broker/core/rules/open-parts.ts'
import type { ReadPart } from '../../../../broker/core/rules/read-plan.ts'
import { Random } from '../../../../shared/core/random.ts'
import { planOf, roundOf } from '../../../support/flat-round.ts'

function partOf(id: string, member: number | undefined): ReadPart {
  return { id, member, attempt: 0, isLeased: false, failed: new Map() }
}

const idsOf = (parts: readonly ReadPart[]): string[] => parts.map(({ id }) => id)

t.test('a part waits until it is leased, and is its member’s until it is removed', (t) => {
  const [a, b, c] = [partOf('a', 1), partOf('b', 1), partOf('c', undefined)]
  const parts = new OpenParts([a, b, c])
  t.same(idsOf(parts.waiting()), ['a', 'b', 'c'])
  parts.lease(a)
  parts.lease(b)
  t.same(idsOf(parts.waiting()), ['c'])
  t.same(idsOf(parts.leasedBy(1)), ['a', 'b'])
  t.same(parts.holders(), [1])
  parts.remove(a)
  t.same(idsOf(parts.leasedBy(1)), ['b'])
  t.equal(parts.find('a'), undefined)
  t.notOk(a.isLeased)
  parts.remove(c)
  parts.remove(b)
  t.same([parts.size, parts.holders(), parts.waiting()], [0, [], []])
  t.end()
})

t.test('another part of the same id is not the one that was there', (t) => {
  const [before, after] = [partOf('a', 1), partOf('a', 2)]
  const parts = new OpenParts([before])
  parts.lease(before)
  parts.remove(before)
  parts.add(after)
  t.notOk(parts.has(before))
  t.ok(parts.has(after))
  t.same(parts.leasedBy(1), [])
  t.end()
})

t.test('it agrees with a list that is looked through', (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
  t.comment(`SEED=${seed} npx tap run test/broker/core/rules/open-parts.test.ts`)
  const random = new Random(seed)
  const parts = new OpenParts()
  let list: ReadPart[] = []
  let steps = 0
  for (let step = 0; step < 2000; step++) {
    const chosen = list[random.integer(list.length + 1)]
    if (chosen === undefined || list.length < 5) {
      const part = partOf(`part-${step}`, random.integer(4))
      parts.add(part)
      list.push(part)
    } else if (chosen.isLeased || random.unit() < 0.3) {
      parts.remove(chosen)
      list = list.filter((part) => part !== chosen)
    } else {
      parts.lease(chosen)
    }
    const leased = list.filter(({ isLeased }) => isLeased)
    const waiting = list.filter(({ isLeased }) => !isLeased)
    const members = [...new Set(leased.map(({ member }) => member!))].sort()
    const seen = {
      size: parts.size,
      waiting: idsOf(parts.waiting()).sort(),
      leased: parts.holders().map((member) => [member, idsOf(parts.leasedBy(member)).sort()]),
    }
    const own = (member: number): ReadPart[] => leased.filter((part) => part.member === member)
    const wanted = {
      size: list.length,
      waiting: idsOf(waiting).sort(),
      leased: members.map((member) => [member, idsOf(own(member)).sort()]),
    }
    seen.leased.sort(([a], [b]) => Number(a) - Number(b))
    if (JSON.stringify(seen) !== JSON.stringify(wanted)) t.same(seen, wanted, `step ${step}`)
    else steps += 1
  }
  t.equal(steps, 2000)
  t.end()
})

t.test('parts of a round are leased, until each is taken out', (t) => {
  const shares: [number, number][] = [
    [1, 2],
    [1, 1],
    [4, 2],
  ]
  const round = roundOf(planOf(shares))
  const waiting = partOf('a', undefined)
  const parts = new OpenParts([waiting], round)
  t.equal(parts.size, 4)
  t.same([parts.flatOf(), parts.flatOf(1), parts.flatOf(2)], [[0, 1, 2], [0, 1], []])
  t.same(parts.holders(), [1, 4])
  t.same(idsOf(parts.waiting()), ['a'])
  const id = round.idOf(1)
  t.equal(parts.find(id), undefined)
  t.equal(parts.findFlat(id), 1)
  const part = parts.takeOut(1)
  t.match(part, { id, member: 1, attempt: 1, isLeased: true, tiles: Uint32Array.of(2) })
  t.ok(parts.has(part))
  t.equal(parts.findFlat(id), undefined)
  t.same([parts.flatOf(), parts.flatOf(1), parts.size], [[0, 2], [0], 4])
  t.same([idsOf(parts.leasedBy(1)), parts.holders()], [[id], [1, 4]])
  t.ok(parts.remove(part))
  t.same([parts.size, idsOf(parts.waiting()), parts.holders()], [3, ['a'], [1, 4]])
  for (const at of parts.flatOf()) parts.remove(parts.takeOut(at))
  parts.remove(waiting)
  t.same([parts.size, parts.flatOf(), parts.holders()], [0, [], []])
  t.end()
})
