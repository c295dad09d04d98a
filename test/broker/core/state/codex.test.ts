import fc from 'fast-check'
import t from 'tap'
import type {
  ContextRecord,
  LedgerRecord,
  ProgramRecord,
} from '../../../../broker/core/ledger-records.ts'
import {
  type Change,
  CONTEXTS_MAX,
  Codex,
  PROGRAMS_MAX,
  VERSIONS_MAX,
} from '../../../../broker/core/state/codex.ts'
import { Ghosts } from '../../../../broker/core/state/ghosts.ts'
import { isVerified } from '../../../../broker/core/state/lineage.ts'
import { faultOfGlyph, faultOfName } from '../../../../broker/core/state/program-names.ts'
import type { Field } from '../../../../shared/grid/fields.ts'
import { check } from '../../../support/property.ts'

const FIELDS: readonly Field[] = [{ name: 'value', type: 'f64' }]
const GRID = { fields: FIELDS, width: 16 }
const AT = { by: 'user/ann', ts: 5 }

/** A codex with what the ledger has of it. */
class Kept {
  readonly codex = new Codex(GRID, new Ghosts())
  readonly records = new Map<string, ProgramRecord>()
  readonly contexts = new Map<string, ContextRecord>()

  take<T>(change: Change<T>): T {
    if (!change.ok) throw new Error(JSON.stringify(change.fault))
    for (const record of change.records) this.#write(record)
    return change.made
  }

  define(
    name: string,
    source: string,
    more: { glyph?: string; parent?: number; columns?: string } = {},
  ) {
    return this.take(this.codex.define({ name, source, ...more }, AT))
  }

  #write({ table, key, value }: LedgerRecord): void {
    const map = (table === 'codex' ? this.records : this.contexts) as Map<unknown, unknown>
    if (value === undefined) map.delete(key)
    else map.set(key, value)
  }

  get contents() {
    return {
      codex: [...this.records].map(([key, value]) => ({ key, value })),
      current: [...this.contexts].map(([key, value]) => ({ key, value })),
    }
  }

  /** As it is after a start on this ledger. */
  again(): { codex: Codex; damaged: readonly ProgramRecord[] } {
    const codex = new Codex(GRID, new Ghosts())
    return { codex, damaged: codex.restore(this.contents) }
  }
}

/** All that is asked of a codex. */
function shown(codex: Codex): unknown {
  return {
    programs: codex.programs.map(({ name, number, glyph }) => ({ name, number, glyph })),
    versions: codex.names.map((name) => codex.versionsOf(name)),
    contexts: codex.contexts,
    integrity: codex.integrity,
  }
}

t.test('the first version is current, a later one once it is made so', async (t) => {
  const kept = new Kept()
  const { record, isNew } = kept.define('heat', 'value = value + $step', { glyph: '♨' })
  t.match(record, {
    ...{ version: 1, number: 64, glyph: '♨', kind: 'write', parameters: ['step'], parent: null },
    ...AT,
  })
  t.ok(isNew)
  t.match(kept.define('heat', 'value = value + 2').record, { version: 2, parent: 1, glyph: '♨' })
  t.equal(kept.codex.currentOf('heat', 'main'), 1)
  kept.take(kept.codex.use({ name: 'heat', version: 2 }))
  t.equal(kept.codex.currentOf('heat', 'main'), 2)
  t.match(kept.define('cool', 'value = value - 1').record, { number: 65, version: 1 })
  t.same(kept.codex.nameOf('♨'), 'heat')
  t.equal(kept.codex.nameOf('♣'), undefined)
  t.same(shown(kept.again().codex), shown(kept.codex))
})

t.test('the same source is the version that there is', async (t) => {
  const kept = new Kept()
  kept.define('heat', 'value = 1')
  kept.define('heat', 'value = 2')
  const { records } = kept
  t.match(kept.define('heat', 'value = 1'), { record: { version: 1 }, isNew: false })
  t.match(kept.define('heat', 'value = 1', { glyph: '♨' }), { record: { version: 3 }, isNew: true })
  t.equal(records.size, 3)
})

