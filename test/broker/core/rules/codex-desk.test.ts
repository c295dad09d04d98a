/** The codex at work: what is asked of it, what tasks get of it, and what is told. */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import type { CodexOutcome } from '../../../../broker/core/effects.ts'
import type { TaskRecord } from '../../../../broker/core/ledger-records.ts'
import type { TaskId } from '../../../../shared/core/ids.ts'
import type { UserPrincipal } from '../../../../shared/protocol/access.ts'
import { decodeCbor } from '../../../../shared/protocol/cbor.ts'
import { SUBMISSION_LIMITS } from '../../../../shared/protocol/limits.ts'
import { faultOf, readCddl } from '../../../support/cddl.ts'
import { demandOf } from '../../../support/codex-in-memory.ts'
import { GatewayBench, settledPair, TILE_0 } from '../../../support/gateway-bench.ts'
import { check } from '../../../support/property.ts'

function define(bench: GatewayBench, source: string, more: object = {}): CodexOutcome {
  return demandOf(bench, { do: 'define', name: 'heat', source, ...more })
}

function use(bench: GatewayBench, version: number, more: object = {}): CodexOutcome {
  return demandOf(bench, { do: 'use', name: 'heat', version, ...more })
}

/** What is retained on `gateway/codex` by the last step. */
function told(bench: GatewayBench): Record<string, unknown> | undefined {
  const payloads = bench.effects.flatMap((effect) =>
    effect.type === 'publish' && effect.topic.kind === 'gateway-codex' ? [effect.payload] : [],
  )
  return payloads.length === 0 ? undefined : JSON.parse(String(payloads.at(-1)))
}

function bodyOf(bench: GatewayBench, task: string): Record<string, unknown> {
  const decoded = decodeCbor(bench.ledger.get<Uint8Array>('body', task)!, SUBMISSION_LIMITS)
  if (!decoded.ok) throw new Error(decoded.message)
  return decoded.value as Record<string, unknown>
}

t.test('an empty codex is told too, a change once it is on disk', async (t) => {
  const bench = new GatewayBench()
  t.match(told(bench), { programs: [], contexts: {}, integrity: 1 })
  t.match(define(bench, 'value = value + 1', { glyph: '♨' }), { ok: true, isNew: true, version: 1 })
  t.match(bench.effects[0], { type: 'persist' }, 'first')
  t.match(told(bench), {
    programs: [{ name: 'heat', number: 64, glyph: '♨', version: 1, hash: /^[0-9a-f]{64}$/ }],
  })
  t.match(bench.notices('program-defined'), [{ program: 'heat', version: 1 }])
  t.match(define(bench, 'value = value + 1'), { ok: true, isNew: false, version: 1 })
  t.equal(told(bench), undefined, 'nothing has changed')
  define(bench, 'value = value + 2')
  t.match(told(bench), { programs: [{ version: 1 }] })
  use(bench, 2, { context: 'winter' })
  t.match(told(bench), { programs: [{ version: 1 }], contexts: { winter: { heat: 2 } } })
  const before = told(bench)
  bench.start()
  t.match(told(bench), before!, 'after a start')
})

t.test('a task names a program by name, glyph, version, or in the short form', async (t) => {
  const bench = settledPair()
  define(bench, 'value = value + 1', { glyph: '♨' })
  define(bench, 'value = value + 2')
  use(bench, 2, { context: 'winter' })
  const accepted = (task: Record<string, unknown>): unknown => {
    t.match(bench.submit({ id: 'w', region: TILE_0, ...task }), { ok: true })
    const { op, program } = bodyOf(bench, String(task.id ?? 'w')) as {
      op: string
      program: Record<string, unknown>
    }
    t.equal(op, 'osl1-write')
    const { as, name, version, context } = program
    return [as, name, version, context]
  }
  t.same(accepted({ id: 'a', op: 'heat' }), ['heat', 'heat', 1, 'main'])
  t.same(accepted({ id: 'b', op: '♨' }), ['heat', 'heat', 1, 'main'])
  t.same(accepted({ id: 'c', op: 'heat@2' }), ['heat@2', 'heat', 2, undefined])
  t.same(accepted({ id: 'd', op: '♨@2' }), ['heat@2', 'heat', 2, undefined])
  t.same(accepted({ id: 'e', op: 'heat', args: { context: 'winter' } }), [
    ...['heat', 'heat', 2, 'winter'],
  ])
  t.match(bench.submit({ Id: 'f', Data: 'heat' }), { ok: true, task: 'f' })
  t.match(bodyOf(bench, 'f'), { program: { name: 'heat', version: 1 } })
  t.equal(bench.ledger.get<TaskRecord>('task', 'c')!.asked, 'heat@2')
})

