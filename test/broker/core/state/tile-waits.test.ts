/** What waits for tiles is found by all that may let it go on, and by nothing else. */
import fc from 'fast-check'
import t from 'tap'
import type { MemberChange } from '../../../../broker/core/state/member-changes.ts'
import { Placement } from '../../../../broker/core/state/placement.ts'
import { type Changes, TileWaits } from '../../../../broker/core/state/tile-waits.ts'
import { check } from '../../../support/property.ts'

const TILES = 40
const MEMBERS = 5

function placed(): Placement {
  const placement = new Placement({ tiles: TILES, replicas: 2, virtualNodes: 8, loadBound: 1.25 })
  const members = Array.from({ length: MEMBERS }, (_, index) => ({
    index,
    id: `n${index}`,
    weight: 1,
  }))
  placement.setMembers(() => members)
  placement.takeTouched()
  return placement
}

function changed(placement: Placement, members: readonly number[] = [], isWide = false): Changes {
  const changes = members.map((index) => ({ member: { index } }) as MemberChange)
  return { members: changes, touched: placement.takeTouched(), isWide }
}

t.test('a member concerns its own tiles, and those that were never written', async (t) => {
  const placement = placed()
  placement.bear(Uint32Array.of(0, 1, 2, 3))
  const waits = new TileWaits<string>(placement)
  for (let tile = 0; tile < 6; tile++) waits.add(tile, `w${tile}`)
  const held = [0, 1, 2, 3].filter((tile) => placement.isHolder(tile, 2))
  placement.takeTouched()
  t.same(waits.concernedBy(changed(placement, [2])).sort(), [...held, 4, 5])
  t.same(waits.concernedBy(changed(placement)), [])
  t.same(waits.concernedBy(changed(placement, [], true)).sort(), [0, 1, 2, 3, 4, 5])
})

t.test('what anybody could do is concerned by every member', async (t) => {
  const placement = placed()
  placement.bear(Uint32Array.of(0))
  const waits = new TileWaits<string>(placement)
  waits.add(undefined, 'items')
  placement.takeTouched()
  t.same(waits.concernedBy(changed(placement)), [])
  t.same(waits.concernedBy(changed(placement, [4])), [undefined])
})

t.test('what waits no more concerns nobody', async (t) => {
  const placement = placed()
  const waits = new TileWaits<string>(placement)
  waits.add(7, 'a')
  waits.add(7, 'b')
  waits.delete(7, 'a')
  t.same([...waits.itemsOf(7)], ['b'])
  t.same([...waits.take(7)], ['b'])
  t.same([...waits.itemsOf(7)], [])
  t.same(waits.concernedBy(changed(placement, [], true)), [])
})

t.test('wherever tiles go, whoever holds one finds what waits for it', async (t) => {
  const step = fc.record({
    kind: fc.constantFrom('bear', 'drop', 'move', 'unbear', 'add', 'delete', 'leave'),
    tile: fc.nat({ max: TILES - 1 }),
    member: fc.nat({ max: MEMBERS - 1 }),
  })
  check(
    t,
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const placement = placed()
      const waits = new TileWaits<number>(placement)
      const waiting = new Set<number>()
      for (const { kind, tile, member } of steps) {
        const holders = placement.holdersOf(tile)
        const isBorn = placement.isBorn(tile)
        if (kind === 'bear') placement.bear(Uint32Array.of(tile))
        if (kind === 'drop' && placement.isHolder(tile, member)) placement.dropHolder(tile, member)
        if (kind === 'unbear' && isBorn) placement.unbear([tile])
        if (kind === 'leave') placement.removeHolder(member)
        if (kind === 'move' && isBorn && holders.length > 0 && !holders.includes(member)) {
          placement.replaceHolder(tile, { from: holders[0]!, to: member })
        }
        if (kind === 'add') {
          waits.add(tile, tile)
          waiting.add(tile)
        }
        if (kind === 'delete') {
          waits.delete(tile, tile)
          waiting.delete(tile)
        }
        const isTouched = !['add', 'delete'].includes(kind)
        const concerned = waits.concernedBy(changed(placement))
        if (isTouched && placement.isBorn(tile) !== isBorn && waiting.has(tile)) {
          if (!concerned.includes(tile)) return false
        }
        for (let index = 0; index < MEMBERS; index++) {
          const found = waits.concernedBy(changed(placement, [index]))
          for (const other of waiting) {
            const isHeld = placement.isBorn(other) ? placement.isHolder(other, index) : true
            if (isHeld !== found.includes(other)) return false
          }
        }
      }
      return true
    }),
  )
})
