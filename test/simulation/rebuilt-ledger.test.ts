/** The operator of the simulated fleets, who says how many nodes a lost ledger is rebuilt from. */
import t from 'tap'
import type { Random } from '../../shared/core/random.ts'
import { RebuiltLedger } from '../support/rebuilt-ledger.ts'
import { SimulatedClock } from '../support/simulated-clock.ts'

t.test(
  'a board that empties itself while it is waited for is not waited for any more',
  async (t) => {
    const clock = new SimulatedClock()
    const nodes = [true, true, false].map((isOfLedger) => ({ card: { isOfLedger } }))
    const gateway = { recoverNodes: 0, starts: 0, crash() {}, start: () => ++gateway.starts }
    const fleet = { clock, nodes, gateway, count() {} }
    const parts = [fleet, {}] as unknown as ConstructorParameters<typeof RebuiltLedger>
    const nobodyIsLate = { unit: () => 0.9 } as Random
    gateway.recoverNodes = new RebuiltLedger(...parts).begin(nobodyIsLate)
    t.equal(gateway.recoverNodes, 2, 'the new card is not counted')
    await clock.run(1000)
    t.equal(gateway.starts, 0)
    nodes[0]!.card.isOfLedger = false
    await clock.run(2000)
    t.same([gateway.recoverNodes, gateway.starts], [1, 1])
  },
)