t.test(
  'what there is not is refused with a guess, and what does not fit with each problem',
  async (t) => {
    const bench = settledPair()
    define(bench, 'value = value + $step * $factor', { glyph: '♨' })
    const refused = (op: string, args?: object): unknown => {
      const outcome = bench.submit({ op, region: TILE_0, ...(args === undefined ? {} : { args }) })
      if (outcome.ok) throw new Error('it was taken')
      return outcome.refusal.errors!.map(({ path, code, message }) => [path, code, message])
    }
    t.match(refused('haet'), [['op', 'unknown-operation', /did you mean heat\?/]])
    t.match(refused('♣'), [['op', 'unknown-glyph', /no program has the glyph "♣" \(known: ♨\)/]])
    t.match(refused('heat@2', { with: {} }), [['op', 'unknown-version', /the newest is 1/]])
    t.match(refused('heat@0'), [['op', 'unknown-operation']])
    t.match(refused('heat', { context: 'x' }), [['args.context', 'unknown-context']])
    t.match(refused('heat@1', { context: 'main' }), [['args.context', 'not-allowed']])
    t.match(refused('heat'), [
      ['args.with.step', 'missing'],
      ['args.with.factor', 'missing'],
    ])
    t.match(refused('heat', { with: { step: 1, factor: 2, more: 3 } }), [
      ['args.with.more', 'unknown-key'],
    ])
    t.match(refused('heat', { with: { step: '1' }, wiht: {} }), [['args.wiht', 'unknown-key']])
    t.match(refused('heat', { with: { step: '1', factor: null } }), [
      ['args.with.step', 'wrong-type'],
      ['args.with.factor', 'wrong-type'],
    ])
  },
)

t.test('a program over items is named as others are, and its records are checked', (t) => {
  const bench = settledPair()
  define(bench, 'return rich = count(amount > $limit)', { columns: 'amount:u8' })
  define(bench, 'return rich = count(amount > $limit)', { columns: 'amount:u8,nonce:u8' })
  define(bench, 'value = value + 1')
  const args = { with: { limit: 2 } }
  const items = [
    { key: 'a', data: '1' },
    { key: 'b', data: '2' },
  ]
  t.match(bench.submit({ id: 'w', op: 'heat', items, args }), { ok: true, task: 'w' })
  const body = bodyOf(bench, 'w')
  t.match(body, { op: 'osl1-items', args: { record: 'amount:u8' } })
  t.match(body, { program: { as: 'heat', name: 'heat', version: 1, context: 'main' } })
  use(bench, 2)
  t.match(bench.submit({ id: 'w', op: 'heat', items, args }), { ok: true, task: 'w' })
  const refused = (task: object): unknown => {
    const outcome = bench.submit({ op: 'heat', ...task })
    if (outcome.ok) throw new Error('it was taken')
    return outcome.refusal.errors!.map(({ path, code, message }) => [path, code, message])
  }
  t.match(refused({ items, args }), [
    ['items[0].data', 'wrong-count', /has 1 bytes, a record of its columns has 2/],
    ['items[1].data', 'wrong-count'],
  ])
  t.match(refused({ region: TILE_0, args }), [
    ['items', 'missing', 'heat@2 runs over items, and there are none'],
  ])
  t.match(refused({ op: 'heat@3', items }), [['items', 'not-allowed', /over a region/]])
  t.match(refused({ items, region: TILE_0, args }), [['region', 'not-allowed']])
  t.match(refused({ op: 'heat@1', items, args: { ...args, steps: 2 } }), [['args.steps']])
  t.match(refused({ op: 'heat@1', items }), [['args.with.limit', 'missing']])
  t.end()
})

