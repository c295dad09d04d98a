import t from 'tap'
import { TokenBucket } from '../../../shared/core/token-bucket.ts'

t.test('a bucket is full at first, fills with time, and lets nobody save up more', (t) => {
  const bucket = new TokenBucket({ perSecond: 10, most: 20 }, 0)
  t.equal(bucket.waitMs(0, 20), 0)
  bucket.take(20)
  t.equal(bucket.waitMs(0, 1), 100)
  t.equal(bucket.waitMs(500, 5), 0)
  t.equal(bucket.waitMs(500, 6), 100)
  t.equal(bucket.waitMs(99_000, 20), 0)
  t.equal(bucket.waitMs(99_000, 21), 100)
  t.end()
})

t.test('what is taken beyond it is owed', (t) => {
  const bucket = new TokenBucket({ perSecond: 10 }, 0)
  bucket.take(30)
  t.equal(bucket.waitMs(0, 0), 2000)
  t.equal(bucket.waitMs(1500, 1), 600)
  t.equal(bucket.waitMs(1500, 1, { perSecond: 5 }), 1200, 'at another rate')
  t.end()
})
