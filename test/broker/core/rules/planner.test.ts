import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { JoinedParts } from '../../../../broker/core/rules/merge.ts'
import {
  cutItems,
  cutPlan,
  partsOf,
  planItems,
  planReads,
  planWrites,
  readTilesMax,
  type TilePlan,
  writeTilesMax,
} from '../../../../broker/core/rules/planner.ts'
import { HashRing } from '../../../../broker/core/state/hash-ring.ts'
import { hashText } from '../../../../shared/core/hash.ts'
import { Geometry } from '../../../../shared/grid/geometry.ts'
import { findOperation } from '../../../../shared/operations/catalog.ts'
import {
  PART_BYTES_MAX,
  type ReadOperation,
  type Wire,
  type WriteOperation,
} from '../../../../shared/operations/operation.ts'
import { check } from '../../../support/property.ts'

interface Holding {
  readonly replicas: number
  readonly holders: readonly (readonly number[])[]
  readonly tiles: Uint32Array
  readonly usable: Uint8Array
}

/** Tiles with up to `replicas` distinct holders, some of which are usable; and some of the tiles. */
const holding: fc.Arbitrary<Holding> = fc
  .record({
    replicas: fc.integer({ min: 1, max: 3 }),
    holders: fc.array(fc.uniqueArray(fc.nat(9), { maxLength: 3 }), {
      minLength: 1,
      maxLength: 40,
    }),
    asked: fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }),
    usable: fc.array(fc.boolean(), { minLength: 10, maxLength: 10 }),
  })
  .map(({ replicas, holders, asked, usable }) => ({
    replicas,
    holders: holders.map((of) => of.slice(0, replicas)),
    tiles: Uint32Array.from(holders.keys()).filter((tile) => asked[tile]),
    usable: Uint8Array.from(usable, Number),
  }))

function slotsOf({ replicas, holders }: Holding): Uint32Array {
  const slots = new Uint32Array(holders.length * replicas)
  holders.forEach((of, tile) => {
    of.forEach((index, rank) => {
      slots[tile * replicas + rank] = index + 1
    })
  })
  return slots
}

function asLists(plan: TilePlan): [number, number[]][] {
  return [...plan.members].map((member, at) => [
    member,
    [...plan.tiles.subarray(plan.offsets[at], plan.offsets[at + 1])],
  ])
}

/** Tiles by member, both ascending. */
function grouped(pairs: readonly (readonly [number, number])[]): [number, number[]][] {
  const members = [...new Set(pairs.map(([member]) => member))].sort((a, b) => a - b)
  return members.map((member) => [
    member,
    pairs.filter(([of]) => of === member).map(([, tile]) => tile),
  ])
}

t.test('a read plan has the first usable holder of each tile', async (t) => {
  check(
    t,
    fc.property(holding, (drawn) => {
      const plan = planReads({ ...drawn, slots: slotsOf(drawn) }, drawn.usable)
      const first = (tile: number): number | undefined =>
        drawn.holders[tile]!.find((index) => drawn.usable[index] === 1)
      const pairs = [...drawn.tiles].flatMap((tile): [number, number][] => {
        const index = first(tile)
        return index === undefined ? [] : [[index, tile]]
      })
      assert.deepEqual(asLists(plan), grouped(pairs))
      assert.deepEqual(
        [...plan.unplaced],
        [...drawn.tiles].filter((tile) => first(tile) === undefined),
      )
    }),
    200,
  )
})

t.test('a write plan has every holder of every tile', async (t) => {
  check(
    t,
    fc.property(holding, (drawn) => {
      const plan = planWrites({ ...drawn, slots: slotsOf(drawn) })
      const pairs = [...drawn.tiles].flatMap((tile) =>
        drawn.holders[tile]!.map((index): [number, number] => [index, tile]),
      )
      assert.deepEqual(asLists(plan), grouped(pairs))
      assert.deepEqual(
        [...plan.unplaced],
        [...drawn.tiles].filter((tile) => drawn.holders[tile]!.length === 0),
      )
    }),
    200,
  )
})

t.test('one plan leaves nothing behind for the next', async (t) => {
  const large = { tiles: Uint32Array.of(0, 1), slots: Uint32Array.of(131_071, 70_000), replicas: 1 }
  t.same(asLists(planWrites(large)), [
    [69_999, [1]],
    [131_070, [0]],
  ])
  const small = { tiles: Uint32Array.of(0), slots: Uint32Array.of(3), replicas: 1 }
  t.same(asLists(planWrites(small)), [[2, [0]]])
  t.same(asLists(planWrites(large)).length, 2)
  t.same(asLists(planWrites({ ...small, tiles: new Uint32Array(0) })), [])
})

