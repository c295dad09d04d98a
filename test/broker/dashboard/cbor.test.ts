import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { decodeCbor } from '../../../broker/dashboard/cbor.ts'
import { encodeCbor } from '../../../shared/protocol/cbor.ts'
import { check } from '../../support/property.ts'

const values = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true }),
    fc.string(),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('value'), { maxLength: 30 }),
    fc.dictionary(fc.string(), tie('value'), { maxKeys: 30, noNullPrototype: true }),
  ),
})).value

t.test('the page reads what the gateway writes', (t) => {
  check(
    t,
    fc.property(values, (value) => {
      const read = decodeCbor(Uint8Array.from(encodeCbor(value)))
      return isDeepStrictEqual(plain(read), plain(value))
    }),
    300,
  )
  t.ok(Number.isNaN(decodeCbor(Uint8Array.from(encodeCbor(Number.NaN)))))
  t.end()
})

/** −0 goes as 0. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'number') return value === 0 ? 0 : value
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]))
}

t.test('bytes that end too soon, and those that go on, are refused', (t) => {
  const bytes = Uint8Array.from(encodeCbor({ a: [1, 'two', new Uint8Array(300)], b: 1.5 }))
  for (let length = 0; length < bytes.length; length++) {
    t.throws(() => decodeCbor(bytes.subarray(0, length)), RangeError)
  }
  t.throws(() => decodeCbor(Uint8Array.of(...bytes, 0)), {
    message: 'no CBOR that is sent to pages',
  })
  t.throws(
    () => decodeCbor(Uint8Array.of(0x9b, 255, 255, 255, 255, 255, 255, 255, 255)),
    RangeError,
  )
  t.throws(() => decodeCbor(Uint8Array.of(0xc0, 0x60)), {
    message: 'no CBOR that is sent to pages',
  })
  t.throws(() => decodeCbor(Uint8Array.of(0x9f, 0xff)), RangeError)
  t.throws(() => decodeCbor(Uint8Array.of(0xf9, 0, 0)), RangeError)
  t.end()
})
