import fc from 'fast-check'
import t from 'tap'
import { PageTable } from '../../../firmware-agent/adapters/page-table.ts'
import { check } from '../../support/property.ts'

type Step = readonly ['set' | 'delete' | 'clear' | 'release', tile: number]

t.test('a table holds what a map would, in the order in which it came', (t) => {
  const tile = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.nat(262_143))
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 40, arbitrary: fc.tuple(fc.constant('set' as const), tile) },
    { weight: 10, arbitrary: fc.tuple(fc.constant('delete' as const), tile) },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom('clear' as const, 'release' as const), tile) },
  )
  check(
    t,
    fc.property(fc.array(step, { maxLength: 300, size: 'max' }), (steps) => {
      const table = new PageTable<string>()
      const map = new Map<number, string>()
      for (const [index, [kind, tile]] of steps.entries()) {
        if (kind === 'set') {
          table.set(tile, `${index}`)
          map.set(tile, `${index}`)
        } else if (kind === 'delete') {
          table.delete(tile)
          map.delete(tile)
        } else {
          table[kind]()
          map.clear()
        }
        if (table.size !== map.size || table.get(tile) !== map.get(tile)) return false
        if (table.has(tile) !== map.has(tile)) return false
      }
      const held = new Map<number, string>()
      table.forEach((page, tile) => {
        held.set(tile, page)
      })
      return held.size === map.size && [...map].every(([tile, page]) => held.get(tile) === page)
    }),
    200,
  )
  const table = new PageTable<number>()
  const tiles = Array.from({ length: 5000 }, (_, index) => (index * 7919) % 262_144)
  for (const tile of tiles) table.set(tile, tile)
  const order: number[] = []
  table.forEach((page) => {
    order.push(page)
  })
  t.same(order, tiles)
  t.end()
})
