/** Few keys of a map are compared with each other, and many are kept: either way none stands twice. */
import t from 'tap'
import { decodeCbor, encodeCbor } from '../../../shared/protocol/cbor.ts'
import { MESSAGE_LIMITS } from '../../../shared/protocol/limits.ts'

/** A map of these keys, in this order. */
function mapOf(keys: readonly string[]): Uint8Array {
  const head = keys.length < 24 ? [0xa0 | keys.length] : [0xb8, keys.length]
  const items = keys.flatMap((key, index) => [encodeCbor(key), encodeCbor(index)])
  return Buffer.concat([Buffer.from(head), ...items])
}

for (const prefix of ['k', 'ä', '__proto', 'x'.repeat(70)]) {
  t.test(`keys that begin with ${prefix.slice(0, 9)}`, async (t) => {
    for (const size of [1, 2, 15, 16, 17, 40]) {
      const keys = Array.from({ length: size }, (_, index) => `${prefix}${index}`)
      const decoded = decodeCbor(mapOf(keys), MESSAGE_LIMITS)
      t.same(decoded, { ok: true, value: Object.fromEntries(keys.map((key, at) => [key, at])) })
      for (const again of keys) {
        const twice = decodeCbor(mapOf([...keys, again]), MESSAGE_LIMITS)
        t.match(
          twice,
          { ok: false, message: /^a map key that stands twice/ },
          `${again} of ${size}`,
        )
      }
    }
  })
}
