import fc from 'fast-check'
import t, { type Test } from 'tap'
import { assert, unreachable } from '../../../shared/core/assert.ts'
import { Backoff } from '../../../shared/core/backoff.ts'
import {
  digest,
  equalBytes,
  hashText,
  mix32,
  unmix32,
  xxh32,
  xxh32Pair,
} from '../../../shared/core/hash.ts'
import { isId, randomId } from '../../../shared/core/ids.ts'
import { own } from '../../../shared/core/own.ts'
import { Random } from '../../../shared/core/random.ts'
import {
  CHAIN_START,
  type ChainLink,
  extendChain,
  extendChainWords,
} from '../../../shared/protocol/stream-chain.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/shared/core/core.test.ts`)
// A `maxLength` is meant: by default lists are far shorter.
fc.configureGlobal({ defaultSizeToMaxWhenMaxSpecified: true })
const check = (t: Test, property: fc.IRawProperty<unknown>, numRuns = 200): void => {
  fc.assert(property as fc.IProperty<unknown>, { seed, numRuns })
  t.pass(`${numRuns} runs`)
}

const utf8 = new TextEncoder()
const PRIME = 2654435761

t.test('xxh32 gives the values of the reference implementation', (t) => {
  // The buffer of the reference's own sanity check (xxhsum, BMK_sanityCheck).
  const sanity = new Uint8Array(101)
  let generator = PRIME
  for (let index = 0; index < sanity.length; index++) {
    sanity[index] = generator >>> 24
    generator = Math.imul(generator, generator)
  }
  const vectors: [Uint8Array, number, number][] = [
    [new Uint8Array(0), 0, 0x02cc5d05],
    [new Uint8Array(0), PRIME, 0x36b78ae7],
    [sanity.subarray(0, 1), 0, 0xb85cbee5],
    [sanity.subarray(0, 1), PRIME, 0xd5845d64],
    [sanity.subarray(0, 14), 0, 0xe5aa0ab4],
    [sanity.subarray(0, 14), PRIME, 0x4481951d],
    [sanity, 0, 0x1f1aa412],
    [sanity, PRIME, 0x498ec8e2],
    [utf8.encode('a'), 0, 0x550d7456],
    [utf8.encode('abc'), 0, 0x32d153ff],
    [utf8.encode('Nobody inspects the spammish repetition'), 0, 0xe2293b2f],
  ]
  for (const [bytes, vectorSeed, hash] of vectors) {
    t.equal(xxh32(bytes, vectorSeed), hash, `${bytes.length} bytes, seed ${vectorSeed}`)
  }
  t.end()
})

t.test('a pair is xxh32 under both seeds, wherever the bytes lie', (t) => {
  check(
    t,
    fc.property(
      fc.uint8Array({ maxLength: 400 }),
      fc.nat(9),
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      (content, offset, left, right) => {
        const memory = new Uint8Array(offset + content.length + 3).fill(0xee)
        memory.set(content, offset)
        const bytes = memory.subarray(offset, offset + content.length)
        const pair = xxh32Pair(bytes, left, right)
        return pair[0] === xxh32(content, left) && pair[1] === xxh32(content, right)
      },
    ),
    1000,
  )
  t.end()
})

t.test('hashText is xxh32 of the UTF-8 bytes, for every length and script', (t) => {
  check(
    t,
    fc.property(
      fc.oneof(fc.string({ maxLength: 300 }), fc.string({ unit: 'binary', maxLength: 60 })),
      fc.nat(),
      (text, hashSeed) => hashText(text, hashSeed) === xxh32(utf8.encode(text), hashSeed),
    ),
    60,
  )
  t.equal(hashText('a'.repeat(256)), xxh32(utf8.encode('a'.repeat(256))), 'the last short text')
  t.equal(hashText('a'.repeat(257)), xxh32(utf8.encode('a'.repeat(257))), 'the first long text')
  t.end()
})

t.test('a digest is eight bytes and tells single bits apart', (t) => {
  check(
    t,
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 80 }), fc.nat(), (bytes, at) => {
      const changed = Uint8Array.from(bytes)
      changed[at % bytes.length]! ^= 1 << (at % 8)
      return digest(bytes).length === 8 && !equalBytes(digest(bytes), digest(changed))
    }),
  )
  t.same(digest(new Uint8Array(0)).subarray(0, 4), [0x05, 0x5d, 0xcc, 0x02], 'little-endian')
  t.end()
})

