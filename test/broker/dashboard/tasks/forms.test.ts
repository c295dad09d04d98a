import t from 'tap'
import { type Typed, taskOf } from '../../../../broker/dashboard/tasks/forms.ts'
import { parseFields } from '../../../../shared/grid/fields.ts'
import { Geometry } from '../../../../shared/grid/geometry.ts'
import { OPERATIONS_SHOWN } from '../../../../shared/operations/catalog.ts'
import type { OperationShown } from '../../../../shared/operations/operation.ts'
import { parseSubmission } from '../../../../shared/protocol/task.ts'

const REGION: Typed = { x: ['0'], y: ['0'], w: ['2'], h: ['1'] }

/** What is typed into the form of each operation, and what comes of it. */
const FORMS: Readonly<Record<string, { readonly typed: Typed; readonly args?: object }>> = {
  scale: { typed: { ...REGION, 'fields.rain': ['1.5'] }, args: { fields: { rain: 1.5 } } },
  put: {
    typed: { ...REGION, field: ['rain'], values: ['1, 2'] },
    args: { field: 'rain', values: [1, 2] },
  },
  set: {
    typed: { ...REGION, 'fields.rain': [''], 'fields.visits': ['3'] },
    args: { fields: { visits: 3 } },
  },
  add: {
    typed: { ...REGION, field: ['visits'], value: ['-4'] },
    args: { field: 'visits', value: -4 },
  },
  scatter: {
    typed: { field: ['rain'], ids: [''], x: ['1 2'], y: ['3;4'], values: ['5\n6'] },
    args: { field: 'rain', x: [1, 2], y: [3, 4], values: [5, 6] },
  },
  get: {
    typed: { ...REGION, fields: ['rain', 'visits'], as: ['numbers'] },
    args: { fields: ['rain', 'visits'], as: 'numbers' },
  },
  gather: {
    typed: { field: ['rain'], cells: ['0,1 2,3'] },
    args: {
      field: 'rain',
      cells: [
        [0, 1],
        [2, 3],
      ],
    },
  },
  stat: { typed: { ...REGION, field: ['rain'], bins: ['8'] }, args: { field: 'rain', bins: 8 } },
  overview: {
    typed: { ...REGION, field: ['rain'], step: ['1'], of: ['mean', 'max'], holes: ['on'] },
    args: { field: 'rain', step: 1, of: ['mean', 'max'], holes: true },
  },
  program: {
    typed: { ...REGION, source: ['rain = rain + $k\nvisits = 1'], with: ['k=2.5'] },
    args: { source: 'rain = rain + $k\nvisits = 1', with: { k: 2.5 } },
  },
  digest: { typed: { items: ['a=1\n\nb = x=y\nplain'] } },
  verify: { typed: { items: ['a=1\n\nb = x=y\nplain'] } },
}

const parsed = parseFields('rain:f32,visits:i32')
const grid = {
  geometry: new Geometry({ width: 64, height: 64, tile: 16 }),
  fields: 'fields' in parsed ? parsed.fields : [],
}

t.test('the form of each operation makes a task that the gateway takes', async (t) => {
  t.same(OPERATIONS_SHOWN.map(({ op }) => op).sort(), Object.keys(FORMS).sort())
  for (const operation of OPERATIONS_SHOWN) {
    const { typed, args } = FORMS[operation.op]!
    const made = taskOf(operation, typed)
    if (!made.ok) {
      t.fail(`${operation.op}: ${made.problems}`)
      continue
    }
    t.same(made.body.args, args, operation.op)
    const result = parseSubmission(Buffer.from(JSON.stringify(made.body)), grid)
    t.ok(result.ok, `${operation.op}: ${result.ok ? '' : JSON.stringify(result.problems)}`)
  }
})

const STAT: OperationShown = {
  ...{ op: 'stat', kind: 'read', over: 'region', does: '' },
  args: [
    { name: 'field', kind: 'field' },
    { name: 'bins', kind: 'whole', optional: true },
  ],
}

t.test('every problem is named at once', async (t) => {
  t.same(taskOf(STAT, { bins: ['many'], x: ['0'] }), {
    ok: false,
    problems: [
      'field is missing',
      'bins is not a number, or not only numbers',
      'x, y, width and height are numbers',
    ],
  })
  const digest: OperationShown = { ...STAT, op: 'digest', kind: 'items', over: 'items', args: [] }
  t.same(taskOf(digest, { items: [' \n'] }), { ok: false, problems: ['there is no item'] })
})

t.test('who does not know the fields types them', async (t) => {
  const set: OperationShown = { ...STAT, op: 'set', args: [{ name: 'fields', kind: 'values' }] }
  t.match(taskOf(set, { ...REGION, fields: ['rain=1.5, visits=2'] }), {
    body: { args: { fields: { rain: 1.5, visits: 2 } } },
  })
  t.match(taskOf(set, { ...REGION, fields: ['rain'] }), { ok: false })
  const get: OperationShown = { ...STAT, op: 'get', args: [{ name: 'fields', kind: 'fields' }] }
  t.match(taskOf(get, { ...REGION, fields: ['rain visits'] }), {
    body: { args: { fields: ['rain', 'visits'] } },
  })
})

t.test('what is left out is left out, and an id is taken', async (t) => {
  const typed = { ...REGION, field: ['rain'], bins: [' '], id: [' load-7 '] }
  t.same(taskOf(STAT, typed), {
    ok: true,
    body: { id: 'load-7', op: 'stat', region: { x: 0, y: 0, w: 2, h: 1 }, args: { field: 'rain' } },
  })
})

t.test('items have the keys that stand before them, or their place', async (t) => {
  const digest: OperationShown = { ...STAT, op: 'digest', kind: 'items', over: 'items', args: [] }
  t.match(taskOf(digest, FORMS.digest!.typed), {
    body: {
      items: [
        { key: 'a', data: '1' },
        { key: 'b', data: ' x=y' },
        { key: '3', data: 'plain' },
      ],
    },
  })
})