t.test('a task sent again after a patch is the same task, and keeps its version', async (t) => {
  const bench = settledPair()
  define(bench, 'value = value + $step')
  const task = { id: 'w', op: 'heat', region: TILE_0, args: { with: { step: 1 } } }
  t.match(bench.submit(task), { ok: true, task: 'w' })
  const entries = bench.entriesTo('a')
  define(bench, 'value = value + 2')
  use(bench, 2)
  t.match(bench.submit(task), { ok: true, task: 'w' }, 'though version 2 has no $step')
  t.equal(bench.sent('entries').length, 0)
  t.match(bodyOf(bench, 'w'), { program: { version: 1 } })
  bench.start()
  t.match(bench.submit(task), { ok: true, task: 'w' }, 'after a start as well')
  const again = { ...task, args: { context: 'main', with: { step: 1 } } }
  t.match(bench.submit(again), { ok: true, task: 'w' }, 'main is what is meant')
  for (const change of [
    { args: { with: { step: 2 } } },
    { op: 'heat@1' },
    { region: { ...TILE_0, w: 1 } },
    { deadline_ms: 5 },
  ]) {
    const conflict = { ok: false, refusal: { code: 'task-id-conflict' } }
    t.match(bench.submit({ ...task, ...change }), conflict, JSON.stringify(change))
  }
  t.match(bench.submit({ ...task, id: 'v' }), { ok: false }, 'a new one gets the new version')
  t.match(bench.submit({ id: 'v', op: 'heat', region: TILE_0 }), { ok: true })
  t.match(bodyOf(bench, 'v'), { program: { version: 2 } })
  bench.join('a', 'b')
  bench.live(2000)
  bench.apply('a', entries)
  t.ok(bench.task('w'))
})

t.test('in whichever order numbers are given, it is the same task', async (t) => {
  const bench = settledPair()
  define(bench, 'value = value + $step * $factor')
  const task = { id: 'w', op: 'heat', region: TILE_0 }
  t.match(bench.submit({ ...task, args: { with: { step: 1, factor: 2 } } }), { ok: true })
  t.match(bench.submit({ ...task, args: { with: { factor: 2, step: 1 } } }), { ok: true })
})

t.test('a resent packet without an id is known again across a patch', async (t) => {
  const bench = settledPair()
  define(bench, 'value = value + 1')
  define(bench, 'value = value + 2')
  const task = { op: 'heat', region: TILE_0 }
  const first = bench.submit(task, { packetId: 7 })
  use(bench, 2)
  t.same(bench.submit(task, { packetId: 7, isDuplicate: true }), first)
})

t.test(
  'who may run a program needs a grant for its name and for the fields in its code',
  async (t) => {
    const fields = [
      { name: 'value', type: 'f64' },
      { name: 'hum', type: 'f64' },
    ] as const
    const { grid } = new GatewayBench().options
    const bench = new GatewayBench({ grid: { ...grid, fields } })
    bench.join('a', 'b')
    define(bench, 'value = value + 1')
    define(bench, 'value = hum')
    const submit = (op: string, granted: readonly string[], ops: readonly string[]): unknown => {
      const grant = { ops, regions: '*', fields: granted } as const
      const user: UserPrincipal = {
        ...{ name: 'me', roles: ['submitter'], topics: [], grant },
        kind: 'user',
      }
      const outcome = bench.submit({ op, region: TILE_0 }, { user })
      return outcome.ok ? 'taken' : outcome.refusal.message
    }
    t.equal(submit('heat', ['value'], ['heat']), 'taken')
    t.equal(submit('heat@1', ['value'], ['heat']), 'taken')
    t.match(submit('heat', ['value'], ['program']), /operation heat is not granted/)
    t.match(submit('heat@2', ['value'], ['heat']), /field hum is not granted/)
    use(bench, 2)
    t.match(submit('heat', ['value'], ['heat']), /field hum is not granted/)
  },
)

t.test('a look gets the version of this moment', async (t) => {
  const bench = settledPair()
  define(bench, 'return n = count(value > 0)')
  define(bench, 'return n = count(value > 1)')
  bench.look({ op: 'heat' })
  const first = bench.sent('read').map(({ args }) => args)
  use(bench, 2)
  bench.look({ op: 'heat' })
  t.not(first.length, 0)
  t.notSame(
    bench.sent('read').map(({ args }) => args),
    first,
  )
  const ticket = bench.look({ op: 'heat', args: { with: { no: 1 } } })
  t.match(bench.shown(ticket), { ok: false, refusal: { code: 'unknown-key' } })
})

