import t from 'tap'
import { compileSample } from '../../broker/compile-sample.ts'

t.test('the sample is a program', async (t) => {
  t.ok(compileSample())
})
