import fc from 'fast-check'
import t from 'tap'
import { ungranted } from '../../../../broker/core/rules/grants.ts'
import type { Field } from '../../../../shared/grid/fields.ts'
import { Geometry } from '../../../../shared/grid/geometry.ts'
import { TASK_OPERATIONS } from '../../../../shared/operations/catalog.ts'
import type { Grant, Role, UserPrincipal } from '../../../../shared/protocol/access.ts'
import { parseSubmission } from '../../../../shared/protocol/task.ts'
import { check } from '../../../support/property.ts'

const fields: readonly Field[] = [
  { name: 'rain', type: 'f32' },
  { name: 'snow', type: 'f32' },
  { name: 'soil', type: 'u8' },
]
const grid = { geometry: new Geometry({ width: 16, height: 8, tile: 4 }), fields }
const ALL: Grant = { ops: '*', regions: '*', fields: '*' }

function user(grant?: Grant, roles: readonly Role[] = ['submitter']): UserPrincipal {
  const base = { kind: 'user', name: 'me', roles, topics: [] } as const
  return grant === undefined ? base : { ...base, grant }
}

/** What is refused of a task, as `path: what`. A region is x, y, w, h. */
function refused(grant: Grant | undefined, task: object, roles?: readonly Role[]): string[] {
  const { region, ...rest } = task as { region?: readonly number[] }
  const [x, y, w, h] = region ?? []
  const whole = region === undefined ? rest : { ...rest, region: { x, y, w, h } }
  const result = parseSubmission(Buffer.from(JSON.stringify(whole)), grid)
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return ungranted(user(grant, roles), result.submission.body, grid).map(({ path, message }) => {
    return `${path}: ${message.replace(' is not granted to me', '')}`
  })
}

const add = (field: string, region?: number[]): object => ({
  ...{ op: 'add', args: { field, value: 1 } },
  ...(region === undefined ? {} : { region }),
})

t.test('attempt 43: each part that is not granted is named', (t) => {
  const grant: Grant = {
    ops: ['add', 'get', 'stat', 'scale'],
    regions: [
      { x: 0, y: 0, w: 4, h: 4 },
      { x: 4, y: 0, w: 4, h: 4 },
    ],
    fields: ['rain'],
  }
  t.same(refused(grant, add('rain', [0, 0, 4, 4])), [])
  t.same(refused(grant, add('rain', [5, 1, 2, 2])), [])
  t.same(refused(grant, { op: 'set', args: { fields: { rain: 1 } }, region: [0, 0, 1, 1] }), [
    'op: operation set',
  ])
  t.same(refused(grant, add('rain', [3, 0, 2, 1])), ['region: region 3,0,2,1'], 'over two')
  t.same(refused(grant, add('rain', [0, 0, 5, 4])), ['region: region 0,0,5,4'])
  t.same(refused(grant, add('rain')), ['region: region 0,0,16,8'], 'left out')
  t.same(refused(grant, add('snow', [0, 0, 1, 1])), ['args: field snow'])
  const others = ['args: field snow', 'args: field soil']
  t.same(refused(grant, { op: 'get', region: [0, 0, 1, 1] }), others, 'left out')
  t.same(refused(grant, { op: 'scale', region: [0, 0, 1, 1] }), others, 'left out')
  t.same(refused(grant, { op: 'get', args: { fields: ['rain'] }, region: [0, 0, 1, 1] }), [])
  t.same(
    refused(grant, { op: 'put', args: { field: 'soil', values: [1] }, region: [9, 0, 1, 1] }),
    [...['op: operation put', 'region: region 9,0,1,1', 'args: field soil']],
  )
  t.end()
})

t.test('items lie in no region', (t) => {
  const digest = { op: 'digest', items: [{ key: 'a', data: 'x' }] }
  t.same(refused({ ...ALL, ops: ['digest'], fields: [] }, digest), [])
  const bounded: Grant = { ...ALL, regions: [{ x: 0, y: 0, w: 16, h: 8 }] }
  t.same(refused(bounded, digest), ['items: what lies in no region'])
  t.end()
})

t.test('who may submit nothing may ask for nothing, and an operator for anything', (t) => {
  const task = add('rain', [0, 0, 1, 1])
  const nothing = ['op: operation add', 'region: region 0,0,1,1', 'args: field rain']
  t.same(refused(undefined, task), nothing)
  t.same(refused(ALL, task, ['viewer']), nothing)
  t.same(refused(ALL, task, ['viewer', 'submitter']), [])
  t.same(refused(undefined, task, ['operator']), [])
  t.same(refused(undefined, task, ['submitter', 'admin']), [])
  t.end()
})

t.test('every operation says what fields it goes over', (t) => {
  const tasks: Readonly<Record<string, object>> = {
    add: add('snow', [0, 0, 1, 1]),
    stat: { op: 'stat', args: { field: 'snow' } },
    put: { op: 'put', args: { field: 'snow', values: [1] }, region: [0, 0, 1, 1] },
    set: { op: 'set', args: { fields: { snow: 1 } } },
    scale: { op: 'scale', args: { fields: { snow: 1 } } },
    get: { op: 'get', args: { fields: ['snow'] } },
    gather: { op: 'gather', args: { field: 'snow', cells: [[1, 1]] } },
    scatter: { op: 'scatter', args: { field: 'snow', ids: [3], values: [1] } },
    overview: { op: 'overview', args: { field: 'snow' } },
    program: { op: 'program', args: { source: 'return all = sum(snow)' } },
  }
  for (const [name, task] of Object.entries(tasks)) {
    t.same(refused({ ...ALL, fields: ['rain'] }, task), ['args: field snow'], name)
    t.same(refused({ ...ALL, fields: ['snow'] }, task), [], name)
  }
  t.same([...Object.keys(tasks), 'digest', 'verify'].sort(), [...TASK_OPERATIONS].sort())
  t.end()
})

t.test('a region is granted if each of its cells is, by one rectangle', (t) => {
  const rectangle = fc
    .tuple(fc.nat(15), fc.nat(7), fc.integer({ min: 1, max: 16 }), fc.integer({ min: 1, max: 8 }))
    .map(([x, y, w, h]) => ({ x, y, w: Math.min(w, 16 - x), h: Math.min(h, 8 - y) }))
  const law = fc.property(rectangle, fc.array(rectangle, { maxLength: 3 }), (asked, regions) => {
    const { x, y, w, h } = asked
    const hasAll = regions.some((one) => {
      for (let row = y; row < y + h; row++) {
        for (let column = x; column < x + w; column++) {
          const isIn =
            column >= one.x && column < one.x + one.w && row >= one.y && row < one.y + one.h
          if (!isIn) return false
        }
      }
      return true
    })
    return (refused({ ...ALL, regions }, add('rain', [x, y, w, h])).length === 0) === hasAll
  })
  check(t, law, 500)
  t.end()
})
