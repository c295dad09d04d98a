/** The rule book of a coordinator: who gets it, and what comes of what nodes find. */
import t from 'tap'
import type { RuleEvent } from '../../../../broker/core/ledger-records.ts'
import { parseRuleBook, type Rule } from '../../../../shared/operations/rule-book.ts'
import { recordsOf } from '../../../../shared/protocol/rule-changes.ts'
import { ADD, BENCH_OPTIONS, EMPTY_STORE, GatewayBench } from '../../../support/gateway-bench.ts'

const WHOLE = { x: 0, y: 0, w: 16, h: 8 }
/** Rule, tile, `at`, cells. */
type Row = readonly [rule: number, tile: number, at: number, count: number]

function rulesOf(...whens: string[]): readonly Rule[] {
  const rules = whens.map((when, at) => ({ name: `rule-${at}`, when, message: when }))
  const parsed = parseRuleBook({ rules }, BENCH_OPTIONS.grid)
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
  return parsed.value.rules
}

class RuleBench extends GatewayBench {
  #position = 100

  /** Nodes that hold all tiles, and know rules. */
  constructor(...names: string[]) {
    super({ massSilenceShare: 1 })
    for (const name of names) this.hello(name, { rules: 0 })
    this.wait(this.options.settleMs)
    this.submit({ id: 'first', ...ADD, region: WHOLE })
    const entries = names.map((name) => this.entriesTo(name))
    for (const [at, name] of names.entries()) this.apply(name, entries[at]!)
  }

  set(...whens: string[]): void {
    this.step({ type: 'rules-set', rules: rulesOf(...whens) })
  }

  /** A node has what it was sent on its disk, and tells what that changed. */
  tell(name: string, rows: readonly Row[], more: { left?: number; version?: number } = {}): void {
    const { version = this.view.ruleBook().version, left = 0 } = more
    this.#position += 1
    const [rules, tiles, ats, counts] = [0, 1, 2, 3].map((column) => {
      return rows.map((row) => row[column]!)
    })
    const columns = { rules: rules!, tiles: tiles!, ats: ats!, counts: counts! }
    const records = recordsOf(this.#position, version, columns)
    this.say(name, { t: 'rule-changes', version, records, left })
  }

  /** Applies the book that was just sent, and has nothing to tell. */
  evaluate(...names: string[]): void {
    const entries = names.map((name) => this.entriesTo(name))
    for (const [at, name] of names.entries()) this.apply(name, entries[at]!)
    for (const name of names) this.tell(name, [])
    this.wait(200)
  }

  get events(): RuleEvent[] {
    return this.effects.flatMap((effect) =>
      effect.type === 'publish' && effect.topic.kind === 'rule-event'
        ? [JSON.parse(String(effect.payload)) as RuleEvent]
        : [],
    )
  }

  /** What stands on the topic of a rule, as far as the last step said. */
  retained(rule: string): unknown {
    const found = this.effects.findLast(
      (effect) =>
        effect.type === 'publish' &&
        effect.topic.kind === 'rule-state' &&
        effect.topic.rule === rule,
    )
    const payload = found?.type === 'publish' ? String(found.payload) : undefined
    return payload === undefined || payload === '' ? payload : JSON.parse(payload)
  }

  /** All that was published is known to be. */
  publish(): void {
    const { effects } = this
    for (const effect of effects) {
      if (effect.type !== 'note-told') continue
      this.step({ type: 'rule-event-told', rule: effect.rule, number: effect.number })
    }
  }
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
  t.match(bench.view.ruleBook(), shown)
  bench.start()
  t.match(bench.view.ruleBook(), shown)
  t.equal(bench.ledger.load().rules.length, 1, 'a version that nobody needs is gone')
  bench.step({ type: 'rules-set', rules: [] })
  t.match(bench.view.ruleBook(), { version: 3, rules: [] })
  t.end()
})

t.test('the book goes into the streams of nodes that know rules, once', (t) => {
  const bench = new RuleBench('a', 'b')
  bench.hello('old')
  bench.set('value > 1')
  for (const name of ['a', 'b']) {
    const [entry] = bench.entriesTo(name)
    t.match(entry, {
      op: '$rules',
      args: { version: 1, rules: [{ outputs: [{ kind: 'count' }] }] },
    })
  }
  t.same(bench.entriesTo('old'), [])
  bench.evaluate('a', 'b')
  bench.hello('a', { rules: 1 })
  t.same(bench.entriesTo('a'), [], 'it has it')
  bench.hello('old', { rules: 0 })
  t.match(bench.entriesTo('old'), [{ op: '$rules' }], 'it was updated')
  t.end()
})

t.test('a node that goes back to a version from before is not asked to apply a book', (t) => {
  const bench = new RuleBench('a', 'b')
  bench.set('value > 1')
  bench.start()
  bench.hello('a')
  const entries = bench.entriesTo('a')
  t.match(entries, [{ op: '$void' }])
  bench.apply('a', entries)
  t.ok(bench.view.node('a' as never)?.connected)
  bench.hello('b', { rules: 0 })
  t.match(bench.entriesTo('b'), [{ op: '$rules', args: { version: 1 } }], 'of the ledger')
  t.end()
})