t.test('mix32 gives every input another output', (t) => {
  const inputs = [0, 1, 2, 0x7fffffff, 0x80000000, 0xffffffff]
  for (let input = 3; input < 20_000; input++) inputs.push(input)
  t.equal(new Set(inputs.map(mix32)).size, inputs.length)
  t.equal(mix32(1), 0x514e28b7, 'the finalizer of MurmurHash3')
  t.notOk(
    inputs.some((input) => unmix32(mix32(input)) !== input),
    'and back',
  )
  t.end()
})

t.test('equalBytes compares length and content', (t) => {
  t.ok(equalBytes(new Uint8Array(0), new Uint8Array(0)))
  t.ok(equalBytes(Uint8Array.of(1, 2), Buffer.from([1, 2])))
  t.notOk(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3)))
  t.notOk(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2, 3)))
  t.notOk(equalBytes(Uint8Array.of(1, 2, 3), Uint8Array.of(1, 2)))
  t.end()
})

t.test('a random sequence is replayed by its seed and differs between seeds', (t) => {
  const draw = (from: number): number[] => {
    const random = new Random(from)
    return Array.from({ length: 50 }, () => random.uint32())
  }
  t.same(draw(seed), draw(seed))
  t.not(draw(0).join(), draw(1).join())
  t.not(draw(0).join(), draw(2 ** 31).join())
  t.end()
})

t.test('a random sequence is roughly uniform', (t) => {
  const random = new Random(seed)
  const DRAWS = 160_000
  const BINS = 16
  const bins = new Array<number>(BINS).fill(0)
  const bits = new Array<number>(32).fill(0)
  for (let draw = 0; draw < DRAWS; draw++) {
    bins[random.integer(BINS)]! += 1
    const word = random.uint32()
    for (let bit = 0; bit < 32; bit++) bits[bit]! += (word >>> bit) & 1
  }
  // Seven standard deviations: a sound generator fails here once in 10^11 draws of these counts.
  const binSpread = 7 * Math.sqrt((DRAWS / BINS) * (1 - 1 / BINS))
  const bitSpread = 7 * Math.sqrt(DRAWS / 4)
  t.ok(
    bins.every((count) => Math.abs(count - DRAWS / BINS) < binSpread),
    `bins ${bins.join(' ')}`,
  )
  t.ok(
    bits.every((count) => Math.abs(count - DRAWS / 2) < bitSpread),
    `bits ${bits.join(' ')}`,
  )
  t.end()
})

t.test('random numbers stay in their range', (t) => {
  check(
    t,
    fc.property(
      fc.integer(),
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.double({ min: -1e6, max: 1e6, noNaN: true }),
      (from, bound, low) => {
        const random = new Random(from)
        const high = low + bound
        for (let draw = 0; draw < 20; draw++) {
          const unit = random.unit()
          const integer = random.integer(bound)
          const between = random.between(low, high)
          if (unit < 0 || unit >= 1) return false
          if (!Number.isInteger(integer) || integer < 0 || integer >= bound) return false
          if (between < low || between > high) return false
        }
        return true
      },
    ),
  )
  t.end()
})

t.test('a wait lies between the base and three times the wait before it, below the cap', (t) => {
  check(
    t,
    fc.property(
      fc.integer(),
      fc.integer({ min: 1, max: 5_000 }),
      fc.integer({ min: 0, max: 120_000 }),
      (from, baseMs, above) => {
        const capMs = baseMs + above
        const backoff = new Backoff({ baseMs, capMs }, new Random(from))
        let previousMs = baseMs
        for (let attempt = 0; attempt < 30; attempt++) {
          if (attempt === 20) {
            backoff.reset()
            previousMs = baseMs
          }
          const waitMs = backoff.nextMs()
          if (waitMs < baseMs || waitMs > Math.min(capMs, previousMs * 3)) return false
          previousMs = waitMs
        }
        return true
      },
    ),
  )
  t.end()
})

t.test('waits grow to the cap, spread, and begin anew after a reset', (t) => {
  const backoff = new Backoff({ baseMs: 1_000, capMs: 60_000 }, new Random(seed))
  const waits = Array.from({ length: 200 }, () => backoff.nextMs())
  t.ok(Math.max(...waits) > 20_000, 'they grow')
  t.ok(new Set(waits).size > 20, 'they differ')
  backoff.reset()
  t.ok(backoff.nextMs() <= 3_000)
  t.end()
})

