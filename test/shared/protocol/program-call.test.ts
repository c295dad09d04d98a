import t from 'tap'
import { Geometry } from '../../../shared/grid/geometry.ts'
import {
  calledBy,
  calledName,
  isGlyphLike,
  type ProgramNames,
  parseCall,
} from '../../../shared/protocol/program-call.ts'
import { checkSubmission } from '../../../shared/protocol/task.ts'

/** It has a program whose name was free until an operation took it. */
const codex: ProgramNames = {
  nameOf: (called) => (called === '♨' ? 'heat' : ['heat', 'add'].find((name) => name === called)),
  names: ['heat', 'add'],
  glyphs: ['♨'],
}
const grid = {
  geometry: new Geometry({ width: 16, height: 8, tile: 4 }),
  fields: [{ name: 'value', type: 'f64' }] as const,
}

t.test('an op names a program by name, glyph, or with a version', async (t) => {
  t.same(calledBy('heat', codex), { name: 'heat' })
  t.same(calledBy('♨', codex), { name: 'heat' })
  t.same(calledBy('heat@12', codex), { name: 'heat', version: 12 })
  t.same(calledBy('♨@12', codex), { name: 'heat', version: 12 })
  for (const op of [
    '',
    '@',
    '@1',
    'heat@',
    'heat@0',
    'heat@01',
    'heat@1@2',
    'heat@-1',
    'heat@1.5',
  ]) {
    t.equal(calledBy(op, codex), undefined, op)
  }
  t.equal(calledBy('heat@1234567890', codex), undefined)
  t.equal(calledBy('heat', undefined), undefined)
  t.equal(calledName({ name: 'heat', version: 3 }), 'heat@3')
  t.same(['♣', '♣@1', '+', '$', 'a', '♣♣', ''].map(isGlyphLike), [
    ...[true, true, false, false, false, false, false],
  ])
})

t.test('what was asked is kept, and not what it means by now', async (t) => {
  const task = { id: 'w', op: '♨', args: { with: { b: 2, a: 1 } } }
  const checked = checkSubmission(task, { ...grid, codex })
  t.match(checked, {
    ok: true,
    submission: {
      body: { op: 'heat', args: { context: 'main', with: { a: 1, b: 2 } }, program: undefined },
      call: { name: 'heat', context: 'main', with: { a: 1, b: 2 } },
    },
  })
  if (checked.ok) t.same(Object.keys(checked.submission.call!.with), ['a', 'b'], 'by name')
  t.match(checkSubmission(task, grid), { ok: false, problems: [{ code: 'unknown-glyph' }] })
})

t.test('an operation goes before a program of its name', async (t) => {
  const checked = checkSubmission(
    { op: 'add', args: { field: 'value', value: 1 } },
    { ...grid, codex },
  )
  t.match(checked, { ok: true, submission: { body: { op: 'add' }, call: undefined } })
})

t.test('each problem of what is asked is named', async (t) => {
  const wrong = { op: 'heat', x: 1, region: { x: 99, y: 0, w: 1, h: 1 }, args: { with: [1] } }
  const checked = checkSubmission(wrong, { ...grid, codex })
  const problems = checked.ok ? [] : checked.problems
  t.same(problems.map(({ path }) => path).sort(), ['args.with', 'region.x', 'x'])
  const many = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`a${index}`, null]))
  const call = parseCall({ name: 'heat' }, { with: many })
  t.equal(call.ok ? 0 : call.problems.length, 32)
  t.match(parseCall({ name: 'heat' }, { with: { a: Number.NaN } }), { ok: false })
  t.match(parseCall({ name: 'heat' }, { context: 'No' }), { problems: [{ path: 'args.context' }] })
})
