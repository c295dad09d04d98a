/** The operator of the simulated fleets, who says how many nodes a lost ledger is rebuilt from. */
import t from 'tap'
import type { Random } from '../../shared/core/random.ts'
import { RebuiltLedger } from '../support/rebuilt-ledger.ts'
import { SimulatedClock } from '../support/simulated-clock.ts'

function fleetOf(...cards: readonly boolean[]) {
  const clock = new SimulatedClock()
  const nodes = cards.map((isOfLedger) => ({ card: { isOfLedger, tiles: () => [] } }))
  const gateway = { recoverNodes: 0, starts: 0, crash() {}, start: () => ++gateway.starts }
  const fleet = { clock, nodes, gateway, count() {} }
  const away: object[] = []
  const faults = { takeAway: (node: object) => void away.push(node) }
  const parts = [fleet, { faults }] as unknown as ConstructorParameters<typeof RebuiltLedger>
  return { clock, nodes, gateway, away, rebuilt: new RebuiltLedger(...parts) }
}

t.test(
  'a board that empties itself while it is waited for is not waited for any more',
  async (t) => {
    const { clock, nodes, gateway, rebuilt } = fleetOf(true, true, false)
    const nobodyIsLate = { unit: () => 0.9 } as Random
    gateway.recoverNodes = rebuilt.begin(nobodyIsLate)
    t.equal(gateway.recoverNodes, 2, 'the new card is not counted')
    await clock.run(1000)
    t.equal(gateway.starts, 0)
    nodes[0]!.card.isOfLedger = false
    await clock.run(2000)
    t.same([gateway.recoverNodes, gateway.starts], [1, 1])
  },
)

t.test('of the boards that have something one at least is waited for', async (t) => {
  const firstIsLate = { unit: () => 0.1, integer: () => 0, between: () => 0 } as unknown as Random
  const one = fleetOf(true, false)
  t.same([one.rebuilt.begin(firstIsLate), one.away], [1, []])
  const two = fleetOf(true, true)
  t.same([two.rebuilt.begin(firstIsLate), two.away], [1, [two.nodes[0]]])
})
