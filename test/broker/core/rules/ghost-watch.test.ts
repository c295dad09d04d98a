/** Ghosts at work: which tasks they shadow, what nodes tell of them, and what comes of it. */
import t from 'tap'
import type { CodexOutcome } from '../../../../broker/core/effects.ts'
import type { GhostRecord } from '../../../../broker/core/ghost-record.ts'
import type { GhostWish } from '../../../../broker/core/state/ghosts.ts'
import { createLayout } from '../../../../shared/grid/page-layout.ts'
import { TilePage } from '../../../../shared/grid/tile-page.ts'
import { unpackTiles } from '../../../../shared/operations/columns.ts'
import { ghostIn } from '../../../../shared/operations/ghost.ts'
import type { TileDifference } from '../../../../shared/operations/operation.ts'
import { windowOf } from '../../../../shared/operations/operation.ts'
import { oslRead } from '../../../../shared/operations/osl-read.ts'
import { type GhostReport, GhostReporter } from '../../../../shared/protocol/ghost-report.ts'
import type { Entry } from '../../../../shared/protocol/messages.ts'
import { demandOf } from '../../../support/codex-in-memory.ts'
import { GatewayBench, readerOf, TILE_0 } from '../../../support/gateway-bench.ts'

const EQUAL: TileDifference = { differ: 0, max: 0 }
const FAR: TileDifference = {
  ...{ differ: 3, max: 1.5, first: { field: 0, lsu: 2, current: 1, ghost: 2.5 } },
}
const WIDE = { x: 0, y: 0, w: 16, h: 8 }

function define(bench: GatewayBench, ...sources: string[]): void {
  for (const source of sources) {
    const outcome = demandOf(bench, { do: 'define', name: 'heat', source })
    if (!outcome.ok) throw new Error(JSON.stringify(outcome))
  }
}

function begin(bench: GatewayBench, wish: Partial<GhostWish> = {}): CodexOutcome {
  const asked = { version: 2, sample: 1, runs: 2, tolerance: 0, promote: 'manual' } as const
  return demandOf(bench, { do: 'begin-ghost', name: 'heat', ...asked, ...wish }, 'user/ann')
}

function use(bench: GatewayBench, version: number): void {
  demandOf(bench, { do: 'use', name: 'heat', version })
}

const recordOf = (bench: GatewayBench): GhostRecord => bench.ledger.get('ghost', 'heat')!

/** Two nodes that hold all of the grid; a program with two versions. */
function pair(): GatewayBench {
  const bench = new GatewayBench()
  bench.join('a', 'b')
  define(bench, 'value = value + 1', 'value = 1 + value')
  return bench
}

let tasks = 0
function submit(bench: GatewayBench, more: object = {}): Map<string, Entry[]> {
  const id = `w${++tasks}`
  const outcome = bench.submit({ id, op: 'heat', region: WIDE, ...more })
  if (!outcome.ok) throw new Error(JSON.stringify(outcome))
  return new Map([...bench.nodes.keys()].map((name) => [name, [...bench.entriesTo(name)]]))
}

/** What the node finds of each tile that it is to compare. */
function reportOf({ tiles, args }: Entry, found: TileDifference = EQUAL): GhostReport | undefined {
  const ghost = ghostIn(args)
  if (ghost === undefined) return undefined
  const reporter = new GhostReporter()
  for (let at = 0; at < unpackTiles(tiles).length; at++) {
    const isMine = ((ghost.mine![at >> 3]! >> (at & 7)) & 1) === 1
    reporter.add(isMine ? found : undefined)
  }
  return reporter.take()
}

/** The node has these on disk, and tells how the ghost compares; by nothing, as one that knows of none. */
function tell(
  bench: GatewayBench,
  name: string,
  entries: readonly Entry[],
  report: (entry: Entry) => GhostReport | undefined = reportOf,
): void {
  const { position, chain, seq } = entries.at(-1)!
  Object.assign(bench.node(name), { position, chain, seq })
  const results = entries.map((entry) => {
    const ghost = report(entry)
    const lsus = 16 * unpackTiles(entry.tiles).length
    return { position: entry.position, lsus, ...(ghost === undefined ? {} : { ghost }) }
  })
  bench.say(name, { t: 'applied', position, chain, results })
}

function run(bench: GatewayBench, more: object = {}): void {
  for (const [name, entries] of submit(bench, more)) tell(bench, name, entries)
}

t.test('each tile is compared by one holder, and the code is in the body of the task', (t) => {
  const bench = pair()
  t.match(begin(bench), { ok: true, name: 'heat', version: 2 })
  t.match(bench.notices('ghost-begun'), [
    { program: 'heat', version: 2, beside: 1, by: 'user/ann' },
  ])
  t.match(begin(bench), { ok: false, refusal: { code: 'version-conflict' } }, 'one at a time')
  const entries = submit(bench)
  const [ofA, ofB] = ['a', 'b'].map((name) => {
    const [entry] = entries.get(name)!
    return ghostIn(entry!.args)!.mine![0]!
  })
  t.equal(ofA! & ofB!, 0)
  t.equal(ofA! | ofB!, 0xff)
  t.ok(ofA !== 0 && ofB !== 0)
  t.end()
})

