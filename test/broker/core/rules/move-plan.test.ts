import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { type Holder, type PlanInput, planMoves } from '../../../../broker/core/rules/move-plan.ts'
import type { PlannedMove } from '../../../../broker/core/rules/moves.ts'
import { findStalls } from '../../../../broker/core/rules/stalls.ts'
import { Placement } from '../../../../broker/core/state/placement.ts'
import { NO_HOLDER } from '../../../../broker/core/state/slots.ts'
import type { NodeId } from '../../../../shared/core/ids.ts'
import { check } from '../../../support/property.ts'

const TILES = 12

interface Drawn {
  readonly replicas: number
  /** Of each tile, its holders. */
  readonly own: readonly (readonly number[])[]
  readonly holders: readonly Holder[]
  readonly unborn: number
}

/** Any fleet, and any placement on it that could have come about. */
const drawn: fc.Arbitrary<Drawn> = fc
  .record({ replicas: fc.integer({ min: 1, max: 3 }), size: fc.integer({ min: 1, max: 6 }) })
  .chain(({ replicas, size }) =>
    fc.record({
      replicas: fc.constant(replicas),
      own: fc.array(fc.uniqueArray(fc.nat(size - 1), { maxLength: replicas }), {
        minLength: TILES,
        maxLength: TILES,
      }),
      holders: fc.array(
        fc.record({ mayHold: fc.boolean(), isLeaving: fc.boolean(), isInSync: fc.boolean() }).map(
          // Who is leaving may not hold on.
          (one) => ({ ...one, mayHold: one.mayHold && !one.isLeaving }),
        ),
        { minLength: size, maxLength: size },
      ),
      unborn: fc.nat(TILES - 1),
    }),
  )

function inputOf({ replicas, own, holders, unborn }: Drawn): PlanInput {
  const slots = new Uint32Array(TILES * replicas)
  own.forEach((members, tile) => {
    members.forEach((member, slot) => {
      slots[tile * replicas + slot] = member + 1
    })
  })
  const placement = new Placement({ tiles: TILES, replicas, virtualNodes: 16, loadBound: 1.25 })
  const ring = holders.flatMap(({ mayHold }, index) =>
    mayHold ? [{ index, id: `node-${index}`, weight: 1 }] : [],
  )
  const ideal = ring.length === 0 ? new Uint32Array(slots.length) : placement.idealSlots(ring)
  const isBorn = (tile: number): boolean => tile !== unborn
  const holderAt = (index: number): Holder => holders[index]!
  return { holderAt, replicas, slots, ideal, isBorn, isMoving: () => false }
}

function membersOf(slots: Uint32Array, tile: number, replicas: number): number[] {
  const own = slots.subarray(tile * replicas, (tile + 1) * replicas)
  return [...own].filter((slot) => slot !== NO_HOLDER).map((slot) => slot - 1)
}

/** What is left when the moves have ended. */
function after({ slots, replicas }: PlanInput, moves: readonly PlannedMove[]): Uint32Array {
  const next = slots.slice()
  for (const { tile, to, from } of moves) {
    const start = tile * replicas
    const slot = next.indexOf(from === undefined ? NO_HOLDER : from + 1, start)
    assert(slot >= start && slot < start + replicas, 'there is a place for it')
    next[slot] = to + 1
  }
  return next
}

t.test('a tile moves once, to a node that lacks it, for a copy that may go', (t) => {
  check(
    t,
    fc.property(drawn, (one) => {
      const input = inputOf(one)
      const moves = planMoves(input)
      assert.equal(new Set(moves.map(({ tile }) => tile)).size, moves.length)
      for (const { tile, to, from, reason } of moves) {
        const own = membersOf(input.slots, tile, input.replicas)
        const wanted = membersOf(input.ideal, tile, input.replicas)
        assert(own.length > 0 && tile !== one.unborn, 'it has a copy to give')
        assert(!own.includes(to) && wanted.includes(to))
        assert(one.holders[to]!.mayHold)
        if (from === undefined) assert(own.length < input.replicas)
        else assert(own.includes(from) && !wanted.includes(from))
        const isGone = from !== undefined && !one.holders[from]!.mayHold
        assert.equal(reason === 'balance', from !== undefined && !isGone)
      }
    }),
    300,
  )
  t.end()
})

