/** Who may be away together: against the rule said plainly, a tile at a time. */
import fc from 'fast-check'
import t from 'tap'
import { chooseWave } from '../../../../broker/core/rules/upgrade-wave.ts'
import { check } from '../../../support/property.ts'

const REPLICAS = 2

const fleet = fc.record({
  /** Holders of each tile, by member index; -1 is none. */
  tiles: fc.array(
    fc.record({
      isBorn: fc.boolean(),
      holders: fc.uniqueArray(fc.integer({ min: 0, max: 7 }), { maxLength: REPLICAS }),
    }),
    { maxLength: 30 },
  ),
  stays: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
  candidates: fc.uniqueArray(fc.integer({ min: 0, max: 7 })),
  size: fc.integer({ min: 1, max: 8 }),
  mayBeAway: fc.boolean(),
})

t.test(
  'nobody goes whose tiles nobody else gives, and no two that hold the same one',
  async (t) => {
    check(
      t,
      fc.property(fleet, ({ tiles, stays, candidates, size, mayBeAway }) => {
        const slots = Uint32Array.from(
          tiles.flatMap(({ holders }) =>
            Array.from({ length: REPLICAS }, (_, at) => (holders[at] ?? -1) + 1),
          ),
        )
        const isBorn = (tile: number): boolean => tiles[tile]!.isBorn
        const placement = { slots, replicas: REPLICAS, isBorn }
        const chosen = chooseWave({ placement, stays, candidates, size, mayBeAway })
        const born = tiles.filter((tile) => tile.isBorn)
        const isSole = (member: number): boolean =>
          born.some(
            ({ holders }) =>
              holders.includes(member) && !holders.some((one) => one !== member && stays[one]),
          )
        const sharing = (a: number, b: number): boolean =>
          born.some(({ holders }) => holders.includes(a) && holders.includes(b))
        const expected: number[] = []
        for (const candidate of candidates) {
          if (expected.length === size) break
          if (!mayBeAway && isSole(candidate)) continue
          if (expected.some((one) => sharing(one, candidate))) continue
          expected.push(candidate)
        }
        return JSON.stringify(chosen) === JSON.stringify(expected)
      }),
      1000,
    )
  },
)
