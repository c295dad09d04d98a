import fc from 'fast-check'
import t from 'tap'
import { NODE_LIST_RULES, selectNodes } from '../../../broker/adapters/http-node-list.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import { MEMBER_STATES } from '../../../shared/protocol/states.ts'
import type { NodeView } from '../../../shared/protocol/views.ts'
import { NODE } from '../../support/recorded-http-port.ts'

const COLUMNS =
  'id state heard joined tiles written behind weight version cpu memory temperature trip'

const node: fc.Arbitrary<NodeView> = fc
  .record({
    id: fc.integer({ min: 0, max: 9 }),
    state: fc.constantFrom(...MEMBER_STATES),
    heard_ts: fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined }),
    behind: fc.integer({ min: 0, max: 3 }),
    version: fc.option(fc.constantFrom('0.1.0', '0.2.0'), { nil: undefined }),
    cpu_percent: fc.option(fc.integer({ min: 0, max: 3 })),
    free: fc.option(fc.integer({ min: 0, max: 3 })),
  })
  .map(({ id, cpu_percent, free, ...rest }) => {
    const telemetry = { cpu_percent, mem_total_bytes: 4, mem_available_bytes: free }
    return { ...NODE, ...rest, id: `n${id}` as NodeId, telemetry } as NodeView
  })
const nodes = fc.uniqueArray(node, { selector: ({ id }) => id, maxLength: 10 })

t.test(
  'an order has each row once, what is not known last, and the other way round is that',
  async () => {
    fc.assert(
      fc.property(nodes, fc.constantFrom(...COLUMNS.split(' ')), (rows, column) => {
        const sort = NODE_LIST_RULES.sort.read(column)!
        const up = selectNodes(rows, { sort }).rows
        const down = selectNodes(rows, { sort: NODE_LIST_RULES.sort.read(`-${column}`)! }).rows
        const known = (list: readonly NodeView[]) =>
          list.filter((row) => sort.key(row) !== undefined)
        const isSorted = known(up).every((row, at) => {
          const before = known(up)[at - 1]
          return before === undefined || sort.key(before)! <= sort.key(row)!
        })
        const keys = (list: readonly NodeView[]) => list.map((row) => `${sort.key(row)}`)
        return (
          isSorted &&
          new Set(up).size === rows.length &&
          `${keys(known(down)).reverse()}` === `${keys(known(up))}` &&
          known(up).every((row, at) => up[at] === row) &&
          known(down).every((row, at) => down[at] === row)
        )
      }),
    )
  },
)

t.test('pages put together are the whole, and are counted as that', async () => {
  fc.assert(
    fc.property(nodes, fc.integer({ min: 1, max: 4 }), (rows, limit) => {
      const sort = NODE_LIST_RULES.sort.read('behind')!
      const whole = selectNodes(rows, { sort })
      const pages = []
      for (let offset = 0; offset < 12; offset += limit) {
        const page = selectNodes(rows, { sort, limit, offset })
        if (page.total !== rows.length || page.rows.length > limit) return false
        pages.push(...page.rows)
      }
      return pages.length === rows.length && pages.every((row, at) => row === whole.rows[at])
    }),
  )
})

t.test('used memory is put in order as a share', async (t) => {
  const of = (id: string, total: number, free: number): NodeView => ({
    ...NODE,
    id: id as NodeId,
    telemetry: { mem_total_bytes: total, mem_available_bytes: free },
  })
  const sort = NODE_LIST_RULES.sort.read('-memory')!
  const { rows } = selectNodes([of('large', 100, 60), of('small', 10, 5)], { sort })
  t.same(
    rows.map(({ id }) => id),
    ['small', 'large'],
  )
})

t.test('trouble is what the row says', async (t) => {
  const rows: NodeView[] = [
    { ...NODE, troubled: true },
    { ...NODE, id: 'well' as NodeId },
  ]
  t.match(selectNodes(rows, { troubles: true }), { rows: [{ id: NODE.id }], total: 1 })
  t.match(selectNodes(rows, { troubles: false }), { rows: [{ id: 'well' }], total: 1 })
})