t.test('after so many equal tasks it waits for a person, who makes it current', (t) => {
  const bench = pair()
  begin(bench)
  run(bench)
  t.match(recordOf(bench), { state: 'running', equal: 1, missed: 0 })
  run(bench, { op: 'heat@1' })
  t.match(recordOf(bench), { equal: 1 }, 'who names a version has no ghost')
  run(bench)
  t.match(bench.notices('ghost-equal'), [{ program: 'heat', version: 2, beside: 1 }])
  t.match(recordOf(bench), { state: 'equal', equal: 2 })
  t.equal(bench.view.codex.currentOf('heat', 'main'), 1)
  const [entry] = submit(bench).get('a')!
  t.equal(ghostIn(entry!.args), undefined, 'it is through')
  use(bench, 2)
  t.match(bench.notices('ghost-ended'), [{ version: 2 }])
  t.match(recordOf(bench), { state: 'promoted' })
  t.end()
})

t.test('it becomes current by itself where that was asked for', (t) => {
  const bench = pair()
  begin(bench, { promote: 'auto', runs: 1 })
  run(bench)
  t.match(bench.notices('program-switched'), [{ program: 'heat', version: 2, context: 'main' }])
  t.equal(bench.view.codex.currentOf('heat', 'main'), 2)
  t.match(recordOf(bench), { state: 'promoted', equal: 1 })
  const told = bench.effects.flatMap((effect) =>
    effect.type === 'publish' && effect.topic.kind === 'gateway-codex' ? [effect.payload] : [],
  )
  t.match(JSON.parse(String(told.at(-1))), {
    programs: [{ version: 2, ghost: { version: 2, state: 'promoted' } }],
  })
  bench.start()
  t.equal(bench.view.codex.currentOf('heat', 'main'), 2)
  t.match(bench.view.ghosts.of('heat'), { state: 'promoted' })
  t.end()
})

t.test('a difference ends it when it is told, before the task is done', (t) => {
  const bench = pair()
  begin(bench)
  const entries = submit(bench, { id: 'off' })
  tell(bench, 'a', entries.get('a')!, (entry) => reportOf(entry, FAR))
  t.match(bench.task('off'), { state: 'running' })
  t.match(bench.notices('ghost-differs'), [
    {
      ...{ program: 'heat', version: 2, beside: 1, task: 'off', what: 'value', lsu: 2 },
      ...{ current: 1, ghost: 2.5, max_difference: 1.5 },
    },
  ])
  t.match(recordOf(bench), {
    state: 'differs',
    difference: { task: 'off', what: 'value', lsu: 2, current: 1, ghost: 2.5, max: 1.5 },
  })
  tell(bench, 'b', entries.get('b')!, (entry) => reportOf(entry, FAR))
  t.strictSame(bench.notices('ghost-differs'), [], 'once')
  t.match(bench.task('off'), { state: 'completed' }, 'the task is none the worse')
  t.match(begin(bench), { ok: true }, 'another may begin')
  t.match(recordOf(bench), { number: 2, state: 'running', equal: 0 })
  t.end()
})

t.test('a task of which a tile was not compared counts as none', (t) => {
  const bench = pair()
  begin(bench)
  const entries = submit(bench)
  tell(bench, 'a', entries.get('a')!)
  tell(bench, 'b', entries.get('b')!, () => undefined)
  t.match(recordOf(bench), { equal: 0, missed: 1 }, 'a node of a version from before')
  const twice = submit(bench)
  tell(bench, 'a', twice.get('a')!)
  // A resend of what was told already.
  tell(bench, 'a', twice.get('a')!)
  t.match(recordOf(bench), { equal: 0, missed: 1 }, 'not done yet')
  tell(bench, 'b', twice.get('b')!)
  t.match(recordOf(bench), { equal: 1, missed: 1 })
  t.end()
})

t.test('a start in the middle of a write counts no part of it', (t) => {
  const bench = pair()
  begin(bench, { runs: 1 })
  const entries = submit(bench)
  tell(bench, 'a', entries.get('a')!)
  bench.start()
  bench.join('a', 'b')
  t.match(bench.view.ghosts.of('heat'), { state: 'running', equal: 0 })
  tell(bench, 'b', bench.entriesTo('b').length > 0 ? bench.entriesTo('b') : entries.get('b')!)
  t.match(recordOf(bench), { state: 'running', equal: 0, missed: 1 })
  t.end()
})

t.test('what another ghost was found to be is not told of this one', (t) => {
  const bench = pair()
  begin(bench)
  const entries = submit(bench)
  t.match(demandOf(bench, { do: 'end-ghost', name: 'heat' }), { ok: true, version: 2 })
  t.match(bench.notices('ghost-ended'), [{ program: 'heat', version: 2 }])
  t.match(demandOf(bench, { do: 'end-ghost', name: 'heat' }), {
    ...{ ok: false, refusal: { code: 'unknown-ghost' } },
  })
  begin(bench)
  for (const [name, own] of entries) tell(bench, name, own, (entry) => reportOf(entry, FAR))
  t.match(recordOf(bench), { number: 2, state: 'running', equal: 0, missed: 0 })
  define(bench, 'value = value + 3')
  use(bench, 3)
  t.match(recordOf(bench), { state: 'ended' }, 'it has nothing to shadow any more')
  t.end()
})

