import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { bandsOf, copyBand } from '../../../shared/client/bands.ts'
import { Numbers, writeCbor } from '../../../shared/client/cbor-writer.ts'
import { decodeCbor } from '../../../shared/protocol/cbor.ts'
import { check } from '../../support/property.ts'

const LIMITS = { bytesMax: 2 ** 24, depthMax: 16, itemsMax: 1_000_000 }

function read(bytes: Uint8Array): unknown {
  const decoded = decodeCbor(Buffer.from(bytes), LIMITS)
  if (decoded.ok) return decoded.value
  throw new Error(decoded.message)
}

/** Bytes as buffers, and objects as plain ones. */
function asRead(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value)
  if (Array.isArray(value)) return value.map(asRead)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, asRead(member)]))
}

t.test('what is written is what the gateway reads', (t) => {
  const leaf = fc.oneof(
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.string({ unit: 'grapheme' }),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 300 }),
  )
  const key = fc.string().filter((name) => name !== '__proto__')
  const list = fc.array(leaf, { maxLength: 40 })
  const tree = fc.dictionary(key, fc.oneof(leaf, list, fc.dictionary(key, list)), { maxKeys: 30 })
  const rule = fc.property(tree, (value) => {
    assert.deepStrictEqual(read(writeCbor(value)), asRead(value))
  })
  check(t, rule, 500)
  t.end()
})

t.test('numbers of an array of any type are a list', (t) => {
  const float = new Float32Array([0.1, -2, 3e38, 5])
  t.same(read(writeCbor({ a: float, b: undefined })), { a: [...float] })
  t.ok(writeCbor(new Float32Array(1000).fill(0.1)).length < 5100, 'f32 take five bytes each')
  const bytes = new Uint8Array([1, 2])
  t.same(read(writeCbor(new Numbers(bytes))), [1, 2])
  t.same(read(writeCbor(bytes)), Buffer.from(bytes))
  t.same(read(writeCbor(new Int32Array([-1, 2 ** 31 - 1]))), [-1, 2 ** 31 - 1])
  t.end()
})

t.test('bands cover a region, each small enough, and cells come to their places', (t) => {
  const side = fc.integer({ min: 1, max: 8192 })
  const at = fc.integer({ min: 0, max: 8000 })
  const rule = fc.property(at, at, side, fc.integer({ min: 1, max: 60 }), (x, y, w, h) => {
    const whole = { x, y, w, h }
    const bands = bandsOf(whole)
    const cells = Float64Array.from({ length: w * h }, (_, n) => n)
    const back = new Float64Array(w * h).fill(-1)
    for (const band of bands) {
      assert.ok(band.w * band.h <= 65_536 && band.w === w && band.x === x)
      const part = new Float64Array(band.w * band.h)
      copyBand(cells, whole, part, band)
      copyBand(part, band, back, whole)
    }
    assert.equal(
      bands.reduce((sum, band) => sum + band.h, 0),
      h,
    )
    assert.deepEqual(back, cells)
  })
  check(t, rule, 30)
  t.end()
})