t.test('a rule is raised with the first tile, and cleared with the last', (t) => {
  const bench = new RuleBench('a', 'b')
  bench.set('value > 1', 'value < -1')
  bench.evaluate('a', 'b')
  bench.submit({ id: 'next', ...ADD, region: WHOLE })
  const { sequence: seq = 0 } = bench.view.counts()
  bench.tell('a', [
    [0, 1, seq, 16],
    [0, 2, seq, 3],
  ])
  t.match(bench.events, [
    {
      ...{ rule: 'rule-0', version: 1, state: 'raised', message: 'value > 1' },
      ...{ region: { x: 4, y: 0, w: 8, h: 4 }, tiles: 2, count: 19, seq },
    },
  ])
  t.match(bench.retained('rule-0'), { state: 'raised', seq })
  t.match(bench.sent('changes-taken'), [{}], 'it need not tell it again')
  t.match(bench.notices('rule-raised'), [{ rule: 'rule-0' }])
  bench.publish()
  bench.tell('b', [
    [0, 1, seq, 16],
    [0, 2, seq, 3],
  ])
  t.same(bench.events, [], 'the other replica says the same')
  bench.submit({ id: 'third', ...ADD, region: WHOLE })
  bench.tell('b', [[0, 1, seq + 1, 0]])
  t.same(bench.events, [], 'one tile is left')
  bench.tell('b', [[0, 2, seq + 1, 0]])
  t.match(bench.events, [
    { state: 'cleared', tiles: 0, count: 0, region: { x: 8, y: 0, w: 4, h: 4 }, seq: seq + 1 },
  ])
  bench.publish()
  bench.tell('a', [[0, 2, seq, 3]])
  t.same(bench.events, [], 'it comes late')
  t.match(bench.view.ruleBook().rules[0], { state: 'cleared' })
  t.end()
})

t.test(
  'what is not known to be published is published after a start, once more and no more',
  (t) => {
    const bench = new RuleBench('a', 'b')
    bench.set('value > 1')
    bench.evaluate('a', 'b')
    bench.tell('a', [[0, 1, 1, 16]])
    const [event] = bench.events
    bench.start()
    t.same(bench.events, [event])
    bench.publish()
    bench.start()
    t.same(bench.events, [])
    t.same(bench.retained('rule-0'), event)
    bench.hello('a', { rules: 1 })
    bench.hello('b', { rules: 1 })
    bench.tell('b', [[0, 1, 1, 16]])
    t.same(bench.events, [], 'the ledger knows the tile')
    t.end()
  },
)

t.test('another book clears what is raised no more once all have evaluated it', (t) => {
  const bench = new RuleBench('a', 'b')
  bench.set('value > 1', 'value > 2')
  bench.evaluate('a', 'b')
  bench.tell('a', [
    [0, 1, 1, 16],
    [1, 1, 1, 16],
  ])
  bench.publish()
  bench.set('value > 100')
  t.match(bench.events, [{ rule: 'rule-1', state: 'cleared' }], 'it is in no book')
  t.equal(bench.retained('rule-1'), '')
  t.equal(bench.ledger.load().alarm.length, 2, 'until that is known to be published')
  bench.publish()
  t.equal(bench.ledger.load().alarm.length, 1)
  bench.tell('a', [[0, 1, 1, 16]], { version: 1 })
  t.same(bench.events, [], 'that was under the book before')
  bench.tell('a', [])
  bench.wait(200)
  t.same(bench.events, [], 'b has not looked')
  bench.tell('b', [])
  t.match(bench.wait(200) && bench.events, [{ rule: 'rule-0', state: 'cleared', version: 2 }])
  t.end()
})

t.test('who is dead is not waited for', (t) => {
  const bench = new RuleBench('a', 'b')
  bench.set('value > 1')
  bench.evaluate('a', 'b')
  bench.tell('a', [[0, 1, 1, 16]])
  bench.publish()
  bench.close('b')
  bench.set('value > 100')
  bench.tell('a', [])
  bench.live(2000, ['a'])
  t.same(bench.events, [])
  const before = bench.live(bench.options.deadAfterMs + 4000, ['a'])
  t.ok(before.length > 0)
  t.match(bench.events, [{ state: 'cleared' }])
  t.end()
})

t.test('a tile that nobody has any more does not keep a rule raised', (t) => {
  const bench = new RuleBench('a')
  bench.set('value > 1')
  bench.evaluate('a')
  bench.tell('a', [[0, 1, 1, 16]])
  bench.publish()
  bench.close('a')
  bench.hello('a', { ...EMPTY_STORE, process: 'other', rules: 0 })
  t.match(bench.events, [{ state: 'cleared' }])
  t.end()
})

t.test('rows of no rule, no tile and no write are no news', (t) => {
  const bench = new RuleBench('a', 'b')
  bench.set('value > 1')
  bench.evaluate('a', 'b')
  bench.tell('a', [
    [1, 1, 1, 16],
    [0, 9999, 1, 16],
    [0, 1, 1e9, 16],
  ])
  t.same(bench.events, [])
  t.same(
    bench.view.ruleBook().rules.map(({ state }) => state),
    [undefined],
  )
  t.end()
})
