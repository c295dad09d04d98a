import t from 'tap'
import { History } from '../../broker/core/views/history.ts'
import { HistoryWatch } from '../../broker/history-watch.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { HISTORY_METRICS } from '../../shared/protocol/history.ts'
import type { NodeView } from '../../shared/protocol/views.ts'
import { NODE } from '../support/recorded-http-port.ts'
import { ended } from '../support/slices.ts'

const TELEMETRY = {
  ...{ cpu_percent: 12.5, mem_total_bytes: 1000, mem_available_bytes: 250, temp_celsius: null },
  ...{ broker_rtt_ms: 4, loop_busy_percent: 1 },
}

t.test(
  'the figures of each node are recorded, and of one that is not heard of no more',
  async (t) => {
    const nodes: NodeView[] = Array.from({ length: 450 }, (_, n) => ({
      ...{ ...NODE, id: `n${n}` as NodeId, telemetry: TELEMETRY },
      stream: { head: 9, acked: 7 },
    }))
    nodes[1] = { ...nodes[1]!, state: 'suspect' }
    nodes[2] = { ...nodes[2]!, state: 'left' }
    const clock = { monotonicMs: 0 }
    const history = new History(16 * 1024 * 1024)
    const pieces: number[] = []
    const watch = new HistoryWatch(history, {
      clock: { now: () => ({ monotonicMs: clock.monotonicMs, wallMs: 5 }) } as never,
      nodeCount: () => nodes.length,
      nodesFrom(first, count) {
        const piece = nodes.slice(first, first + count)
        pieces.push(piece.length)
        return piece
      },
      isKnown: () => true,
    })
    t.teardown(() => watch.close())
    await watch.look()
    await watch.look()
    t.same(pieces, [200, 200, 50], 'in pieces, and once in ten seconds')
    const ids = ['n0', 'n1', 'n2', 'n449'] as NodeId[]
    const query = { nodes: ids, metrics: HISTORY_METRICS, span: '1h', points: 1 } as const
    const value = ended(history.read(query))
    const last = value.nodes.map(({ id, columns }) => [id, columns.map((column) => column.at(-1))])
    const heard = [12.5, 75, Number.NaN, 4, 1, 2]
    const [nan] = [Number.NaN]
    t.same(last, [
      ['n0', heard],
      ['n1', [nan, nan, nan, nan, nan, 2]],
      ['n449', heard],
    ])
  },
)