t.test('ids are 1 to 64 of the letters of the wire', (t) => {
  for (const id of ['a', 'A-Z_09', '-', '_', 'x'.repeat(64), 'submit']) t.ok(isId(id), id)
  for (const id of ['', 'x'.repeat(65), 'a/b', 'a b', 'a\n', 'é', '+', '#', '..', 7, null, ['a']]) {
    t.notOk(isId(id), JSON.stringify(id))
  }
  check(
    t,
    fc.property(fc.string(), (text) => isId(text) === /^[\w-]{1,64}$/.test(text)),
  )
  t.end()
})

t.test('a table has its own members only', (t) => {
  const table = { a: 1, ...JSON.parse('{"__proto__":2}') }
  t.equal(own(table, 'a'), 1)
  t.equal(own(table, '__proto__'), 2)
  for (const name of Object.getOwnPropertyNames(Object.prototype)) {
    t.equal(own({}, name), undefined, name)
  }
  t.end()
})

t.test('a random id is an id of the length asked for', (t) => {
  const random = new Random(seed)
  const ids = Array.from({ length: 2_000 }, () => randomId(random))
  t.ok(ids.every((id) => isId(id) && id.length === 16))
  t.equal(new Set(ids).size, ids.length)
  t.equal(new Set(ids.join('')).size, 32, 'all 32 letters come up')
  t.equal(randomId(random, 5).length, 5)
  t.end()
})

const link: fc.Arbitrary<ChainLink> = fc.record({
  position: fc.integer({ min: 1, max: 2 ** 40 }),
  seq: fc.integer({ min: 1, max: 2 ** 40 }),
  body: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  tiles: fc.uint8Array({ maxLength: 40 }),
})

t.test('a chain tells every change of an entry, of their order and of the past', (t) => {
  t.same(CHAIN_START, new Uint8Array(8))
  check(
    t,
    fc.property(link, link, (first, second) => {
      const chain = extendChain(CHAIN_START, first)
      const bytes = (changed: Partial<ChainLink>): Uint8Array =>
        extendChain(CHAIN_START, { ...first, ...changed })
      const others = [
        bytes({ position: first.position + 1 }),
        bytes({ seq: first.seq + 1 }),
        bytes({ body: first.body.map((byte, at) => (at === 0 ? byte ^ 1 : byte)) }),
        bytes({ tiles: Uint8Array.of(...first.tiles, 0) }),
        extendChain(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0), first),
      ]
      if (!equalBytes(chain, bytes({})) || others.some((other) => equalBytes(chain, other))) {
        return false
      }
      const swapped = extendChain(extendChain(CHAIN_START, second), first)
      const isSame = equalBytes(bytes({}), extendChain(CHAIN_START, second))
      return isSame || !equalBytes(extendChain(chain, second), swapped)
    }),
  )
  t.end()
})

t.test('a chain does not depend on where its bytes lie', (t) => {
  const tiles = Uint8Array.of(1, 0, 0, 0, 2, 0, 0, 0)
  const body = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)
  const padded = Buffer.concat([Buffer.of(9), tiles, body]).subarray(1)
  t.same(
    extendChain(CHAIN_START, { position: 1, seq: 2, body, tiles }),
    extendChain(Buffer.from(CHAIN_START), {
      position: 1,
      seq: 2,
      body: padded.subarray(8),
      tiles: padded.subarray(0, 8),
    }),
  )
  t.end()
})

t.test('a chain is the same of words that lie among others', (t) => {
  const body = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 200)
  const words = Int32Array.from({ length: 100 }, (_, at) => at * 0x01234567)
  let chain = CHAIN_START
  const inWords = new Int32Array(2)
  for (let to = 3; to < 80; to++) {
    const link = { seq: 2 ** 40 + to, body: new Int32Array(body.buffer), words, from: 3, to }
    extendChainWords(inWords, to, link)
    const tiles = new Uint8Array(words.slice(3, to).buffer)
    chain = extendChain(chain, { position: to, seq: link.seq, body, tiles })
    if (!equalBytes(chain, new Uint8Array(inWords.buffer))) t.fail(`${to - 3} words`)
  }
  t.end()
})

t.test('a broken assertion throws and says which', (t) => {
  t.doesNotThrow(() => assert(true, 'sound'))
  t.throws(() => assert(0, 'a number above zero'), { message: /a number above zero/ })
  t.throws(() => unreachable('left' as never), { message: /left/ })
  t.end()
})