t.test('one that takes too long in two tasks is left out', (t) => {
  const bench = pair()
  begin(bench)
  const late = (entry: Entry): GhostReport => ({ ...reportOf(entry)!, late: true })
  for (let count = 0; count < 2; count++) {
    t.match(recordOf(bench), { state: 'running', late: count })
    for (const [name, entries] of submit(bench)) tell(bench, name, entries, late)
  }
  t.match(recordOf(bench), { state: 'too-slow' })
  t.match(bench.notices('ghost-too-slow'), [{ program: 'heat', version: 2 }])
  t.end()
})

t.test('it shadows a share of the tasks', (t) => {
  const bench = pair()
  begin(bench, { sample: 0.25, runs: 1000 })
  let shadowed = 0
  for (let count = 0; count < 200; count++) {
    const entries = submit(bench, { region: TILE_0 })
    if (ghostIn(entries.get('a')![0]!.args) !== undefined) shadowed += 1
    for (const [name, own] of entries) tell(bench, name, own)
  }
  t.ok(shadowed > 20 && shadowed < 80, `${shadowed} of 200`)
  t.match(recordOf(bench), { equal: shadowed, missed: 0 })
  t.end()
})

t.test('a read is compared by its value', (t) => {
  const bench = pair()
  const name = 'heat2'
  for (const source of ['return a = sum(value + 1)', 'return a = sum(value + 2)']) {
    demandOf(bench, { do: 'define', name, source })
  }
  demandOf(bench, {
    ...{ do: 'begin-ghost', name, version: 2, sample: 1, runs: 1 },
    ...{ tolerance: 16, promote: 'auto' },
  })
  const ask = (knows: boolean): void => {
    tasks += 1
    bench.submit({ id: `r${tasks}`, op: name, region: TILE_0 })
    const { reader } = readerOf(bench)
    const [read] = bench.readsTo(reader)
    const reading = oslRead.run(read!.args, bench.options.grid)
    const page = TilePage.empty(createLayout(bench.options.grid.fields, 16))
    reading.visit(page, windowOf(bench.options.grid.geometry, 0, TILE_0))
    const { ghost, ...rest } = reading.finish()
    bench.answer(reader, read!, { value: knows ? { ...rest, ghost } : rest })
    t.match(bench.task(`r${tasks}`), { state: 'completed' })
  }
  ask(false)
  t.match(bench.ledger.get('ghost', name), { state: 'running', equal: 0, missed: 1 })
  ask(true)
  t.match(bench.ledger.get('ghost', name), { state: 'promoted', equal: 1 })
  t.equal(bench.view.codex.currentOf(name, 'main'), 2)
  demandOf(bench, {
    ...{ do: 'begin-ghost', name, version: 1, sample: 1, runs: 1 },
    ...{ tolerance: 0, promote: 'auto' },
  })
  ask(true)
  t.match(bench.notices('ghost-differs'), [
    { program: name, version: 1, beside: 2, what: 'a', current: 32, ghost: 16, max_difference: 16 },
  ])
  t.match(bench.ledger.get('ghost', name), { state: 'differs' })
  t.end()
})

t.test('what cannot be compared is refused', (t) => {
  const bench = pair()
  define(bench, 'value = value + $a', 'return a = sum(value)', 'value = value[1, 0]')
  const refused = (version: number, message: RegExp): void => {
    t.match(begin(bench, { version }), {
      ...{ ok: false, refusal: { errors: [{ path: 'version', code: 'not-allowed', message }] } },
    })
  }
  refused(1, /is the current one/)
  refused(3, /takes other parameters/)
  refused(4, /is a read/)
  refused(5, /reads neighbours/)
  for (const source of ['return b = sum(a)', 'return b = sum(a + 1)']) {
    demandOf(bench, { do: 'define', name: 'sums', source, columns: 'a:f64' })
  }
  t.match(begin(bench, { name: 'sums' }), {
    ...{ ok: false, refusal: { errors: [{ message: /runs over items/ }] } },
  })
  t.match(begin(bench, { version: 9 }), { ok: false, refusal: { code: 'unknown-version' } })
  const unknown = { ...{ version: 2, sample: 1, runs: 1, tolerance: 0 }, promote: 'auto' } as const
  t.match(demandOf(bench, { do: 'begin-ghost', name: 'none', ...unknown }), {
    ...{ ok: false, refusal: { code: 'unknown-program' } },
  })
  t.end()
})

t.test('its version is kept while it is one', (t) => {
  const bench = pair()
  begin(bench)
  for (let version = 3; version <= 70; version++) define(bench, `value = value + ${version}`)
  t.ok(bench.view.codex.find('heat', 2))
  t.notOk(bench.view.codex.find('heat', 3))
  t.end()
})