t.test('a name and a glyph are nobody else’s', async (t) => {
  for (const name of ['heat', 'h', 'heat_2', 'z'.repeat(32)]) t.equal(faultOfName(name), undefined)
  const taken = ['add', 'scatter', 'program', 'osl1-write', 'where', 'by', 'sqrt', 'mean', 'x']
  for (const name of [...taken, 'status', 'digest', 'clamp', 'true', 'near']) {
    t.type(faultOfName(name), 'string', name)
  }
  for (const name of ['', 'Heat', '2heat', '_a', 'z'.repeat(33), 'heat@1', 'hé']) {
    t.type(faultOfName(name), 'string', name)
  }
  for (const glyph of ['♨', '€', '∮', '🜂', '⏚']) t.equal(faultOfGlyph(glyph), undefined, glyph)
  for (const glyph of ['', '+', '$', '×', '⤢', '≥', '♨♨', 'a', 'é', ' ', '♨️', '\ud83d']) {
    t.type(faultOfGlyph(glyph), 'string', JSON.stringify(glyph))
  }
  const kept = new Kept()
  kept.define('heat', 'value = 1', { glyph: '♨' })
  const { codex } = kept
  const fault = (wish: object): unknown =>
    codex.define({ name: 'cool', source: 'value = 0', ...wish }, AT)
  t.match(fault({ glyph: '♨' }), { fault: { problems: [{ code: 'duplicate', path: 'glyph' }] } })
  t.match(fault({ name: 'heat', glyph: '♣' }), { fault: { problems: [{ path: 'glyph' }] } })
  t.match(fault({ parent: 1 }), { fault: { problems: [{ code: 'unknown-version' }] } })
  t.match(fault({ source: 'valeu = 1' }), {
    fault: { problems: [{ code: 'osl-unknown-name', path: 'source', line: 1, column: 1 }] },
  })
  t.match(fault({ name: 'let', glyph: '+' }), {
    fault: { problems: [{ path: 'name' }, { path: 'glyph' }] },
  })
  t.equal(codex.names.length, 1)
})

t.test('what another has changed meanwhile is not changed back unseen', async (t) => {
  const kept = new Kept()
  for (const value of [1, 2, 3]) kept.define('heat', `value = ${value}`)
  const { codex } = kept
  kept.take(codex.use({ name: 'heat', version: 2, ifVersion: 1 }))
  const use = (wish: object): unknown => codex.use({ name: 'heat', version: 3, ...wish })
  t.match(use({ ifVersion: 1 }), { ok: false, fault: { code: 'version-conflict' } })
  t.match(use({ version: 9 }), { ok: false, fault: { code: 'unknown-version' } })
  t.match(use({ name: 'haet' }), { fault: { code: 'unknown-program', message: /mean heat\?/ } })
  t.match(use({ context: 'Winter!' }), { fault: { problems: [{ code: 'not-allowed' }] } })
  t.same(codex.use({ name: 'heat', version: 2 }), {
    ...{ ok: true, made: codex.context('main'), records: [] },
  })
  const set = (wish: object): unknown =>
    codex.setContext({ name: 'winter', programs: { heat: 3 }, ...wish })
  t.match(set({ ifVersion: 1 }), { ok: false, fault: { code: 'version-conflict' } })
  t.match(set({ ifVersion: 0 }), { ok: true, made: { version: 1, programs: { heat: 3 } } })
  t.match(set({ programs: { cool: 1 } }), { fault: { code: 'unknown-program' } })
  t.match(set({ name: 'main', programs: {} }), { fault: { problems: [{ code: 'missing' }] } })
  t.equal(codex.currentOf('heat', 'winter'), 3)
  t.equal(codex.currentOf('heat', 'summer'), 2, 'as in main')
  t.match(set({ programs: {} }), { ok: true, records: [{ key: 'winter', value: undefined }] })
  t.equal(codex.context('winter'), undefined)
})

t.test('a call gets the version that is meant', async (t) => {
  const kept = new Kept()
  for (const value of [1, 2]) kept.define('heat', `value = ${value}`)
  kept.define('cool', 'value = 0')
  kept.take(kept.codex.use({ name: 'heat', version: 2, context: 'winter' }))
  const found = (call: object): unknown => {
    const result = kept.codex.resolve({ name: 'heat', with: {}, ...call })
    return result.ok ? result.value.version : result.problems.map(({ code, path }) => [path, code])
  }
  t.equal(found({}), 1)
  t.equal(found({ context: 'winter' }), 2)
  t.equal(found({ name: 'cool', context: 'winter' }), 1)
  t.equal(found({ version: 2 }), 2)
  t.same(found({ version: 3 }), [['op', 'unknown-version']])
  t.same(found({ context: 'wnter' }), [['args.context', 'unknown-context']])
})

t.test('so many and no more', async (t) => {
  const kept = new Kept()
  const { codex } = kept
  for (let number = 0; number < PROGRAMS_MAX; number++) kept.define(`p${number}`, 'value = 1')
  t.equal(codex.programs.at(-1)!.number, 512)
  t.match(codex.define({ name: 'more', source: 'value = 1' }, AT), {
    fault: { code: 'codex-full' },
  })
  for (let number = 1; number < CONTEXTS_MAX; number++) {
    kept.take(codex.use({ name: 'p0', version: 1, context: `c${number}` }))
  }
  const another = { name: 'p0', version: 1, context: 'another' }
  t.match(codex.use(another), { fault: { code: 'codex-full' } })
})

