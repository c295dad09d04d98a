import t from 'tap'
import { compileWritten } from '../../../../broker/core/state/written-program.ts'
import type { Field } from '../../../../shared/grid/fields.ts'

const GRID: { fields: readonly Field[]; width: number } = {
  fields: [{ name: 'value', type: 'f64' }],
  width: 16,
}

t.test('a program is written for the cells of the grid, or for records', async (t) => {
  const fieldsOf = (source: string, columns?: string): unknown => {
    const more = columns === undefined ? {} : { columns }
    const compiled = compileWritten({ source, ...more }, GRID, 'source')
    return compiled.ok ? compiled.value.fields.map(({ name }) => name) : compiled.problems
  }
  t.same(fieldsOf('value = value + 1'), ['value'])
  t.same(fieldsOf('show double = 2 * amount', 'amount:u8,nonce:i32'), ['amount', 'nonce'])
  t.match(fieldsOf('show double = 2 * amount'), [
    { code: 'osl-unknown-name', path: 'source', line: 1 },
  ])
  t.match(fieldsOf('show double = 2 * amount', 'amount'), [{ code: 'malformed', path: 'columns' }])
  for (const wrong of ['amount = 1', 'show a = x', 'return a = argmax(amount)']) {
    t.match(fieldsOf(wrong, 'amount:u8'), [{ code: 'not-allowed', path: 'source' }])
  }
})
