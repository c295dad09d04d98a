import fc from 'fast-check'
import t from 'tap'
import { PageArena } from '../../../firmware-agent/adapters/page-arena.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/firmware-agent/adapters/page-arena.test.ts`)

t.test('what is taken is aligned, of its size, and no one else has it', (t) => {
  const sizes = fc.array(fc.integer({ min: 1, max: 300_000 }), { maxLength: 60 })
  const property = fc.property(sizes, sizes, (first, second) => {
    const arena = new PageArena()
    for (const round of [first, second]) {
      arena.clear()
      const taken = round.map((bytes) => arena.take(bytes))
      taken.forEach((room, index) => {
        room.fill(index)
      })
      const isOwn = (room: Uint8Array, index: number): boolean =>
        room.length === round[index] &&
        room.byteOffset % 8 === 0 &&
        Buffer.alloc(room.length, index).equals(room)
      if (!taken.every(isOwn)) return false
    }
    return true
  })
  fc.assert(property, { seed, numRuns: 50 })
  t.pass('50 runs')
  t.end()
})

t.test('what is given back, or cleared, is taken again', (t) => {
  const arena = new PageArena()
  const first = arena.take(100)
  const { mark } = arena
  const second = arena.take(100)
  t.not(second.byteOffset, first.byteOffset)
  for (let count = 0; count < 1000; count++) {
    arena.giveBack(mark)
    t.equal(arena.take(100).byteOffset, second.byteOffset)
    if (count % 10 === 0) arena.take(count * 1000)
  }
  arena.clear()
  t.equal(arena.take(100).byteOffset, first.byteOffset)
  t.end()
})

t.test('what is above a bound is let go of, and what is below stays', (t) => {
  const arena = new PageArena()
  const first = arena.take(1000)
  const large = arena.take(5_000_000)
  arena.shrink(100_000)
  t.equal(arena.take(1000).buffer, first.buffer, 'the same memory')
  const again = arena.take(5_000_000)
  t.not(again.buffer, large.buffer, 'memory of its own')
  arena.shrink(10_000_000)
  arena.take(1000)
  t.equal(arena.take(5_000_000).buffer, again.buffer, 'below the bound')
  arena.shrink(0)
  t.not(arena.take(1000).buffer, first.buffer)
  t.end()
})