t.test('parts cover a plan in order, none larger than the limit', async (t) => {
  check(
    t,
    fc.property(holding, fc.integer({ min: 1, max: 7 }), (drawn, tilesMax) => {
      const plan = planWrites({ ...drawn, slots: slotsOf(drawn) })
      const parts = [...partsOf(cutPlan(plan, tilesMax))]
      assert.ok(parts.every(({ tiles }) => tiles.length >= 1 && tiles.length <= tilesMax))
      const pairs = parts.flatMap(({ member, tiles }) =>
        [...tiles].map((tile): [number, number] => [member, tile]),
      )
      assert.deepEqual(grouped(pairs), asLists(plan))
    }),
    100,
  )
})

t.test('limits of a part follow from what a tile adds to it', async (t) => {
  const grid = {
    geometry: new Geometry({ width: 128, height: 128, tile: 32 }),
    fields: [{ name: 'value', type: 'f64' as const }],
  }
  const region = grid.geometry.whole
  const values = new Array<number>(region.w * region.h).fill(1)
  const put = findOperation('put') as WriteOperation
  const args = put.parse({ field: 'value', values }, region, grid)
  t.ok(args.ok)
  if (!args.ok) return
  const all = grid.geometry.tilesOf(region)
  const tilesMax = writeTilesMax(put, args.value, all, grid)
  const tiles = all.subarray(0, tilesMax)
  const cut = put.cut(args.value, region, tiles, grid) as { values: Uint8Array }
  t.ok(cut.values.length + tiles.length * 4 <= PART_BYTES_MAX)
  t.ok(cut.values.length * ((tilesMax + 1) / tilesMax) > PART_BYTES_MAX - 8 * 1024)

  const add = findOperation('add') as WriteOperation
  const pages = writeTilesMax(add, { field: 0, value: 1 }, all, grid) * (32 * 32 * 9 + 24)
  t.ok(pages <= 1024 * 1024 && pages > 1024 * 1024 - 10_000, 'a transaction of pages is bounded')

  const get = findOperation('get') as ReadOperation
  t.equal(
    readTilesMax(get, { fields: [0] }, all, grid),
    Math.floor(PART_BYTES_MAX / (32 * 32 * 9 + 4)),
  )
  const huge = { ...grid, geometry: new Geometry({ width: 64, height: 64, tile: 64 }) }
  t.equal(readTilesMax(get, { fields: [0] }, Uint32Array.of(0), huge), 1, 'one tile at least')
})

t.test('each item goes to the first member from its key that takes any', async (t) => {
  const members = [0, 1, 2, 3].map((index) => ({ index, id: `n${index}`, weight: 1 }))
  const ring = new HashRing(members, 16)
  check(
    t,
    fc.property(
      fc.uniqueArray(fc.string({ minLength: 1, maxLength: 9 }), { maxLength: 40 }),
      fc.uniqueArray(fc.nat(3)),
      (keys, accepting) => {
        const plan = planItems(keys, ring, (index) => accepting.includes(index))
        const routed = [...partsOf(plan)].flatMap(({ member, tiles }) =>
          Array.from(tiles, (index) => [keys[index], member]),
        )
        if (accepting.length === 0) return routed.length === 0
        assert.equal(routed.length, keys.length)
        return routed.every(([key, member]) => {
          return ring.find(hashText(String(key)), (index) => accepting.includes(index)) === member
        })
      },
    ),
    100,
  )
})

t.test('items are cut in order, to parts that fit, one item at least', async (t) => {
  check(
    t,
    fc.property(fc.array(fc.nat(40_000), { minLength: 1, maxLength: 20 }), (sizes) => {
      const items = {
        keys: sizes.map((_, index) => `key-${index}`),
        values: sizes.map((size) => new Uint8Array(size)),
      }
      const runs = [...cutItems([...sizes.keys()], items)]
      assert.deepEqual(runs.flat(), [...sizes.keys()])
      return runs.every((run) => {
        const bytes = run.reduce((sum, index) => sum + sizes[index]!, 0)
        return run.length === 1 || (run.length > 1 && bytes <= PART_BYTES_MAX)
      })
    }),
    100,
  )
})

t.test('joining as a tree gives what joining one by one gives', async (t) => {
  const merge = (left: Wire, right: Wire): Wire => ({ text: `${left.text}${right.text}` })
  check(
    t,
    fc.property(fc.array(fc.string(), { minLength: 1, maxLength: 40 }), (texts) => {
      const joined = new JoinedParts(merge)
      for (const text of texts) joined.add({ text })
      return joined.total.text === texts.join('')
    }),
  )
  t.same(new JoinedParts(merge).total, {})
  let merged = 0
  const counted = new JoinedParts((left) => {
    merged++
    return left
  })
  for (let part = 0; part < 1024; part++) counted.add({})
  t.equal(merged, 1023, 'what came is joined at once, and not kept')
})