t.test('a result says which program it is of', async (t) => {
  const bench = settledPair()
  define(bench, 'value = value + 1')
  bench.submit({ id: 'w', op: 'heat', region: TILE_0 })
  const [toA, toB] = [bench.entriesTo('a'), bench.entriesTo('b')]
  bench.apply('a', toA)
  bench.apply('b', toB)
  const decoded = decodeCbor(
    bench.ledger.get<Uint8Array>('result', 'w' as TaskId)!,
    SUBMISSION_LIMITS,
  )
  t.match(decoded, {
    ok: true,
    value: {
      op: 'heat',
      program: { name: 'heat', version: 1, context: 'main', hash: /^[0-9a-f]{64}$/, cost: 8 },
    },
  })
  const cddl = new URL('../../../../shared/protocol/obelisk.cddl', import.meta.url)
  const rules = readCddl(readFileSync(cddl, 'utf8'))
  const result = (decoded as { value: unknown }).value
  t.equal(faultOf(rules, { kind: 'name', name: 'task-result' }, result), undefined)
})

t.test(
  'a version that is not as it was defined is told at the start, and runs no more',
  async (t) => {
    const bench = settledPair()
    define(bench, 'value = value + 1')
    const record = bench.ledger.get<Record<string, unknown>>('codex', 'heat/1')!
    const changed = { ...record, source: 'value = 0' }
    bench.ledger.write([{ table: 'codex', key: 'heat/1', value: changed as never }])
    bench.start()
    t.match(bench.notices('program-damaged'), [{ program: 'heat', version: 1 }])
    t.match(told(bench), { integrity: 0 })
    t.match(bench.submit({ op: 'heat' }), { ok: false, refusal: { code: 'program-damaged' } })
  },
)

t.test('without room on the disk nothing is defined', async (t) => {
  const bench = new GatewayBench()
  bench.step({ type: 'disk-checked', freeBytes: 0 })
  t.match(define(bench, 'value = 1'), { ok: false, refusal: { code: 'disk-full' } })
  t.equal(bench.ledger.count('codex'), 0)
})

const step = fc.record({
  what: fc.constantFrom('define', 'use', 'use', 'submit', 'submit', 'resend', 'resend', 'start'),
  pick: fc.nat(1000),
  context: fc.constantFrom('main', 'winter'),
})

interface Sent {
  readonly task: Record<string, unknown>
  readonly version: number
}

t.test(
  'whatever comes between, a task has the version of its acceptance, and is known again',
  async (t) => {
    const property = fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const bench = settledPair()
      const current: Record<string, number> = { main: 1 }
      const sent: Sent[] = []
      // Each version takes another number, so that a body that fits one fits no other.
      const sourceOf = (version: number): string => `value = value + $step_${version}`
      define(bench, sourceOf(1))
      let versions = 1
      for (const { what, pick, context } of steps) {
        switch (what) {
          case 'define':
            versions += 1
            define(bench, sourceOf(versions))
            break
          case 'use': {
            const version = 1 + (pick % versions)
            use(bench, version, { context })
            current[context] = version
            break
          }
          case 'submit': {
            const isThere = current[context] !== undefined
            const version = current[context] ?? current.main!
            const args = { with: { [`step_${version}`]: pick }, ...(isThere ? { context } : {}) }
            const task = { id: `t${sent.length}`, op: 'heat', region: TILE_0, args }
            const outcome = bench.submit(task)
            if (!outcome.ok) throw new Error(outcome.refusal.message)
            sent.push({ task, version })
            break
          }
          case 'resend': {
            const one = sent[pick % (sent.length || 1)]
            if (one !== undefined && !bench.submit(one.task).ok) throw new Error('not known again')
            break
          }
          case 'start':
            bench.start()
        }
        if (bench.view.codex.integrity !== 1) throw new Error('a version is not as it was defined')
      }
      for (const { task, version } of sent) {
        const { program } = bodyOf(bench, String(task.id)) as { program: { version: number } }
        if (program.version !== version) throw new Error(`${task.id} has ${program.version}`)
      }
    })
    check(t, property, 60)
  },
)
