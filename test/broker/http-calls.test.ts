import t from 'tap'
import type { Asker } from '../../broker/adapters/http-port.ts'
import { HttpCalls, type HttpSources } from '../../broker/http-calls.ts'
import type { NodeId } from '../../shared/core/ids.ts'

const N1 = 'n1' as NodeId
const ASKER: Asker = { who: 'admin', via: 'socket', assertMay() {} }

t.test('a node that is forgotten loses its key first, one that is not keeps it', async (t) => {
  const done: string[] = []
  const problem = { reason: 'node-alive', message: 'it lives' }
  const callsOf = (found: object | undefined, isSecured: boolean): HttpCalls => {
    const security = {
      revokeNode: async (node: NodeId, { who }: Asker) =>
        void done.push(`revoke ${node} by ${who}`),
    }
    return new HttpCalls({
      view: { removalProblem: () => found },
      driver: { remove: async (node: NodeId) => void done.push(`remove ${node}`) },
      security: isSecured ? security : undefined,
    } as unknown as HttpSources)
  }
  t.same(await callsOf(problem, true).remove(N1, ASKER), problem)
  t.same(done, [])
  t.equal(await callsOf(undefined, true).remove(N1, ASKER), undefined)
  t.same(done.splice(0), ['revoke n1 by admin', 'remove n1'])
  t.equal(await callsOf(undefined, false).remove(N1, ASKER), undefined)
  t.same(done, ['remove n1'])
})

t.test('a node that comes back while it is to be forgotten is not said to be', async (t) => {
  const problem = { reason: 'node-alive', message: 'it lives' }
  let found: object | undefined
  const calls = new HttpCalls({
    view: { removalProblem: () => found },
    driver: {
      async remove() {
        found = problem
      },
    },
  } as unknown as HttpSources)
  t.same(await calls.remove(N1, ASKER), problem)
})
