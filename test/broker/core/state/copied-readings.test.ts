/** Readings of a copy against the rule in one line: those count whose tile has come no further than they say. */
import fc from 'fast-check'
import t from 'tap'
import { newIdentity } from '../../../../broker/core/coordinator.ts'
import { CoordinatorContext } from '../../../../broker/core/state/coordinator-context.ts'
import { CopiedReadings } from '../../../../broker/core/state/copied-readings.ts'
import { Random } from '../../../../shared/core/random.ts'
import { tileOf } from '../../../../shared/operations/named-lsus.ts'
import { BENCH_OPTIONS } from '../../../support/gateway-bench.ts'
import { check } from '../../../support/property.ts'

const { geometry } = BENCH_OPTIONS.grid

const held = fc.uniqueArray(
  fc.record({
    id: fc.nat({ max: geometry.lsus - 1 }),
    value: fc.integer(),
    upTo: fc.nat({ max: 4 }),
  }),
  { selector: ({ id }) => id, maxLength: 40 },
)
const at = fc.option(fc.nat({ max: 5 }), { nil: undefined })
const shown = fc.array(at, { minLength: geometry.tiles, maxLength: geometry.tiles })

t.test('each tile is judged once it is known how far it has come, and alone', (t) => {
  check(
    t,
    fc.property(held, shown, fc.nat(), (cells, ats, replaced) => {
      const identity = newIdentity(BENCH_OPTIONS, 'ledger')
      const context = new CoordinatorContext(BENCH_OPTIONS, new Random(1), identity)
      const copied = new CopiedReadings(context)
      for (const { id, value, upTo } of cells) {
        copied.hold({ key: `value/${id}`, field: 0, id, cell: { value, upTo } })
      }
      const gone = cells[replaced % (cells.length + 1)]
      const left = cells.filter((cell) => cell !== gone)
      if (gone !== undefined) {
        t.ok(copied.replace(`value/${gone.id}`, tileOf(gone.id, geometry)))
        t.notOk(copied.replace(`value/${gone.id}`, tileOf(gone.id, geometry)))
      }
      t.equal(copied.size, left.length)
      const known = new Map(ats.flatMap((at, tile) => (at === undefined ? [] : [[tile, at]])))
      const judged = copied.judge(known)
      const taken = new Map(copied.takeCounting().map(({ id, cell }) => [id, cell.value]))
      const atOf = ({ id }: { id: number }): number | undefined => known.get(tileOf(id, geometry))
      const due = left.filter((cell) => atOf(cell) !== undefined)
      const counting = due.filter((cell) => atOf(cell)! <= cell.upTo)
      t.same(taken, new Map(counting.map(({ id, value }) => [id, value])))
      t.same(judged, { taken: counting.length, older: due.length - counting.length })
      t.equal(copied.size, left.length - due.length)
      const [persisted] = context.takeEffects()
      const rows = persisted?.type === 'persist' ? persisted.records : []
      t.same(
        new Map(rows.map(({ key, value }) => [key, value])),
        new Map(due.map(({ id }) => [`value/${id}`, taken.get(id)])),
        'and the ledger knows',
      )
      t.same(copied.judge(known), { taken: 0, older: 0 })
      t.same(copied.takeCounting(), [], 'once')
    }),
  )
  t.end()
})
