import t from 'tap'
import { ChangedRows } from '../../broker/core/views/changed-rows.ts'
import { LiveEvents, type LiveKind } from '../../broker/core/views/live-events.ts'
import { FleetWatch } from '../../broker/fleet-watch.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { MOVES, NODE } from '../support/recorded-http-port.ts'

function newWatch(count: number) {
  const live = new LiveEvents({ start: 's', keptMax: 9, keptBytesMax: 9999 })
  const rows = new ChangedRows({ rowsMax: 200, windowMs: 5000, restMs: 5000, pieceMax: 500 })
  const fleet = {
    asked: 0,
    areMoves: false,
    nodes: Array.from({ length: count }, (_, n) => ({ ...NODE, id: `n${n}` as NodeId })),
  }
  const watch = new FleetWatch(live, rows, {
    nodeCount: () => fleet.nodes.length,
    nodesFrom: (first, many) => {
      fleet.asked += 1
      return fleet.nodes.slice(first, first + many)
    },
    areMovesUnderWay: () => fleet.areMoves,
    moves: () => MOVES,
  })
  const told: string[] = []
  const follow = (kind: LiveKind) => live.follow(new Set([kind]), ({ text }) => told.push(text))
  return { watch, fleet, told, follow }
}

t.test('nothing is looked at while nobody follows', async (t) => {
  const { watch, fleet, told, follow } = newWatch(120)
  t.teardown(() => watch.close())
  fleet.areMoves = true
  watch.look(0)
  t.equal(fleet.asked, 0)
  const end = follow('nodes')
  watch.look(1000)
  t.equal(told.length, 3, 'in events of at most 50 rows')
  t.match(JSON.parse(told[0]!), { type: 'nodes', nodes: [{ id: 'n0', state: 'alive' }] })
  end()
  watch.look(2000)
  t.equal(fleet.asked, 1)
})

t.test('moves are told of while there are any, and once more', async (t) => {
  const { watch, fleet, told, follow } = newWatch(1)
  t.teardown(() => watch.close())
  follow('moves')
  watch.look(0)
  t.equal(told.length, 0)
  fleet.areMoves = true
  watch.look(1000)
  watch.look(2000)
  fleet.areMoves = false
  watch.look(3000)
  watch.look(4000)
  t.equal(told.length, 3)
  t.match(JSON.parse(told[2]!), { type: 'moves', open: [{ tile: 3 }], eta_seconds: 0 })
})