t.test('what has too few sound copies comes before what is only unbalanced', (t) => {
  check(
    t,
    fc.property(drawn, (one) => {
      const input = inputOf(one)
      const moves = planMoves(input)
      const soundOf = ({ tile }: PlannedMove): number =>
        membersOf(input.slots, tile, input.replicas).filter((member) => {
          const { mayHold, isInSync } = one.holders[member]!
          return mayHold && isInSync
        }).length
      const urgent = moves.filter(({ reason }) => reason !== 'balance')
      assert.deepEqual(moves.slice(0, urgent.length), urgent)
      const sound = urgent.map(soundOf)
      assert.deepEqual(
        sound,
        [...sound].sort((a, b) => a - b),
      )
    }),
    300,
  )
  t.end()
})

t.test('plans that are carried out lead to where the ring has the tiles, in a few rounds', (t) => {
  check(
    t,
    fc.property(drawn, (one) => {
      let input = inputOf(one)
      const before = input.slots
      for (let round = 0; round < input.replicas; round++) {
        input = { ...input, slots: after(input, planMoves(input)) }
      }
      assert.deepEqual(planMoves(input), [], `settled after ${input.replicas} rounds`)
      for (let tile = 0; tile < TILES; tile++) {
        const had = membersOf(before, tile, input.replicas)
        const own = membersOf(input.slots, tile, input.replicas).sort()
        const wanted = membersOf(input.ideal, tile, input.replicas).sort()
        if (had.length === 0 || tile === one.unborn) assert.deepEqual(own, had.sort())
        else if (wanted.length === input.replicas) assert.deepEqual(own, wanted)
        else assert(wanted.every((member) => own.includes(member)))
      }
    }),
    300,
  )
  t.end()
})

t.test('a tile that is under way is left alone', (t) => {
  const holders = [0, 1, 2].map(() => ({ mayHold: true, isLeaving: false, isInSync: true }))
  const base: Drawn = { replicas: 1, own: new Array(TILES).fill([0]), holders, unborn: TILES - 1 }
  const moves = planMoves(inputOf(base))
  t.ok(moves.length > 0)
  const [{ tile }] = moves as [PlannedMove]
  const rest = planMoves({ ...inputOf(base), isMoving: (other) => other === tile })
  t.same(
    rest,
    moves.filter((move) => move.tile !== tile),
  )
  t.end()
})

t.test('what the plans cannot take from a node is what is said to be stalled', (t) => {
  check(
    t,
    fc.property(drawn, (one) => {
      const begin = inputOf({ ...one, holders: one.holders.map((h) => ({ ...h, isInSync: true })) })
      const members = one.holders.map(({ mayHold }, index) => ({
        id: `node-${index}` as NodeId,
        stays: mayHold,
        isInSync: true,
      }))
      const stallsOf = ({ replicas, slots, isBorn }: PlanInput) =>
        findStalls({ members, joining: 0, replicas, slots, isBorn })
      const before = stallsOf(begin)
      assert(before.every(({ reason }) => reason === 'too-few-nodes'))
      let input = begin
      for (let round = 0; round < input.replicas; round++) {
        input = { ...input, slots: after(input, planMoves(input)) }
      }
      const left = new Map<string, number>()
      for (let tile = 0; tile < TILES; tile++) {
        if (!input.isBorn(tile)) continue
        for (const member of membersOf(input.slots, tile, input.replicas)) {
          const id = `node-${member}`
          if (!members[member]!.stays) left.set(id, (left.get(id) ?? 0) + 1)
        }
      }
      const afterwards = new Map(stallsOf(input).map(({ node, tiles }) => [node as string, tiles]))
      assert.deepEqual(new Map([...afterwards].sort()), new Map([...left].sort()))
      // What is left was said before, and of each tile that was said something is left.
      for (const [node, tiles] of left) {
        assert(before.some((stall) => stall.node === node && stall.tiles >= tiles))
      }
      assert.equal(before.length > 0, left.size > 0)
    }),
    300,
  )
  t.end()
})
