import fc from 'fast-check'
import t from 'tap'
import { rangeOf, typedText } from '../../../../broker/dashboard/programs/places.ts'
import { placeOf } from '../../../../shared/osl/osl-problems.ts'

t.test('a place is where the compiler meant it, whatever is before it', async () => {
  const text = fc.array(fc.constantFrom('a', ' ', '\n', '×', '𝑥', '♨')).map((one) => one.join(''))
  fc.assert(
    fc.property(text, text, text, (before, named, after) => {
      const source = `${before}${named.replaceAll('\n', '')}!${after}`
      const span = { at: before.length, length: named.replaceAll('\n', '').length + 1 }
      const range = rangeOf(source, placeOf(source, span))
      return range?.start === span.at && range.end === span.at + span.length
    }),
  )
})

t.test('without a place there is nothing to select', async (t) => {
  t.equal(rangeOf('a', {}), undefined)
  t.same(rangeOf('a\nbc', { line: 2, column: 2 }), { start: 3, end: 4 })
})

t.test('ends of lines are as an element of a page has them', async (t) => {
  t.equal(typedText('a\r\nb\rc\n'), 'a\nb\nc\n')
})
