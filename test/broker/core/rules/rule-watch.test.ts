/** The rule book of a coordinator: what is set is in the ledger, and stays over a start. */
import t from 'tap'
import { parseRuleBook, type Rule } from '../../../../shared/operations/rule-book.ts'
import { BENCH_OPTIONS, GatewayBench } from '../../../support/gateway-bench.ts'

function rulesOf(...whens: string[]): readonly Rule[] {
  const rules = whens.map((when, at) => ({ name: `rule-${at}`, when, message: when }))
  const parsed = parseRuleBook({ rules }, BENCH_OPTIONS.grid)
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
  return parsed.value.rules
}

t.test('each book has a version of its own, and outlives the gateway', (t) => {
  const bench = new GatewayBench()
  t.same(bench.view.ruleBook(), { version: 0, rules: [] })
  bench.step({ type: 'rules-set', rules: rulesOf('value > 1') })
  bench.step({ type: 'rules-set', rules: rulesOf('value > 2', 'value < 0') })
  const shown = {
    version: 2,
    rules: [
      { name: 'rule-0', when: 'value > 2', message: 'value > 2' },
      { name: 'rule-1', when: 'value < 0', message: 'value < 0' },
    ],
  }
  t.same(bench.view.ruleBook(), shown)
  bench.start()
  t.same(bench.view.ruleBook(), shown)
  t.equal(bench.ledger.load().rules.length, 1, 'a version that nobody needs is gone')
  bench.step({ type: 'rules-set', rules: [] })
  t.same(bench.view.ruleBook(), { version: 3, rules: [] })
  t.end()
})
