import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { TimeHeap } from '../../../shared/core/time-heap.ts'
import { check } from '../../support/property.ts'

t.test('the earliest of what is there comes first', async (t) => {
  const moments = fc.array(fc.nat({ max: 50 }))
  check(
    t,
    // Null takes one out.
    fc.property(moments, fc.array(fc.option(fc.nat({ max: 50 }))), (begun, steps) => {
      const left = begun.sort((a, b) => a - b)
      const heap = new TimeHeap(left.map((atMs) => ({ atMs })))
      for (const atMs of steps) {
        if (atMs !== null) {
          heap.push({ atMs })
          left.push(atMs)
          left.sort((a, b) => a - b)
        } else if (left.length > 0) {
          heap.pop()
          left.shift()
        }
        assert.equal(heap.first?.atMs, left[0])
        assert.equal(heap.size, left.length)
      }
    }),
  )
})
