import { setFlagsFromString } from 'node:v8'
import t from 'tap'
import {
  type CollectedHeap,
  IdleCollection,
  ownHeap,
} from '../../../firmware-agent/adapters/idle-collection.ts'

class Subject implements CollectedHeap {
  isIdle = true
  jobs = 7
  live = 20e6
  dead = 0
  log: string[] = []

  usedBytes(): number {
    return this.live + this.dead
  }

  collect(): void {
    this.log.push(`collected ${this.dead}`)
    this.dead = 0
  }

  releaseMemory(): void {
    this.log.push('released')
  }
}

t.test('garbage is collected once there is enough of it, and nothing to do', async (t) => {
  const subject = new Subject()
  const collection = new IdleCollection(subject, subject)
  t.teardown(() => collection.close())
  collection.look()
  subject.dead = 2.9e6
  collection.look()
  t.same(subject.log, [], 'too little')
  subject.dead = 5e6
  subject.isIdle = false
  collection.look()
  t.same(subject.log, [], 'something runs')
  subject.isIdle = true
  subject.jobs += 1
  collection.look()
  t.same(subject.log, [], 'something ran since the last look')
  collection.look()
  t.same(subject.log.splice(0), ['released', 'collected 5000000'])
  collection.look()
  t.same(subject.log, [], 'what lives is not garbage')
})

t.test('what lives is known again after V8 has collected by itself', async (t) => {
  const subject = new Subject()
  subject.dead = 4e6
  const collection = new IdleCollection(subject, subject)
  t.teardown(() => collection.close())
  subject.dead = 0
  collection.look()
  subject.dead = 3.5e6
  collection.look()
  t.same(subject.log, ['released', 'collected 3500000'])
})

t.test('the heap of this process: buffers that nobody has any more go', async (t) => {
  t.equal(ownHeap(), undefined, 'without the flag there is nothing to collect with')
  setFlagsFromString('--expose-gc')
  const { runInNewContext } = await import('node:vm')
  globalThis.gc = runInNewContext('gc') as NonNullable<typeof globalThis.gc>
  t.teardown(() => {
    Reflect.deleteProperty(globalThis, 'gc')
  })
  const heap = ownHeap()!
  let buffers: Uint8Array[] | undefined = Array.from({ length: 64 }, () => new Uint8Array(1e6))
  const full = heap.usedBytes()
  t.equal(buffers.length, 64)
  buffers = undefined
  heap.collect()
  t.ok(heap.usedBytes() < full - 60e6, `${heap.usedBytes()} of ${full} bytes are left`)
})