t.test('old versions go, but for those that are current somewhere', async (t) => {
  const kept = new Kept()
  const { codex } = kept
  kept.define('heat', 'value = 0')
  for (let value = 1; value < VERSIONS_MAX + 10; value++) kept.define('heat', `value = ${value}`)
  const versions = (): number[] => codex.versionsOf('heat').map(({ version }) => version)
  t.equal(versions().length, VERSIONS_MAX)
  t.same(versions().slice(0, 2), [1, 12], 'the first is current')
  t.equal(kept.records.size, VERSIONS_MAX)
  const { codex: again, damaged } = kept.again()
  t.same(damaged, [], 'what is left is verified')
  t.same(shown(again), shown(codex))
  for (const [index, version] of versions().entries()) {
    if (index < CONTEXTS_MAX - 1)
      kept.take(codex.use({ name: 'heat', version, context: `c${index}` }))
  }
  kept.take(codex.use({ name: 'heat', version: versions().at(-1)! }))
  t.match(codex.define({ name: 'heat', source: 'value = -1' }, AT), {
    fault: { code: 'codex-full' },
  })
})

const NAMES = ['heat', 'cool', 'melt'] as const
const step = fc.record({
  name: fc.constantFrom(...NAMES),
  what: fc.constantFrom('define', 'define', 'use', 'set'),
  value: fc.integer({ min: 0, max: 90 }),
  context: fc.constantFrom('main', 'winter', 'summer'),
})

t.test('whatever is asked, a start finds the same codex, and all of it verified', (t) => {
  const property = fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    const kept = new Kept()
    const { codex } = kept
    for (const { name, what, value, context } of steps) {
      const versions = codex.versionsOf(name)
      const { version } = versions[value % (versions.length || 1)] ?? { version: 1 }
      const change: Change<unknown> =
        what === 'define'
          ? codex.define({ name, source: `value = ${value}` }, { by: null, ts: value })
          : what === 'use'
            ? codex.use({ name, version, context })
            : codex.setContext({
                name: context,
                programs: versions.length ? { [name]: version } : {},
              })
      if (change.ok) kept.take(change)
      for (const [named, { programs }] of codex.contexts) {
        for (const [program, wanted] of Object.entries(programs)) {
          if (codex.find(program, wanted) === undefined) {
            throw new Error(`${named} names ${program}@${wanted}, which is not there`)
          }
        }
      }
    }
    const { codex: again, damaged } = kept.again()
    if (damaged.length > 0) throw new Error(`${damaged.length} are not verified`)
    return JSON.stringify(shown(again)) === JSON.stringify(shown(codex))
  })
  check(t, property)
  t.end()
})

const CHANGES: readonly ((record: ProgramRecord) => ProgramRecord)[] = [
  (record) => ({ ...record, source: `${record.source} ` }),
  (record) => ({ ...record, hash: '0'.repeat(64) }),
  (record) => ({ ...record, by: 'user/eve' }),
  (record) => ({ ...record, ts: record.ts + 1 }),
  (record) => ({ ...record, parameters: ['more'] }),
  (record) => ({ ...record, parent: 7 }),
  (record) => ({ ...record, glyph: '♣' }),
  (record) => ({ ...record, number: 99 }),
  (record) => ({ ...record, before: record.chain }),
  (record) => ({ ...record, chain: record.before }),
]

t.test('a version that was changed is found, and runs no more', async (t) => {
  for (const [index, change] of CHANGES.entries()) {
    const kept = new Kept()
    for (const value of [1, 2, 3]) kept.define('heat', `value = ${value}`)
    kept.records.set('heat/2', change(kept.records.get('heat/2')!))
    const { codex, damaged } = kept.again()
    t.ok(
      damaged.some(({ version }) => version === 2),
      `change ${index}`,
    )
    t.ok(codex.integrity < 1)
    t.match(codex.resolve({ name: 'heat', version: 2, with: {} }), {
      ...{ ok: false, problems: [{ code: 'program-damaged' }] },
    })
    t.match(codex.resolve({ name: 'heat', version: 1, with: {} }), { ok: true })
  }
  const kept = new Kept()
  for (const value of [1, 2, 3]) kept.define('heat', `value = ${value}`)
  kept.records.delete('heat/2')
  t.same(kept.again().damaged, [], 'one that is gone cannot be told from one that was dropped')
  const [one, two] = [kept.records.get('heat/1')!, kept.records.get('heat/3')!]
  t.notOk(isVerified(two, one), 'but the next does not follow the one before it')
})

t.test('a program over items is written for its columns, which its lineage has', async (t) => {
  const kept = new Kept()
  const source = 'show double = 2 * amount'
  const { record } = kept.define('twice', source, { columns: 'amount:u8' })
  t.match(record, { kind: 'read', columns: 'amount:u8', version: 1 })
  t.equal(kept.define('twice', source, { columns: 'amount:u8' }).isNew, false)
  t.match(kept.define('twice', source, { columns: 'amount:f64' }).record, { version: 2 })
  t.match(kept.again().damaged, [])
  kept.records.set('twice/1', { ...record, columns: 'amount:f32' })
  t.match(kept.again().damaged, [{ version: 1 }])
})
