import t from 'tap'
import { PageFormat } from '../../../firmware-agent/core/page-format.ts'
import { AgentBench, SESSION } from '../../support/agent-bench.ts'

const allowed = (bench: AgentBench): number[] =>
  bench.effects.flatMap((effect) => (effect.type === 'allow-pages' ? [effect.format] : []))

t.test('a change is told once, and what is left out is the first format', (t) => {
  const format = new PageFormat()
  const told = [{}, { pages: 2 }, { pages: 2 }, {}].map((said) => format.take(said))
  const allow = (to: number) => [{ type: 'allow-pages', format: to }]
  t.same(told, [[], allow(2), [], allow(1)])
  t.end()
})

t.test('what may be written is what the last welcome or beat says', (t) => {
  const bench = new AgentBench({}, { pages: 2 })
  bench.wait(0)
  bench.step({ type: 'connected' })
  const [hello] = bench.effects.flatMap((effect) => {
    return effect.type === 'send' && effect.message.t === 'hello' ? [effect.message] : []
  })
  t.equal(hello!.pages, 2)
  const beat = { t: 'beat', session: SESSION, beat: 1, ts: 1e12, confirmed: 0 } as const
  bench.step({
    type: 'message-received',
    message: {
      t: 'welcome',
      version: 1,
      session: SESSION,
      ledgerId: 'ledger',
      grid: { width: 16, height: 8, tile: 4, fields: 'value:f64' },
      heartbeatMs: 2000,
      confirmed: 0,
      pages: 2,
    },
  })
  t.same(allowed(bench), [2])
  bench.step({ type: 'message-received', message: { ...beat, pages: 2 } })
  t.same(allowed(bench), [], 'nothing new')
  bench.step({ type: 'message-received', message: beat })
  t.same(allowed(bench), [1])
  bench.step({ type: 'message-received', message: { ...beat, session: 7, pages: 2 } })
  t.same(allowed(bench), [], 'of another session')
  t.end()
})
